"""The whole way: a message in over TLS, stored, out to a real Postfix under RFC 7672."""

from __future__ import annotations

import json
import os
import signal
import smtplib
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

import pytest

from lab import certs
from lab.gateway import Gateway
from lab.postfix import Postfix
from lab.pytest_plugin import Daneway, wait_until
from lab.smtp_server import Smtp, Tls
from lab.world import World


@dataclass
class Site:
    world: World
    gateway: Gateway
    mx: str          # the gateway's address for the world
    relay: str       # and for its own servers
    behind: Postfix  # the server of own.example

    def submit(self, to: str | list[str], subject: str, sender: str = "a@own.example",
               at: str = "", body: str = "body") -> None:
        with smtplib.SMTP(at or self.relay, 25, "client.test", timeout=20) as client:
            client.starttls(context=_no_check())
            client.sendmail(sender, to, f"From: {sender}\nSubject: {subject}\n\n{body}\n")

    def queue(self, *words: str) -> list[dict[str, Any]]:
        done = self.gateway.tool("queue", "list", "--json", *words)
        assert done.returncode == 0, done
        return [json.loads(line) for line in done.stdout.splitlines()]


def _no_check() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _pem(directory: Path, name: str) -> dict[str, str]:
    path = certs.self_signed(name).write(directory / f"{name}.pem")
    path.chmod(0o600)
    os.chown(path, 717, 717)
    return {"chain": str(path), "key": str(path)}


@pytest.fixture(scope="module")
def site(needs_users: None, daneway: Daneway) -> Iterator[Site]:
    world = World("gateway")
    behind_at, out_at, mismatch_at = world.address(), world.address(), world.address()
    cert = certs.self_signed("mx.out.example")
    pem = cert.write(world.dir / "out.pem")
    for domain, at, record in (
            ("out.example", out_at, cert.tlsa(3, 1, 1)),
            ("mismatch.example", mismatch_at, certs.self_signed("other").tlsa(3, 1, 1))):
        world.add_zone(domain, ["@ MX 10 mx", f"mx A {at}", f"_25._tcp.mx TLSA {record}"])
    behind = world.add_daemon(Postfix("behind", world.dir / "behind", world.logs / "behind.log",
                                      hostname="behind.test", listen=[behind_at],
                                      domains=["own.example"]))
    world.add_daemon(Postfix("out", world.dir / "out", world.logs / "out.log",
                             hostname="mx.out.example", listen=[out_at], domains=["out.example"],
                             certificate=pem))
    world.add_smtp(Smtp(hostname="mx.mismatch.example", tls=Tls([pem])), [mismatch_at])
    mx, relay = world.address(), world.address()
    gateway = Gateway(daneway.path, world, {
        "certificates": [_pem(world.dir, "mx1.hoster.test")],
        "listeners": [{"mx": f"{mx}:25"}, {"relay": f"{relay}:25", "networks": ["198.18.0.0/15"]}],
        "domains": {"own.example": {"next_hop": f"smtp:[{behind_at}]:25", "tls": "none",
                                    "verify": "none"}}})
    world.add_daemon(gateway)
    world.start()
    yield Site(world, gateway, mx, relay, behind)
    world.stop()


def _mail(postfix: Postfix) -> str:
    return postfix.mailbox.read_text(errors="replace") if postfix.mailbox.exists() else ""


def _out(site: Site) -> Postfix:
    return next(d for d in site.world.daemons if isinstance(d, Postfix) and d.name == "out")


def test_in_to_the_server_behind(site: Site) -> None:
    """From the world over TLS; Postfix behind has it, with the trace of how it came."""
    site.submit("bob@own.example", "inwards", sender="x@elsewhere.test", at=site.mx)
    assert wait_until(lambda: "Subject: inwards" in _mail(site.behind)), site.gateway.text()
    text = _mail(site.behind)
    assert "with ESMTPS" in text and "by mx1.hoster.test" in text
    assert wait_until(lambda: site.queue() == [])


def test_no_open_relay(site: Site) -> None:
    for to in ("bob@out.example", "bob%out.example@own.example", "@own.example:bob@out.example",
               '"bob@out.example"@own.example', "bob@sub.own.example"):
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            site.submit(to, "relayed", at=site.mx)


def test_out_under_dane(site: Site) -> None:
    site.submit("bob@out.example", "outwards")
    assert wait_until(lambda: "Subject: outwards" in _mail(_out(site))), site.gateway.text()
    assert wait_until(lambda: site.queue() == [])


def test_mismatch_waits_with_the_reason(site: Site) -> None:
    """Not one octet of it goes out; the queue says why, and `show` has the evidence."""
    site.submit("bob@mismatch.example", "kept back")
    assert wait_until(lambda: any(l["attempts"] for l in site.queue("--domain", "mismatch.example")))
    line, = site.queue("--domain", "mismatch.example")
    assert line["status"] == "4.7.323" and "mx.mismatch.example" in line["detail"], line
    assert line["next_try"] > line["arrived"]
    done = site.gateway.tool("queue", "show", "--json", line["id"])
    shown = json.loads(done.stdout)
    assert shown["recipients"][0]["status"] == "4.7.323" and shown["evidence"], shown
    assert site.gateway.tool("queue", "delete", line["id"]).returncode == 0


def test_reload_keeps_a_connection(site: Site) -> None:
    """A message whose session stood over a reload arrives; new sessions get the new rules."""
    with smtplib.SMTP(site.relay, 25, "client.test", timeout=20) as client:
        client.starttls(context=_no_check())
        client.ehlo()
        client.mail("a@own.example")
        limits = site.gateway.config.get("limits", {})
        site.gateway.reload(limits={**limits, "message_size": 70000})
        client.rcpt("bob@out.example")
        client.data(b"Subject: over a reload\r\n\r\n" + b"x" * 70 + b"\r\n")
    assert wait_until(lambda: "Subject: over a reload" in _mail(_out(site)))
    with smtplib.SMTP(site.relay, 25, "client.test", timeout=20) as client:
        client.ehlo()
        assert client.esmtp_features["size"] == "70000"
    site.gateway.reload(limits=limits)


def test_stop_while_a_message_is_under_way(site: Site) -> None:
    """SIGTERM between two parts of the data: it may end, gets its 250, and is there afterwards;
    new connections are refused meanwhile."""
    with socket.create_connection((site.relay, 25), 20) as client:
        file = client.makefile("rb")

        def say(text: bytes, code: bytes) -> bytes:
            client.sendall(text)
            while (line := file.readline())[3:4] == b"-":
                pass
            assert line.startswith(code), line
            return line
        say(b"", b"220")
        say(b"EHLO client.test\r\n", b"250")
        say(b"MAIL FROM:<a@own.example>\r\n", b"250")
        say(b"RCPT TO:<bob@out.example>\r\n", b"250")
        say(b"DATA\r\n", b"354")
        client.sendall(b"Subject: over a stop\r\n\r\nfirst part\r\n")
        site.gateway.signal(signal.SIGTERM)
        site.gateway.wait_for("stopping")
        assert wait_until(lambda: _refused(site.relay))
        say(b"second part\r\n.\r\n", b"250")
    assert site.gateway.popen and site.gateway.popen.wait(20) == 0
    assert site.gateway.events()[-1]["event"] == "stopped"
    site.gateway.start()
    site.gateway.wait_for("ready", count=2)
    assert wait_until(lambda: "Subject: over a stop" in _mail(_out(site)))
    assert _mail(_out(site)).count("Subject: over a stop") == 1


def _refused(address: str) -> bool:
    try:
        socket.create_connection((address, 25), 1).close()
        return False
    except OSError:
        return True


def test_second_signal_ends_at_once(site: Site) -> None:
    with socket.create_connection((site.relay, 25), 20) as client:
        client.recv(1000)
        client.sendall(b"EHLO x\r\nMAIL FROM:<a@own.example>\r\nRCPT TO:<b@out.example>\r\nDATA\r\n")
        time.sleep(0.5)
        before = time.monotonic()
        count = len(site.gateway.events("stopping"))
        site.gateway.signal(signal.SIGTERM)
        site.gateway.wait_for("stopping", count=count + 1)
        site.gateway.signal(signal.SIGTERM)
        assert site.gateway.popen and site.gateway.popen.wait(10) == 0
        assert time.monotonic() - before < 5
    site.gateway.start()
    site.gateway.wait_for("ready", count=3)


def test_reloads_under_load(site: Site) -> None:
    """Twenty reloads, two thirds with other listeners, while four clients send: nothing is lost,
    nothing arrives twice, no session is cut."""
    problems: list[Exception] = []

    def send(client: int) -> None:
        try:
            for i in range(25):
                site.submit("bob@out.example", f"load {client}-{i}.")
        except Exception as e:  # noqa: BLE001: told by the main thread
            problems.append(e)
    clients = [threading.Thread(target=send, args=(i,)) for i in range(4)]
    for client in clients:
        client.start()
    listeners, spare = site.gateway.config["listeners"], site.world.address()
    for i in range(20):
        more = [] if i % 3 == 0 else [{"mx": f"{spare}:{2525 + i % 3}"}]
        site.gateway.reload(listeners=[*listeners, *more])
    for client in clients:
        client.join()
    site.gateway.reload(listeners=listeners)
    assert not problems, problems
    names = [f"Subject: load {c}-{i}." for c in range(4) for i in range(25)]
    assert wait_until(lambda: all(name in _mail(_out(site)) for name in names), 30)
    assert [name for name in names if _mail(_out(site)).count(name) != 1] == []
