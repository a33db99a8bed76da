"""The lab's mail: real servers, scripted servers, the attacker, and what is left behind."""

from __future__ import annotations

import os
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any, Iterator

import pytest

from lab import certs
from lab.attacker import Attacker
from lab.exim import Exim
from lab.namespace import HOME
from lab.postfix import Postfix
from lab.pytest_plugin import wait_until
from lab.smtp_server import Smtp, SmtpServer, Tls, anonymous
from lab.unbound import Unbound
from lab.world import World

MESSAGE = b"From: a@sender.test\nTo: b@good.example\nSubject: lab\n\nthe secret body\n"


@pytest.fixture(scope="module")
def resolver(world: World) -> Iterator[Unbound]:
    unbound = world.add_resolver()
    yield unbound
    unbound.stop()


def _daemon(world: World, kind: type) -> Any:
    return next(d for d in world.daemons if isinstance(d, kind))


@pytest.fixture(scope="module")
def sender(world: World, resolver: Unbound) -> Postfix:
    """Postfix as sender with DANE."""
    return world.add_sender("dane")


@pytest.mark.parametrize("domain, verdict", [
    ("good.example", "Verified"), ("good-exim.example", "Verified"), ("v6.example", "Verified"),
    ("implicit.example", "Verified"), ("nodane.example", "Untrusted")])
def test_posttls_finger(needs_users: None, world: World, sender: Postfix, domain: str,
                        verdict: str) -> None:
    done = subprocess.run(sender.tool("posttls-finger", "-l", "dane", "-c", domain),
                          capture_output=True, text=True, timeout=60)
    assert f"{verdict} TLS connection established" in done.stdout + done.stderr


def test_posttls_finger_refuses(needs_users: None, world: World, sender: Postfix) -> None:
    done = subprocess.run(sender.tool("posttls-finger", "-l", "dane", "-c", "mismatch.example"),
                          capture_output=True, text=True, timeout=60)
    assert "Verified" not in done.stdout + done.stderr


def test_postfix_delivers(needs_users: None, world: World, sender: Postfix) -> None:
    for domain, kind in (("good.example", Postfix), ("good-exim.example", Exim)):
        sender.submit("a@sender.test", [f"b@{domain}"], MESSAGE)
        inbox = _daemon(world, kind).mailbox
        assert wait_until(lambda: inbox.exists() and f"b@{domain}" in inbox.read_text()), domain
    assert sender.log.read_text().count("Verified TLS connection") >= 2


def test_postfix_holds_a_mismatch(needs_users: None, world: World, sender: Postfix) -> None:
    sender.submit("a@sender.test", ["b@mismatch.example"], MESSAGE)
    assert wait_until(lambda: any("mismatch" in str(m) and "delay_reason" in str(m)
                                  for m in sender.queue()))
    assert "mismatch.example" not in _daemon(world, Postfix).mailbox.read_text()


def test_exim_sends_with_dane(needs_users: None, world: World, resolver: Unbound) -> None:
    exim = Exim("sender", world.dir / "exim-sender", world.logs / "exim-sender.log",
                hostname="sender.test")
    exim.start()
    try:
        exim.submit("a@sender.test", ["exim@good.example"], MESSAGE)
        exim.submit("a@sender.test", ["exim@mismatch.example"], MESSAGE)
        assert wait_until(lambda: "=> exim@good.example" in exim.main_log())
        assert "CV=dane" in exim.main_log()
        assert "=> exim@mismatch.example" not in exim.main_log()
    finally:
        exim.stop()


# --- scripted servers

def _client(server: SmtpServer) -> smtplib.SMTP:
    return smtplib.SMTP(server.addresses[0], server.port, "client.test", timeout=5)


def _lenient() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_scripted_smtp_records_everything(fresh_world: World) -> None:
    one, two = certs.self_signed("mx.test"), certs.self_signed("two.test", key="rsa2048")
    tls = Tls([one.write(fresh_world.dir / "one.pem")],
              sni={"two.test": two.write(fresh_world.dir / "two.pem")})
    server = fresh_world.add_smtp(Smtp(tls=tls, replies={"RCPT:no@test": "550 5.1.1 no"}))
    fresh_world.start()
    client = _client(server)
    client.ehlo()
    client.docmd("STARTTLS")
    secure = _lenient().wrap_socket(client.sock, server_hostname="two.test")
    assert secure.getpeercert(True) == two.der()
    client.sock, client.file = secure, None
    refused = client.sendmail("a@test", ["b@test", "no@test"], "Subject: x\r\n\r\nsecret\r\n")
    client.quit()
    assert list(refused) == ["no@test"]
    session = server.sessions[0]
    assert session.sni == "two.test" and session.tls and session.tls["version"] == "TLSv1.3"
    assert "secret" in session.secure and "secret" not in session.clear
    assert server.messages[0]["to"] == ["b@test"] and server.messages[0]["tls"]


def test_scripted_smtp_injects(fresh_world: World) -> None:
    pem = certs.self_signed("mx.test").write(fresh_world.dir / "one.pem")
    server = fresh_world.add_smtp(Smtp(tls=Tls([pem]), inject=b"250 injected\r\n"))
    fresh_world.start()
    with socket.create_connection((server.addresses[0], 25), 5) as sock:
        sock.recv(1000)
        sock.sendall(b"STARTTLS\r\n")
        assert sock.recv(1000) == b"220 2.0.0 go\r\n250 injected\r\n"


@pytest.mark.parametrize("behaviour, reply", [
    (Smtp(), b"502"), (Smtp(replies={"STARTTLS": "454 4.7.0 later"}), b"454"),
    (Smtp(replies={"STARTTLS": b"garbage\r\n"}), b"garbage"),
    (Smtp(replies={"connect": "421 4.3.2 busy"}), b"503"), (Smtp(close_at="STARTTLS"), b"")])
def test_scripted_smtp_refuses_tls(fresh_world: World, behaviour: Smtp, reply: bytes) -> None:
    server = fresh_world.add_smtp(behaviour)
    fresh_world.start()
    with socket.create_connection((server.addresses[0], 25), 5) as sock:
        sock.recv(1000)
        sock.sendall(b"STARTTLS\r\n")
        assert sock.recv(1000).startswith(reply)


def _handshake(server: SmtpServer, ciphers: str = "DEFAULT", sni: str = "mx.test",
               ) -> dict[str, Any] | None:
    context = _lenient()
    context.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    client = _client(server)
    client.ehlo()
    assert client.docmd("STARTTLS")[0] == 220
    try:
        context.wrap_socket(client.sock, server_hostname=sni).close()
    except (ssl.SSLError, OSError):
        return None
    assert wait_until(lambda: server.sessions[-1].tls is not None)
    return server.sessions[-1].tls


def test_scripted_smtp_tls_kinds(fresh_world: World) -> None:
    pem = certs.self_signed("mx.test", key="rsa1024").write(fresh_world.dir / "one.pem")
    old = fresh_world.add_smtp(Smtp(tls=Tls([pem], minimum="TLSv1", maximum="TLSv1_1")))
    anon = fresh_world.add_smtp(Smtp(tls=anonymous()))
    strict = fresh_world.add_smtp(Smtp(tls=Tls([pem], abort_unknown_sni=True)))
    alert = fresh_world.add_smtp(Smtp(tls=Tls([pem]), after_220="alert"))
    forged = fresh_world.add_smtp(Smtp(tls=Tls([pem]), after_220="bad-signature"))
    fresh_world.start()
    lax = "DEFAULT:@SECLEVEL=0"
    assert _handshake(old, lax) == {"version": "TLSv1.1", "cipher": "ECDHE-RSA-AES256-SHA",
                                    "resumed": False}
    found = _handshake(anon, "aNULL:@SECLEVEL=0")
    assert found and "A" in found["cipher"] and _handshake(anon) is None
    assert _handshake(strict, lax) is None and strict.sessions[-1].sni == "mx.test"
    assert _handshake(alert, lax) is None
    assert _handshake(forged, lax) is None
    assert wait_until(lambda: "decrypt error" in (forged.sessions[-1].tls_error or ""))


def _talk(server: SmtpServer, data: bytes, wait: float = 1) -> bytes:
    """Everything the server says within `wait` seconds of silence, or until it closes."""
    text = b""
    with socket.create_connection((server.addresses[0], 25), 5) as sock:
        sock.settimeout(wait)
        sock.sendall(data)
        try:
            while len(text) < 1 << 20 and (more := sock.recv(65536)):
                text += more
        except TimeoutError:
            text += b"(silence)"
    return text


def test_scripted_smtp_slow_endless_cut(fresh_world: World) -> None:
    start = b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
    slow = fresh_world.add_smtp(Smtp(byte_delay=0.3))
    endless = fresh_world.add_smtp(Smtp(endless_at="EHLO"))
    hang = fresh_world.add_smtp(Smtp(hang_at="RCPT"))
    cut = fresh_world.add_smtp(Smtp(close_after_octets=1000))
    good = fresh_world.add_smtp(Smtp(replies={"MAIL": ["451 4.3.0 later", "250 ok"]}))
    fresh_world.start()
    assert _talk(slow, b"", 0.1) == b"2(silence)"
    assert len(_talk(endless, start)) >= 1 << 20
    assert _talk(hang, start, 0.5).endswith(b"250 2.1.0 ok\r\n(silence)")
    assert _talk(cut, start + b"DATA\r\n" + b"x" * 2000).endswith(b"354 go\r\n")
    assert wait_until(lambda: cut.sessions[0].end == "closed in the message as scripted")
    said = _talk(good, b"EHLO c\r\nMAIL FROM:<a@b>\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
                 b"BDAT 3\r\nabcBDAT 4 LAST\r\nd\r\neQUIT\r\n")
    assert b"451 4.3.0 later\r\n250 ok" in said and said.endswith(b"221 2.0.0 bye\r\n")
    assert good.messages[0]["data"] == "abcd\r\ne" and not good.messages[0]["tls"]


def test_long_chain_and_damaged_certificates() -> None:
    leaf = certs.chain("mx.test", depth=98)
    assert len(leaf.chain) == 100
    bad = certs.issue("mx.test", certs.issue("root", ca=True), bad_signature=True)
    assert bad.tlsa(3, 1, 0).startswith("3 1 0 30")


# --- the attacker

def test_attacker(fresh_world: World) -> None:
    pem = certs.self_signed("mx.victim.example").write(fresh_world.dir / "one.pem")
    server = fresh_world.add_smtp(Smtp(tls=Tls([pem])), [fresh_world.address(),
                                                         fresh_world.address6()])
    fresh_world.add_zone("victim.example", ["@ MX 10 mx", f"mx A {server.addresses[0]}",
                                            f"mx AAAA {server.addresses[1]}"])
    attacker = fresh_world.add_daemon(Attacker(fresh_world))
    fresh_world.start()
    for mode, secure in (("", True), ("relay", True), ("strip", False), ("mangle", False),
                         ("mitm", True)):
        for address in server.addresses:
            attacker.calm()
            if mode:
                attacker.attack(mode)
            before = len(server.messages)
            script = ("import smtplib, ssl;"
                      f"s = smtplib.SMTP({address!r}, 25, 'c.test', timeout=5);"
                      "s.ehlo(); c = ssl.create_default_context(); c.check_hostname = False;"
                      "c.verify_mode = ssl.CERT_NONE\n"
                      "if s.has_extn('starttls'): s.starttls(context=c)\n"
                      "s.sendmail('a@b.test', ['c@victim.example'], 'S: x\\n\\nsecret\\n')")
            done = subprocess.run([*attacker.sender, sys.executable, "-c", script],
                                  capture_output=True, text=True, timeout=30)
            assert done.returncode == 0, (mode, address, done.stderr)
            assert len(server.messages) == before + 1
            assert server.messages[-1]["tls"] is secure
            assert ("secret" in attacker.loot()) is (mode in ("strip", "mangle", "mitm")), mode
    attacker.attack("forge", ["mx.victim.example. A 192.0.2.66",
                              "_25._tcp.mx.victim.example. TLSA 3 1 1 {key}"])
    for rdtype, name, expected in (("A", "mx.victim.example", "192.0.2.66"),
                                   ("TLSA", "_25._tcp.mx.victim.example", "3 1 1"),
                                   ("AAAA", "mx.victim.example", "2001:db8")):
        for tcp in (False, True):
            for at in fresh_world.tiers[2].addresses:
                script = ("import dns.message, dns.query;"
                          f"q = dns.message.make_query({name!r}, {rdtype!r});"
                          f"print(dns.query.{'tcp' if tcp else 'udp'}(q, {at!r}, timeout=5))")
                done = subprocess.run([*attacker.sender, sys.executable, "-c", script],
                                      capture_output=True, text=True, timeout=30)
                assert expected in done.stdout, (name, tcp, at, done.stdout, done.stderr)


def test_attacker_redirects(needs_users: None, fresh_world: World) -> None:
    server = fresh_world.add_smtp(Smtp())
    fresh_world.add_zone("victim.plain", ["@ MX 10 mx", f"mx A {server.addresses[0]}"],
                         algorithm=None)
    attacker = fresh_world.add_daemon(Attacker(fresh_world))
    fresh_world.start()
    attacker.attack("redirect", ["mx.victim.plain. A 198.18.200.1", "mx.victim.plain. AAAA -"])
    fresh_world.add_resolver(via=attacker.sender)
    sender = fresh_world.add_sender("dane", via=attacker.sender)
    sender.submit("a@sender.test", ["b@victim.plain"], MESSAGE)
    assert wait_until(lambda: "the secret body" in attacker.loot())
    assert not server.sessions


def test_attacker_reads_postfix_without_dane(needs_users: None, fresh_world: World) -> None:
    """The contrast of the demo: one attacker, two senders, and what he reads of each."""
    cert = certs.self_signed("mx.victim.example")
    server = fresh_world.add_smtp(Smtp(tls=Tls([cert.write(fresh_world.dir / "one.pem")])))
    fresh_world.add_zone("victim.example", ["@ MX 10 mx", f"mx A {server.addresses[0]}",
                                            "_25._tcp.mx TLSA " + cert.tlsa(3, 1, 1)])
    attacker = fresh_world.add_daemon(Attacker(fresh_world))
    fresh_world.start()
    fresh_world.add_resolver(via=attacker.sender)
    senders = {level: fresh_world.add_sender(level, via=attacker.sender)
               for level in ("may", "dane")}
    for mode in ("strip", "mitm"):
        for level, read in (("dane", False), ("may", True)):
            attacker.attack(mode)
            before = len(server.messages)
            senders[level].submit("a@sender.test", [f"{level}-{mode}@victim.example"], MESSAGE)
            if read:
                assert wait_until(lambda: len(server.messages) > before), (mode, level)
            else:
                assert wait_until(lambda: "delay_reason" in str(senders[level].queue()))
            assert ("the secret body" in attacker.loot()) is read, (mode, level)
    attacker.calm()
    assert wait_until(lambda: len(server.messages) == 4, 30), "what waited arrives afterwards"


def test_forged_tlsa_is_bogus(fresh_world: World) -> None:
    fresh_world.add_zone("victim.example", ["@ MX 10 mx", "_25._tcp.mx TLSA 3 1 1 " + "ab" * 32])
    attacker = fresh_world.add_daemon(Attacker(fresh_world))
    fresh_world.start()
    attacker.attack("forge", ["_25._tcp.mx.victim.example. TLSA 3 1 1 {key}"])
    fresh_world.add_resolver(via=attacker.sender)
    ask = ("import sys; from lab.unbound import verdict;"
           "print([verdict('127.0.0.1', n, t) for n, t in (('victim.example', 'MX'),"
           "('_25._tcp.mx.victim.example', 'TLSA'))])")
    done = subprocess.run([*attacker.sender, sys.executable, "-c", ask], cwd=HOME,
                          capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "['secure', 'failed']", done.stderr


# --- nothing left behind

def _with(marker: str) -> list[int]:
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if marker in (process / "cmdline").read_text():
                    found.append(int(process.name))
            except OSError:
                pass
    return found


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left(how: signal.Signals) -> None:
    marker = f"98765.{how.value}"
    mounts = Path("/proc/self/mounts").read_text()
    runner = subprocess.Popen([str(HOME / "lab/lab"), "run", "--", "sh", "-c",
                               f"sleep {marker} & sleep {marker}"], start_new_session=True,
                              stderr=subprocess.DEVNULL,
                              # A shell's background job ignores it, and so would its children.
                              preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert wait_until(lambda: len(_with(marker)) > 3)
    if how == signal.SIGINT:
        os.killpg(runner.pid, how)  # as a terminal does
    else:
        runner.send_signal(how)
    runner.wait(15)
    assert wait_until(lambda: not _with(marker), 5), _with(marker)
    assert Path("/proc/self/mounts").read_text() == mounts


def test_second_run_needs_no_network() -> None:
    begin = time.monotonic()  # here is no route to anywhere
    subprocess.run([str(HOME / "lab/lab"), "fetch"], check=True)
    assert time.monotonic() - begin < 5


def test_comes_up_in_seconds() -> None:
    begin = time.monotonic()
    subprocess.run([str(HOME / "lab/lab"), "run", "--", "true"], check=True)
    assert time.monotonic() - begin < 10
