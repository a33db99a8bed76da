"""Mail coming in: jobs/receive on real sockets with a real store (tests/receive/driver.c)."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import smtplib
import socket
import struct
import subprocess
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from lab import certs
from lab.pytest_plugin import wait_until
from lab.smtp_server import Smtp, SmtpServer, Tls
from receiver import DRIVER, Client, Receiver, plain

with warnings.catch_warnings():  # Python 3.13 has it no more; this is Debian 12's 3.11
    warnings.simplefilter("ignore", DeprecationWarning)
    import crypt

SEC = 1000000
MESSAGE = b"Subject: lab\r\n\r\nhello\r\n"
RELAY = {"name": "relay", "kind": "relay", "networks": ["127.0.0.1/32"]}

pytestmark = pytest.mark.skipif(not DRIVER.exists(), reason="no receive_driver: build first")


def text_of(receiver: Receiver, parcel: dict[str, Any]) -> bytes:
    """The message without the trace field that was put before it."""
    body = receiver.body(parcel)
    assert body.startswith(b"Received: from "), body
    return re.sub(rb"\A.*\r\n(?:[ \t].*\r\n)*", b"", body, count=1)


# --- the dialogue ------------------------------------------------------------------------------

@pytest.mark.parametrize("tls", [False, True])
def test_smtplib(tmp_path: Path, tls: bool) -> None:
    with Receiver(tmp_path).certificate() as r:
        with smtplib.SMTP("127.0.0.1", r.ports["mx"]) as s:
            if tls:
                s.starttls()
            s.sendmail("a@sender.example", ["x@example.org", "y@Example.ORG."],
                       MESSAGE + b".dot\r\n..\r\n", ["BODY=8BITMIME"], ["NOTIFY=NEVER"])
            s.sendmail("", ["x@example.org"], MESSAGE)
        one, two = sorted(r.queue(), key=lambda p: p["key"])
        stats = r.stats()
        assert stats["mx"] == stats["stored"] == 2 and stats["recipients"] == 3
        assert stats["tls13"] == int(tls) and stats["refused"] == {}
        assert (one["from"], one["hop"], one["flags"]) == ("a@sender.example", "example.org", 1)
        assert [to["path"] for to in one["recipients"]] == ["x@example.org", "y@example.org"]
        assert [to["notify"] for to in one["recipients"]] == [1, 1]
        assert text_of(r, one) == MESSAGE + b".dot\r\n..\r\n"
        assert two["from"] == "" and text_of(r, two) == MESSAGE
        # The id is in the reply, the log and the trace field.
        assert f"id={one['id']}" in r.events("received")[0]
        head = r.body(one)[:600].decode()
        assert f"id {one['id']}" in head and ("TLSv1.3" in head) == tls
        assert ("ESMTPS" in head) == tls
        assert ("tls=TLSv1.3" in one["origin"]) == tls and "client=127.0.0.1" in one["origin"]


def test_pipelined_in_one_write(tmp_path: Path) -> None:
    """Three messages in one packet behind EHLO, each taken once, in order."""
    with Receiver(tmp_path) as r, r.connect() as c:
        one = (b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<x@example.org>\r\n"
               b"RCPT TO:<no@other.example>\r\nDATA\r\nSubject: %d\r\n\r\n.\r\n")
        c.raw(b"EHLO c\r\n" + one % 1 + one % 2 + one % 3 + b"QUIT\r\n")
        got = [int(c.reply()[:3]) for _ in range(1 + 3 * 5 + 1)]
        assert got == [250] + [250, 250, 550, 354, 250] * 3 + [221]
        assert [text_of(r, p)[:10] for p in sorted(r.queue(), key=lambda p: p["key"])] == \
            [b"Subject: 1", b"Subject: 2", b"Subject: 3"]
        assert r.stats()["refused"] == {"relay": 3}


def test_every_cut(tmp_path: Path) -> None:
    """A dialogue octet by octet comes to the same as at once."""
    script = (b"EHLO c\r\nMAIL FROM:<a@sender.example>\r\nRCPT TO:<x@example.org>\r\n"
              b"DATA\r\nSubject: x\r\n\r\n..\r\n.\r\nQUIT\r\n")
    with Receiver(tmp_path) as r:
        with r.connect() as c:
            c.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for octet in script:
                c.raw(bytes([octet]))
                time.sleep(0.0005)
            assert [int(c.reply()[:3]) for _ in range(6)] == [250, 250, 250, 354, 250, 221]
        (parcel,) = r.queue()
        assert text_of(r, parcel) == b"Subject: x\r\n\r\n.\r\n"


def test_chunking(tmp_path: Path) -> None:
    with Receiver(tmp_path) as r, r.connect() as c:
        assert c.envelope() == [250, 250, 250]
        c.raw(b"BDAT 12\r\nSubject: x\r\n")
        assert c.reply().startswith(b"250")
        c.raw(b"BDAT 9 LAST\r\n\r\n.\r\n..\r\n")
        assert b"queued as" in c.reply()
        (parcel,) = r.queue()
        assert text_of(r, parcel) == b"Subject: x\r\n\r\n.\r\n..\r\n"


@pytest.mark.parametrize("size", [64 << 10, (64 << 10) + 1, 5 << 20])
def test_large_messages(tmp_path: Path, size: int) -> None:
    """Bodies that the store keeps in a file: more than it takes at once."""
    line = b"x" * 76 + b"\r\n"
    message = (line * (size // len(line) + 1))[:size - 2] + b"\r\n"
    digest = hashlib.sha256(message.replace(b"\r\r\n", b"x\r\n"))
    with Receiver(tmp_path).certificate() as r, r.connect() as c:
        c(b"EHLO c")
        c.starttls()
        c.envelope()
        assert c.code(b"DATA") == 354
        c.raw(message.replace(b"\r\r\n", b"x\r\n") + b".\r\n")
        assert c.reply().startswith(b"250")
        (parcel,) = r.queue()
        assert parcel["size"] > size
        assert hashlib.sha256(text_of(r, parcel)).digest() == digest.digest()
        assert r.stats()["octets"] == size


def test_postmaster(tmp_path: Path) -> None:
    with Receiver(tmp_path) as r, r.connect() as c:
        assert c.envelope(b"postmaster", b"PostMaster@example.org") == [250] * 4
        assert c.code(b"DATA") == 354 and c.code(b"Subject: x\r\n.") == 250
        (parcel,) = r.queue()
        assert [to["path"] for to in parcel["recipients"]] == \
            ["postmaster@example.org", "PostMaster@example.org"]


# --- who may send to whom ----------------------------------------------------------------------

def test_no_open_relay(tmp_path: Path) -> None:
    """Spellings of a relay over the wire; the whole table is tests/unit/receive_rules.c."""
    spellings = [
        b"u@other.example", b"u@other.example.", b"u%other.example@example.org",
        b'"u@other.example"@example.org', b'"u%other.example"@example.org', b"u@[127.0.0.1]",
        b"u@[IPv6:::1]", b"other.example!u@example.org", b"@example.org:u@other.example",
        b"u@sub.example.org", b"u@localhost", b"u@mx.example.org", b'"u@other.example"',
        b"u%other.example", b"u@other.example@example.org", b"u@example.org@other.example"]
    with Receiver(tmp_path) as r:
        for sender in (b"a@sender.example", b"x@example.org", b"postmaster@example.org", b""):
            with r.connect() as c:
                c.envelope(sender=sender)
                for to in spellings:
                    reply = c(b"RCPT TO:<" + to + b">")
                    assert reply[:3] in (b"550", b"553"), (to, reply)
        assert r.queue() == []


def test_relay(tmp_path: Path) -> None:
    """By network: any recipient for those in it, nothing for others."""
    with Receiver(tmp_path, listeners=[RELAY]) as r:
        with r.connect("relay") as c:
            assert c.envelope(b"u@other.example", b"u@[192.0.2.1]", b"u@example.org") == [250] * 5
            assert c.code(b"DATA") == 354 and c.code(b"Subject: x\r\n.") == 250
        assert sorted(p["hop"] for p in r.queue()) == \
            ["[192.0.2.1]", "example.org", "other.example"]
        with r.connect("relay", source="127.0.0.2") as c:
            c(b"EHLO c")
            assert c(b"MAIL FROM:<x@example.org>").startswith(b"550 5.7.1")
            assert c.code(b"RCPT TO:<x@example.org>") == 503
            assert c.code(b"DATA") == 503
        assert r.stats()["refused"] == {"relay": 1} and r.stats()["relay"] == 1


def test_client_certificate(tmp_path: Path) -> None:
    right, wrong = (certs.self_signed(name) for name in ("client.example", "other.example"))
    listener = {"name": "relay", "kind": "relay",
                "fingerprints": [hashlib.sha256(right.der()).hexdigest()]}
    with Receiver(tmp_path, listeners=[listener], ask=True).certificate() as r:
        for cert, code in ((right, 250), (wrong, 550), (None, 550)):
            path = cert.write(tmp_path / "client.pem") if cert else None
            with r.connect("relay") as c:
                c(b"EHLO c")
                assert c(b"MAIL FROM:<a@b.example>").startswith(b"530 5.7.0")  # not in clear
                c.starttls(cert=path)
                c(b"EHLO c")
                assert c.code(b"MAIL FROM:<a@b.example>") == code
                assert c.code(b"RCPT TO:<u@other.example>") == (250 if code == 250 else 503)


PASSWORDS = "".join(f"{user}:{crypt.crypt(password, crypt.mksalt(crypt.METHOD_SHA512))}\n"
                    for user, password in (("anna", "secret"), ("bert", "other")))
AUTH = {"name": "relay", "kind": "relay", "passwords": PASSWORDS}


def test_auth(tmp_path: Path) -> None:
    with Receiver(tmp_path, listeners=[AUTH]).certificate() as r:
        with r.connect("relay") as c:
            assert b"AUTH" not in c(b"EHLO c")
            assert c.code(plain(b"", b"anna", b"secret")) == 538  # not in clear
            assert c(b"MAIL FROM:<a@b.example>").startswith(b"530 5.7.0")
            c.starttls()
            assert b"AUTH PLAIN LOGIN" in c(b"EHLO c")
            assert c(b"MAIL FROM:<a@b.example>").startswith(b"530 5.7.0")
            for words in ((b"", b"anna", b"wrong"), (b"", b"nobody", b"secret"),
                          (b"bert", b"anna", b"secret"), (b"", b"anna", b"other"),
                          (b"", b"Anna", b"secret")):
                assert c(plain(*words)).startswith(b"535 5.7.8"), words
            assert c(b"MAIL FROM:<a@b.example>").startswith(b"530 5.7.0")
            assert c(plain(b"", b"anna", b"secret")).startswith(b"235")
            assert c.envelope(b"u@other.example") == [250] * 3
            assert c.code(b"DATA") == 354 and c.code(b"Subject: x\r\n.") == 250
        (parcel,) = r.queue()
        assert "user=anna" in parcel["origin"] and b"ESMTPSA" in r.body(parcel)
        assert r.stats()["refused"]["auth"] == 5 and r.stats()["auth"] == 1
        with smtplib.SMTP("127.0.0.1", r.ports["relay"]) as s:  # LOGIN, too
            s.starttls()
            s.ehlo()
            s.user, s.password = "bert", "other"
            assert s.auth("LOGIN", s.auth_login)[0] == 235
        log = r.log_text()
        assert "secret" not in log and "wrong" not in log and "$6$" not in log


def test_auth_failures_of_a_client(tmp_path: Path) -> None:
    """At the limit no password is looked at any more, in no session, not even the right one."""
    with Receiver(tmp_path, listeners=[AUTH],
                  limits={"auth_failures_per_client": 3}).certificate() as r:
        for _ in range(3):
            with r.connect("relay") as c:
                c(b"EHLO c")
                c.starttls()
                c(b"EHLO c")
                assert c.code(plain(b"", b"anna", b"wrong")) == 535
        with r.connect("relay") as c:
            c(b"EHLO c")
            c.starttls()
            c(b"EHLO c")
            assert c(plain(b"", b"anna", b"secret")).startswith(b"454 4.7.0")
        with r.connect("relay", source="127.0.0.2") as c:
            c(b"EHLO c")
            c.starttls()
            c(b"EHLO c")
            assert c.code(plain(b"", b"anna", b"secret")) == 235


def test_hashing_does_not_stop_others(tmp_path: Path) -> None:
    """Logins that keep the hashing thread busy; another session's commands go on beside them."""
    salt = "$6$rounds=500000$saltsalt$"
    slow = "anna:" + crypt.crypt("secret", salt) + "\n"
    with Receiver(tmp_path, listeners=[{**AUTH, "passwords": slow}]).certificate() as r:
        clients = []
        for _ in range(4):
            c = r.connect("relay")
            c(b"EHLO c")
            c.starttls()
            c(b"EHLO c")
            c.raw(plain(b"", b"anna", b"secret") + b"\r\n")
            clients.append(c)
        begin = time.monotonic()
        with r.connect("relay") as c:
            for _ in range(20):
                c(b"NOOP")
        quick = time.monotonic() - begin
        assert [int(c.reply()[:3]) for c in clients] == [235] * 4
        all_of_it = time.monotonic() - begin
        assert quick < all_of_it / 2, (quick, all_of_it)
        for c in clients[:3]:
            c.socket.close()
        # One that goes while its password is being hashed harms nobody.
        with r.connect("relay") as c:
            c(b"EHLO c")
            c.starttls()
            c(b"EHLO c")
            c.raw(plain(b"", b"anna", b"secret") + b"\r\n")
        assert wait_until(lambda: r.stats()["open"] == 1)


# --- the server behind is asked ---------------------------------------------------------------

ANSWERS = {"RCPT": "250 2.1.5 yes", "RCPT:no@example.org": "550 5.1.1 not here",
           "RCPT:full@example.org": "554 5.2.1 disabled",
           "RCPT:later@example.org": "450 4.2.0 not now"}


def behind(tmp_path: Path, address: str = "127.0.0.9", **how: Any) -> SmtpServer:
    return SmtpServer([address], Smtp(**{"replies": ANSWERS, **how}), tmp_path / "behind.log")


def asks(**how: Any) -> list[dict[str, Any]]:
    return [{"name": "example.org", "verify": True,
             "behind": {"address": "127.0.0.9", **how}}]


def asked(server: SmtpServer) -> list[str]:
    return [c for s in server.sessions for c in s.commands if c.partition(":")[2].startswith("RCPT")
            or c.startswith("RCPT")]


def test_verify(tmp_path: Path) -> None:
    with Receiver(tmp_path, domains=asks()) as r, r.connect() as c:
        server = behind(tmp_path)
        server.start()
        try:
            for _ in range(2):
                assert c.code(b"EHLO c") == c.code(b"MAIL FROM:<a@sender.example>") == 250
                assert c(b"RCPT TO:<yes@example.org>").startswith(b"250")
                assert c(b"RCPT TO:<no@example.org>").startswith(b"550 5.1.1")
                assert c(b"RCPT TO:<full@example.org>").startswith(b"550 5.2.1")
                assert c(b"RCPT TO:<later@example.org>").startswith(b"451 4.3.0")
                assert c(b'RCPT TO:<"YES"@Example.ORG.>').startswith(b"250")  # the same one
                assert c.code(b"RCPT TO:<postmaster>") == 250  # not asked
                assert c.code(b"RCPT TO:<a@other.example>") == 550  # not asked
                assert c.code(b"RCPT TO:<a%other.example@example.org>") == 550
            assert c.code(b"DATA") == 354 and c.code(b"x\r\n.") == 250
            # Each once; nothing was sent there, and from nobody.
            commands = [c for s in server.sessions for c in s.commands]
            assert len(asked(server)) == 4, commands
            assert not [c for c in commands if "DATA" in c or "BDAT" in c]
            assert {c for c in commands if "MAIL" in c} and \
                all("FROM:<>" in c for c in commands if "MAIL" in c)
            assert len(r.queue()[0]["recipients"]) == 3
            # New rules, new questions.
            r.reload()
            with r.connect() as again:
                assert again.envelope(b"yes@example.org") == [250] * 3
            assert len(asked(server)) == 5
            # A list takes the place of the question.
            r.config["domains"][0]["recipients"] = "listed\n"
            r.reload()
            with r.connect() as again:
                assert again.envelope(b"listed@example.org", b"yes@example.org") == \
                    [250, 250, 250, 550]
            assert len(asked(server)) == 5
        finally:
            server.stop()


def test_verify_pipelined_and_many(tmp_path: Path) -> None:
    """Answers come in order, each to its own recipient; sessions share a question."""
    with Receiver(tmp_path, domains=asks()) as r:
        server = behind(tmp_path)
        server.start()
        try:
            with r.connect() as c:
                names = [b"no", b"a1", b"no", b"a2", b"full", b"later"] * 3
                c.raw(b"EHLO c\r\nMAIL FROM:<a@b.example>\r\n" +
                      b"".join(b"RCPT TO:<" + n + b"@example.org>\r\n" for n in names) +
                      b"DATA\r\n")
                got = [int(c.reply()[:3]) for _ in range(2 + len(names) + 1)]
                assert got == [250, 250] + [550, 250, 550, 250, 550, 451] * 3 + [354]
                assert c.code(b"x\r\n.") == 250
            clients = [r.connect() for _ in range(30)]
            before = len(asked(server))
            for c in clients:
                c.raw(b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<new@example.org>\r\n")
            for c in clients:
                assert [int(c.reply()[:3]) for _ in range(3)] == [250] * 3
                c.socket.close()
            assert len(asked(server)) - before == 1
        finally:
            server.stop()


def test_verify_when_the_server_is_away(tmp_path: Path) -> None:
    """No answer is 451, and not asked for again at once; one that is known stands."""
    with Receiver(tmp_path, domains=asks()) as r, r.connect() as c:
        c.envelope()  # x@example.org
        assert r.stats()["refused"] == {"verify": 1}
        server = behind(tmp_path)
        server.start()
        assert c.code(b"RCPT TO:<x@example.org>") == 451  # within ten seconds
        assert c.code(b"RCPT TO:<y@example.org>") == 250
        server.stop()
        assert c.code(b"RCPT TO:<y@example.org>") == 250
        assert c.code(b"RCPT TO:<z@example.org>") == 451
        # Greylisting, a refused MAIL and a broken server say nothing of the recipient.
        for number, how in enumerate(({"connect": "554 5.7.1 go away"},
                                      {"MAIL": "550 5.7.1 no bounces here"},
                                      {"EHLO": "421 4.3.2 busy"}, {"RCPT": "451 4.7.1 greylisted"},
                                      {"RCPT": b"what\r\n"})):
            server = behind(tmp_path, replies=how)
            server.start()
            assert c.code(b"RCPT TO:<u%d@example.org>" % number) == 451, how
            server.stop()


def test_verify_goes_over_tls(tmp_path: Path) -> None:
    """The policy of the domain holds for the question as for the mail."""
    cert = certs.self_signed("behind.example").write(tmp_path / "behind.pem")
    encrypt = 2
    with Receiver(tmp_path, domains=asks(tls=encrypt)) as r, r.connect() as c:
        for tls, code in ((None, 451), (Tls((cert,)), 250)):
            server = behind(tmp_path, tls=tls)
            server.start()
            assert c.envelope(b"u%d@example.org" % code)[2] == code
            commands = [c for s in server.sessions for c in s.commands]
            server.stop()
            assert all(c.startswith("tls:") for c in commands
                       if "RCPT" in c or "MAIL" in c), commands


def waits(r: Receiver, c: Client, *to: bytes) -> str:
    """A message whose client waits; its ID."""
    assert c.envelope(*to or (b"x@example.org",))[-1] == 250
    assert c.code(b"DATA") == 354
    before = len(r.events("received"))
    c.raw(b"x\r\n.\r\n")
    assert wait_until(lambda: len(r.events("received")) > before)
    return re.findall(r" id=(\S+)", r.events("received")[-1])[0]


def silent(c: Client) -> bool:
    c.socket.settimeout(0.3)
    try:
        return not c.reply()
    except TimeoutError:
        return True
    finally:
        c.socket.settimeout(10)


DATA = [{"name": "also.example"}, {"name": "data.example", "data": True},
        {"name": "example.org", "data": True}]


def test_data(tmp_path: Path) -> None:
    """No 250 before the attempt, no refusal before its record; then what the server said."""
    with Receiver(tmp_path, domains=DATA) as r, r.connect() as c:
        message = waits(r, c)
        assert r.queue()[0]["id"] == message and silent(c)
        assert r.ask("refused 0123456789abcdefghij") == {"is": False}
        assert r.ask(f"refused {message}") == {"is": True} and silent(c)
        # Its record was another's: all is open again.
        r.send(f"lost {message}")
        assert silent(c) and r.ask(f"refused {message}") == {"is": True}
        r.send(f"attempted {message}")
        assert c.reply() == b"577 5.6.7 not this one"
        assert r.ask(f"refused {message}") == {"is": False}  # nobody waits: there is a notice
        assert r.stats()["refused"] == {"behind": 1}
        message = waits(r, c)
        r.send(f"attempted {message}")
        assert c.reply() == b"250 2.0.0 queued as %s" % message.encode()
        message = waits(r, c)
        r.send("stats"), r.answer()
        r.send("attempted 0123456789abcdefghij")
        assert silent(c)


def test_data_in_time(tmp_path: Path) -> None:
    """250 when time is up, but not once a refusal took the place of the notice."""
    with Receiver(tmp_path, domains=DATA, limits={"verdict_timeout": 2000000}) as r:
        with r.connect() as c, r.connect() as other, r.connect() as third:
            began, message = time.monotonic(), waits(r, c)
            refused, lost = waits(r, other), waits(r, third)
            assert r.ask(f"refused {refused}") == {"is": True}
            assert r.ask(f"refused {lost}") == {"is": True}
            r.send(f"lost {lost}")
            assert c.reply().startswith(b"250") and 1.9 < time.monotonic() - began < 6
            assert r.ask(f"refused {message}") == {"is": False}
            assert third.reply().startswith(b"250")  # another has it in the queue
            assert silent(other)
            time.sleep(2)
            r.send(f"attempted {refused}")
            assert other.reply().startswith(b"577")


def test_data_recipients_of_one_domain(tmp_path: Path) -> None:
    """Each such message has one fate; others are as they were. Nobody waits in vain on a reload."""
    with Receiver(tmp_path, domains=DATA) as r, r.connect() as c:
        assert c.envelope(b"a@example.org", b"b@data.example", b"b@example.org", b"a@also.example",
                          b"postmaster") == [250, 250, 250, 452, 250, 452, 250]
        assert c(b"RCPT TO:<c@also.example>").startswith(b"452 4.5.3")
        assert c.code(b"RSET") == 250
        assert c.envelope(b"a@also.example", b"b@data.example")[2:] == [250, 452]
        assert c.code(b"DATA") == 354 and c.code(b"x\r\n.") == 250  # does not wait


def test_data_and_the_end(tmp_path: Path) -> None:
    """A stop tells those who wait that the queue has it; none is told so whose message was refused."""
    with Receiver(tmp_path, domains=DATA) as r, r.connect() as c, r.connect() as gone:
        waits(r, c)
        message = waits(r, gone)
        gone.socket.close()
        assert r.ask(f"refused {message}") == {"is": True}  # not seen yet; it had no answer
        r.send(f"attempted {message}")
        with r.connect() as last:
            refused = waits(r, last)
            assert r.ask(f"refused {refused}") == {"is": True}
            r.send("stop")
            assert c.reply().startswith(b"250") and c.reply().startswith(b"421")
            assert silent(last)
            r.send(f"attempted {refused}")
            assert last.reply().startswith(b"577")
    # And cut down while some wait.
    where = tmp_path / "again"
    where.mkdir()
    with Receiver(where, domains=DATA) as r, r.connect() as c, r.connect() as other:
        waits(r, c)
        r.ask(f"refused {waits(r, other)}")


def test_client_that_goes_while_it_is_asked(tmp_path: Path) -> None:
    with Receiver(tmp_path, domains=asks()) as r:
        server = behind(tmp_path, hang_at="RCPT")
        server.start()
        for _ in range(3):
            with r.connect() as c:
                c.raw(b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@example.org>\r\n")
                c.reply()
                time.sleep(0.1)
        with r.connect() as c:  # and at the end of all while it is asked
            c.raw(b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@example.org>\r\n")
            assert c.reply()
            time.sleep(0.1)
            assert r.child.stdin
            r.child.stdin.close()
            assert r.child.wait(10) == 0
        server.stop()


def test_input_that_waits_is_counted(tmp_path: Path) -> None:
    """Commands behind one that awaits its verdict are held, and count as memory."""
    with Receiver(tmp_path, domains=asks() + [{"name": "free.example"}],
                  limits={"memory": 100000}) as r:
        server = behind(tmp_path, byte_delay=0.01)  # some seconds
        server.start()
        clients = [r.connect() for _ in range(3)]
        with r.connect() as late:
            late(b"EHLO c")
            for c, code in zip(clients, (250, 250, 452)):
                c.raw(b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@example.org>\r\n" +
                      b"NOOP\r\n" * 10000)
                assert [int(c.reply()[:3]) for _ in range(2)] == [250, code]
                time.sleep(0.1)
            assert late(b"MAIL FROM:<a@b.example>").startswith(b"452 4.3.1")
            assert wait_until(lambda: late.code(b"MAIL FROM:<a@b.example>") == 250, 15)
        server.stop()
        for c in clients:
            c.socket.close()


def test_memory_of_recipients_that_are_not_taken(tmp_path: Path) -> None:
    """Those who cannot be verified now are no errors of the client, but they count as memory."""
    with Receiver(tmp_path, domains=asks(), limits={"memory": 200000}) as r, r.connect() as c:
        c(b"EHLO c")
        c(b"MAIL FROM:<a@b.example>")
        codes = [c.code(b"RCPT TO:<u%d@example.org> ORCPT=rfc822;" % i + 480 * b"x")
                 for i in range(400)]
        assert codes[0] == 451 and codes[-1] == 452
        with r.connect() as late:
            late(b"EHLO c")
            assert late(b"MAIL FROM:<a@b.example>").startswith(b"452 4.3.1")


# --- TLS ---------------------------------------------------------------------------------------

def test_tls_modes(tmp_path: Path) -> None:
    listeners = [{"name": n, "kind": "mx", "tls": n}
                 for n in ("offered", "required", "implicit", "none")]
    with Receiver(tmp_path, listeners=listeners).certificate() as r:
        for name in ("offered", "required"):
            with r.connect(name) as c:
                assert b"STARTTLS" in c(b"EHLO c")
                assert c.code(b"MAIL FROM:<a@b.example>") == (530 if name == "required" else 250)
                c(b"RSET")
                c.starttls()
                assert b"STARTTLS" not in c(b"EHLO c")
                assert c.code(b"MAIL FROM:<a@b.example>") == 250
        with r.connect("implicit", tls=True) as c:
            assert c.banner.startswith(b"220 mx.example.org ESMTP")
            assert b"STARTTLS" not in c(b"EHLO c")
            assert c.envelope() == [250] * 3
        with r.connect("none") as c:
            assert b"STARTTLS" not in c(b"EHLO c") and c.code(b"STARTTLS") == 502
        with r.connect("implicit", banner=False) as c:  # clear text where TLS is due
            c.raw(b"EHLO c\r\n")
            assert c.ended()
        assert r.stats()["tls_failed"] == 1


def test_nothing_from_before_tls(tmp_path: Path) -> None:
    """B35: EHLO and transaction are gone; what was sent behind STARTTLS ends the session."""
    with Receiver(tmp_path).certificate() as r:
        with r.connect() as c:
            c(b"EHLO c")
            c.starttls()
            assert c.code(b"MAIL FROM:<a@b.example>") == 503
        with r.connect() as c:
            c(b"EHLO c")
            c.raw(b"STARTTLS\r\nMAIL FROM:<evil@e.example>\r\n")
            assert c.reply().startswith(b"554") and c.ended()
        with r.connect() as c:  # the same behind the 220, as the handshake begins
            c(b"EHLO c")
            assert c(b"STARTTLS").startswith(b"220")
            c.raw(b"MAIL FROM:<evil@e.example>\r\n")
            assert c.ended()
        assert r.queue() == []


# --- behind a load balancer --------------------------------------------------------------------

def proxy(source: str = "203.0.113.9", command: int = 1, extra: bytes = b"") -> bytes:
    v6 = ":" in source
    family = socket.AF_INET6 if v6 else socket.AF_INET
    there = "2001:db8::2" if v6 else "192.0.2.2"
    addresses = socket.inet_pton(family, source) + socket.inet_pton(family, there) + \
        struct.pack(">HH", 4711, 25) + extra
    if command == 0:
        addresses = extra
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x20 | command, 0x21 if v6 else 0x11 if command else 0]) \
        + struct.pack(">H", len(addresses)) + addresses


BALANCED = [{"name": "mx", "kind": "mx", "proxy": ["127.0.0.1/32"]},
            {"name": "relay", "kind": "relay", "proxy": ["127.0.0.1/32"],
             "networks": ["203.0.113.0/24", "127.0.0.1/32"]},
            {"name": "smtps", "kind": "mx", "tls": "implicit", "proxy": ["127.0.0.1/32"]}]


def test_proxy(tmp_path: Path) -> None:
    """Client, rights and limits are those of the address in the header."""
    with Receiver(tmp_path, listeners=BALANCED, limits={"connections_per_client": 1}) \
            .certificate() as r:
        for source in ("203.0.113.9", "2001:db8::9"):
            with r.connect("mx", before=proxy(source, extra=b"\x04\0\1x")) as c:
                c.envelope()
                assert c.code(b"DATA") == 354 and c.code(b"x\r\n.") == 250
                with r.connect("mx", before=proxy(source)) as second:
                    assert second.banner.startswith(b"421")
                with r.connect("mx", before=proxy("203.0.113.10")) as other:
                    assert other.banner.startswith(b"220")
            assert f"client={source}" in r.queue()[-1]["origin"]
            assert source.encode() in r.body(r.queue()[-1])[:300]
        # The balancer's own network does not open the relay for its clients.
        with r.connect("relay", before=proxy("198.51.100.1")) as c:
            assert c.envelope()[1] == 550
        with r.connect("relay", before=proxy("203.0.113.9")) as c:
            assert c.envelope(b"u@other.example") == [250] * 3
        # Without an address there is no right by address, but the balancer's own words have it.
        with r.connect("relay", before=proxy()[:13] + b"\0\0\0") as c:
            assert c.envelope()[1] == 550
        with r.connect("relay", before=proxy(command=0)) as c:
            assert c.envelope(b"u@other.example") == [250] * 3
        with r.connect("smtps", before=proxy(), tls=True) as c:
            assert c.envelope() == [250] * 3


def test_proxy_header_cut_and_wrong(tmp_path: Path) -> None:
    with Receiver(tmp_path, listeners=BALANCED, limits={"handshake_timeout": 2 * SEC}) \
            .certificate() as r:
        with r.connect("mx", banner=False) as c:
            for octet in proxy():
                c.raw(bytes([octet]))
                time.sleep(0.001)
            assert c.reply().startswith(b"220")
        for wrong in (b"EHLO c\r\n", b"PROXY TCP4 203.0.113.9 192.0.2.1 1 2\r\n",
                      proxy()[:12] + b"\x31", proxy()[:14] + b"\xff\xff"):
            with r.connect("mx", banner=False, before=wrong) as c:
                assert c.ended(1)  # a balancer that is set up wrongly: at once, without a word
        with r.connect("mx", banner=False, before=proxy() + b"EHLO c\r\n") as c:
            assert c.reply().startswith(b"554")  # too early
        # Who is no balancer is a client, and a header from there is no SMTP.
        with r.connect("mx", source="127.0.0.2") as c:
            c.raw(proxy())
            assert c.reply()[:1] == b"5"
        begin = time.monotonic()
        with r.connect("mx", banner=False, before=proxy()[:-1]) as c:
            assert c.ended() and 1 < time.monotonic() - begin < 5


# --- attacks -----------------------------------------------------------------------------------

ENDS = [a + b"." + b for a in (b"\r\n", b"\n", b"\r", b"\r\r\n") for b in
        (b"\r\n", b"\n", b"\r", b"\r\r\n")]


@pytest.mark.parametrize("tls", [False, True])
def test_smuggling(tmp_path: Path, tls: bool) -> None:
    """All ends of data but the true one: neither ends the message nor lets another in."""
    evil = b"MAIL FROM:<evil@e.example>\r\nRCPT TO:<x@example.org>\r\nDATA\r\nevil\r\n.\r\n"
    with Receiver(tmp_path).certificate() as r:
        for end in ENDS:
            with r.connect() as c:
                if tls:
                    c(b"EHLO c")
                    c.starttls()
                c.envelope()
                assert c.code(b"DATA") == 354
                c.raw(b"Subject: x\r\n\r\ntext" + end + evil + b"QUIT\r\n")
                first = c.reply()
                if end == b"\r\n.\r\n":
                    assert first.startswith(b"250")
                    continue
                assert first.startswith(b"550 5.6.0"), (end, first)
                assert c.ended() and c.unread == b""
        queue = r.queue()
        assert len(queue) == 2 and {p["from"] for p in queue} == \
            {"a@sender.example", "evil@e.example"}  # of the true end alone


@pytest.mark.parametrize("line", [b"NOOP\n", b"NOOP\r", b"NO\0OP\r\n", b"NOOP\r\r\n",
                                  b"MAIL FROM:<a@b.example>\nRCPT TO:<x@example.org>\r\n",
                                  b"GET / HTTP/1.1\r\nHost: mx\r\n", b"\x16\x03\x01\x02\0\x01\n"])
def test_not_smtp(tmp_path: Path, line: bytes) -> None:
    with Receiver(tmp_path) as r, r.connect() as c:
        c.raw(b"EHLO c\r\n" + line + b"NOOP\r\n")
        c.reply()
        assert c.reply()[:1] == b"5" and c.ended()
        assert wait_until(lambda: r.stats()["refused"] == {"protocol": 1})


def test_the_reason_arrives_in_spite_of_more_input(tmp_path: Path) -> None:
    """A close with unread input would be a reset, and the reply might be lost with it."""
    with Receiver(tmp_path) as r, r.connect() as c:
        c.raw(b"EHLO c\r\nNOOP\n" + b"x" * 200000)
        time.sleep(0.2)
        assert c.reply().startswith(b"250")
        assert c.reply().startswith(b"554 5.5.2")
        assert c.socket.recv(100) == b""  # an end, no reset


def test_early_talker(tmp_path: Path) -> None:
    with Receiver(tmp_path, limits={"greet_delay": 2 * SEC}) as r:
        with r.connect(banner=False) as c:
            c.raw(b"EHLO c\r\nMAIL FROM:<a@b.example>\r\n")
            assert c.reply().startswith(b"554") and c.ended()
        begin = time.monotonic()
        with r.connect() as c:
            assert c.banner.startswith(b"220") and time.monotonic() - begin > 1
            assert c.envelope() == [250] * 3
        assert r.stats()["refused"] == {"early": 1}


def test_early_talker_without_a_wait(tmp_path: Path) -> None:
    """What is there when the connection is accepted was sent before the banner."""
    with Receiver(tmp_path) as r:
        os.kill(r.child.pid, 19)  # SIGSTOP: so that it cannot be quicker
        with r.connect(banner=False, before=b"EHLO c\r\n") as c:
            os.kill(r.child.pid, 18)
            assert c.reply().startswith(b"554") and c.ended()


def test_killed_connections_leave_nothing(tmp_path: Path) -> None:
    """Cut after each command, in the message, and before the last octet of its end."""
    script = (b"EHLO c\r\n", b"MAIL FROM:<a@b.example>\r\n", b"RCPT TO:<x@example.org>\r\n",
              b"DATA\r\n", b"Subject: x\r\n\r\n", b"y" * 100000 + b"\r\n", b".\r")
    with Receiver(tmp_path) as r:
        for n in range(1, len(script) + 1):
            for reset in (False, True):
                with r.connect() as c:
                    for piece in script[:min(n, 4)]:
                        c.raw(piece)
                        c.reply()
                    c.raw(b"".join(script[4:n]))
                    if reset:
                        c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                            struct.pack("ii", 1, 0))
        assert wait_until(lambda: r.stats()["open"] == 0)
        assert r.queue() == [] and r.stats()["stored"] == 0
        files = [p for p in (tmp_path / "store").rglob("*") if p.is_file()]
        assert wait_until(lambda: not [p for p in files if p.exists() and
                                       "queue" not in p.name and "lock" not in p.name]), files


# --- the store ---------------------------------------------------------------------------------

def test_250_is_a_promise(tmp_path: Path) -> None:
    """Killed at the moment of a 250, the message is there afterwards; round after round."""
    sent: list[bytes] = []
    for number in range(10):
        r = Receiver(tmp_path)
        r.__enter__()
        done = threading.Event()

        def client(n: int) -> None:
            try:
                with r.connect() as c:
                    while True:
                        c.envelope()
                        c(b"DATA")
                        text = b"Subject: %d-%d-%d" % (number, n, len(sent))
                        if c.code(text + b"\r\n.") == 250:
                            sent.append(text)
                            if len(sent) % 5 == 0:
                                done.set()
            except (EOFError, OSError):
                pass

        threads = [threading.Thread(target=client, args=(n,)) for n in range(4)]
        for t in threads:
            t.start()
        assert done.wait(20)
        r.child.kill()
        r.child.wait()
        for t in threads:
            t.join()
        r.log.close()
    with Receiver(tmp_path) as r:
        there = {text_of(r, p).rstrip() for p in r.queue()}
        assert len(sent) >= 50 and not set(sent) - there, set(sent) - there


@pytest.mark.parametrize("size", [40000, 400000])  # in the database, in a file
def test_full_disk(tmp_path: Path, size: int) -> None:
    """452 4.3.1 and nothing of the message; the session and the store go on."""
    (tmp_path / "store").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", tmp_path / "store"],
                   check=True)
    try:
        with Receiver(tmp_path) as r, r.connect() as c:
            accepted, reply = 0, b"250"
            while reply.startswith(b"250") and accepted < 500:
                c.envelope()
                assert c.code(b"DATA") == 354
                c.raw((b"x" * 998 + b"\r\n") * (size // 1000) + b".\r\n")
                reply = c.reply()
                accepted += reply.startswith(b"250")
            assert reply.startswith(b"452 4.3.1"), reply
            assert c.code(b"NOOP") == 250 and len(r.queue()) == accepted
            assert r.stats()["refused"] == {"full": 1}
    finally:
        subprocess.run(["umount", tmp_path / "store"], check=True)


# --- limits ------------------------------------------------------------------------------------

def test_message_size(tmp_path: Path) -> None:
    with Receiver(tmp_path, limits={"message_size": 100000}) as r, r.connect() as c:
        assert b"SIZE 100000" in c(b"EHLO c")
        assert c(b"MAIL FROM:<a@b.example> SIZE=100001").startswith(b"552 5.3.4")
        for size, code in ((100000, b"250"), (100001, b"552 5.3.4")):
            assert c.envelope() == [250] * 3
            assert c.code(b"DATA") == 354
            c.raw(b"x" * (size - 2) + b"\r\n.\r\n")
            assert c.reply().startswith(code)
        assert len(r.queue()) == 1


def test_recipients_and_messages(tmp_path: Path) -> None:
    with Receiver(tmp_path, limits={"recipients": 3, "messages": 2}) as r, r.connect() as c:
        assert b"RCPTMAX=3 MAILMAX=2" in c(b"EHLO c")
        for _ in range(2):
            assert c.envelope(*[b"x%d@example.org" % i for i in range(4)]) == [250] * 5 + [452]
            assert c.code(b"DATA") == 354 and c.code(b"x\r\n.") == 250
        assert c(b"MAIL FROM:<a@b.example>").startswith(b"421 4.7.0") and c.ended()
        assert [len(p["recipients"]) for p in r.queue()] == [3, 3]


def test_errors(tmp_path: Path) -> None:
    with Receiver(tmp_path, limits={"errors": 5}) as r, r.connect() as c:
        assert [c.code(b"WHAT") for _ in range(6)] == [500] * 5 + [421] and c.ended()
        assert wait_until(lambda: r.stats()["refused"] == {"protocol": 1})


def test_loop(tmp_path: Path) -> None:
    with Receiver(tmp_path, limits={"hops": 20}) as r, r.connect() as c:
        for n, code in ((20, b"250"), (21, b"554 5.4.6")):
            assert c.envelope() == [250] * 3
            assert c.code(b"DATA") == 354
            c.raw(b"Received: by x;\r\n\tid y\r\n" * n + b"Subject: x\r\n\r\n" +
                  b"Received: in the body\r\n" * 200 + b".\r\n")
            assert c.reply().startswith(code)
        assert len(r.queue()) == 1 and r.stats()["refused"] == {"loop": 1}


def test_connections(tmp_path: Path) -> None:
    with Receiver(tmp_path, limits={"connections": 5, "connections_per_client": 3}) as r:
        mine = [r.connect() for _ in range(3)]
        with r.connect() as c:
            assert c.banner.startswith(b"421 4.7.0") and c.ended()
        others = [r.connect(source="127.0.0.2"), r.connect(source="127.0.0.3")]
        with r.connect(source="127.0.0.4") as c:
            assert c.banner.startswith(b"421 4.3.2") and c.ended()
        assert wait_until(lambda: r.stats()["open"] == 5)
        mine[0].socket.close()
        assert wait_until(lambda: r.stats()["open"] == 4)
        with r.connect() as c:
            assert c.banner.startswith(b"220") and c.envelope() == [250] * 3
        assert r.stats()["refused"] == {"client": 1, "connections": 1}
        for c in mine[1:] + others:
            assert c.code(b"NOOP") == 250
            c.socket.close()


def test_messages_of_a_client(tmp_path: Path) -> None:
    with Receiver(tmp_path, limits={"messages_per_client": 3}) as r:
        got = []
        for _ in range(4):
            with r.connect() as c:
                got.append(c.envelope()[1])
        assert got == [250, 250, 250, 450]
        with r.connect(source="127.0.0.2") as c:
            assert c.envelope() == [250] * 3


def test_free_space(tmp_path: Path) -> None:
    with Receiver(tmp_path, limits={"free_space": 1 << 60}) as r, r.connect() as c:
        c(b"EHLO c")
        assert c(b"MAIL FROM:<a@b.example>").startswith(b"452 4.3.1")
        r.config["limits"]["free_space"] = 1
        r.reload()

        def taken() -> bool:
            with r.connect() as again:
                return again.envelope() == [250] * 3
        assert wait_until(taken)


def test_memory_of_all(tmp_path: Path) -> None:
    """What transactions hold together is bounded; who is over it is asked to come later."""
    with Receiver(tmp_path, limits={"memory": 196000, "recipients": 5000}) as r:
        clients = [r.connect() for _ in range(4)]
        for c in clients:
            c.envelope()
        assert [c.code(b"DATA") for c in clients] == [354, 354, 354, 452]  # 64 KiB each
        with r.connect() as late:
            late(b"EHLO c")
            assert late(b"MAIL FROM:<a@b.example>").startswith(b"452 4.3.1")
        assert [c.code(b"x\r\n.") for c in clients[:3]] == [250] * 3
        with r.connect() as late:
            codes = late.envelope(*[b"x%d@example.org" % i for i in range(3000)])[2:]
            assert codes[:500] == [250] * 500 and codes[-1] == 452
        with r.connect() as late:
            assert wait_until(lambda: late.envelope() == [250] * 3)


# --- time --------------------------------------------------------------------------------------

def test_slow_clients(tmp_path: Path) -> None:
    """Who says nothing, who says it octet by octet, who says it for ever: all are cut off."""
    limits = {"command_timeout": 2 * SEC, "data_timeout": 2 * SEC, "handshake_timeout": 2 * SEC,
              "data_rate": 1000}
    listeners = [{"name": "mx", "kind": "mx"}, {"name": "smtps", "kind": "mx", "tls": "implicit"}]

    def trickle(client: Client, octets: bytes) -> float:
        """One octet each 0.2 s, until the server has enough."""
        begin = time.monotonic()
        client.socket.settimeout(0.2)
        for i in range(100):
            try:
                client.raw(octets[i % len(octets):][:1])
                if not client.socket.recv(4096):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        return time.monotonic() - begin

    with Receiver(tmp_path, limits=limits, listeners=listeners).certificate() as r:
        took: dict[str, float] = {}

        def silent(name: str, *commands: bytes, listener: str = "mx") -> None:
            with r.connect(listener, banner=listener == "mx") as c:
                for command in commands:
                    c(command)
                begin = time.monotonic()
                if listener == "mx" and commands != (b"EHLO c", b"STARTTLS"):
                    assert c.reply().startswith(b"421 4.4.2")
                assert c.ended()
                took[name] = time.monotonic() - begin

        def slow(name: str, octets: bytes, *commands: bytes) -> None:
            with r.connect() as c:
                for command in commands:
                    c(command)
                took[name] = trickle(c, octets)

        envelope = (b"EHLO c", b"MAIL FROM:<a@b.example>", b"RCPT TO:<x@example.org>", b"DATA")
        threads = [threading.Thread(target=f, args=a, kwargs=k) for f, a, k in (
            (silent, ("banner",), {}), (silent, ("mail", *envelope[:2]), {}),
            (silent, ("data", *envelope), {}), (silent, ("tls", b"EHLO c", b"STARTTLS"), {}),
            (silent, ("implicit",), {"listener": "smtps"}),
            (slow, ("command", b"x"), {}), (slow, ("text", b"x", *envelope), {}),
            (slow, ("lines", b"x\r\n", *envelope), {}))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(took) == 8 and all(1 < seconds < 7 for seconds in took.values()), took
        assert r.stats()["open"] == 0 and r.stats()["refused"] == {"timeout": 8}
        assert r.queue() == []


def test_without_mail_for_long(tmp_path: Path) -> None:
    """Commands alone do not keep a session."""
    with Receiver(tmp_path, limits={"mail_timeout": 2 * SEC}) as r, r.connect() as c:
        begin = time.monotonic()
        reply = b"250"
        while reply.startswith(b"250") and time.monotonic() - begin < 10:
            reply = c(b"NOOP")
            time.sleep(0.2)
        assert reply.startswith(b"421 4.4.2")


def test_a_crowd(tmp_path: Path) -> None:
    """Near the limit of connections, those that only wait make room; a message goes on."""
    limits = {"connections": 10, "connections_per_client": 20, "crowded_timeout": 1 * SEC}
    with Receiver(tmp_path, limits=limits) as r:
        busy = r.connect()
        busy.envelope()
        assert busy.code(b"DATA") == 354
        few = [r.connect() for _ in range(6)]
        time.sleep(2.5)
        assert r.stats()["open"] == 7  # not yet a crowd
        more = r.connect()
        begin = time.monotonic()
        for c in few:
            if c.ended(0.01) or time.monotonic() - begin > 3:
                break
        assert wait_until(lambda: r.stats()["open"] < 8, 5)
        assert busy.code(b"x\r\n.") == 250
        for c in (busy, more, *few):
            c.socket.close()


def test_client_that_does_not_read(tmp_path: Path) -> None:
    """Replies that nobody reads are bounded, and the client is cut off."""
    with Receiver(tmp_path, limits={"command_timeout": 2 * SEC}) as r:
        with r.connect() as c:
            c(b"EHLO c")
            c.socket.settimeout(0.5)
            before = r.memory()
            try:
                for _ in range(100):
                    c.raw((b"RCPT TO:<x@example.org>\r\n" * 1000))
            except TimeoutError:
                pass
            except OSError:
                return  # too many errors: as good
            assert r.memory() - before < 1 << 20
            assert wait_until(lambda: r.stats()["open"] == 0)


# --- many --------------------------------------------------------------------------------------

def room_for(descriptors: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < descriptors:
        if hard < descriptors:
            pytest.skip(f"no {descriptors} descriptors here")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.mark.parametrize("tls", [False, True])
def test_idle_connections(tmp_path: Path, tls: bool) -> None:
    """2,000 that say EHLO and no more, and one that goes on beside them."""
    count = 2000 if not tls else 500
    room_for(count + 100)
    limits = {"connections_per_client": count + 10}
    most = (20 if tls else 4) * 1024  # octets each; receive.h has the figures
    factor = 10 if b"__asan_init" in DRIVER.read_bytes() else 1
    with Receiver(tmp_path, limits=limits).certificate() as r:
        with r.connect() as c:
            c.envelope()
        before = r.memory()
        idle = []
        for _ in range(count):
            c = r.connect()
            c(b"EHLO c")
            if tls:
                c.starttls()
                c(b"EHLO c")
            idle.append(c)
        each = (r.memory() - before) / count
        print(f"\noctets of an idle session, {'TLS' if tls else 'clear'}: {each:.0f}")
        assert wait_until(lambda: r.stats()["open"] == count)
        assert each < most or factor > 1  # AddressSanitizer keeps what is freed
        cpu = r.stats()["cpu_usec"]
        time.sleep(1.5)
        assert r.stats()["cpu_usec"] - cpu < 50000 * factor  # of looking at them each second
        begin = time.monotonic()
        with r.connect() as c:
            for _ in range(20):
                assert c.envelope() == [250] * 3
                assert c.code(b"DATA") == 354 and c.code(b"x\r\n.") == 250
        assert time.monotonic() - begin < 5 * factor
        for c in idle:
            c.socket.close()
        assert wait_until(lambda: r.stats()["open"] == 0)


# --- reload and end ----------------------------------------------------------------------------

def test_reload(tmp_path: Path) -> None:
    """A session keeps its rules; new ones get the new; the old come back when unused."""
    with Receiver(tmp_path) as r:
        with r.connect() as old:
            assert old.envelope() == [250] * 3
            r.config["domains"] = [{"name": "example.net", "recipients": "anna\n"}]
            r.config["listeners"].append({"name": "second", "kind": "mx"})
            r.reload()
            for listener in ("mx", "second"):
                with r.connect(listener) as c:
                    assert c.envelope(b"x@example.org", b"anna@example.net",
                                      b"bert@example.net") == [250, 250, 550, 250, 550]
            assert old.code(b"RCPT TO:<y@example.org>") == 250
            assert old.code(b"DATA") == 354 and old.code(b"x\r\n.") == 250
            assert r.stats()["unused"] == 0
        assert wait_until(lambda: r.stats()["unused"] == 1)
        r.config["listeners"] = r.config["listeners"][1:]
        r.reload()
        with r.connect("second") as c:
            assert c.envelope(b"anna@example.net") == [250] * 3
        with pytest.raises(ConnectionRefusedError):
            r.connect("mx")
        assert len(r.queue()) == 1


def test_stop(tmp_path: Path) -> None:
    """Between messages 421; a message under way is taken first."""
    with Receiver(tmp_path) as r:
        with r.connect() as idle, r.connect() as busy:
            idle(b"EHLO c")
            busy.envelope()
            assert busy.code(b"DATA") == 354
            r.send("stop")
            assert idle.reply().startswith(b"421 4.3.2") and idle.ended()
            assert busy.code(b"x\r\n.") == 250
            assert busy.reply().startswith(b"421 4.3.2") and busy.ended()
            assert r.child.wait(10) == 0
    with Receiver(tmp_path) as r:
        assert len(r.queue()) == 1


def test_cut_down_in_the_middle(tmp_path: Path) -> None:
    """The owner ends everything at once: nothing hangs, nothing leaks (see it under ASan)."""
    with Receiver(tmp_path, listeners=[{"name": "mx", "kind": "mx"}, AUTH]).certificate() as r:
        clients = [r.connect() for _ in range(5)]
        for n, c in enumerate(clients[:4]):
            c.raw(b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@example.org>\r\n"
                  b"DATA\r\nx\r\n.\r\nEHLO again\r\n"[:20 + 30 * n])
        login = r.connect("relay")
        login(b"EHLO c")
        login.starttls()
        login(b"EHLO c")
        login.raw(plain(b"", b"anna", b"secret") + b"\r\n")
        assert r.child.stdin
        r.child.stdin.close()
        assert r.child.wait(30) == 0
