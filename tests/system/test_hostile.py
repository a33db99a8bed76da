"""What a hostile server, zone, file or terminal can do to the sender: nothing that lasts, nothing
that is told wrongly.
"""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from lab import certs
from lab.pytest_plugin import Daneway
from lab.smtp_server import EXTENSIONS, Smtp, Tls
from lab.world import World
from program import MESSAGE, Done, Program

CERT = certs.self_signed("mx.hostile.example")
TLSA = CERT.tlsa(3, 1, 1)
MIB = 1024  # KiB


class RawServer:
    """Accepts on port 25 of an address and hands each connection to `serve`."""

    def __init__(self, address: str, serve: Callable[[socket.socket], None]) -> None:
        self.address, self.serve = address, serve

    def start(self) -> None:
        self.listener = socket.create_server((self.address, 25))
        threading.Thread(target=self._accept, daemon=True).start()

    def wait(self) -> None:
        pass

    def stop(self) -> None:
        # Without it the thread that waits in accept() keeps the port taken.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(conn,), daemon=True).start()

    def _one(self, conn: socket.socket) -> None:
        try:
            with conn:
                self.serve(conn)
        except OSError:
            pass


def _until_tls(conn: socket.socket) -> None:
    """Up to and with the 220 to STARTTLS."""
    conn.sendall(b"220 raw\r\n")
    conn.recv(1000)
    conn.sendall(b"250-raw\r\n250 STARTTLS\r\n")
    conn.recv(1000)
    conn.sendall(b"220 go\r\n")


def _flood_of_hello_requests(conn: socket.socket) -> None:
    _until_tls(conn)
    record = b"\x16\x03\x03\x40\x00" + b"\x00\x00\x00\x00" * 4096
    while True:
        conn.sendall(record * 1024)


class Site:
    def __init__(self, daneway: Daneway) -> None:
        self.world = World("hostile")
        self.run = Program(daneway, self.world)
        self.pem = CERT.write(self.world.dir / "mx.pem")

    def host(self, name: str, preference: int, address: str) -> list[str]:
        return [f"@ MX {preference} {name}", f"_25._tcp.{name} TLSA {TLSA}", f"{name} A {address}"]

    def smtp(self, **behaviour: Any) -> str:
        behaviour.setdefault("tls", Tls([self.pem]))
        return self.world.add_smtp(Smtp(**behaviour)).addresses[0]

    def raw(self, serve: Callable[[socket.socket], None]) -> str:
        return self.world.add_daemon(RawServer(self.world.address(), serve)).address

    def domain(self, label: str, *addresses: str) -> None:
        lines = [self.host(f"mx{i}", 10 * i, address) for i, address in enumerate(addresses, 1)]
        self.world.add_zone(f"{label}.example", itertools.chain(*lines))


@pytest.fixture(scope="module")
def site(daneway: Daneway) -> Iterator[Site]:
    made = Site(daneway)
    made.domain("small", made.smtp(extensions=["SIZE 10", "8BITMIME"]))
    made.domain("seven-bit", made.smtp(extensions=["PIPELINING"]))
    good = made.smtp()
    made.domain("good", good)
    made.domain("two", made.smtp(replies={"RCPT": "450 4.2.2 mailbox full"}),
                made.smtp(close_at="RCPT", extensions=["8BITMIME"]))
    made.domain("midway", made.smtp(extensions=["8BITMIME"], replies={
        "RCPT:a@midway.example": "550 5.1.1 no such user", "RCPT:b@midway.example": b"rubbish\r\n"}))
    six = made.world.add_smtp(Smtp(tls=Tls([made.pem])), [made.world.address6()]).addresses[0]
    made.world.add_zone("crowd.example", [
        "@ MX 10 mx", f"_25._tcp.mx TLSA {TLSA}", f"mx AAAA {six}",
        *[f"mx A 198.51.100.{i}" for i in range(1, 101)]])
    dead = [made.world.address() for _ in range(60)]  # nobody listens: refused at once
    alive = made.smtp()
    made.world.add_zone("backup.example", [
        "@ MX 10 mx", "@ MX 20 mx2", f"_25._tcp.mx TLSA {TLSA}", f"_25._tcp.mx2 TLSA {TLSA}",
        f"mx2 A {alive}", *[f"mx A {address}" for address in dead]])
    made.domain("silent", made.raw(lambda conn: conn.recv(1)))
    made.domain("flood", made.raw(_flood_of_hello_requests))
    made.world.start()
    yield made
    made.world.stop()


def _recipient(done: Done) -> dict[str, Any]:
    one, = done.json["recipients"].values()
    return one


# --- the offer decides

@pytest.mark.parametrize("label, message, status", [
    ("small", MESSAGE, "5.3.4"), ("seven-bit", "A: b\n\ngrüße\n".encode(), "5.6.3")])
def test_what_the_server_does_not_take(site: Site, label: str, message: bytes,
                                       status: str) -> None:
    """Known from the reply to EHLO: the session ends at once, the server need not speak first."""
    done = site.run.deliver(f"b@{label}.example", message=message, timeout=10)
    assert (done.code, _recipient(done)["status"]) == (69, status), done
    assert done.seconds < 3


# --- a second host

def test_an_attempt_tells_of_itself(site: Site) -> None:
    """The first host says 450; the second closes before it answers."""
    done = site.run.deliver("b@two.example")
    first, second = done.json["attempts"]
    assert (first["host"], first["status"]) == ("mx1.two.example", "4.2.2")
    assert second["host"] == "mx2.two.example"
    assert (second["status"], second["reply"]) == ("4.4.2", None), second
    assert "mx2.two.example" in second["detail"]
    assert _recipient(done)["status"] == "4.2.2"


def test_lost_after_another_recipients_answer(site: Site) -> None:
    """The session broke; it is not true that no host answered."""
    done = site.run.deliver("a@midway.example", "b@midway.example")
    said = {to[0]: one["status"] for to, one in done.json["recipients"].items()}
    assert said == {"a": "5.1.1", "b": "4.4.2"}, done
    assert "mx1.midway.example" in done.json["recipients"]["b@midway.example"]["detail"]


def test_many_addresses_of_one_family(site: Site) -> None:
    """64 of each are kept, so 100 dead ones of IPv4 do not hide the one of IPv6."""
    addresses = site.run.policy("crowd.example").json["hosts"][0]["addresses"]
    assert len(addresses) == 65 and ":" in addresses[-1]
    done = site.run.deliver("b@crowd.example", options=["--timeout", "10"])
    assert (done.code, len(done.json["attempts"])) == (0, 1)


def test_dead_addresses_do_not_hide_the_backup(site: Site) -> None:
    """60 dead addresses of the best host: after 10 of them the next host has its turn."""
    done = site.run.deliver("b@backup.example", options=["--timeout", "20"])
    hosts = [attempt["host"] for attempt in done.json["attempts"]]
    assert (done.code, hosts) == (0, ["mx.backup.example"] * 10 + ["mx2.backup.example"]), done


# --- floods

def test_flood_within_the_handshake(site: Site) -> None:
    """HelloRequest messages, which a TLS client passes over, faster than it can: the time for the
    whole counts."""
    done = site.run.deliver("b@flood.example", options=["--timeout", "3"], timeout=20)
    assert (done.code, _recipient(done)["status"]) == (75, "4.4.2"), done
    assert done.seconds < 6


# --- policy -

def test_invalid_lines_to_a_closed_pipe(site: Site) -> None:
    words = " ".join(map(str, [site.run.path, *site.run.hints(), *site.run.anchor()]))
    shell = f"yes a..b | (timeout 10 {words} policy - ; echo $? >&2) | head -1"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=30)
    assert done.stderr.split()[-1] == "74", done


def test_domains_that_cannot_be_read(site: Site) -> None:
    with open("/proc/self/mem", "rb") as unreadable:
        done = site.run("policy", "-", stdin=unreadable)
    assert done.complains(78, "standard input"), done


# --- time

def test_time_is_over_while_dns_is_asked(site: Site, tmp_path: Path) -> None:
    silent = site.world.address()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((silent, 53))
        site.world.add_zone("_tcp.mx.hang.example",
                            servers=[("ns._tcp.mx.hang.example.", [silent])])
        site.world.add_zone("hang.example", ["@ MX 10 mx", "mx A 192.0.2.1"])
        site.world.update("hang.example")
        site.world.update("example")
        done = [site.run.deliver("b@hang.example", options=["--timeout", "1.5"]) for _ in range(4)]
    assert [_recipient(one)["status"] for one in done] == ["4.4.2"] * 4, done


def test_time_is_over_while_a_server_is_silent(site: Site) -> None:
    done = site.run("tlsa", "make", "--connect", "mx1.silent.example", "--timeout", "2",
                    timeout=20)
    assert done.complains(75, "time") and done.seconds < 4


# --- evidence

def _replay(site: Site, path: Path, evidence: dict[str, Any], *options: str) -> Done:
    path.write_text(json.dumps(evidence, ensure_ascii=False))
    return site.run.bare("policy", "--replay", path, *options, timeout=60)


def _saved(site: Site, path: Path) -> dict[str, Any]:
    site.run.policy("good.example", "--save", path)
    saved: dict[str, Any] = json.loads(path.read_text())
    return saved


@pytest.mark.parametrize("octet", ["\x1b", "\n", "\x7f", "\x9b"], ids=ascii)
@pytest.mark.parametrize("field", ["domain", "why"])
def test_terminal_of_who_replays(site: Site, tmp_path: Path, field: str, octet: str) -> None:
    saved = _saved(site, tmp_path / "e.json")
    if field == "domain":
        saved["request"]["domain"] = f"a{octet}[2Jb.example"
    else:
        saved["questions"][0]["answer"].update(security="bogus", why=f"a{octet}[2J")
    done = _replay(site, tmp_path / "e.json", saved, "--explain")
    assert f"a{octet}".encode() not in done.out + done.err.encode(), done


def test_evidence_with_one_large_record(site: Site, tmp_path: Path) -> None:
    saved = _saved(site, tmp_path / "e.json")
    tlsa, = [q for q in saved["questions"] if q.get("type") == "TLSA"]
    tlsa["answer"]["records"] = ["030000" + "00" * 1_000_000]
    saved["questions"] += [{"host": "mx1.good.example", "selector": 0, "der": "01"}] * 2000
    done = _replay(site, tmp_path / "e.json", saved)
    assert done.code in (0, 78) and done.peak_kib < 256 * MIB and done.seconds < 5, (
        done.code, done.peak_kib, done.seconds)


def test_evidence_with_many_records(site: Site, tmp_path: Path) -> None:
    """The time grows with the file, not with its square."""
    saved = _saved(site, tmp_path / "e.json")
    tlsa, = [q for q in saved["questions"] if q.get("type") == "TLSA"]
    tlsa["answer"]["records"] = [f"030000{i:08x}" for i in range(200_000)]
    saved["questions"] += [{"host": "mx1.good.example", "selector": 0, "der": "01"}] * 200_000
    done = _replay(site, tmp_path / "e.json", saved)
    assert done.code in (0, 78) and done.seconds < 20, (done.code, done.peak_kib, done.seconds)


def test_evidence_of_many_small_values(site: Site, tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text("[" + "{}," * 20_000_000 + "{}]")
    done = site.run.bare("policy", "--replay", tmp_path / "e.json")
    assert done.complains(78, "values") and done.peak_kib < 256 * MIB and done.seconds < 5


def test_save_follows_nobodys_link(site: Site, tmp_path: Path) -> None:
    """In a directory where others write, the name of the temporary file can be guessed."""
    precious = tmp_path / "precious"
    precious.write_text("old")
    shell = f'ln -s {precious} {tmp_path}/e.json.$$.tmp; exec "$@"'
    done = site.run.policy("good.example", "--save", tmp_path / "e.json",
                           via=["sh", "-c", shell, "sh"])
    assert done.code == 0 and precious.read_text() == "old", done
    assert not (tmp_path / "e.json").is_symlink()
    assert {p.name for p in tmp_path.iterdir()} == {"e.json", "precious"}
