"""The queue's way out (src/jobs/send/queue.h) against real servers; tests/queue/drive.c drives it."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab import certs
from lab.namespace import HOME
from lab.postfix import Postfix
from lab.pytest_plugin import wait_until
from lab.smtp_server import Smtp, SmtpServer, Tls
from lab.world import World


def _command(world: World, directory: Path) -> list[str]:
    daneway = Path(os.environ.get("DANEWAY", str(HOME / "build/daneway")))
    program = daneway.parent / "tests/queue/queue_drive"
    if not program.exists():
        pytest.skip(f"no {program}")
    return [str(program), str(directory), str(world.root_hints), str(world.trust_anchor)]


def _drive(world: World, directory: Path, commands: str, *, killed: bool = False,
           ) -> tuple[list[dict[str, Any]], str]:
    """The lines of JSON that it printed, and its log."""
    done = subprocess.run(_command(world, directory), input=commands, capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == (-9 if killed else 0), done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def _mailbox(world: World) -> str:
    postfix = next(d for d in world.daemons if isinstance(d, Postfix))
    return postfix.mailbox.read_text() if postfix.mailbox.exists() else ""


def test_dane_match_is_delivered(needs_users: None, world: World, tmp_path: Path) -> None:
    (stats,), log = _drive(world, tmp_path / "q",
                           "put a@sender.test q1@good.example 3000\nrun 20\nstats\n")
    assert (stats["delivered"], stats["dane"], stats["deferred"]) == (1, 1, 0)
    assert wait_until(lambda: "q1@good.example" in _mailbox(world))
    line = next(x for x in log.splitlines() if "event=delivered" in x)
    assert "host=\"mx.good.example[" in line or "host=mx.good.example[" in line
    assert "level=dane" in line and "tls=TLSv1.3" in line and "matched=\"3 1 1" in line


def test_mismatch_stays_queued(needs_users: None, world: World, tmp_path: Path) -> None:
    """Q7: until the next try of the schedule."""
    out, _ = _drive(world, tmp_path / "q", "put a@sender.test q2@mismatch.example 3000\n"
                    "run 20\nlist\nstats\n")
    parcel, stats = out
    assert parcel["status"] == "4.7.323" and parcel["attempts"] == 1
    assert 800 < parcel["due_s"] < 1100
    assert "mx.mismatch.example[" in parcel["detail"]
    assert json.loads(parcel["evidence"])["hosts"][0]["level"] == "dane"
    assert stats["delivered"] == 0 and stats["mismatches"] == 1
    assert "q2@mismatch.example" not in _mailbox(world)


def test_lifetime_ends_with_5_7_323(needs_users: None, world: World, tmp_path: Path) -> None:
    """Q8: only then, and with the last reason."""
    out, log = _drive(world, tmp_path / "q", "set dane_lifetime 0\n"
                      "put n3@good.example q3@mismatch.example 3000\nrun 20\nlist\nstats\n")
    line = next(x for x in log.splitlines() if "event=failed" in x)
    assert "status=5.7.323" in line and "to=q3@mismatch.example" in line
    # The sender is told; nothing is left.
    assert len(out) == 1 and (out[0]["failed"], out[0]["delivered"]) == (1, 1)
    assert wait_until(lambda: "n3@good.example" in _mailbox(world))
    notice = _mailbox(world).split("\nFrom ")[-1]
    assert "n3@good.example" in notice and "Status: 5.7.323" in notice
    assert "Remote-MTA" in notice or "mx.mismatch.example" in notice


def test_nobody_is_told_about_what_nobody_sent(world: World, tmp_path: Path) -> None:
    """A null reverse-path gets no notice, and nothing is left behind."""
    out, _ = _drive(world, tmp_path / "q", "put <> a@null.example 300\nrun 20\nlist\nstats\n")
    assert len(out) == 1 and (out[0]["failed"], out[0]["delivered"]) == (1, 0)


def test_fates_without_a_connection(world: World, tmp_path: Path) -> None:
    """RFC 7505 (M13), NXDOMAIN (M9), bogus (M7)."""
    out, log = _drive(world, tmp_path / "q", "put a@sender.test a@null.example 100\n"
                      "put a@sender.test a@nowhere.example 100\n"
                      "put a@sender.test a@expired.example 100\nrun 30\nlist\n")
    assert "status=5.1.10" in log and "status=5.1.2" in log
    assert [p["status"] for p in out] == ["4.7.324"]


# --- scripted servers

def _domains(world: World, host: str, names: list[str]) -> None:
    for name in names:
        world.add_zone(name, [f"@ MX 10 {host}."])


def _host(world: World, zone: str, address: str, records: list[str]) -> None:
    world.add_zone(zone, [f"mx A {address}", *[f"_25._tcp.mx TLSA {r}" for r in records]])


def test_reuse_over_20_domains(fresh_world: World, tmp_path: Path) -> None:
    world = fresh_world
    cert = certs.self_signed("mx.shared.example")
    server = world.add_smtp(Smtp(tls=Tls([cert.write(world.dir / "one.pem")])))
    _host(world, "shared.example", server.addresses[0], [cert.tlsa(3, 1, 1)])
    _domains(world, "mx.shared.example", [f"d{i}.example" for i in range(20)])
    world.start()
    (stats,), _ = _drive(world, tmp_path / "q", "set per_address 1\n"
                         "put a@sender.test b@d%.example 3000 20\n"
                         "put a@sender.test c@d%.example 3000 20\nrun 30\nstats\n")
    assert stats["delivered"] == stats["dane"] == 40
    assert len(server.sessions) == stats["connections"] == 1
    assert sum(len(s.messages) for s in server.sessions) == 40


@pytest.mark.parametrize("records, other, sessions", [
    ("3 1 1", "none", 2),        # A27: the second has no signed MX: level may
    ("3 1 1", "unusable", 2),    # level encrypt is another host's, with its own base domain
])
def test_levels_share_no_session(fresh_world: World, tmp_path: Path, records: str, other: str,
                                 sessions: int) -> None:
    """Matrix A27, S20: one address, two levels, never one session."""
    world = fresh_world
    cert = certs.self_signed("mx.one.example")
    server = world.add_smtp(Smtp(tls=Tls([cert.write(world.dir / "one.pem")])))
    address = server.addresses[0]
    _host(world, "one.example", address, [cert.tlsa(3, 1, 1)])
    _domains(world, "mx.one.example", ["first.example"])
    if other == "none":
        world.add_zone("second.plain", ["@ MX 10 mx.one.example."], algorithm=None)
        second = "second.plain"
    else:
        _host(world, "two.example", address, [cert.tlsa(1, 1, 1)])
        _domains(world, "mx.two.example", ["second.example"])
        second = "second.example"
    world.start()
    (stats,), _ = _drive(world, tmp_path / "q", "set per_address 1\n"
                         "put a@sender.test b@first.example 300\nrun 20\n"
                         f"put a@sender.test b@{second} 300\nrun 20\n"
                         "put a@sender.test b@first.example 300\nrun 20\nstats\n")
    assert stats["delivered"] == 3 and stats["dane"] == 2
    assert len(server.sessions) >= sessions
    for session in server.sessions:
        to = {m["to"][0].split("@")[1] for m in session.messages}
        assert len(to) == 1


def test_may_goes_on_in_clear_after_garbage(fresh_world: World, tmp_path: Path) -> None:
    """RFC 7672 section 2.2, S8: a failed handshake at level may permits one try in clear."""
    world = fresh_world
    pem = certs.self_signed("mx.two.example").write(world.dir / "one.pem")
    server = world.add_smtp(Smtp(tls=Tls([pem]), after_220="garbage"))
    world.add_zone("two.example", ["@ MX 10 mx", f"mx A {server.addresses[0]}"])
    world.start()
    (stats,), _ = _drive(world, tmp_path / "q", "set per_address 1\n"
                         "put a@sender.test b@two.example 300 3\nrun 20\nstats\n")
    assert stats["delivered"] == stats["may"] == 3 and stats["connections"] == 2
    assert not any(m["tls"] for m in server.messages)


def test_next_host_when_one_is_dead(fresh_world: World, tmp_path: Path) -> None:
    world = fresh_world
    cert = certs.self_signed("mx.two.example")
    server = world.add_smtp(Smtp(tls=Tls([cert.write(world.dir / "one.pem")])))
    dead = world.address()
    world.add_zone("two.example", ["@ MX 5 dead", "@ MX 10 mx", f"dead A {dead}",
                                   f"mx A {server.addresses[0]}",
                                   f"_25._tcp.mx TLSA {cert.tlsa(3, 1, 1)}"])
    world.start()
    (stats,), _ = _drive(world, tmp_path / "q",
                         "put a@sender.test b@two.example 300 10\nrun 30\nstats\n")
    assert stats["delivered"] == 10 and stats["deferred"] == 0


def test_a_server_that_ends_idle_sessions(fresh_world: World, tmp_path: Path) -> None:
    """A session that was dead before it was used again costs no attempt."""
    world = fresh_world
    cert = certs.self_signed("mx.two.example")
    server = world.add_smtp(Smtp(tls=Tls([cert.write(world.dir / "one.pem")]),
                                 replies={"tls:MAIL": ["250 ok", "421 4.4.2 idle too long"]}))
    world.add_zone("two.example", ["@ MX 10 mx", f"mx A {server.addresses[0]}",
                                   f"_25._tcp.mx TLSA {cert.tlsa(3, 1, 1)}"])
    world.start()
    (stats,), _ = _drive(world, tmp_path / "q", "set per_address 1\n"
                         "put a@sender.test b@two.example 300 5\nrun 30\nstats\n")
    assert stats["delivered"] == 5 and stats["deferred"] == 0
    assert len(server.sessions) == 5


def test_large_and_many_recipients(fresh_world: World, tmp_path: Path) -> None:
    world = fresh_world
    server = world.add_smtp(Smtp(replies={"RCPT:b7@two.example": "550 5.1.1 no such user",
                                          "RCPT:b8@two.example": "451 4.2.1 later"}))
    world.add_zone("two.example", ["@ MX 10 mx", f"mx A {server.addresses[0]}"])
    world.start()
    to = ",".join(f"b{i}@two.example" for i in range(10))
    out, log = _drive(world, tmp_path / "q",
                      f"put <> {to} 1000000\nrun 30\nlist\nstats\n")
    stats = out.pop()
    assert (stats["delivered"], stats["failed"], stats["deferred"]) == (8, 1, 1)
    assert {p["to"]: p["status"] for p in out if p["state"] == 0} == {
        "b8@two.example": "4.2.1"}
    assert len(server.messages) == 1 and len(server.messages[0]["data"]) >= 1000000
    assert "to=b7@two.example" in next(x for x in log.splitlines() if "event=failed" in x)


def test_kill_loses_nothing(fresh_world: World, tmp_path: Path) -> None:
    """kill -9 in the midst of it; the next start finds the rest. A copy more is allowed."""
    world = fresh_world
    server = world.add_smtp(Smtp())
    world.add_zone("two.example", ["@ MX 10 mx", f"mx A {server.addresses[0]}"])
    world.start()
    _drive(world, tmp_path / "q", "put a%@sender.test b%@two.example 3000 300\n"
           "kill 20\n", killed=True)
    before = len(server.messages)
    (stats,), _ = _drive(world, tmp_path / "q", "run 30\nstats\nstop\n")
    got = [m["to"][0] for m in server.messages]
    assert set(got) == {f"b{i}@two.example" for i in range(300)}
    assert 20 <= before < 300, "killed too late"
    assert len(got) - 300 <= 20  # one for each session that was under way


def test_stop_gives_back(fresh_world: World, tmp_path: Path) -> None:
    world = fresh_world
    server = world.add_smtp(Smtp())
    world.add_zone("two.example", ["@ MX 10 mx", f"mx A {server.addresses[0]}"])
    world.start()
    _drive(world, tmp_path / "q", "put a@sender.test b%@two.example 3000 300\n"
           "run 0.1\nstop\n")
    (stats,), _ = _drive(world, tmp_path / "q", "run 30\nstats\n")
    assert sorted(m["to"][0] for m in server.messages) == sorted(
        f"b{i}@two.example" for i in range(300))


def test_usage_2_names_are_judged_for_each_domain(fresh_world: World, tmp_path: Path) -> None:
    """Matrix S20: the certificate has the first domain's name only. Its session, still idle, does
    not serve the second one, whose own names do not match."""
    world = fresh_world
    root = certs.issue("root", ca=True)
    leaf = certs.issue("leaf", root, dns=["first.example"])
    server = world.add_smtp(Smtp(tls=Tls([leaf.write(world.dir / "leaf.pem", [leaf, root])])))
    _host(world, "host.example", server.addresses[0], [root.tlsa(2, 0, 1)])
    _domains(world, "mx.host.example", ["first.example", "second.example"])
    world.start()
    out, _ = _drive(world, tmp_path / "q", "put a@sender.test b@first.example 300\nrun 20\n"
                    "put a@sender.test b@second.example 300\nrun 20\n"
                    "put a@sender.test c@first.example 300\nrun 20\nlist\nstats\n")
    parcel, stats = out
    assert parcel["to"] == "b@second.example" and parcel["status"] == "4.7.325"
    assert stats["delivered"] == 2
    assert [m["to"] for m in server.messages] == [["b@first.example"], ["c@first.example"]]
    # The refusal of the second has not closed the address for the first, whose session serves on.
    assert stats["connections"] == 2 and stats["reused"] == 1

    # Both wait for the one session that may be open: the refusal is for the second alone. (So
    # slow that both wait before it comes.)
    server.change(replace(server.behaviour, byte_delay=0.005))
    out, _ = _drive(world, tmp_path / "q2", "set per_address 1\n"
                    "put a%@sender.test b@second.example 300 5\nrun 0.2\n"
                    "put a%@sender.test d@first.example 300 5\nrun 20\nstats\n")
    assert out[-1]["delivered"] == 5 and out[-1]["deferred"] == 5


def test_policies_of_routes_share_no_session(fresh_world: World, tmp_path: Path) -> None:
    """Same host, same name, no records: the level alone tells them apart (S20)."""
    world = fresh_world
    pem = certs.self_signed("in.behind.example").write(world.dir / "one.pem")
    server = world.add_smtp(Smtp(tls=Tls([pem])))
    world.add_zone("behind.example", [f"in A {server.addresses[0]}"])
    world.start()
    policies = ("none", "may", "encrypt")
    commands = "".join(f"route {p}.example host in.behind.example 25 {p}\n" for p in policies)
    commands += "".join(f"put a@sender.test b@{p}.example 300\nrun 20\n" for p in policies * 2)
    out, _ = _drive(world, tmp_path / "q", commands + "stats\n")
    assert out[-1]["delivered"] == 6 and len(server.sessions) == 3
    assert sorted(m["to"][0] for m in server.messages if not m["tls"]) == ["b@none.example"] * 2
    assert all(len({m["to"][0] for m in s.messages}) == 1 for s in server.sessions)


@pytest.mark.parametrize("tls, starttls, delivered", [
    ("none", True, True), ("may", True, True), ("may", False, True), ("encrypt", True, True),
    ("encrypt", False, False), ("dane", True, True), ("dane_only", True, False)])
def test_routes_have_their_own_policy(fresh_world: World, tmp_path: Path, tls: str,
                                      starttls: bool, delivered: bool) -> None:
    """A host named in the configuration, without MX lookup and without TLSA records."""
    world = fresh_world
    pem = certs.self_signed("in.behind.example").write(world.dir / "one.pem")
    server = world.add_smtp(Smtp(tls=Tls([pem]) if starttls else None))
    world.add_zone("behind.example", [f"in A {server.addresses[0]}"])
    world.start()
    out, _ = _drive(world, tmp_path / "q", f"route own.example host in.behind.example 25 {tls}\n"
                    "put a@sender.test b@own.example 300\nrun 20\nlist\nstats\n")
    assert out[-1]["delivered"] == delivered and len(server.messages) == delivered
    if delivered:
        assert server.messages[0]["tls"] == (starttls and tls != "none")
        assert out[-1]["encrypt"] == (tls == "encrypt")
        assert (server.sessions[0].sni or None) == (
            "in.behind.example" if server.messages[0]["tls"] else None)
    else:
        assert out[0]["status"] == ("4.7.321" if tls == "encrypt" else "4.7.323")
        assert all("MAIL" not in s.clear and "MAIL" not in s.secure for s in server.sessions)


class Lmtp(threading.Thread):
    """A mail store that speaks LMTP: RFC 2033. A reply of its own for each recipient."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(daemon=True)
        self.sock, self.commands, self.data = sock, [], b""
        self.start()

    def run(self) -> None:
        connection, _ = self.sock.accept()
        file = connection.makefile("rwb")
        to: list[bytes] = []

        def say(text: str) -> None:
            file.write(text.encode() + b"\r\n")
            file.flush()

        say("220 store LMTP")
        while line := file.readline().strip():
            self.commands.append(line.decode())
            word = line[:4].upper()
            if word == b"LHLO":
                say("250-store\r\n250 PIPELINING")
            elif word == b"RCPT":
                to.append(line)
                say("250 ok")
            elif word == b"DATA":
                say("354 go")
                while (text := file.readline()) != b".\r\n":
                    self.data += text
                for one in to:
                    say("452 4.2.2 full" if b"full" in one else "250 2.1.5 stored")
                to = []
            elif word == b"QUIT":
                say("221 bye")
                break
            else:
                say("250 ok")
        connection.close()


@pytest.mark.parametrize("kind", ["lmtp-unix", "lmtp-address"])
def test_lmtp(fresh_world: World, tmp_path: Path, kind: str) -> None:
    """One reply for each recipient; each is recorded for itself."""
    world = fresh_world
    world.start()
    path = tmp_path / "socket"
    if kind == "lmtp-unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(path))
        name, port = str(path), 0
    else:
        sock = socket.socket()
        name = world.address()
        sock.bind((name, 2424))
        port = 2424
    sock.listen()
    store = Lmtp(sock)
    out, log = _drive(world, tmp_path / "q", f"route own.example {kind} {name} {port} none\n"
                      "put a@sender.test b@own.example,full@own.example,c@own.example 300\n"
                      "run 20\nlist\nstats\nstop\n")
    assert store.commands[0] == "LHLO sender.test" and b"Subject:" in store.data
    assert out[-1]["delivered"] == 2 and out[-1]["deferred"] == 1
    assert {p["to"]: p["status"] for p in out[:-1] if p["state"] == 0} == {
        "full@own.example": "4.2.2"}


def test_room_for_one_session_in_all(fresh_world: World, tmp_path: Path) -> None:
    """Whoever has no more to send makes room at once."""
    world = fresh_world
    servers = [world.add_smtp(Smtp()) for _ in range(3)]
    for i, server in enumerate(servers):
        world.add_zone(f"d{i}.example", ["@ MX 10 mx", f"mx A {server.addresses[0]}"])
    world.start()
    (stats,), _ = _drive(world, tmp_path / "q", "set sessions 1\n" + "".join(
        f"put a@sender.test b@d{i}.example 300 20\n" for i in range(3)) + "run 4\nstats\n")
    assert stats["delivered"] == 60
    assert [len(s.sessions) for s in servers] == [1, 1, 1]


def test_two_policies_take_turns_at_one_address(fresh_world: World, tmp_path: Path) -> None:
    """A session a time, two kinds: none starves, and they do not change at each message."""
    world = fresh_world
    pem = certs.self_signed("in.behind.example").write(world.dir / "one.pem")
    server = world.add_smtp(Smtp(tls=Tls([pem])))
    world.add_zone("behind.example", [f"in A {server.addresses[0]}"])
    world.start()
    (stats,), _ = _drive(
        world, tmp_path / "q", "set per_address 1\n" + "".join(
            f"route {p}.example host in.behind.example 25 {p}\n"
            f"put a@sender.test b@{p}.example 300 40\n" for p in ("may", "encrypt"))
        + "run 20\nstats\n")
    assert stats["delivered"] == 80 and stats["connections"] <= 16


def test_a_reload_holds_for_what_waits(fresh_world: World, tmp_path: Path) -> None:
    """New settings while a session greets: what has not begun to speak is decided anew (D2), and
    the session serves it if it may; the next one greets with the new name."""
    world = fresh_world
    server = world.add_smtp(Smtp(byte_delay=0.01))
    world.add_zone("two.example", ["@ MX 10 mx", f"mx A {server.addresses[0]}"])
    world.add_zone("three.example", ["@ MX 10 mx", f"mx A {server.addresses[0]}"])
    world.start()
    out, _ = _drive(world, tmp_path / "q",
                    "put a@sender.test b@two.example 300\nrun 0.5\nset helo new.sender.test\n"
                    "reload\nrun 30\nput a@sender.test b@three.example 300\nrun 30\n"
                    "set mode mandatory\nreload\nput a@sender.test c@two.example 300\nrun 30\n"
                    "list\nstats\n")
    parcel, stats = out
    assert stats["delivered"] == 2 and stats["decisions"] == 4
    assert parcel["to"] == "c@two.example" and parcel["status"] == "4.7.323"
    hellos = [c for s in server.sessions for c in s.commands if c.startswith("EHLO")]
    assert hellos[0] == "EHLO sender.test" and hellos[-1] == "EHLO new.sender.test"


def test_a_reload_holds_for_what_waits_for_a_session(fresh_world: World, tmp_path: Path) -> None:
    """D2: whoever waits at the server's door when the mode changes goes under the new one."""
    world = fresh_world
    server = _slow(world, byte_delay=0.01, replies={"MAIL": "250 " + 400 * "x"})
    out, _ = _drive(world, tmp_path / "q",
                    "set per_address 1\nput a@sender.test b@two.example 300 4\nrun 4\n"
                    "set mode mandatory\nreload\nrun 40\nlist\nstats\n")
    stats = out.pop()
    assert stats["delivered"] == len(server.messages) == 1 and stats["parcels"] == 0
    assert [(p["status"], p["attempts"]) for p in out] == [("4.7.323", 1)] * 3


def test_who_waits_long_is_decided_anew(fresh_world: World, tmp_path: Path) -> None:
    """R23: a decision that has run out while its parcel waited for a session leads to none."""
    world = fresh_world
    cert, other = certs.self_signed("mx.two.example"), certs.self_signed("other")
    server = world.add_smtp(Smtp(tls=Tls([cert.write(world.dir / "one.pem")]), byte_delay=0.01,
                                 replies={"MAIL": 3 * ("250-" + 400 * "x" + "\n") + "250 ok"}))
    zone = world.add_zone("two.example", ["@ MX 10 mx", f"mx A {server.addresses[0]}"])
    zone.add("_25._tcp.mx", "TLSA", cert.tlsa(3, 1, 1), ttl=1)
    world.start()
    with subprocess.Popen(_command(world, tmp_path / "q"), text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as driver:
        assert driver.stdin and driver.stdout
        driver.stdin.write("set per_address 1\nput a@sender.test b@two.example 300 2\nrun 7\n"
                           "stats\n")
        driver.stdin.flush()
        assert json.loads(driver.stdout.readline())["parcels"] == 2
        zone.remove("_25._tcp.mx", "TLSA")
        zone.add("_25._tcp.mx", "TLSA", other.tlsa(3, 1, 1), ttl=1)
        world.update("two.example")
        driver.stdin.write("run 90\nstats\n")
        driver.stdin.close()
        stats = json.loads(driver.stdout.read().splitlines()[-1])
    assert stats["delivered"] == 1 and stats["mismatches"] >= 1


def test_a_retry_asks_the_dns_again(fresh_world: World, tmp_path: Path) -> None:
    """Q6, Q12: after the TTL the mended record counts."""
    world = fresh_world
    cert, other = certs.self_signed("mx.two.example"), certs.self_signed("other")
    server = world.add_smtp(Smtp(tls=Tls([cert.write(world.dir / "one.pem")])))
    zone = world.add_zone("two.example", ["@ MX 10 mx", f"mx A {server.addresses[0]}"])
    zone.add("_25._tcp.mx", "TLSA", other.tlsa(3, 1, 1), ttl=1)
    world.start()
    with subprocess.Popen(_command(world, tmp_path / "q"), text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as driver:
        assert driver.stdin and driver.stdout
        driver.stdin.write("set retry 3\nput <> b@two.example 300\nrun 10\nlist\n")
        driver.stdin.flush()
        assert json.loads(driver.stdout.readline())["status"] == "4.7.323"
        zone.remove("_25._tcp.mx", "TLSA")
        zone.add("_25._tcp.mx", "TLSA", cert.tlsa(3, 1, 1), ttl=1)
        world.update("two.example")
        driver.stdin.write("wait 5\nrun 30\nstats\n")
        driver.stdin.close()
        stats = json.loads(driver.stdout.read().splitlines()[-1])
    assert stats["delivered"] == 1 and len(server.messages) == 1


def _sender(message: dict[str, Any]) -> str:
    return str(message["from"]).split(">")[0].split("<")[-1]


def test_everyone_has_a_turn(fresh_world: World, tmp_path: Path) -> None:
    """Neither a sender with many messages nor a domain with many keeps back another's one."""
    world = fresh_world
    server = world.add_smtp(Smtp())
    for name in ("two.example", "three.example"):
        world.add_zone(name, ["@ MX 10 mx.two.example."])
    world.zones["two.example."].zone.add("mx", "A", server.addresses[0])
    world.start()
    _drive(world, tmp_path / "q", "set per_address 1\nput many@sender.test b@two.example 300 100\n"
           "put one@sender.test b@two.example 300\nput many@sender.test b@three.example 300\n"
           "run 30\n")
    order = [(_sender(m), m["to"][0]) for m in server.messages]
    assert len(order) == 102
    assert order.index(("many@sender.test", "b@three.example")) < 30
    # Beyond what a lane has in hand the order is that of the arrival.
    assert ("one@sender.test", "b@two.example") in order


def test_a_sender_with_one_among_many(fresh_world: World, tmp_path: Path) -> None:
    world = fresh_world
    server = world.add_smtp(Smtp())
    world.add_zone("two.example", ["@ MX 10 mx", f"mx A {server.addresses[0]}"])
    world.start()
    _drive(world, tmp_path / "q", "set per_address 1\nput many@sender.test b@two.example 300 40\n"
           "put one@sender.test b@two.example 300\nrun 30\n")
    order = [_sender(m) for m in server.messages]
    assert len(order) == 41 and order.index("one@sender.test") < 20


def test_a_hundred_recipients_in_a_transaction(fresh_world: World, tmp_path: Path) -> None:
    """RFC 5321 section 4.5.3.1.8; the same session serves the next hundred."""
    world = fresh_world
    server = world.add_smtp(Smtp())
    world.add_zone("two.example", ["@ MX 10 mx", f"mx A {server.addresses[0]}"])
    world.start()
    to = ",".join(f"b{i}@two.example" for i in range(230))
    (stats,), _ = _drive(world, tmp_path / "q", f"put <> {to} 300\nrun 30\nstats\n")
    assert stats["delivered"] == 230 and len(server.sessions) == 1
    assert [len(m["to"]) for m in server.messages] == [100, 100, 30]


# --- the store in trouble

def _slow(world: World, **behaviour: Any) -> SmtpServer:
    server = world.add_smtp(Smtp(**behaviour))
    world.add_zone("two.example", ["@ MX 10 mx", f"mx A {server.addresses[0]}"])
    world.start()
    return server


def test_a_full_disk_delays_the_record_only(fresh_world: World, tmp_path: Path) -> None:
    server = _slow(fresh_world)
    (stats,), log = _drive(fresh_world, tmp_path / "q", "put a@sender.test b@two.example 300\n"
                           "full 1\nrun 20\nstats\n")
    assert "event=not_recorded" in log
    assert stats["delivered"] == 1 and stats["parcels"] == 0 and len(server.messages) == 1


def test_nothing_is_begun_while_nothing_is_recorded(fresh_world: World, tmp_path: Path) -> None:
    """After a crash all of it would be sent once more."""
    server = _slow(fresh_world)
    _drive(fresh_world, tmp_path / "q", "put a%@sender.test b@two.example 300 200\n"
           "set connections 2\nfull 60\nrun 2\nkill 0\n", killed=True)
    assert 0 < len(server.messages) <= 10
    (stats,), _ = _drive(fresh_world, tmp_path / "q", "full 1\nrun 30\nstats\n")
    assert stats["delivered"] == 200 and stats["parcels"] == 0
    assert len(server.messages) <= 210


@pytest.mark.parametrize("lease", ["0.01", "2"])
def test_a_long_transaction_keeps_its_parcel(fresh_world: World, tmp_path: Path,
                                             lease: str) -> None:
    """By extending the lease; or, where it ran out all the same (the clock was set), by going on
    under the new one. Never a second copy."""
    server = _slow(fresh_world, byte_delay=0.03)
    (stats,), _ = _drive(fresh_world, tmp_path / "q", f"set lease {lease}\n"
                         "put a@sender.test b@two.example 300\n"
                         "run 1.5\nrun 1\nrun 1\nrun 60\nstats\n")
    # The server writes it down when the last octet of its slow reply is out.
    assert wait_until(lambda: len(server.messages) > 0)
    assert stats["delivered"] == 1 and len(server.messages) == 1
    assert stats["attempts"] == 1 and stats["leases_lost"] == 0


def test_a_removed_message_is_cut_off(fresh_world: World, tmp_path: Path) -> None:
    """An administrator's removal: the lease is lost, and nothing more is sent."""
    server = _slow(fresh_world, hang_at="RCPT")
    (stats,), _ = _drive(fresh_world, tmp_path / "q", "set lease 1\n"
                         "put a@sender.test b@two.example 300\nrun 1\nremove\nrun 20\n"
                         "stats\n")
    assert stats["leases_lost"] == 1 and stats["parcels"] == 0 and not server.messages
    assert stats["delivered"] + stats["deferred"] + stats["failed"] == 0


def test_a_dead_hop_is_tried_once(fresh_world: World, tmp_path: Path) -> None:
    """Its other parcels wait with it, and one that is new is due when it is tried again."""
    world = fresh_world
    dead = world.address()
    world.add_zone("two.example", ["@ MX 10 mx", f"mx A {dead}"])
    world.start()
    out, _ = _drive(world, tmp_path / "q", "put a%@sender.test b@two.example 300 200\nrun 20\n"
                    "list\nstats\n")
    stats = out.pop()
    assert stats["deferred"] == 200 and stats["connections"] <= 5
    assert {p["status"] for p in out} == {"4.4.1"}
    assert all("mx.two.example" in p["detail"] for p in out)
    assert sum(25 < p["due_s"] < 50 for p in out) >= 190


def test_many_hops_in_little_memory(fresh_world: World, tmp_path: Path) -> None:
    """More hops than lanes, more parcels than are held in memory: all get their fate."""
    world = fresh_world
    world.start()
    out, _ = _drive(world, tmp_path / "q", "put <> b@d%.nowhere.test 100 3000\n"
                    "put <> b@nowhere.test 100 7000\nrun 20\nstats\ncpu\n")
    assert out[0]["failed"] == 10000 and out[0]["parcels"] == 0
    if "asan" not in os.environ.get("DANEWAY", ""):
        assert out[1]["rss_kib"] < 150000


@pytest.mark.parametrize("seed", [1])
def test_reloads_and_failures_at_any_moment(fresh_world: World, tmp_path: Path, seed: int) -> None:
    """Settings change, servers fail and the disk is full while mail flows: none is lost, and none
    comes twice but where the end of a message was not answered."""
    dice, world, count = random.Random(seed), fresh_world, 400
    cert = certs.self_signed("mx.shared.example")
    tls = Tls([cert.write(world.dir / "one.pem")])
    servers = [world.add_smtp(Smtp(tls=tls)) for _ in range(2)]
    world.add_zone("shared.example", [
        *(f"mx A {s.addresses[0]}" for s in servers), "_25._tcp.mx TLSA " + cert.tlsa(3, 1, 1)])
    _domains(world, "mx.shared.example", [f"d{i}.example" for i in range(count // 4)])
    world.start()
    over = threading.Event()

    def trouble() -> None:
        while not over.wait(dice.random() / 3):
            dice.choice(servers).change(Smtp(tls=tls, **dice.choice([
                {}, {}, {"byte_delay": 0.002}, {"close_at": "MAIL"}, {"close_at": "RCPT"},
                {"close_at": "connect"}, {"replies": {"MAIL": "421 4.3.2 away"}}])))
        for s in servers:
            s.change(Smtp(tls=tls))

    steps = ["set retry 1", "set per_address 3",
             f"put a%@sender.test b@d%.example 3000 {count // 4}"]
    for i in range(60):
        steps += [f"run {dice.random() / 3:.2f}", *dice.choice([
            ["reload"], ["set mode mandatory", "reload"], ["set mode opportunistic", "reload"],
            ["set mode none", "reload"], ["full 0.2"], ["stop"],
            [f"set per_address {dice.randint(1, 5)}", "reload"]])]
        if i % 20 == 5:
            steps += ["wait 0.3", f"put a%@sender.test c{i}@d%.example 3000 {count // 4}"]
    thread = threading.Thread(target=trouble, daemon=True)
    thread.start()
    out, log = _drive(world, tmp_path / "q", "\n".join(steps) + "\nstop\nlist\n")
    over.set()
    thread.join()
    rest, _ = _drive(world, tmp_path / "q", "set retry 1\n" + "wait 3\nrun 10\n" * 6 + "list\n")
    got = [t for s in servers for m in s.messages for t in m["to"]]
    assert rest == [] and len(set(got)) == count
    assert len(got) - count <= log.count("may have been delivered") + log.count("queue_broken")
