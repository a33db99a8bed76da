"""What `daneway check` costs: beside posttls-finger, beside its bare parts, and over shared hosts."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, Sequence

from bench.measure import Bench, BenchError, Pair, Sink, alternate
from lab import certs
from lab.unbound import Unbound
from lab.world import World

AT_A_TIME = 8  # posttls-finger processes
KEY_TYPES = 3  # that a tester asks a server for: what it chooses, then the two others
# What a tester offers so that a server shows its key of this kind.
SIGNATURES = ("any", "RSA-PSS+SHA256:RSA+SHA256", "ed25519:ed448")


@contextlib.contextmanager
def apart() -> Iterator[None]:
    """The first processor for what is measured (this process and what it starts from now on), the
    others for all that runs already: the servers. Else how many domains a second a client does is as
    much a figure of the servers that share its processors."""
    allowed = sorted(os.sched_getaffinity(0))
    others = set(allowed[1:]) or set(allowed)

    def give(cpus: set[int]) -> None:
        for task in Path("/proc").glob("[0-9]*/task/[0-9]*"):
            with contextlib.suppress(OSError):  # ended meanwhile
                os.sched_setaffinity(int(task.name), cpus)

    give(others)
    os.sched_setaffinity(0, set(allowed[:1]))
    try:
        yield
    finally:
        give(set(allowed))


def ticks(pid: int) -> float:
    """CPU seconds of a process that lives."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def check(bench: Bench, *options: str) -> tuple[float, float]:
    """`daneway check -` over all domains, cold: CPU and wall seconds."""
    argv = [str(bench.build / "daneway"), "--root-hints", bench.roots[0], "--trust-anchor",
            bench.roots[1], "check", "--json", *options, "-"]
    out, cpu, wall = bench.run(argv, bench.domain_list)
    verdicts = Counter(json.loads(line)["verdict"] for line in out.splitlines())
    if verdicts != {"dane": bench.n}:
        raise BenchError(f"check: not all domains are dane: {verdicts}")
    return cpu, wall


class Finger:
    """posttls-finger of Postfix with an Unbound of its own; a new one for each run, so it is cold."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        world = bench.world
        self.unbound = Unbound(world.dir / "finger", world.logs / "finger.log", world.root_hints,
                               world.trust_anchor)
        self.postfix = world.add_sender()

    def run(self) -> tuple[float, float]:
        """CPU seconds, Unbound's too, and wall seconds."""
        self.unbound.start()
        self.unbound.wait()
        try:
            pid = self.unbound._process.popen.pid
            before = ticks(pid)
            argv = ["xargs", "-P", str(AT_A_TIME), "-n", "1",
                    *self.postfix.tool("posttls-finger", "-c", "-l", "dane", "-L", "summary")]
            out, cpu, wall = self.bench.run(argv, self.bench.domain_list)
            cpu += ticks(pid) - before
        finally:
            self.unbound.stop()
        text = out + (self.bench.world.logs / "stderr").read_bytes()
        if len(re.findall(rb"Verified TLS connection established", text)) != self.bench.n:
            raise BenchError(f"posttls-finger: not all are verified: {text[-300:]!r}")
        return cpu, wall


def measure_finger(bench: Bench, rounds: int) -> tuple[Pair, Pair]:
    """(a) CPU milliseconds a domain, and wall milliseconds."""
    cpu, wall, finger = Pair(), Pair(), Finger(bench)

    def note(cpus: list[float], walls: list[float], result: tuple[float, float]) -> None:
        cpus.append(result[0] * 1000 / bench.n)
        walls.append(result[1] * 1000 / bench.n)

    bench.sink.restart()
    with apart():
        alternate(rounds, lambda: note(cpu.ours, wall.ours, check(bench, "--only", "dane")),
                  lambda: note(cpu.peer, wall.peer, finger.run()))
    return cpu, wall


# What the walk asks every address of a name server: of the zone, then of its names.
WALK = [("{0}", 48, "udp"), ("{0}", 6, "udp"), ("{0}", 2, "udp"), ("{0}", 6, "tcp"),
        ("{0}", 15, "udp"), ("mx.{0}", 1, "udp"), ("mx.{0}", 28, "udp"),
        ("_25._tcp.mx.{0}", 52, "udp"), ("_tcp.mx.{0}", 1, "udp")]


def datagrams() -> int:
    """UDP datagrams that were received in this network."""
    text = Path("/proc/net/snmp").read_text()
    heads, values = [line.split() for line in text.splitlines() if line.startswith("Udp:")]
    six = re.search(r"Udp6InDatagrams\s+(\d+)", Path("/proc/net/snmp6").read_text())
    return int(values[heads.index("InDatagrams")]) + int(six.group(1) if six else 0)


@dataclass
class Parts:
    """CPU milliseconds a domain, ours and the sum of the bare parts; and, a domain, how many
    handshakes and DNS questions there were."""

    cpu: Pair
    handshakes: float
    questions: Pair  # over UDP


def measure_parts(bench: Bench, rounds: int) -> Parts:
    """(b) All parts, and the same questions put to bare libunbound and by bare sockets, and the same
    sessions by bare OpenSSL."""
    pair, questions, scale = Pair(), Pair(), 1000 / bench.n
    servers = bench.world.tiers[2].addresses
    walk = "".join(f"{server} {name.format(domain)} {kind} {how}\n" for domain in bench.domains
                   for name, kind, how in WALK for server in servers).encode()

    def counted(counts: list[float], work: Callable[[], float]) -> float:
        before = datagrams()
        cpu = work()
        counts.append((datagrams() - before) / 2 / bench.n)  # and as many answers
        return cpu * scale

    def bare() -> float:
        cpu = bench.bare_unbound(1, "check")
        cpu += bench.program([str(bench.build / "bench/bare_dns"), "200"], walk,
                             len(WALK) * len(servers) * bench.n)[1]
        for signatures in SIGNATURES:
            argv = [str(bench.build / "bench/bare_tls"), "probe", "64", signatures]
            cpu += bench.program(argv, bench.address_list, bench.n)[1]
        return cpu

    bench.sink.restart()
    alternate(rounds,
              lambda: pair.ours.append(counted(questions.ours, lambda: check(bench)[0])),
              lambda: pair.peer.append(counted(questions.peer, bare)))
    bench.sink.restart()
    return Parts(pair, bench.sink.handshakes / bench.n / rounds / 2, questions)


@dataclass
class Shared:
    """One run over domains that share hosts."""

    seconds: float  # CPU
    handshakes: int
    peak_kib: int


class SharedBench:
    """(c) Hosts, and a zone where each name below hN has host N as its MX."""

    def __init__(self, build: Path, hosts: int) -> None:
        self.build, self.hosts = build, hosts
        self.world = World("shared")
        cert = certs.self_signed("mx.hosts.example")
        addresses = [self.world.address() for _ in range(hosts)]
        lines = [f"mx{i} A {a}" for i, a in enumerate(addresses)]
        lines += [f"_25._tcp.mx{i} TLSA {cert.tlsa(3, 1, 1)}" for i in range(hosts)]
        self.world.add_zone("hosts.example", lines)
        self.world.add_zone("many.example", [f"*.h{i} MX 10 mx{i}.hosts.example."
                                             for i in range(hosts)])
        self.sink = Sink(build / "bench/sink", cert.write(self.world.dir / "sink.pem"), addresses,
                         self.world.logs / "sink.log")
        self.world.add_daemon(self.sink)
        self.world.start()

    def run(self, domains: int) -> Shared:
        self.sink.restart()
        source, output = self.world.dir / "stdin", self.world.dir / "stdout"
        source.write_text("".join(f"d{i}.h{i % self.hosts}.many.example\n"
                                  for i in range(domains)))
        argv = [str(self.build / "daneway"), "--root-hints", str(self.world.root_hints),
                "--trust-anchor", str(self.world.trust_anchor), "check", "--json", "-"]
        cpu, peak, code = watched(argv, source, output)
        verdicts = Counter(json.loads(line)["verdict"] for line in open(output, "rb"))
        if code != 0 or verdicts != {"dane": domains}:
            raise BenchError(f"check of shared hosts: exit {code}, {verdicts}")
        self.sink.restart()
        return Shared(cpu, self.sink.handshakes, peak)

    def stop(self) -> None:
        self.world.stop()


def watched(argv: list[str], source: Path, output: Path) -> tuple[float, int, int]:
    """CPU seconds, peak of resident memory in KiB, exit code. rusage would tell the peak of the
    process that forked it, too."""
    peak = [0]

    def watch(pid: int) -> None:
        while True:
            try:
                found = re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())
            except OSError:
                return
            if not found:
                return
            peak[0] = int(found.group(1))
            time.sleep(0.05)

    with open(source, "rb") as i, open(output, "wb") as o:
        process = subprocess.Popen(argv, stdin=i, stdout=o)
        watcher = threading.Thread(target=watch, args=(process.pid,))
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        watcher.join()
    return usage.ru_utime + usage.ru_stime, peak[0], process.returncode


def measure_shared(build: Path, hosts: int, numbers: Sequence[int]) -> list[Shared]:
    bench = SharedBench(build, hosts)
    try:
        return [bench.run(n) for n in numbers]
    finally:
        bench.stop()
