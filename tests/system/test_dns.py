"""edge/dns seen from outside: the self-test, forwarders, failures that are no absences, load."""

from __future__ import annotations

import os
import random
import resource
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Iterator

import pytest

from lab.dns_server import DnsServer, Rule
from lab.pytest_plugin import Daneway, parse
from lab.unbound import Unbound
from lab.world import World
from lab.zones import Damage, Zone
from program import MESSAGE, Done, Program

TLSA = "3 1 1 " + "ab" * 32
DANE = ["@ MX 10 mx", "mx A 192.0.2.1", f"_25._tcp.mx TLSA {TLSA}"]
DELIVER = ["deliver", "--from", "a@sender.test", "--to", "b@good.example"]
COMMANDS = pytest.mark.parametrize("command", [["policy", "good.example"], DELIVER],
                                   ids=["policy", "deliver"])


@contextmanager
def _silent(*addresses: str, port: int = 53) -> Iterator[None]:
    """Servers that read (the kernel does) and never answer."""
    with ExitStack() as stack:
        for address in addresses:
            udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            udp.bind((address, port))
        yield


@pytest.fixture(scope="module")
def site() -> Iterator[World]:
    """One world for most of this file."""
    world = World("dns")
    world.add_zone("good.example", DANE)
    world.add_zone("big.example", DANE, extra_dnskeys=4)
    _add_internal_names(world)
    _add_aliases(world)
    _add_faults(world)
    world.start()
    yield world
    world.stop()


@pytest.fixture(scope="module")
def program(daneway: Daneway, site: World) -> Program:
    return Program(daneway, site)


# --- the self-test

def _stranger() -> str:
    return f". IN DS {Zone('.').ds()[0].to_text()}\n"


@COMMANDS
@pytest.mark.parametrize("text", [
    _stranger(), "", "; only a comment\n", f"example. IN DS {Zone('example.').ds()[0].to_text()}\n",
    "rubbish\n", "\x00\xff" * 50, None], ids=["stranger", "empty", "comment", "not-root", "rubbish",
                                              "binary", "missing"])
def test_anchor(program: Program, tmp_path: Path, command: list[str], text: str | None) -> None:
    anchor = tmp_path / "anchor.key"
    if text is not None:
        anchor.write_text(text, encoding="latin-1")
    done = program.bare(*program.hints(), "--trust-anchor", anchor, *command, stdin=MESSAGE)
    assert done.complains(78, "anchor")
    assert "clock" not in done.err


def test_anchor_is_a_directory(program: Program, tmp_path: Path) -> None:
    done = program.bare(*program.hints(), "--trust-anchor", tmp_path, "policy", "good.example")
    assert done.complains(78, "anchor", str(tmp_path))


@pytest.fixture(scope="module", params=["expired", "not-yet-valid"])
def other_time(request: pytest.FixtureRequest) -> Iterator[World]:
    """To its validator this machine's clock is wrong."""
    world = World("time")
    world.zones["."].zone.damages.append(Damage(request.param))
    world.start()
    yield world
    world.stop()


@COMMANDS
def test_clock(daneway: Daneway, other_time: World, command: list[str]) -> None:
    done = Program(daneway, other_time)(*command, stdin=MESSAGE)
    assert done.complains(78, "clock")
    assert "update the anchor" not in done.err


@COMMANDS
@pytest.mark.parametrize("silent", [False, True], ids=["refuses", "silent"])
def test_root_unreachable(program: Program, site: World, tmp_path: Path, command: list[str],
                          silent: bool) -> None:
    address = site.address()
    hints = tmp_path / "hints"
    hints.write_text(f". 3600 IN NS a.root.\na.root. 3600 IN A {address}\n")
    with _silent(*[address] * silent):
        done = program.bare("--root-hints", hints, *program.anchor(), "--dns-timeout", "1",
                            *command, stdin=MESSAGE)
    assert done.complains(75)
    assert done.seconds < 3


@pytest.mark.parametrize("text", ["", "; only a comment\n", "rubbish\n", "\x00\xff" * 50,
                                  ". 3600 IN NS a.root.\n", "a.root. IN A 999.1.1.1\n", None],
                         ids=["empty", "comment", "rubbish", "binary", "no-address", "no-number",
                              "missing"])
def test_hints(program: Program, tmp_path: Path, text: str | None) -> None:
    hints = tmp_path / "hints"
    if text is not None:
        hints.write_text(text, encoding="latin-1")
    done = program.bare("--root-hints", hints, *program.anchor(), "policy", "good.example")
    assert done.complains(78, str(hints))


# --- forwarders

@pytest.fixture(scope="module")
def unbound(site: World) -> Iterator[Unbound]:
    resolver = site.add_resolver("127.0.0.5")
    yield resolver
    resolver.stop()


@pytest.fixture(scope="module")
def forward(program: Program, unbound: Unbound) -> Any:
    """Runs `policy good.example` through forwarders."""
    def run(*addresses: str, anchor: Path = program.world.trust_anchor) -> Done:
        words = [word for address in addresses for word in ("--forward", address)]
        return program.bare(*words, "--trust-anchor", anchor, "--dns-timeout", "3", "policy",
                            "good.example")
    return run


def _forwarder(site: World, rules: list[Rule]) -> str:
    address = site.address()
    site.add_daemon(DnsServer([address], "127.0.0.5", site.logs / f"forwarder-{address}", rules))
    return address


def test_forward(forward: Any, unbound: Unbound) -> None:
    done = forward(unbound.address)
    assert (done.code, done.json["outcome"]) == (0, "dane")


def test_forward_with_port(forward: Any, unbound: Unbound) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as front:
        front.bind(("127.0.0.6", 5300))
        seen: list[bytes] = []

        def relay() -> None:
            while True:
                try:
                    data, peer = front.recvfrom(65535)
                except OSError:
                    return
                seen.append(data)
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
                    back.settimeout(3)
                    back.sendto(data, (unbound.address, 53))
                    front.sendto(back.recv(65535), peer)

        threading.Thread(target=relay, daemon=True).start()
        done = forward("127.0.0.6@5300")
    assert (done.code, done.json["outcome"]) == (0, "dane") and seen


def test_forward_strips_signatures(forward: Any, site: World) -> None:
    done = forward(_forwarder(site, [Rule("strip-rrsig")]))
    assert done.complains(78, "forwarder", "signatures")


def test_forward_stranger(forward: Any, unbound: Unbound, tmp_path: Path) -> None:
    """Everything is bogus: that is the anchor's fault, not the forwarder's."""
    anchor = tmp_path / "anchor.key"
    anchor.write_text(_stranger())
    done = forward(unbound.address, anchor=anchor)
    assert done.complains(78, "anchor")
    assert "forwarder" not in done.err


@pytest.mark.parametrize("silent", [False, True], ids=["refuses", "silent"])
def test_forward_dead(forward: Any, site: World, silent: bool) -> None:
    address = site.address()
    with _silent(*[address] * silent):
        assert forward(address).complains(75)


def test_forward_first_is_dead(forward: Any, site: World, unbound: Unbound) -> None:
    assert forward(site.address(), unbound.address).json["outcome"] == "dane"


@pytest.mark.parametrize("words", [
    ["--forward", "127.0.0.5", "--root-hints", "HINTS"], ["--forward", "rubbish"],
    ["--forward", "127.0.0.5@"], ["--forward", "127.0.0.5@0"], ["--forward", "127.0.0.5@65536"],
    ["--forward", "@53"], ["--forward", "ns.example"], ["--forward", ""], ["--forward"]],
    ids=" ".join)
def test_forward_usage(program: Program, words: list[str]) -> None:
    words = [str(program.world.root_hints) if word == "HINTS" else word for word in words]
    assert program.bare("policy", "good.example", *program.anchor(), *words).complains(
        64, "--forward")


# --- who is asked

INTERNAL = ["mail.test", "mail.home.arpa", "mail.localhost", "mail.invalid", "mail.onion",
            "mail.local"]
REVERSE = ["mail.10.in-addr.arpa", "mail.168.192.in-addr.arpa", "mail.127.in-addr.arpa",
           "mail.8.b.d.0.1.0.0.2.ip6.arpa"]


def _add_internal_names(world: World) -> None:
    for name in ("arpa", "localhost", "invalid", "onion", "local"):
        world.add_zone(name, servers=[(f"a.nic.{name}.", world.tiers[1].addresses)])
    for name in INTERNAL + REVERSE:
        world.add_zone(name, DANE)


@pytest.mark.parametrize("domain", INTERNAL + REVERSE)
def test_nothing_is_answered_internally(program: Program, domain: str) -> None:
    done = program.policy(domain)
    assert (done.code, done.json["outcome"]) == (0, "dane"), done.json["detail"]


@pytest.mark.parametrize("where", ["hints", "built-in", "forward"])
@COMMANDS
def test_the_systems_resolver_is_never_asked(program: Program, unbound: Unbound, where: str,
                                             command: list[str]) -> None:
    """/etc/resolv.conf names 127.0.0.1 here."""
    words = {"hints": program.hints(), "forward": ["--forward", unbound.address], "built-in": []}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, \
            socket.create_server(("127.0.0.1", 53)) as tcp:
        udp.bind(("127.0.0.1", 53))
        udp.setblocking(False)
        tcp.setblocking(False)
        program.bare(*words[where], *program.anchor(), "--dns-timeout", "1", "--connect-timeout",
                     "1", *command, stdin=MESSAGE)
        for trap in (lambda: udp.recv(512), tcp.accept):
            with pytest.raises(BlockingIOError):
                trap()


# --- failures are no absences (R11-R13, R27)

FAILURES = ["servfail", "refused", "notimp", "formerr", "drop", "malformed", "wrong-id",
            "wrong-question", "tc-refuse", "tc-close", "tc-hang"]
UNPROVEN = ["nxdomain", "empty", "strip-rrsig"]
SECURITY = {**dict.fromkeys(FAILURES, "failed"), **dict.fromkeys(UNPROVEN, "bogus")}


def _add_faults(world: World) -> None:
    """For each fault a name server that has it for one kind of question in each of its zones."""
    slow = world.add_dns([Rule("slow", "slow.example", "MX", delay=1)])
    world.add_zone("slow.example", DANE, servers=[("ns.slow.example.", slow.addresses)])
    for fault in SECURITY:
        action, _, tcp = fault.partition("-") if fault.startswith("tc-") else (fault, "", "serve")
        action = "truncate" if action == "tc" else action
        server = world.add_dns(
            [Rule(action, f"mx-{fault}.example", "MX"), Rule(action, f"mx-{fault}.plain", "MX"),
             Rule(action, f"mx.address-{fault}.example", "A"),
             Rule(action, f"mx.address-{fault}.example", "AAAA"),
             Rule(action, f"_25._tcp.mx.tlsa-{fault}.example", "TLSA")], tcp=tcp)
        for name in ("mx-{}.example", "address-{}.example", "tlsa-{}.example", "mx-{}.plain"):
            zone = name.format(fault)
            algorithm = None if zone.endswith("plain") else 13
            world.add_zone(zone, DANE, servers=[(f"ns.{zone}.", server.addresses)],
                           algorithm=algorithm)


@pytest.fixture(scope="module")
def faulty(program: Program) -> dict[str, Any]:
    """All decisions of one run."""
    domains = [f"{kind}-{fault}.example" for kind in ("mx", "address", "tlsa")
               for fault in SECURITY] + [f"mx-{fault}.plain" for fault in FAILURES]
    done = program.policies(domains, "--dns-timeout", "4")
    assert done.code == 75
    return {line["domain"]: line for line in done.lines}


@pytest.mark.parametrize("fault", SECURITY)
def test_mx_lookup_fails(faulty: dict[str, Any], fault: str) -> None:
    said = faulty[f"mx-{fault}.example"]
    assert (said["outcome"], said["mx"], said["hosts"]) == (
        "defer", {"security": SECURITY[fault], "kind": None}, []), said
    assert said["status"] == ("4.7.324" if fault in UNPROVEN else "4.4.3")


@pytest.mark.parametrize("fault", FAILURES)
def test_mx_lookup_fails_unsigned(faulty: dict[str, Any], fault: str) -> None:
    said = faulty[f"mx-{fault}.plain"]
    assert (said["outcome"], said["status"], said["mx"], said["hosts"]) == (
        "defer", "4.4.3", {"security": "failed", "kind": None}, []), said


@pytest.mark.parametrize("fault", SECURITY)
def test_address_lookup_fails(faulty: dict[str, Any], fault: str) -> None:
    said = faulty[f"address-{fault}.example"]
    host, = said["hosts"]
    assert (said["outcome"], said["mx"]["security"]) == ("defer", "secure")
    assert said["status"] == ("4.7.324" if fault in UNPROVEN else "4.4.3")
    assert (host["address_security"], host["level"], host["tlsa_security"], host["tlsa"]) == (
        SECURITY[fault], "unreachable", None, []), host


@pytest.mark.parametrize("fault", SECURITY)
def test_tlsa_lookup_fails(faulty: dict[str, Any], fault: str) -> None:
    said = faulty[f"tlsa-{fault}.example"]
    host, = said["hosts"]
    assert (said["outcome"], said["status"]) == ("defer", "4.7.324")
    assert (host["address_security"], host["tlsa_security"], host["level"], host["tlsa"],
            host["tlsa_base"]) == ("secure", SECURITY[fault], "unreachable", [], None), host


@pytest.mark.parametrize("domain, seconds, security", [
    ("mx-drop.example", 0.5, "failed"), ("mx-drop.example", 2, "failed"),
    ("slow.example", 0.5, "failed"), ("slow.example", 8, "secure")])
def test_dns_timeout(program: Program, domain: str, seconds: float, security: str) -> None:
    done = program("--dns-timeout", str(seconds), "policy", domain)
    assert (done.code, done.json["mx"]["security"]) == (75 * (security == "failed"), security)
    assert done.seconds < seconds + 1


def test_large_key_set(program: Program) -> None:
    """V23: a DNSKEY RRset above 1232 octets comes over TCP."""
    assert program.policy("big.example").json["outcome"] == "dane"


def test_large_key_set_without_tcp(daneway: Daneway, fresh_world: World) -> None:
    server = fresh_world.add_dns(tcp="refuse")
    fresh_world.add_zone("big.example", DANE, extra_dnskeys=4,
                         servers=[("ns.big.example.", server.addresses)])
    fresh_world.start()
    said = Program(daneway, fresh_world)("--dns-timeout", "4", "policy", "big.example").json
    assert said["outcome"] == "defer" and said["mx"]["security"] in ("bogus", "failed"), said


# --- alias chains (R14-R18, A11-A18, M20-M22, T8-T11)

def _chain(length: int, end: str) -> list[str]:
    names = [f"c{length}-{i}" for i in range(length)] + [end]
    return [f"{a} CNAME {b}" for a, b in zip(names, names[1:])]


ALIASES = {  # domain label: its MX host, then what is expected: outcome, tlsa_base of the host
    "expanded": ("to-target", "dane", "target.alias.example"),          # A11
    "original": ("to-bare", "dane", "to-bare.alias.example"),           # A18
    "tail": ("to-plain", "dane", "to-plain.alias.example"),             # A12
    "unsigned": ("from.alias.plain.", "may", None),                     # A13
    "loop": ("loop1", "defer", None),                                   # R18
    "bogus": ("to-bogus", "defer", None),                               # R16
    "dangling": ("to-nothing", "bounce", None),                         # A8
    "chain8": ("c8-0", "dane", "target.alias.example"),                 # R17
    "chain40": ("c40-0", "defer", None),                                # R18
    "tlsa": ("tlsa-to-secure", "dane", "tlsa-to-secure.alias.example"),  # T8
    "tlsa-plain": ("tlsa-to-plain", "may", None),                       # T9
    "tlsa-dangling": ("tlsa-to-nothing", "may", None),                  # T10
    "tlsa-loop": ("tlsa-to-loop", "defer", None),                       # T11
}


def _add_aliases(world: World) -> None:
    world.add_zone("alias.plain", [
        "@ MX 10 host", "host A 192.0.2.3", "from CNAME target.alias.example.",
        f"_25._tcp.host TLSA {TLSA}"], algorithm=None)
    world.add_zone("broken.alias.example", ["host A 192.0.2.4"], damages=[Damage("expired")])
    world.add_zone("alias.example", [
        "target A 192.0.2.1", f"_25._tcp.target TLSA {TLSA}", "bare A 192.0.2.2",
        "to-target CNAME target", "to-bare CNAME bare", f"_25._tcp.to-bare TLSA {TLSA}",
        "to-plain CNAME host.alias.plain.", f"_25._tcp.to-plain TLSA {TLSA}",
        "loop1 CNAME loop2", "loop2 CNAME loop1", "to-bogus CNAME host.broken.alias.example.",
        "to-nothing CNAME nothing", *_chain(8, "target"), *_chain(40, "target"),
        *[f"tlsa-to-{kind} A 192.0.2.5" for kind in ("secure", "plain", "nothing", "loop")],
        "_25._tcp.tlsa-to-secure CNAME _25._tcp.target",
        "_25._tcp.tlsa-to-plain CNAME _25._tcp.host.alias.plain.",
        "_25._tcp.tlsa-to-nothing CNAME nothing", "_25._tcp.tlsa-to-loop CNAME loop1",
        *[f"{label} MX 10 {host}" for label, (host, _, _) in ALIASES.items()],
        "customer CNAME expanded", "customer-plain CNAME alias.plain.",
        "customer-bogus CNAME host.broken.alias.example."])


@pytest.mark.parametrize("label", ALIASES)
def test_alias(program: Program, label: str) -> None:
    _, outcome, base = ALIASES[label]
    said = program("--dns-timeout", "5", "policy", f"{label}.alias.example").json
    assert said["mx"]["security"] == "secure" and said["outcome"] == outcome, said
    assert said["hosts"][0]["tlsa_base"] == base, said


@pytest.mark.parametrize("label, security, outcome", [
    ("customer", "secure", "dane"), ("customer-plain", "insecure", "may"),
    ("customer-bogus", "bogus", "defer")])  # M20, M21, M22
def test_alias_of_the_domain(program: Program, label: str, security: str, outcome: str) -> None:
    said = program.policy(f"{label}.alias.example").json
    assert (said["mx"]["security"], said["outcome"]) == (security, outcome), said


# --- many at once

@pytest.fixture(scope="module")
def dead() -> Iterator[World]:
    """5,000 domains on 500 name-server addresses that never answer, a few that are well."""
    world = World("dead")
    addresses = [world.address() for _ in range(500)]
    tld = world.add_zone("dead", servers=[("a.nic.dead.", world.tiers[1].addresses)],
                         denial="optout")
    for number, address in enumerate(addresses):
        tld.add(f"n{number}", "A", address)
    for number in range(5000):
        tld.add(f"d{number}", "NS", f"n{number % 500}.dead.")
    world.add_zone("good.example", DANE)
    world.start()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(2048, hard), hard))
    with _silent(*addresses):
        yield world
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    world.stop()


def _healthy_after(program: Program, n_dead: int, seconds: float,
                   limits: str) -> tuple[float, Any, int, int]:
    """When the healthy domain's line comes if it stands behind `n_dead` of 5,000 dead ones; the
    line; memory and descriptors in use then."""
    domains = [f"d{i}.dead" for i in range(5000)]
    domains.insert(n_dead, "good.example")
    argv = ["prlimit", f"--nofile={limits}", str(program.path), *program.hints(),
            *program.anchor(), "--dns-timeout", str(seconds), "policy", "-"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin and child.stdout
        threading.Thread(target=_feed, args=(child.stdin, domains), daemon=True).start()
        begin = time.monotonic()
        try:
            for line in child.stdout:
                if b"good.example" in line:
                    break
            elapsed = time.monotonic() - begin
            status = Path(f"/proc/{child.pid}/status").read_text()
            peak = int(status.partition("VmHWM:")[2].split()[0]) // program.memory_factor
            return elapsed, parse(line), peak, len(os.listdir(f"/proc/{child.pid}/fd"))
        finally:
            child.kill()


def _feed(pipe: Any, domains: list[str]) -> None:
    try:
        pipe.write("".join(domain + "\n" for domain in domains).encode())
        pipe.close()
    except OSError:
        pass  # the test has seen enough




def _hard_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


@pytest.mark.parametrize("n_dead, rounds", [(100, 0), (1500, 0), (5000, 2)])
def test_dead_domains_do_not_slow_a_healthy_one(daneway: Daneway, dead: World, n_dead: int,
                                                rounds: int) -> None:
    """2,000 domains are under way at a time, so the last is read after two rounds of time-outs;
    from then on it takes no longer than alone."""
    seconds = 3.0
    elapsed, line, peak, descriptors = _healthy_after(Program(daneway, dead), n_dead, seconds,
                                            f"{_hard_limit()}:{_hard_limit()}")
    assert line["outcome"] == "dane", line
    assert elapsed < (rounds + 1) * seconds  # no further round
    assert peak < 256 * 1024 and descriptors < 9000


def test_low_soft_descriptor_limit(daneway: Daneway, dead: World) -> None:
    """A soft limit is raised to the hard one: nothing changes."""
    elapsed, line, _, _ = _healthy_after(Program(daneway, dead), 1500, 3,
                                         f"256:{_hard_limit()}")
    assert line["outcome"] == "dane" and elapsed < 2


@pytest.mark.parametrize("n_dead", [40, 120])
def test_low_descriptor_limit(daneway: Daneway, dead: World, n_dead: int) -> None:
    """With few sockets it takes longer, but the wait for one is no failure of a healthy domain."""
    elapsed, line, peak, descriptors = _healthy_after(Program(daneway, dead), n_dead, 1, "256:256")
    assert line["outcome"] == "dane", line
    assert descriptors <= 256 and peak < 128 * 1024
    assert elapsed < 2 or n_dead > 100, elapsed


INVALID = ["a..example", "-", "no domain", "a" * 300, "[192.0.2.256]", "x@good.example", "é..test",
           "\udcff.example", "x" * 1500]


def _mixed(domains: list[str]) -> list[str]:
    lines = [domains[i % len(domains)] for i in range(3000)]
    random.Random(2).shuffle(lines)
    return lines


def test_mixed_lines(program: Program) -> None:
    """One object a line for each line, whatever is in it."""
    expected = {"good.example": "dane", "alias.plain": "may", "mx-servfail.example": "defer",
                "big.example": "dane", "mx-refused.plain": "defer",
                **{f"nothing-{i}.example": "bounce" for i in range(20)},
                **dict.fromkeys(INVALID, "invalid")}
    lines = _mixed(list(expected))
    done = program.policies(lines, "--dns-timeout", "4")
    assert done.code == 75
    said = done.lines
    assert len(said) == len(lines)
    count: dict[str, int] = {}
    for line in said:
        count[line["outcome"]] = count.get(line["outcome"], 0) + 1
        if line["outcome"] == "invalid":
            assert line["detail"]
        else:
            assert expected[line["domain"]] == line["outcome"], line
    wanted = [expected[line] for line in lines]
    assert count == {outcome: wanted.count(outcome) for outcome in set(wanted)}
    assert done.peak_kib < 256 * 1024


@pytest.mark.parametrize("octets", [2100, 3000, 100_000, 10_000_000])
def test_line_too_long(program: Program, octets: int) -> None:
    """It costs one `invalid`, and the next line nothing."""
    done = program.policies(["big.example", "x" * octets, "good.example"])
    assert done.code == 65 and len(done.lines) == 3
    assert sorted(line["outcome"] for line in done.lines) == ["dane", "dane", "invalid"]
    assert done.peak_kib < 128 * 1024


@pytest.mark.parametrize("domains, code", [
    (["good.example"], 0), (["good.example", "nothing.example"], 0), ([], 0),
    (["good.example", "a..b"], 65), (["a..b", "mx-servfail.example", "good.example"], 75)])
def test_exit_code_of_many(program: Program, domains: list[str], code: int) -> None:
    done = program.policies(domains, "--dns-timeout", "4")
    assert (done.code, len(done.lines)) == (code, len(domains))


def test_lines_come_in_order_of_completion_at_once(program: Program) -> None:
    """A reader at the other end of a pipe sees a line when it is decided, not when the input ends
    or a buffer is full."""
    argv = [str(program.path), *program.hints(), *program.anchor(), "--dns-timeout", "3", "policy",
            "-"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin and child.stdout
        begin = time.monotonic()
        child.stdin.write(b"mx-drop.example\ngood.example\n")
        child.stdin.flush()
        end_of_input = threading.Timer(5, child.stdin.close)
        end_of_input.start()
        first = parse(child.stdout.readline())
        elapsed = time.monotonic() - begin
        end_of_input.cancel()
        child.stdin.close()
        second = parse(child.stdout.readline())
    assert (first["domain"], second["domain"]) == ("good.example", "mx-drop.example")
    assert elapsed < 2
