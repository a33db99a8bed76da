"""The world of the bench, and its measurements. Every function returns figures; none judges them."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Sequence

from lab import certs
from lab.namespace import LabError
from lab.process import Process
from lab.world import World

OCTETS = 4096  # of the message
PORT = 25


class BenchError(Exception):
    """A run that did not do all it should have: there is no figure."""


@dataclass
class Pair:
    """One quantity, ours and the peer's, a value a round; lower is better."""

    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        return [a / b for a, b in zip(self.ours, self.peer)]

    def ratio(self) -> float:
        return statistics.median(self.ratios)


class Sink:
    """bench/sink as a daemon of the world."""

    def __init__(self, program: Path, pem: Path, addresses: Sequence[str], log: Path) -> None:
        self.program, self.pem, self.addresses, self.log = program, pem, list(addresses), log
        self.hold = self.after = self.handshakes = self.held = 0
        self._process: Process | None = None

    def start(self) -> None:
        text = self.log.with_suffix(".addresses")
        text.write_text("".join(f"{address}\n" for address in self.addresses))
        # The list goes through the shell: a daemon of the lab has no standard input.
        self._process = Process("sink", ["sh", "-c", 'exec "$0" "$1" "$2" "$3" "$4" < "$5"',
                                         str(self.program), str(PORT), str(self.pem),
                                         str(self.hold), str(self.after), str(text)], self.log)

    def wait(self) -> None:
        assert self._process
        self._process.wait_for(self.addresses[-1], PORT)

    def stop(self) -> tuple[int, int]:
        """Returns how many messages and octets it took."""
        if self._process is None:
            return 0, 0
        process, self._process = self._process, None
        process.stop()
        lines = self.log.read_text().splitlines()
        if process.popen.returncode != 0 or not lines:
            raise LabError(f"the sink failed: {process.tail()}")
        result = json.loads(lines[-1])
        self.handshakes = result["handshakes"]  # begun, whether they succeeded or not
        self.held = result["held"]
        return result["messages"], result["octets"]

    def restart(self, hold: int = 0, after: int = 0) -> tuple[int, int]:
        """`hold`, `after`: see bench/sink.c. Returns what it took before."""
        taken = self.stop()
        self.hold, self.after = hold, after
        self.start()
        self.wait()
        return taken


class Bench:
    """Signed domains, each with an MX name of its own in its own zone, all at the sink."""

    def __init__(self, build: Path, n: int) -> None:
        self.build, self.n = build, n
        began = time.monotonic()
        self.world = World("bench")
        cert = certs.self_signed("mx.bench.example")
        record = cert.tlsa(3, 1, 1)
        addresses, self.domains, lines = [], [], []
        for number in range(n):
            domain, address = f"d{number:04}.example", self.world.address()
            self.world.add_zone(domain, ["@ MX 10 mx", f"mx A {address}",
                                         f"_25._tcp.mx TLSA {record}"])
            addresses.append(address)
            self.domains.append(domain)
            lines.append(f"{address} {domain} mx.{domain}\n")
        self.domain_list = "".join(f"{d}\n" for d in self.domains).encode()
        self.address_list = "".join(lines).encode()
        pem = cert.write(self.world.dir / "sink.pem")
        self.sink = Sink(build / "bench/sink", pem, addresses, self.world.logs / "sink.log")
        self.world.add_daemon(self.sink)
        self.world.start()
        self.seconds = time.monotonic() - began

    @property
    def roots(self) -> list[str]:
        return [str(self.world.root_hints), str(self.world.trust_anchor)]

    # --- running

    def run(self, argv: Sequence[str], stdin: bytes) -> tuple[bytes, float, float]:
        """Standard output; CPU seconds (user and system) and wall seconds of the whole process."""
        source = self.world.dir / "stdin"
        source.write_bytes(stdin)
        output, errors = self.world.dir / "stdout", self.world.logs / "stderr"
        with open(source, "rb") as i, open(output, "wb") as o, open(errors, "wb") as e:
            began = time.monotonic()
            process = subprocess.Popen(argv, stdin=i, stdout=o, stderr=e)
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.monotonic() - began
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise BenchError(f"{' '.join(argv)}: exit {process.returncode}: "
                             f"{errors.read_text(errors='replace')[-500:]}")
        return output.read_bytes(), usage.ru_utime + usage.ru_stime, wall

    def program(self, argv: Sequence[str], stdin: bytes, count: int) -> tuple[dict, float]:
        """A program of bench/: what it printed, and the CPU seconds of its whole life."""
        out, cpu, _ = self.run(argv, stdin)
        result = json.loads(out)
        if result["done"] != count:
            raise BenchError(f"{argv[0]}: {result['done']} of {count} done")
        return result, cpu

    # --- (a) DNS

    def policy(self, times: int = 1) -> float:
        """`daneway policy -`, the list `times` times over: CPU seconds."""
        argv = [str(self.build / "daneway"), "--root-hints", self.roots[0], "--trust-anchor",
                self.roots[1], "policy", "-"]
        out, cpu, _ = self.run(argv, self.domain_list * times)
        outcomes = [json.loads(line)["outcome"] for line in out.splitlines()]
        if outcomes != ["dane"] * (self.n * times):
            raise BenchError(f"policy: not all domains are dane: {set(outcomes)}")
        return cpu

    def bare_unbound(self, times: int = 1, *more: str) -> float:
        argv = [str(self.build / "bench/bare_unbound"), *self.roots, "2000", *more]
        return self.program(argv, self.domain_list * times, self.n * times)[1]

    # --- (b) deliveries

    def deliver_many(self, warm: int, in_flight: int, *more: str) -> dict:
        argv = [str(self.build / "bench/deliver_many"), *self.roots, str(OCTETS), str(warm),
                str(in_flight), *more]
        return self.program(argv, self.domain_list, self.n)[0]

    def bare_tls(self, warm: int, in_flight: int, *more: str) -> dict:
        argv = [str(self.build / "bench/bare_tls"), str(OCTETS), str(warm), str(in_flight), *more]
        return self.program(argv, self.address_list, self.n)[0]

    # --- (c) one command

    def deliver_once(self, domain: str) -> tuple[float, float]:
        """CPU and wall seconds of one `daneway deliver`, from its start to its end."""
        argv = [str(self.build / "daneway"), "--root-hints", self.roots[0], "--trust-anchor",
                self.roots[1], "deliver", "--from", "bench@sender.lab.invalid", "--to",
                f"user@{domain}"]
        line = b"x" * 76 + b"\n"
        body = b"Subject: bench\n\n" + line * (OCTETS // len(line))
        out, cpu, wall = self.run(argv, body)
        if json.loads(out)["result"] != "delivered":
            raise BenchError(f"deliver: {out.decode()}")
        return cpu, wall

    def stop(self) -> None:
        self.world.stop()


def alternate(rounds: int, ours: Callable[[], None], peer: Callable[[], None]) -> None:
    """Runs both in every round, the one first in odd rounds, the other in even ones."""
    for number in range(rounds):
        for part in ((ours, peer) if number % 2 == 0 else (peer, ours)):
            part()


def measure_policy(bench: Bench, rounds: int) -> Pair:
    """CPU milliseconds a domain, cold."""
    pair, scale = Pair(), 1000 / bench.n
    alternate(rounds, lambda: pair.ours.append(bench.policy() * scale),
              lambda: pair.peer.append(bench.bare_unbound() * scale))
    return pair


def measure_policy_warm(bench: Bench, rounds: int, cold: Pair, times: int = 11) -> Pair:
    """CPU milliseconds a domain whose answers are in the cache: what the list costs more when it is
    read `times` times instead of once. So often, because the noise of both is in the difference."""
    pair, scale = Pair(), 1000 / bench.n

    def one(values: list[float], program: Callable[[int], float], once: list[float]) -> None:
        values.append((program(times) * scale - statistics.median(once)) / (times - 1))

    alternate(rounds, lambda: one(pair.ours, bench.policy, cold.ours),
              lambda: one(pair.peer, bench.bare_unbound, cold.peer))
    return pair


def measure_deliveries(bench: Bench, rounds: int, in_flight: int) -> tuple[Pair, Pair]:
    """CPU milliseconds a delivery; deliveries a second."""
    cpu, rate = Pair(), Pair()

    def note(cpus: list[float], rates: list[float], result: dict) -> None:
        cpus.append(result["cpu"] * 1000 / bench.n)
        rates.append(bench.n / result["wall"])

    bench.sink.restart()
    alternate(rounds,
              lambda: note(cpu.ours, rate.ours, bench.deliver_many(in_flight, in_flight)),
              lambda: note(cpu.peer, rate.peer, bench.bare_tls(in_flight, in_flight)))
    wanted = 2 * 2 * rounds * bench.n  # programs, passes
    taken = bench.sink.restart()
    if taken != (wanted, wanted * (OCTETS + len(".\r\n"))):
        raise BenchError(f"the sink took {taken[0]} messages, {taken[1]} octets")
    return cpu, rate


def measure_memory(bench: Bench, rounds: int, in_flight: int) -> Pair:
    """KiB for each delivery that waits for the answer to its message. Before, all deliveries have
    been made once, two at a time: caches are full, and of deliveries nothing is left over."""
    pair, scale = Pair(), 1 / 1024 / in_flight

    def one(values: list[float], program: Callable[..., dict]) -> None:
        bench.sink.restart(in_flight, bench.n)
        values.append(program(2, in_flight, "memory")["memory"] * scale)

    alternate(rounds, lambda: one(pair.ours, bench.deliver_many),
              lambda: one(pair.peer, bench.bare_tls))
    bench.sink.restart()
    return pair


def measure_one(bench: Bench, runs: int) -> tuple[float, float]:
    """One `daneway deliver`: medians of CPU and wall milliseconds."""
    results = [bench.deliver_once(bench.domains[i % bench.n]) for i in range(runs)]
    return (statistics.median(r[0] for r in results) * 1000,
            statistics.median(r[1] for r in results) * 1000)
