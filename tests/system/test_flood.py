"""Floods and slow clients against `daneway serve`: others are served, memory and descriptors stay
bounded. Short by default; DANEWAY_FLOOD=1: the numbers of issue 4, some minutes."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator

import pytest

from lab import certs
from lab.gateway import Gateway
from lab.pytest_plugin import Daneway, wait_until
from lab.smtp_server import Smtp, SmtpServer
from lab.world import World
from receiver import Client, plain

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import crypt

LARGE = bool(os.environ.get("DANEWAY_FLOOD"))
USER = 717  # of the lab's daneway
MANY = 10 if LARGE else 1
IDLE, IDLE_TLS = (10000, 400) if LARGE else (1500, 60)
# jobs/receive/receive.h says 1.7 KiB in clear and 16.5 in TLS; the rest is the allocator's.
CLEAR_MAX, TLS_MAX, SLACK = 2 << 10, 18 << 10, 2 << 20
TIMEOUT = 3        # seconds: limits.command_timeout and data_timeout
HANDSHAKE = 60     # for TLS and a PROXY header: no key sets it
GOOD = 5           # seconds in which another client's message is taken, and as many until it is there
ASAN = "build-asan" in os.environ.get("DANEWAY", "")


@dataclass
class Site:
    gateway: Gateway
    behind: SmtpServer
    mx: str
    good: str       # addresses of clients
    bad: str
    sent: int = 0

    def bad_client(self, port: int = 25, **how: object) -> Client:
        return Client(port, source=self.bad, address=self.mx, **how)  # type: ignore[arg-type]

    def good_mail(self) -> None:
        """One message of another client: in, and at the server behind, in good time."""
        self.sent += 1
        began, before = time.monotonic(), len(self.behind.messages)
        with Client(25, source=self.good, address=self.mx) as c:
            assert c.envelope(b"user@own.example") == [250] * 3
            assert c.code(b"DATA") == 354
            assert c.code(b"Subject: good %d\r\n\r\nbody\r\n." % self.sent) == 250
        taken = time.monotonic() - began
        assert wait_until(lambda: len(self.behind.messages) > before, GOOD), self.gateway.text()[-3000:]
        assert taken < GOOD, taken

    def pid(self) -> int:
        assert self.gateway.popen
        return self.gateway.popen.pid

    def memory(self) -> int:
        text = Path(f"/proc/{self.pid()}/smaps_rollup").read_text()
        return 1024 * sum(int(line.split()[1]) for line in text.splitlines()
                          if line.startswith(("Private_Clean", "Private_Dirty")))

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid()}/fd"))


def secret(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    os.chown(path, USER, USER)
    return str(path)


@pytest.fixture(scope="module")
def site(needs_users: None, daneway: Daneway) -> Iterator[Site]:
    world = World("flood")
    mx, good, bad = (world.address() for _ in range(3))
    behind = world.add_smtp(Smtp(hostname="behind.test"))
    leaf = certs.self_signed("mx1.hoster.test")
    pem = secret(world.dir / "mx1.pem", leaf.key_pem() + leaf.pem())
    gateway = Gateway(daneway.path, world, {
        "certificates": [{"chain": pem, "key": pem}],
        "listeners": [
            {"mx": f"{mx}:25"}, {"mx": f"{mx}:2525", "proxy": [f"{bad}/32"]},
            {"relay": f"{mx}:587", "passwords": secret(
                world.dir / "passwords",
                f"anna:{crypt.crypt('secret', crypt.mksalt(crypt.METHOD_SHA512))}\n")}],
        "domains": {"own.example": {
            "next_hop": f"smtp:[{behind.addresses[0]}]:25", "tls": "none", "verify": "none",
            "recipients": secret(world.dir / "recipients", "user@own.example\n")}},
        "limits": LIMITS})
    world.add_daemon(gateway)
    world.start()
    made = Site(gateway, behind, mx, good, bad)
    gateway.wait_for("dns", health="good")
    made.good_mail()
    yield made
    world.stop()


LIMITS = {"connections": 20000, "connections_per_client": 15000, "command_timeout": "1h",
          "data_timeout": "1h"}
SHORT = {**LIMITS, "command_timeout": f"{TIMEOUT}s", "data_timeout": f"{TIMEOUT}s"}


def test_idle_connections(site: Site) -> None:
    """Each has said EHLO and waits. Another client's mail goes through; an idle session costs what
    the header says; all is given back."""
    site.gateway.reload(limits=LIMITS)
    before, descriptors, clients = site.memory(), site.descriptors(), []
    try:
        for number in range(IDLE + IDLE_TLS):
            c = site.bad_client()
            clients.append(c)
            assert c.code(b"EHLO c") == 250
            if number >= IDLE:
                c.starttls()
                assert c.code(b"EHLO c") == 250
            if number % 1000 == 999:
                site.good_mail()
        grown = site.memory() - before
        assert site.descriptors() >= descriptors + IDLE + IDLE_TLS
        for _ in range(3):
            site.good_mail()
        if not ASAN:
            assert grown < IDLE * CLEAR_MAX + IDLE_TLS * TLS_MAX + SLACK, grown
        assert clients[0].code(b"NOOP") == 250 and clients[-1].code(b"NOOP") == 250
    finally:
        for c in clients:
            c.socket.close()
    assert wait_until(lambda: site.descriptors() <= descriptors + 2)
    site.good_mail()


def test_slow_clients(site: Site) -> None:
    """An octet a second: in a command, in the message, in the handshake, in a PROXY header."""
    site.gateway.reload(limits=SHORT)
    clients: dict[str, list[Client]] = {"command": [], "data": [], "handshake": [], "proxy": []}
    for _ in range(3 * MANY):
        clients["command"].append(site.bad_client())
        c = site.bad_client()
        assert c.envelope(b"user@own.example") == [250] * 3 and c.code(b"DATA") == 354
        clients["data"].append(c)
        c = site.bad_client()
        c(b"EHLO c")
        assert c(b"STARTTLS").startswith(b"220")
        clients["handshake"].append(c)
        clients["proxy"].append(site.bad_client(2525, banner=False))
    ended: dict[str, float] = {}
    texts = {"command": b"EHLO " + b"x" * 200, "data": b"x" * 200,
             "handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 200,
             "proxy": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\xff" + b"x" * 200}
    want = set(clients) if LARGE else {"command", "data"}
    began = time.monotonic()
    for second in range(HANDSHAKE + 10 if LARGE else 4 * TIMEOUT):
        for kind, several in clients.items():
            if kind in ended:
                continue
            for c in several:
                try:
                    c.raw(texts[kind][second:second + 1])
                except OSError:
                    ended.setdefault(kind, time.monotonic() - began)
        if second % 5 == 0:
            site.good_mail()
        if want <= set(ended):
            break
        time.sleep(1)
    assert want <= set(ended), ended
    assert all(ended[kind] < 3 * TIMEOUT + 2 for kind in ("command", "data")), ended
    if LARGE:
        assert all(ended[kind] < HANDSHAKE + 8 for kind in ("handshake", "proxy")), ended
    assert all(c.ended(5) for kind in want for c in clients[kind])
    for several in clients.values():
        for c in several:
            c.socket.close()
    site.good_mail()


# --- floods: each until it is cut, again and again -----------------------------------------------

def errors(site: Site) -> None:
    with site.bad_client() as c:
        c.raw(b"NONSENSE\r\n" * 200)
        assert c.ended()


def handshakes(site: Site) -> None:
    with site.bad_client() as c:
        c(b"EHLO c")
        c(b"STARTTLS")
        # A ClientHello that goes on, and one that is none.
        c.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 100)


def bad_handshakes(site: Site) -> None:
    with site.bad_client() as c:
        c(b"EHLO c")
        c(b"STARTTLS")
        c.raw(b"x" * 600)
        assert c.ended()


def resets(site: Site) -> None:
    c = socket.create_connection((site.mx, 25), 10, (site.bad, 0))
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()


def unknown_recipients(site: Site) -> None:
    with site.bad_client() as c:
        c.raw(b"EHLO c\r\nMAIL FROM:<a@sender.example>\r\n" +
              b"".join(b"RCPT TO:<no%d@own.example>\r\n" % n for n in range(200)))
        assert c.ended()


def logins(site: Site) -> None:
    with site.bad_client(587) as c:
        c(b"EHLO c")
        c.starttls()
        c(b"EHLO c")
        try:
            codes = {c.code(plain(b"", b"anna", b"wrong%d" % n)) for n in range(30)}
        except (EOFError, OSError):
            return  # cut after so many errors
        assert codes <= {535, 454, 421}, codes


@pytest.mark.parametrize("flood,count", [
    (errors, 400), (handshakes, 300), (bad_handshakes, 400), (resets, 4000),
    (unknown_recipients, 200), (logins, 20)])
def test_floods(site: Site, flood: Callable[[Site], None], count: int) -> None:
    site.gateway.reload(limits=SHORT)
    flood(site)
    before, descriptors = site.memory(), site.descriptors()
    problems: list[BaseException] = []
    over = threading.Event()

    def attack() -> None:
        try:
            for _ in range(count * MANY):
                flood(site)
        except BaseException as e:  # noqa: BLE001: told by the main thread
            problems.append(e)
        finally:
            over.set()

    thread = threading.Thread(target=attack)
    thread.start()
    try:
        while True:
            site.good_mail()
            if over.wait(0.3):
                break
    finally:
        thread.join()
    assert not problems, problems
    assert wait_until(lambda: site.descriptors() <= descriptors + 2)
    if not ASAN:
        assert site.memory() - before < 2 * SLACK
    site.good_mail()


def test_one_client_leaves_room(site: Site) -> None:
    """limits.connections_per_client: the flood of one is refused, others come in, and he too once
    one of his has gone."""
    site.gateway.reload(limits={**LIMITS, "connections_per_client": 20})
    clients = [site.bad_client() for _ in range(60)]
    codes = [c.banner[:3] for c in clients]
    assert codes == [b"220"] * 20 + [b"421"] * 40
    site.good_mail()
    assert all(c.ended() for c in clients[20:])
    clients[0].socket.close()

    def gets_in() -> bool:
        with site.bad_client() as c:
            return c.banner.startswith(b"220")
    assert wait_until(gets_in)
    for c in clients:
        c.socket.close()
