"""`verify: data` (docs/decisions/0070): what the server behind says of a message, its client hears."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator

import pytest

from lab import certs
from lab.gateway import Gateway
from lab.postfix import Postfix
from lab.pytest_plugin import Daneway, wait_until
from lab.smtp_server import Smtp, SmtpServer
from lab.world import World
from receiver import Client

LIMIT = 60  # seconds that the server behind has
# Minutes of waiting, the same in every build.
once = pytest.mark.skipif("asan" in os.environ.get("DANEWAY", ""), reason="slow: in one build only")
PLAIN = Smtp(hostname="scripted.test", extensions=["SIZE 104857600", "8BITMIME"])
FORGED = b"forged@victim.example"


@dataclass
class Site:
    world: World
    gateway: Gateway
    mx: str
    behind: Postfix       # of own.example
    scripted: SmtpServer  # of scripted.example, which has a list, and of other.example
    victim: SmtpServer    # where notices to the forged sender would go
    seen: set[int] = field(default_factory=set)

    def says(self, **how: Any) -> None:
        """From now on: sessions that are kept for the next message have ended."""
        assert wait_until(lambda: all(s.end for s in list(self.scripted.sessions)))
        self.scripted.change(Smtp(**{**PLAIN.__dict__, **how}))

    def send(self, *to: bytes, subject: bytes = b"hello", size: int = 0, timeout: float = 30) -> bytes:
        """The reply at the end of the message."""
        with Client(25, address=self.mx, source=None, timeout=timeout) as c:
            assert set(c.envelope(*to, sender=FORGED)) == {250}
            assert c.code(b"DATA") == 354
            c.raw(b"Subject: " + subject + b"\r\n\r\n" + (b"x" * 70 + b"\r\n") * (size // 72))
            return c(b".")

    def queue(self) -> str:
        return self.gateway.tool("queue", "list", "--json").stdout

    def goes_on(self) -> bool:
        return self.gateway.tool("queue", "retry", "--all").returncode == 0

    def mail(self) -> str:
        return self.behind.mailbox.read_text(errors="replace") if self.behind.mailbox.exists() else ""

    def arrived(self, server: SmtpServer) -> list[dict[str, Any]]:
        """Since mark()."""
        return [m for s in list(server.sessions) for m in s.messages if id(m) not in self.seen]

    def mark(self) -> None:
        self.seen = {id(m) for server in (self.scripted, self.victim)
                     for s in list(server.sessions) for m in s.messages}


def _secret(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    os.chown(path, 717, 717)
    return str(path)


@pytest.fixture(scope="module")
def whole(needs_users: None, daneway: Daneway) -> Iterator[Site]:
    world = World("gatewaydata")
    behind_at, mx = world.address(), world.address()
    checks = world.dir / "header_checks"
    checks.write_text("/^Subject: bad/ REJECT not wanted here, see policy 7\n"
                      "/^X-Bad: / REJECT\n")
    leaf = certs.self_signed("behind.test")
    pem = leaf.write(world.dir / "behind.pem")
    behind = world.add_daemon(Postfix(
        "behind", world.dir / "behind", world.logs / "behind.log", hostname="behind.test",
        listen=[behind_at], domains=["own.example"], certificate=pem,
        extra={"header_checks": f"regexp:{checks}"}))
    scripted = world.add_smtp(PLAIN)
    victim = world.add_smtp(Smtp(hostname="mx.victim.example"))
    world.add_zone("victim.example", ["@ MX 10 mx", f"mx A {victim.addresses[0]}"])
    own = certs.self_signed("mx1.hoster.test")
    key = _secret(world.dir / "mx1.pem", own.key_pem() + own.pem())
    listed = _secret(world.dir / "listed", "a\nb\nc\n")
    at = f"smtp:[{scripted.addresses[0]}]:25"
    gateway = Gateway(daneway.path, world, {
        "certificates": [{"chain": key, "key": key}],
        "listeners": [{"mx": f"{mx}:25"}],
        "queue": {"retry": ["30s"]},  # longer than a session is kept for more
        "domains": {
            "own.example": {"next_hop": f"smtp:[{behind_at}]:25", "tls": "encrypt", "verify": "data"},
            "scripted.example": {"next_hop": at, "tls": "none", "verify": "data", "recipients": listed},
            "other.example": {"next_hop": at, "tls": "none", "verify": "none"}}})
    world.add_daemon(gateway)
    world.start()
    gateway.wait_for("dns", health="good")
    yield Site(world, gateway, mx, behind, scripted, victim)
    world.stop()


@pytest.fixture
def site(whole: Site) -> Site:
    whole.gateway.tool("queue", "delete", "--all")
    whole.says()
    whole.mark()
    return whole


def _nothing_is_left(site: Site) -> None:
    """Neither in the queue nor on the way to whom the sender was forged to be."""
    assert site.queue() == ""
    time.sleep(1)
    assert site.queue() == "" and site.arrived(site.victim) == [], site.gateway.text()[-3000:]
    assert not [p for p in (site.gateway.state / "queue").rglob("*") if p.suffix == ".msg"]


def test_taken(site: Site) -> None:
    """250 comes when Postfix has it, over the TLS that the domain asks for."""
    assert site.send(b"bob@own.example", b"eve@own.example", subject=b"good").startswith(b"250 ")
    assert site.queue() == ""
    assert wait_until(lambda: site.mail().count("Subject: good") == 2)
    assert "with ESMTPS" in site.mail()


@pytest.mark.parametrize("size", [0, 300000, 5000000])
def test_refused_by_content(site: Site, size: int) -> None:
    """A real Postfix that rejects at the end of the message: its code and words, and no bounce."""
    reply = site.send(b"bob@own.example", b"eve@own.example", subject=b"bad", size=size)
    assert reply == b"550 5.7.1 not wanted here, see policy 7", site.gateway.text()[-3000:]
    _nothing_is_left(site)
    assert "Subject: bad" not in site.mail()
    assert site.gateway.events("refused", reason="behind", code="550")


def test_refused_before_the_message(site: Site) -> None:
    """At MAIL or RCPT, too; and what the server's offer already decides."""
    for how, reply in (({"replies": {"MAIL": "553 5.1.8 no such sender"}}, b"553 5.1.8 no such sender"),
                       ({"replies": {"RCPT": "550 5.2.1 it\nis gone"}}, b"550 5.2.1 it; is gone"),
                       ({"replies": {".": "552 5.2.2 full"}}, b"552 5.2.2 full"),
                       ({"replies": {".": "554 no"}}, b"554 5.0.0 no"),
                       ({"extensions": ["SIZE 100"]}, b"554 5.3.4 ")):
        site.says(**how)
        assert site.send(b"a@scripted.example", size=1000).startswith(reply), how
        _nothing_is_left(site)


@once
def test_not_now(site: Site) -> None:
    """A 4yz, and a server that is away: 250, and the queue goes on."""
    for replies in ({".": "451 4.3.0 wait"}, {"MAIL": "450 4.7.1 wait"}, {"connect": "421 4.3.2 busy"}):
        site.says(replies=replies)
        began = time.monotonic()
        assert site.send(b"a@scripted.example").startswith(b"250 ")
        assert time.monotonic() - began < 10
        assert site.queue()
        site.says()
        assert wait_until(lambda: site.goes_on() and len(site.arrived(site.scripted)) == 1, 60), \
            site.gateway.text()[-3000:]
        assert wait_until(lambda: site.queue() == "")
        site.mark()
    assert site.arrived(site.victim) == []


def test_mixed(site: Site) -> None:
    """What was taken is taken: 250, and a notice for the one that was not."""
    site.says(replies={"RCPT:b@scripted.example": "550 5.1.1 not here"})
    assert site.send(b"a@scripted.example", b"b@scripted.example").startswith(b"250 ")
    assert [m["to"] for m in site.arrived(site.scripted)] == [["a@scripted.example"]]
    assert wait_until(lambda: len(site.arrived(site.victim)) == 1)
    assert "b@scripted.example" in site.arrived(site.victim)[0]["data"]
    assert wait_until(lambda: site.queue() == "")
    # One domain at a time, so that nothing else is mixed.
    with Client(25, address=site.mx, source=None) as c:
        assert c.envelope(b"a@scripted.example", b"a@other.example", b"c@scripted.example")[2:] == \
            [250, 452, 250]


def test_others_do_not_wait(site: Site) -> None:
    """Without verify: data a refusal is a notice, as ever: the test above would see one."""
    site.says(replies={".": "550 5.7.1 no"})
    assert site.send(b"a@other.example").startswith(b"250 ")
    assert wait_until(lambda: len(site.arrived(site.victim)) == 1)


@once
def test_killed_while_it_waits(site: Site) -> None:
    """No reply, so no promise; but the message is stored, and goes out once after the restart."""
    site.says(hang_at=".")
    with Client(25, address=site.mx, source=None) as c:
        assert set(c.envelope(b"a@scripted.example", sender=FORGED)) == {250}
        assert c.code(b"DATA") == 354
        c.raw(b"Subject: cut\r\n\r\nx\r\n.\r\n")
        assert wait_until(lambda: "DATA" in site.scripted.sessions[-1].commands)
        time.sleep(0.5)
        assert site.gateway.popen
        site.gateway.popen.send_signal(signal.SIGKILL)
        site.gateway.popen.wait()
        with pytest.raises((EOFError, ConnectionError)):
            c.reply()
    site.says()
    site.gateway.log.write_text("")
    site.gateway.start()
    site.gateway.wait()
    site.gateway.wait_for("dns", health="good")
    assert wait_until(lambda: site.goes_on() and len(site.arrived(site.scripted)) == 1, 60), \
        site.gateway.text()[-3000:]
    assert wait_until(lambda: site.queue() == "")
    assert len(site.arrived(site.scripted)) == 1


@once
def test_stopped_while_it_waits(site: Site) -> None:
    """The queue has it: 250 at once, and it goes out after the start."""
    site.says(hang_at=".")
    with Client(25, address=site.mx, source=None) as c:
        assert set(c.envelope(b"a@scripted.example", sender=FORGED)) == {250}
        assert c.code(b"DATA") == 354
        c.raw(b"Subject: stop\r\n\r\nx\r\n.\r\n")
        assert wait_until(lambda: "DATA" in site.scripted.sessions[-1].commands)
        time.sleep(0.5)
        site.gateway.signal(signal.SIGTERM)
        c.socket.settimeout(5)
        assert c.reply().startswith(b"250 ")
    assert site.gateway.popen
    site.gateway.popen.wait(60)
    site.says()
    site.gateway.start()
    site.gateway.wait_for("ready", count=2)
    assert wait_until(lambda: site.goes_on() and len(site.arrived(site.scripted)) == 1, 60), \
        site.gateway.text()[-3000:]


@once
def test_silence(site: Site) -> None:
    """A minute, well within the ten that the client waits (RFC 5321 section 4.5.3.2.6)."""
    site.says(hang_at=".")
    began = time.monotonic()
    assert site.send(b"a@scripted.example", timeout=LIMIT + 30).startswith(b"250 ")
    assert LIMIT - 1 < time.monotonic() - began < LIMIT + 10
    assert site.queue()
    site.gateway.tool("queue", "delete", "--all")
