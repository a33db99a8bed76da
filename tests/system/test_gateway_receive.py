"""What `daneway serve` makes of its configuration for clients: logins, and recipients that the server
behind is asked about, inside the sandbox as it is by default."""

from __future__ import annotations

import hashlib
import os
import smtplib
import warnings
from pathlib import Path
from typing import Iterator

import pytest

from lab import certs
from lab.gateway import Gateway
from lab.pytest_plugin import Daneway, wait_until
from lab.smtp_server import Smtp
from lab.world import World
from receiver import Client, plain

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import crypt

USER = 717  # of the lab's daneway
ANSWERS = {"RCPT:no@own.example": "550 5.1.1 not here", "RCPT:later@own.example": "450 4.2.0 wait"}


def secret(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    os.chown(path, USER, USER)
    return str(path)


@pytest.fixture(scope="module")
def site(needs_users: None, daneway: Daneway) -> Iterator[tuple[Gateway, dict[str, str]]]:
    world = World("gatewayin")
    at = {name: world.address() for name in ("behind", "mx", "auth", "cert", "smtps")}
    world.add_zone("behind.example", [f"mx A {at['behind']}", "@ MX 10 mx"])
    world.add_smtp(Smtp(hostname="behind.test", replies=ANSWERS), [at["behind"]])
    leaf = certs.self_signed("mx1.hoster.test")
    pem = secret(world.dir / "mx1.pem", leaf.key_pem() + leaf.pem())
    client = certs.self_signed("client.example")
    client.write(world.dir / "client.pem")
    at["client.pem"] = str(world.dir / "client.pem")
    passwords = secret(world.dir / "passwords",
                       f"anna:{crypt.crypt('secret', crypt.mksalt(crypt.METHOD_SHA512))}\n")
    gateway = Gateway(daneway.path, world, {
        "certificates": [{"chain": pem, "key": pem}],
        "listeners": [
            {"mx": f"{at['mx']}:25"},
            {"relay": f"{at['auth']}:587", "passwords": passwords, "tls": "required"},
            {"relay": f"{at['cert']}:25",
             "fingerprints": [hashlib.sha256(client.der()).hexdigest()]},
            {"relay": f"{at['smtps']}:465", "tls": "implicit", "passwords": passwords}],
        "domains": {"own.example": {"next_hop": f"smtp:[{at['behind']}]:25", "tls": "none"},
                    "host.example": {"next_hop": "smtp:[mx.behind.example]:25"},
                    "mx.example": {"next_hop": "smtp:behind.example:25"}},
        "limits": {"message_size": 65536}})
    world.add_daemon(gateway)
    world.start()
    yield gateway, at
    world.stop()


def test_recipients_are_asked_for(site: tuple[Gateway, dict[str, str]]) -> None:
    gateway, at = site
    gateway.wait_for("dns", health="good")
    with Client(25, address=at["mx"], source=None) as c:
        assert c.envelope(b"yes@own.example", b"no@own.example", b"later@own.example",
                          b"yes@host.example", b"yes@mx.example", b"yes@other.example") == \
            [250, 250, 250, 550, 451, 250, 250, 550]


def test_logins(site: tuple[Gateway, dict[str, str]]) -> None:
    gateway, at = site
    with Client(587, address=at["auth"], source=None) as c:
        c(b"EHLO c")
        assert c.code(plain(b"", b"anna", b"secret")) == 538
        c.starttls()
        c(b"EHLO c")
        assert c.code(b"MAIL FROM:<a@own.example>") == 530
        assert c.code(plain(b"", b"anna", b"wrong")) == 535
        assert c.code(plain(b"", b"anna", b"secret")) == 235
        assert c.envelope(b"u@other.example") == [250] * 3
    with smtplib.SMTP_SSL(at["smtps"], 465) as s:
        s.login("anna", "secret")
        assert s.mail("a@own.example")[0] == 250 and s.rcpt("u@other.example")[0] == 250
    with Client(25, address=at["cert"], source=None) as c:
        c(b"EHLO c")
        c.starttls(cert=Path(at["client.pem"]))
        assert c.envelope(b"u@other.example") == [250] * 3
    assert "secret" not in gateway.text()


def test_a_message_of_just_the_size(site: tuple[Gateway, dict[str, str]]) -> None:
    """What is announced is taken: the trace that is put before it is ours."""
    gateway, at = site
    with Client(25, address=at["mx"], source=None) as c:
        assert b"SIZE 65536" in c(b"EHLO c")
        assert c.envelope(b"yes@own.example") == [250] * 3
        assert c.code(b"DATA") == 354
        c.raw(b"x" * 65534 + b"\r\n.\r\n")
        assert c.reply().startswith(b"250")
    assert wait_until(lambda: bool(gateway.events("received")))
