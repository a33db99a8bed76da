"""`daneway check` over many domains: shared sessions, bad lines, memory, resuming, Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any, Iterator, Sequence

import pytest

from lab import certs
from lab.pytest_plugin import Daneway, check_schema, wait_until
from lab.smtp_server import Smtp, SmtpServer, Tls
from lab.world import World
from program import Done, Program

SHORT = os.environ.get("DANEWAY_SHORT") == "1"
KEY_TYPES = 3  # RSA, ECDSA, EdDSA: the server's choice first, then the others by themselves


@pytest.fixture
def many(daneway: Daneway, fresh_world: World) -> Iterator[Program]:
    yield Program(daneway, fresh_world)


def lines(done: Done) -> list[dict[str, Any]]:
    results = [json.loads(line) for line in done.out.splitlines()]
    check_schema(results)
    return results


def verdicts(done: Done) -> Counter[str]:
    return Counter(result["verdict"] for result in lines(done))


def check(program: Program, domains: Sequence[str | bytes], *options: str | Path,
          **how: Any) -> Done:
    text = b"".join((d if isinstance(d, bytes) else d.encode()) + b"\n" for d in domains)
    return program("check", "--json", *options, "-", stdin=text, **{"timeout": 120, **how})


def add_hosts(world: World, n: int, addresses: int = 1, **smtp: Any) -> list[SmtpServer]:
    """mxN.hosts.example with TLSA records, each a server of its own."""
    lines, servers = [], []
    for i in range(n):
        cert = certs.self_signed(f"mx{i}.hosts.example")
        at = [world.address() for _ in range(addresses)]
        servers.append(world.add_smtp(
            Smtp(tls=Tls([cert.write(world.dir / f"mx{i}.pem")]), **smtp), at))
        lines += [f"mx{i} A {a}" for a in at]
        lines.append(f"_25._tcp.mx{i} TLSA {cert.tlsa(3, 1, 1)}")
    world.add_zone("hosts.example", lines)
    return servers


def connections(servers: Sequence[SmtpServer]) -> Counter[str]:
    return Counter(session.server for server in servers for session in server.sessions)


# --- shared sessions ------------------------------------------------------------------------------


def test_each_server_is_connected_to_once(many: Program) -> None:
    """However many domains share a host: hosts x addresses x kinds of key."""
    world = many.world
    servers = add_hosts(world, 5, addresses=2)
    world.add_zone("many.example", [f"d{i} MX 10 mx{i % 5}.hosts.example." for i in range(500)])
    world.start()
    done = check(many, [f"d{i}.many.example" for i in range(500)])
    assert done.code == 0 and verdicts(done) == {"dane": 500}, done.err
    seen = connections(servers)
    assert len(seen) == 10 and set(seen.values()) == {KEY_TYPES}, seen
    for result in lines(done):
        passed = [c["subject"] for c in result["checks"] if c["id"] == "smtp.match"]
        assert len(passed) == len(set(passed)) == 2  # each address, by this domain's own records


def test_only_dane_is_one_session_an_address(many: Program) -> None:
    servers = add_hosts(many.world, 2, addresses=2)
    many.world.add_zone("many.example", [f"d{i} MX 10 mx{i % 2}.hosts.example." for i in range(6)])
    many.world.start()
    done = check(many, [f"d{i}.many.example" for i in range(6)], "--only", "dane")
    assert done.code == 0 and verdicts(done) == {"dane": 6}
    assert set(connections(servers).values()) == {1}
    assert many("check", "--only", "x", "d0.many.example").complains(64, '"dane" is wanted')


def test_one_session_serves_every_level(many: Program) -> None:
    """dane, encrypt and may differ in what they demand, not in what is asked of the server; a
    domain's own records decide: one that is wrong beside one that is right."""
    world = many.world
    cert = certs.self_signed("mx.hosts.example")
    server = world.add_smtp(Smtp(tls=Tls([cert.write(world.dir / "mx.pem")])))
    (at,), right = server.addresses, cert.tlsa(3, 1, 1)
    world.add_zone("hosts.example", [f"mx A {at}"])
    for name, record in (("right", right), ("wrong", certs.self_signed("x").tlsa(3, 1, 1)),
                         ("unusable", cert.tlsa(1, 1, 1))):
        world.add_zone(f"{name}.example", ["@ MX 10 mx", f"mx A {at}", f"_25._tcp.mx TLSA {record}"])
    world.add_zone("none.example", ["@ MX 10 mx.hosts.example."])
    world.add_zone("also-none.example", ["@ MX 10 mx.hosts.example."])
    world.start()
    done = check(many, ["right.example", "wrong.example", "unusable.example", "none.example",
                        "also-none.example"])
    assert {r["domain"]: r["verdict"] for r in lines(done)} == {
        "right.example": "dane", "wrong.example": "broken", "unusable.example": "partial",
        "none.example": "none", "also-none.example": "none"}
    # Names that are asked for differ, so sessions do; of each name and kind of key there is one.
    asked = Counter(session.sni for session in server.sessions)
    assert asked == {"mx.right.example": KEY_TYPES, "mx.wrong.example": KEY_TYPES,
                     "mx.unusable.example": 1, "mx.hosts.example": 1}


def test_a_server_that_only_may_would_take(many: Program) -> None:
    """Its handshake fails by the rules of `dane`; only for `may` the laxer ones are tried, once."""
    world = many.world
    cert = certs.self_signed("mx.hosts.example", key="rsa2048")
    server = world.add_smtp(Smtp(tls=Tls([cert.write(world.dir / "mx.pem")], minimum="TLSv1",
                                         maximum="TLSv1")))
    at = server.addresses[0]
    world.add_zone("hosts.example", [f"mx A {at}"])
    world.add_zone("old.example", ["@ MX 10 mx", f"mx A {at}",
                                   f"_25._tcp.mx TLSA {cert.tlsa(3, 1, 1)}"])
    for i in range(3):
        world.add_zone(f"may{i}.example", ["@ MX 10 mx.hosts.example."])
    world.start()
    done = check(many, ["old.example", *(f"may{i}.example" for i in range(3))])
    found = {r["domain"]: r for r in lines(done)}
    assert found["old.example"]["verdict"] == "broken"
    for i in range(3):
        (tls,) = [c for c in found[f"may{i}.example"]["checks"] if c["id"] == "smtp.tls"]
        assert "TLSv1 " in tls["detail"], tls
    assert len(server.sessions) == 1 + 2


def test_one_session_with_an_address_at_a_time(many: Program) -> None:
    """Twenty names at one slow server: their sessions follow one another."""
    world = many.world
    cert = certs.self_signed("mx")
    server = world.add_smtp(Smtp(tls=Tls([cert.write(world.dir / "mx.pem")]), byte_delay=0.0005))
    world.add_zone("hosts.example", [f"mx{i} A {server.addresses[0]}" for i in range(20)])
    world.add_zone("many.example", [f"d{i} MX 10 mx{i}.hosts.example." for i in range(20)])
    world.start()
    done = check(many, [f"d{i}.many.example" for i in range(20)])
    assert verdicts(done) == {"none": 20} and len(server.sessions) == 20
    times = sorted(session.time for session in server.sessions)
    assert min(b - a for a, b in zip(times, times[1:])) > 0.02, times


def test_waiting_behind_others_is_not_the_domains_time(many: Program) -> None:
    """Ten domains with a name each at one server that takes a second for each: a domain's limit of
    three seconds is its own, and none of them is `unknown` for having waited."""
    world = many.world
    cert = certs.self_signed("mx")
    server = world.add_smtp(Smtp(tls=Tls([cert.write(world.dir / "mx.pem")]), byte_delay=0.003))
    n = 4 if SHORT else 8
    world.add_zone("hosts.example", [f"mx{i} A {server.addresses[0]}" for i in range(n)])
    world.add_zone("many.example", [f"d{i} MX 10 mx{i}.hosts.example." for i in range(n)])
    world.start()
    done = check(many, [f"d{i}.many.example" for i in range(n)], "--timeout", "3")
    assert verdicts(done) == {"none": n}
    assert all(any(c["id"] == "smtp.tls" for c in r["checks"]) for r in lines(done))
    assert done.seconds > 3


def test_a_server_that_hangs_costs_its_own_domains_only(many: Program) -> None:
    world = many.world
    cert = certs.self_signed("mx.hung.example")
    world.add_smtp(Smtp(tls=Tls([cert.write(world.dir / "hung.pem")]), hang_at="EHLO"),
                   [hung := world.address()])
    # This one hangs inside TLS, before its certificate is judged: no reason to call it broken.
    world.add_smtp(Smtp(tls=Tls([cert.write(world.dir / "hung.pem")]), replies={"tls:EHLO": b""}),
                   [late := world.address()])
    add_hosts(world, 1)
    tlsa = cert.tlsa(3, 1, 1)
    world.add_zone("hung.example", [f"mx A {hung}", f"_25._tcp.mx TLSA {tlsa}",
                                    f"late A {late}", f"_25._tcp.late TLSA {tlsa}"])
    world.add_zone("many.example",
                   [f"good{i} MX 10 mx0.hosts.example." for i in range(20)]
                   + [f"hung{i} MX 10 {'mx' if i % 2 else 'late'}.hung.example." for i in range(20)])
    world.start()
    domains = [f"{kind}{i}.many.example" for i in range(20) for kind in ("hung", "good")]
    done = check(many, domains, "--timeout", "3")
    assert verdicts(done) == {"dane": 20, "unknown": 20}
    assert done.code == 3 and done.seconds < 15
    order = [r["verdict"] for r in lines(done)]
    assert order[:20] == ["dane"] * 20  # nobody waited for the others


# --- bad lines ------------------------------------------------------------------------------------


def test_bad_lines_are_named_and_skipped(many: Program) -> None:
    add_hosts(many.world, 1)
    many.world.add_zone("good.example", ["@ MX 10 mx0.hosts.example."])
    many.world.start()
    bad = [b"two words", b"https://www.good.example/x", b"bob@good.example", b"a\x1b[31mb\x9b\xff",
           b"x\0y", b"198.18.0.1", b"a..b", b"-", b"x" * 2048, b"y" * (1 << 20)]
    done = check(many, [*bad[:5], b"", b"good.example\r", *bad[5:], b"good.example"])
    results = lines(done)
    assert done.code == 3 and Counter(r["verdict"] for r in results) == {
        "unknown": len(bad), "dane": 2}
    invalid = [r for r in results if r["verdict"] == "unknown"]
    assert all([c["id"] for c in r["checks"]] == ["input.invalid"] for r in invalid)
    assert [r["domain"] for r in invalid[:3]] == [b.decode() for b in bad[:3]]
    details = [r["checks"][0]["detail"] for r in invalid]
    assert '"good.example" is meant' in details[1] and '"good.example" is meant' in details[2]
    assert "longer than 2048 octets" in details[-1] and len(invalid[-1]["domain"]) == 2048
    assert done.out.isascii() and b"\x1b" not in done.out


@pytest.mark.parametrize("options", [(), ("--nagios",), ("--openmetrics",)])
def test_bad_arguments_in_every_form(many: Program, options: tuple[str, ...]) -> None:
    many.world.start()
    done = many("check", *options, "a\x1b[31mb", "<script>|x\"")
    assert done.code == 3 and b"\x1b" not in done.out and done.err == ""


# --- memory ---------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_list(many: Program) -> None:
    """All names of one zone by a wildcard. Names differ, so the resolver's cache grows up to its
    own limit; beyond it a finished domain leaves nothing."""
    world = many.world
    servers = add_hosts(world, 2)
    world.add_zone("wild.example", ["*.a MX 10 mx0.hosts.example.", "*.b MX 10 mx1.hosts.example."])
    world.start()

    def peak(n: int) -> int:
        done = check(many, [f"n{i}.{'ab'[i % 2]}.wild.example" for i in range(n)], timeout=300)
        assert done.code == 0 and len(done.out.splitlines()) == n
        return done.peak_kib

    few, more = (1000, 3000) if SHORT else (2000, 10000)
    small, large = peak(few), peak(more)
    assert sum(connections(servers).values()) == 2 * 2 * KEY_TYPES
    # KiB; the cache has some 0.4 a domain, and what is in flight at a time varies by 15 MiB.
    # AddressSanitizer keeps what is freed.
    assert large - small < 3 * (more - few) * many.memory_factor, (small, large)


# --- resuming, stopping ---------------------------------------------------------------------------


def hosted(many: Program, n: int, **smtp: Any) -> list[str]:
    """n domains, each with a name of its own at one server, so that sessions take their time."""
    world = many.world
    cert = certs.self_signed("mx")
    server = world.add_smtp(Smtp(tls=Tls([cert.write(world.dir / "mx.pem")]), **smtp))
    world.add_zone("hosts.example", [f"mx{i} A {server.addresses[0]}" for i in range(n)])
    world.add_zone("many.example", [f"d{i} MX 10 mx{i}.hosts.example." for i in range(n)])
    world.start()
    return [f"d{i}.many.example" for i in range(n)]


def start(many: Program, *args: str | Path, stdin: Path, **how: Any) -> subprocess.Popen[bytes]:
    with open(stdin, "rb") as source:
        return subprocess.Popen([str(many.path), *many.hints(), *many.anchor(), "check",
                                 *map(str, args)], stdin=source, **how)


def test_resume(many: Program, tmp_path: Path) -> None:
    domains = hosted(many, 12)
    results, listed = tmp_path / "results.jsonl", [*domains, "bob@many.example"]
    done = check(many, listed[:5], "--resume", results)
    assert done.out == b"" and done.code == 1, done.err
    first = results.read_bytes()
    assert first.count(b"\n") == 5
    # The power went: half a line is there.
    results.write_bytes(first + first.splitlines()[0][:40])
    done = check(many, listed, "--resume", results)
    assert results.read_bytes().startswith(first) and done.code == 3
    found = [json.loads(line) for line in results.read_text().splitlines()]
    check_schema(found)
    assert sorted(r["domain"] for r in found) == sorted(listed)
    # Once more: nothing is left to do, and the status is that of the whole list.
    whole = results.read_bytes()
    done = check(many, listed, "--resume", results)
    assert results.read_bytes() == whole and done.code == 3
    assert check(many, domains, "--resume", results).code == 1


def test_resume_spares_what_is_no_result(many: Program, tmp_path: Path) -> None:
    many.world.start()
    for text in (b"my diary", b"my diary\n", b'{"domain": 1}\n', b'{"domain": "x"}\n{"dom',
                 b'{"domain": "x", "verdict": "fine"}\n'):
        path = tmp_path / "diary"
        path.write_bytes(text)
        done = check(many, ["x.example"], "--resume", path)
        assert done.complains(78, "--resume", "diary") and path.read_bytes() == text
    assert check(many, ["x.example"], "--resume", tmp_path).complains(78, "directory")
    assert check(many, ["x.example"], "--resume", "/dev/full").complains(78, "no regular file")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_in_the_middle(many: Program, tmp_path: Path, number: signal.Signals) -> None:
    domains = hosted(many, 30, byte_delay=0.0005)
    listed = tmp_path / "list"
    listed.write_text("".join(f"{d}\n" for d in domains))
    results = tmp_path / "results.jsonl"
    run = start(many, "--resume", results, "-", stdin=listed, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE)
    assert wait_until(lambda: results.exists() and results.read_bytes().count(b"\n") >= 3)
    run.send_signal(number)
    _, errors = run.communicate(timeout=20)
    done = results.read_bytes()
    assert 3 <= done.count(b"\n") < 30
    if number != signal.SIGKILL:
        assert done.endswith(b"\n") and run.returncode == 1
        assert b"interrupted; " in errors and errors.count(b"\n") == 1
    again = check(many, domains, "--resume", results)
    assert again.code == 1, again.err
    found = [json.loads(line) for line in results.read_text().splitlines()]
    assert sorted(r["domain"] for r in found) == sorted(domains)


def test_ctrl_c_leaves_valid_output_in_every_form(many: Program, tmp_path: Path) -> None:
    domains = hosted(many, 30, byte_delay=0.0005)
    listed, page = tmp_path / "list", tmp_path / "page.html"
    listed.write_text("".join(f"{d}\n" for d in domains))
    for form, ending in (("--json", b"}\n"), ("--openmetrics", b"# EOF\n"), ("--nagios", b"\n")):
        sessions = len(many.world.daemons[0].sessions)
        run = start(many, form, "--html", page, "-", stdin=listed, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE)
        assert wait_until(lambda: len(many.world.daemons[0].sessions) >= sessions + 5)
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=20)
        assert run.returncode == 1 and out.endswith(ending), out
        assert page.read_text().endswith("</html>\n")
        page.unlink()
        if form == "--json":
            assert all(json.loads(line)["verdict"] == "none" for line in out.splitlines())
        assert not list(tmp_path.glob("*.tmp"))


def test_progress_on_a_terminal(many: Program, tmp_path: Path) -> None:
    domains = hosted(many, 12, byte_delay=0.0005)
    listed = tmp_path / "list"
    listed.write_text("".join(f"{d}\n" for d in domains))
    leader, follower = pty.openpty()
    run = start(many, "--json", "-", stdin=listed, stdout=subprocess.PIPE, stderr=follower)
    os.close(follower)
    out, _ = run.communicate(timeout=30)
    seen = b""
    try:
        while piece := os.read(leader, 65536):
            seen += piece
    except OSError:
        pass
    os.close(leader)
    assert out.count(b"\n") == 12
    assert b"/12 domains, " in seen and b" none" in seen and seen.endswith(b"\r\x1b[K")
    assert check(many, domains[:2]).err == ""  # none where there is no terminal


def test_output_that_cannot_be_written(many: Program, tmp_path: Path) -> None:
    domains = hosted(many, 3)
    with open("/dev/full", "wb") as full:
        for form in ("--json", "--openmetrics", "--nagios", "-v"):
            done = subprocess.run([str(many.path), *many.hints(), *many.anchor(), "check", form,
                                   *domains], stdout=full, stderr=subprocess.PIPE, timeout=60)
            assert done.returncode == (3 if form == "--nagios" else 74), done.stderr
            assert done.stderr.count(b"\n") == 1
    done = many("check", "--html", tmp_path / "nowhere/x.html", *domains)
    assert done.code == 74 and "nowhere" in done.err
