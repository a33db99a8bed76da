"""What the gateway costs, beside Postfix: mail in, mail out, mail through.

Both stand on the same disk, each run on an empty folder there; both answer 250 after fsync. Postfix runs
as Debian ships it, but for what names the lab's network (lab/postfix.py) and what is said here.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator

from bench.measure import OCTETS, PORT, Bench, BenchError, Pair, Sink, alternate
from lab import certs
from lab.gateway import Gateway
from lab.postfix import Postfix
from lab.unbound import Unbound
from lab.world import World

HERE = "in.example"       # the gateway's own domain
FAR = "far.example"       # one domain of somebody else
RELAY_PORT = 2525
WAIT = 300                # seconds, at most, for all mail to come out
CONNECTIONS = 50          # of the load


@dataclass
class Run:
    """One run of one program: milliseconds of CPU a message, messages a second."""

    cpu: float
    rate: float


@dataclass
class Both:
    """Lower is better in both pairs."""

    cpu: Pair = field(default_factory=Pair)
    wall: Pair = field(default_factory=Pair)  # milliseconds a message

    def note(self, ours: bool, run: Run) -> None:
        (self.cpu.ours if ours else self.cpu.peer).append(run.cpu)
        (self.wall.ours if ours else self.wall.peer).append(1000 / run.rate)


# --- processor time of a tree of processes ---------------------------------------------------------

def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def tree_ticks(root: int) -> float:
    """Seconds of `root` and all below it, the ended ones too: a parent has those it waited for."""
    found: dict[int, tuple[int, int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = _stat(int(entry.name))
            own = sum(int(f) for f in fields[11:13])
            found[int(entry.name)] = (int(fields[1]), own + sum(int(f) for f in fields[13:15]))
    mine, grown = {root}, True
    while grown:
        more = {pid for pid, (parent, _) in found.items() if parent in mine} - mine
        grown = bool(more)
        mine |= more
    return sum(found[pid][1] for pid in mine if pid in found) / os.sysconf("SC_CLK_TCK")


# --- the two programs ------------------------------------------------------------------------------

class Ours:
    """`daneway serve`."""

    def __init__(self, bench: "GatewayBench", folder: Path, hold: bool) -> None:
        self.bench = bench
        world = bench.world
        target = "127.0.0.1" if hold else bench.sink_addresses[0]
        port = 9 if hold else PORT
        outbound = {"next_hop": "smtp:[127.0.0.1]:9"} if hold else {}
        self.server = Gateway(bench.build / "daneway", world, {
            "hostname": "mx.bench.example", "state": str(folder / "state"),
            "certificates": [{"chain": str(bench.pem), "key": str(bench.pem)}],
            "listeners": [{"mx": f"{bench.at}:{PORT}"},
                          {"relay": f"{bench.at}:{RELAY_PORT}", "networks": ["198.18.0.0/15"]}],
            "domains": {HERE: {"next_hop": f"smtp:[{target}]:{port}", "tls": "may", "verify": "none"}},
            "outbound": outbound,
            "limits": {"connections_per_client": 1000},
            "log": {"level": "info"},
        })

    def start(self) -> None:
        self.server.start()
        self.server.wait()

    def seconds(self) -> float:
        assert self.server.popen
        return tree_ticks(self.server.popen.pid)

    def go(self) -> None:
        """What was held may go."""
        self.server.reload(outbound={}, domains={
            HERE: {"next_hop": f"smtp:[{self.bench.sink_addresses[0]}]:{PORT}", "verify": "none"}})
        done = self.server.tool("queue", "retry", "--all")
        if done.returncode != 0:
            raise BenchError(f"queue retry: {done.stderr}")

    def stop(self) -> None:
        self.server.stop()


class Theirs:
    """Postfix, with an Unbound."""

    def __init__(self, bench: "GatewayBench", folder: Path, hold: bool) -> None:
        self.bench = bench
        world = bench.world
        self.unbound = Unbound(folder / "unbound", world.logs / "bench-unbound.log", world.root_hints,
                               world.trust_anchor)
        extra = {
            "mydestination": "", "relay_domains": HERE, "relay_recipient_maps": "",
            "relay_transport": f"smtp:[{bench.sink_addresses[0]}]",
            "mynetworks": "127.0.0.0/8 [::1]/128 198.18.0.0/15",
            "smtpd_relay_restrictions": "permit_mynetworks reject_unauth_destination",
            "smtpd_client_connection_count_limit": "0", "smtpd_tls_security_level": "may",
            "smtpd_tls_chain_files": str(bench.pem), "smtpd_tls_loglevel": "0",
            "smtp_tls_loglevel": "0", "queue_run_delay": "300s", "minimal_backoff_time": "300s",
            "maximal_backoff_time": "4000s", "smtpd_peername_lookup": "no",
        }
        if hold:
            extra["smtpd_recipient_restrictions"] = "check_client_access static:HOLD"
        self.server = Postfix("bench", folder / "postfix", world.logs / "bench-postfix.log",
                              hostname="mx.bench.example", listen=[bench.at], tls_level="dane",
                              extra=extra,
                              services=[f"{bench.at}:{RELAY_PORT} inet n - n - - smtpd"])

    def start(self) -> None:
        self.unbound.start()
        self.unbound.wait()
        self.server.start()
        self.server.wait()

    def seconds(self) -> float:
        assert self.server._process and self.unbound._process
        return (tree_ticks(self.server._process.popen.pid)
                + tree_ticks(self.unbound._process.popen.pid))

    def go(self) -> None:
        subprocess.run(self.server.tool("postsuper", "-H", "ALL"), check=True, capture_output=True)
        subprocess.run(self.server.tool("postqueue", "-f"), check=True, capture_output=True)

    def stop(self) -> None:
        self.server.stop()
        self.unbound.stop()


# --- the world -------------------------------------------------------------------------------------

class GatewayBench:
    """A far domain with an MX host of its own, many domains on some MX hosts, all at one sink."""

    def __init__(self, build: Path, domains: int, hosts: int) -> None:
        self.build = build
        self.world = world = World("gateway")
        self.at = world.address()
        cert = certs.self_signed("mx.bench.example")
        record = cert.tlsa(3, 1, 1)
        self.pem = cert.write(world.dir / "gateway.pem")
        self.pem.chmod(0o600)
        shutil.chown(self.pem, "daneway")
        self.sink_addresses = [world.address() for _ in range(hosts + 1)]
        lines = []
        for number, address in enumerate(self.sink_addresses):
            lines += [f"mx{number} A {address}", f"_25._tcp.mx{number} TLSA {record}"]
        world.add_zone("hosts.example", lines)
        world.add_zone(FAR, ["@ MX 10 mx0.hosts.example."])
        self.cold = []
        for number in range(domains):
            self.cold.append(f"c{number:04}.example")
            world.add_zone(self.cold[-1], [f"@ MX 10 mx{number % hosts + 1}.hosts.example."])
        self.sink = Sink(build / "bench/sink", self.pem, self.sink_addresses,
                         world.logs / "gateway-sink.log")
        world.add_daemon(self.sink)
        world.start()

    def stop(self) -> None:
        self.world.stop()

    @contextlib.contextmanager
    def running(self, kind: Callable[..., Any], hold: bool) -> Iterator[Any]:
        folder = Path(tempfile.mkdtemp(prefix="daneway-bench-", dir="/var/tmp"))
        folder.chmod(0o755)
        program = kind(self, folder, hold)
        try:
            program.start()
            yield program
        finally:
            program.stop()
            shutil.rmtree(folder, ignore_errors=True)

    def load(self, port: int, tls: str, per_connection: int, messages: int,
             recipients: list[str]) -> float:
        """Seconds on the wall until all of it was taken."""
        argv = [str(self.build / "bench/load"), self.at, str(port), tls, str(CONNECTIONS),
                str(per_connection), str(messages), str(OCTETS), "bench@sender.example"]
        source = self.world.dir / "recipients"
        source.write_text("".join(f"{r}\n" for r in recipients))
        output = self.world.dir / "load.out"
        with open(source, "rb") as i, open(output, "wb") as o:
                done = subprocess.run(argv, stdin=i, stdout=o, stderr=subprocess.PIPE, timeout=WAIT)
        if done.returncode != 0:
            raise BenchError(f"load: {done.stderr.decode()}")
        result = json.loads(output.read_text())
        if result["done"] != messages:
            raise BenchError(f"load: {result['done']} of {messages}")
        return result["wall"]

    def taken(self) -> int:
        """Messages that the sink has now."""
        assert self.sink._process
        self.sink._process.popen.send_signal(signal.SIGUSR1)
        time.sleep(0.01)
        lines = [line for line in self.sink.log.read_text().splitlines() if line.startswith("{")]
        return json.loads(lines[-1])["messages"] if lines else 0

    def wait_taken(self, messages: int) -> None:
        end = time.monotonic() + WAIT
        while self.taken() < messages:
            if time.monotonic() > end:
                raise BenchError(f"only {self.taken()} of {messages} messages came out")
            time.sleep(0.02)

    # --- the cases

    def mail_in(self, kind: Callable[..., Any], tls: str, per_connection: int, messages: int) -> Run:
        with self.running(kind, hold=True) as program:
            self.load(PORT, tls, per_connection, messages // 10, [f"user@{HERE}"])
            before = program.seconds()
            wall = self.load(PORT, tls, per_connection, messages, [f"user@{HERE}"])
            return Run((program.seconds() - before) * 1000 / messages, messages / wall)

    def mail_out(self, kind: Callable[..., Any], recipients: list[str], messages: int) -> Run:
        self.sink.restart()
        with self.running(kind, hold=True) as program:
            self.load(RELAY_PORT, "clear", 1000, messages, recipients)
            before, began = program.seconds(), time.monotonic()
            program.go()
            self.wait_taken(messages)
            wall = time.monotonic() - began
            time.sleep(0.3)  # results are written
            return Run((program.seconds() - before) * 1000 / messages, messages / wall)

    def mail_through(self, kind: Callable[..., Any], messages: int) -> Run:
        self.sink.restart()
        with self.running(kind, hold=False) as program:
            before, began = program.seconds(), time.monotonic()
            self.load(RELAY_PORT, "tls", 100, messages, [f"user@{FAR}"])
            self.wait_taken(messages)
            wall = time.monotonic() - began
            time.sleep(0.3)
            return Run((program.seconds() - before) * 1000 / messages, messages / wall)


def cases(bench: GatewayBench, n: int) -> list[tuple[str, float, float | None,
                                                      Callable[[Callable[..., Any]], Run]]]:
    """Name, goal of the CPU's ratio and of the time's, and how it is run."""
    far, cold = [f"user@{FAR}"], [f"user@{domain}" for domain in bench.cold]
    return [
        ("in, TLS, kept connections", 0.30, 1 / 3,
         lambda kind: bench.mail_in(kind, "tls", 1000, 2 * n)),
        ("in, TLS, a connection each", 0.50, None, lambda kind: bench.mail_in(kind, "tls", 1, n)),
        ("in, clear, a connection each", 0.50, None,
         lambda kind: bench.mail_in(kind, "clear", 1, n)),
        ("out, reuse, one domain", 0.30, 1 / 5, lambda kind: bench.mail_out(kind, far, n)),
        ("out, many domains on 20 MX hosts, cold", 0.30, None,
         lambda kind: bench.mail_out(kind, cold, n)),
        ("through, over TLS, out under DANE", 0.45, None,
         lambda kind: bench.mail_through(kind, n)),
    ]


def compare(rounds: int, run: Callable[[Callable[..., Any]], Run]) -> Both:
    both = Both()
    alternate(rounds, lambda: both.note(True, run(Ours)), lambda: both.note(False, run(Theirs)))
    return both
