"""What the gateway costs, beside Postfix: mail in, mail out, mail through.

Both stand on the same disk, each run on an empty folder there; both answer 250 after fsync. Postfix runs
as Debian ships it, but for what names the lab's network (lab/postfix.py) and what is said here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator

from bench import link
from bench.measure import OCTETS, PORT, Bench, BenchError, Pair, Sink, alternate
from lab import certs
from lab.gateway import Gateway
from lab.postfix import Postfix
from lab.unbound import Unbound
from lab.world import World

HERE = "in.example"       # the gateway's own domain
FAR = "far.example"       # one domain of somebody else
RELAY_PORT = 2525
METRICS_PORT = 9725
WAIT = 300                # seconds, at most, without a message that comes out
CONNECTIONS = 50          # of the load
KEPT, EACH = "in, TLS, kept connections", "in, TLS, a connection each"
REUSE = "out, reuse, one domain"
COLD = "out, many domains on 20 MX hosts, cold"


@dataclass
class Run:
    """One run of one program: milliseconds of CPU a message, messages a second; commits to the disk
    a message (ours only), connections to the sink in all."""

    cpu: float
    rate: float
    commits: float | None = None
    connections: int | None = None


@dataclass
class Both:
    """Lower is better in both pairs."""

    cpu: Pair = field(default_factory=Pair)
    wall: Pair = field(default_factory=Pair)  # milliseconds a message
    ours: list[Run] = field(default_factory=list)
    peer: list[Run] = field(default_factory=list)

    def note(self, ours: bool, run: Run) -> None:
        (self.cpu.ours if ours else self.cpu.peer).append(run.cpu)
        (self.wall.ours if ours else self.wall.peer).append(1000 / run.rate)
        (self.ours if ours else self.peer).append(run)


# --- processor time of a tree of processes ---------------------------------------------------------

def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _family() -> dict[int, tuple[int, float]]:
    """Of every process its parent, and the seconds of itself and of the children it waited for."""
    found: dict[int, tuple[int, float]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        with contextlib.suppress(OSError):
            fields = _stat(pid)
            own = time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3): finer than ticks
            ended = sum(int(f) for f in fields[13:15]) / os.sysconf("SC_CLK_TCK")
            found[pid] = (int(fields[1]), own + ended)
    return found


def tree(root: int) -> set[int]:
    """`root` and all below it."""
    found, mine, grown = _family(), {root}, True
    while grown:
        more = {pid for pid, (parent, _) in found.items() if parent in mine} - mine
        grown = bool(more)
        mine |= more
    return mine


def tree_seconds(root: int) -> float:
    """Of processor time, of ended ones too."""
    mine, found = tree(root), _family()
    return sum(found[pid][1] for pid in mine if pid in found)


def pss(pids: set[int]) -> float:
    """MiB: what is shared counts once."""
    kib = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
            kib += int(found.group(1)) if found else 0
    return kib / 1024


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
                          {"relay": f"{bench.at}:{RELAY_PORT}",
                           "networks": ["198.18.0.0/15", link.NETWORK]}],
            "domains": {HERE: {"next_hop": f"smtp:[{target}]:{port}", "tls": "may", "verify": "none"}},
            "outbound": outbound,
            "limits": {"connections_per_client": 1000},
            "metrics": {"listen": f"127.0.0.1:{METRICS_PORT}"},
        }, via=bench.via)

    def start(self) -> None:
        began = self._log_size()
        self.server.start()
        self._wait_said("ready", began)

    def _log_size(self) -> int:
        return self.server.log.stat().st_size if self.server.log.exists() else 0

    def _wait_said(self, event: str, since: int) -> None:
        """`since`: the size of the log before. Its lines are many, and reading all of them would be
        measured as well."""
        end, found = time.monotonic() + WAIT, re.compile(rb"event=%s .*\n" % event.encode())
        while time.monotonic() < end:
            with open(self.server.log, "rb") as log:
                log.seek(since)
                if found.search(log.read()):
                    return
            assert self.server.popen
            if self.server.popen.poll() is not None:
                break
            time.sleep(0.005)
        raise BenchError(f"the gateway does not say {event}: {self.server.text()[-2000:]}")

    def seconds(self) -> float:
        assert self.server.popen
        return tree_seconds(self.server.popen.pid)

    def pids(self) -> set[int]:
        assert self.server.popen
        return tree(self.server.popen.pid)

    def commits(self) -> int | None:
        """Transactions of the queue so far, an fsync each."""
        if self.bench.via:
            return None  # the metrics are in another namespace
        with urllib.request.urlopen(f"http://127.0.0.1:{METRICS_PORT}/metrics", timeout=10) as page:
            found = re.search(rb"^daneway_store_commits_total (\d+)$", page.read(), re.M)
        assert found
        return int(found.group(1))

    def go(self) -> None:
        """What was held may go."""
        assert self.server.popen
        self.server.write(outbound={}, domains={
            HERE: {"next_hop": f"smtp:[{self.bench.sink_addresses[0]}]:{PORT}", "verify": "none"}})
        began = self._log_size()
        self.server.signal(signal.SIGHUP)
        self._wait_said("reloaded", began)
        done = subprocess.run([str(self.server.program), "--config", str(self.server.path), "queue",
                               "retry", "--all"], capture_output=True, text=True, timeout=WAIT)
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
                               world.trust_anchor, via=bench.via)
        extra = {
            "mydestination": "", "relay_domains": HERE, "relay_recipient_maps": "",
            "relay_transport": f"smtp:[{bench.sink_addresses[0]}]",
            "mynetworks": f"127.0.0.0/8 [::1]/128 198.18.0.0/15 {link.NETWORK}",
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
                              extra=extra, via=bench.via,
                              services=[f"{bench.at}:{RELAY_PORT} inet n - n - - smtpd"])

    def start(self) -> None:
        self.unbound.start()
        self.unbound.wait()
        self.server.start()
        self.server.wait()

    def seconds(self) -> float:
        assert self.server._process and self.unbound._process
        return (tree_seconds(self.server._process.popen.pid)
                + tree_seconds(self.unbound._process.popen.pid))

    def pids(self) -> set[int]:
        assert self.server._process and self.unbound._process
        return tree(self.server._process.popen.pid) | tree(self.unbound._process.popen.pid)

    def commits(self) -> int | None:
        return None

    def go(self) -> None:
        subprocess.run(self.server.tool("postsuper", "-H", "ALL"), check=True, capture_output=True)
        subprocess.run(self.server.tool("postqueue", "-f"), check=True, capture_output=True)

    def stop(self) -> None:
        self.server.stop()
        self.unbound.stop()


# --- the world -------------------------------------------------------------------------------------

class GatewayBench:
    """A far domain with an MX host of its own, many domains on some MX hosts, all at one sink. With
    a round trip the program that is measured is behind a link of its own, load, sink and name servers
    are at the other end."""

    def __init__(self, build: Path, domains: int, hosts: int, round_trip_ms: int = 0) -> None:
        self.build = build
        self.world = world = World("gateway")
        self.link = link.Link(build, world, round_trip_ms) if round_trip_ms else None
        self.at = self.link.at if self.link else world.address()
        self.via = self.link.via if self.link else []
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
        if self.link:
            self.link.start()

    def stop(self) -> None:
        if self.link:
            self.link.stop()
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

    def load(self, port: int, tls: str, per_connection: int, messages: int, recipients: list[str],
             at: str = "", connections: int = CONNECTIONS) -> float:
        """Seconds on the wall until all of it was taken."""
        argv = [str(self.build / "bench/load"), at or self.at, str(port), tls, str(connections),
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

    def at_sink(self) -> dict[str, int]:
        """What the sink has had so far."""
        assert self.sink._process
        before, end = self.sink.log.stat().st_size, time.monotonic() + WAIT
        self.sink._process.popen.send_signal(signal.SIGUSR1)
        while True:  # the log is older than this sink, and a busy one is late
            time.sleep(0.01)
            with open(self.sink.log, "rb") as log:
                log.seek(before)
                line = log.readline()
            if line.endswith(b"\n"):
                return json.loads(line)
            if time.monotonic() > end:
                raise BenchError(f"the sink says nothing: {self.sink._process.tail()}")

    def taken(self) -> int:
        return self.at_sink()["messages"]

    def wait_taken(self, messages: int) -> None:
        so_far, end = -1, 0.0
        while so_far < messages:
            taken = self.taken()
            if taken > so_far:
                so_far, end = taken, time.monotonic() + WAIT
            if time.monotonic() > end:
                raise BenchError(f"only {taken} of {messages} messages came out")
            time.sleep(0.02)

    # --- the cases

    def stretch(self, program: Any, messages: int, work: Callable[[], float], out: bool) -> Run:
        """`work` returns its seconds on the wall."""
        before = self.at_sink()["connections"]
        began, commits = program.seconds(), program.commits()
        wall = work()
        if out:
            time.sleep(0.3)  # results are written
        cpu = (program.seconds() - began) * 1000 / messages
        each = None if commits is None else (program.commits() - commits) / messages
        connections = self.at_sink()["connections"] - before if out else None
        return Run(cpu, messages / wall, each, connections)

    def mail_in(self, kind: Callable[..., Any], tls: str, per_connection: int, messages: int) -> Run:
        to = [f"user@{HERE}"]
        with self.running(kind, hold=True) as program:
            self.load(PORT, tls, per_connection, messages // 10, to)
            return self.stretch(program, messages, lambda: self.load(
                PORT, tls, per_connection, messages, to), out=False)

    def mail_in_bare(self, tls: str, per_connection: int, messages: int) -> Run:
        """The same load on the sink: a server of OpenSSL and a socket, which stores nothing."""
        self.sink.restart()
        assert self.sink._process
        pid, at = self.sink._process.popen.pid, self.sink_addresses[0]
        to = [f"user@{HERE}"]
        self.load(PORT, tls, per_connection, messages // 10, to, at)
        began = tree_seconds(pid)
        wall = self.load(PORT, tls, per_connection, messages, to, at)
        return Run((tree_seconds(pid) - began) * 1000 / messages, messages / wall)

    def let_go(self, program: Any, messages: int) -> float:
        began, before = time.monotonic(), self.taken()
        program.go()
        self.wait_taken(before + messages)
        return time.monotonic() - began

    def mail_out(self, kind: Callable[..., Any], recipients: list[str], messages: int) -> Run:
        self.sink.restart()
        with self.running(kind, hold=True) as program:
            self.load(RELAY_PORT, "clear", 1000, messages, recipients)
            time.sleep(1)  # tries under way end
            return self.stretch(program, messages, lambda: self.let_go(program, messages), out=True)

    def mail_through(self, kind: Callable[..., Any], messages: int) -> Run:
        def work() -> float:
            began = time.monotonic()
            self.load(RELAY_PORT, "tls", 100, messages, [f"user@{FAR}"])
            self.wait_taken(messages)
            return time.monotonic() - began

        self.sink.restart()
        with self.running(kind, hold=False) as program:
            return self.stretch(program, messages, work, out=True)

    def memory(self, kind: Callable[..., Any], in_flight: int) -> float:
        """MiB of PSS, all processes, while so many deliveries wait for the answer to their message."""
        self.sink.restart(hold=in_flight, after=0)
        with self.running(kind, hold=True) as program:
            # One connection: servers of the mail that came in are no part of it.
            self.load(RELAY_PORT, "clear", in_flight, in_flight,
                      [f"user@{d}" for d in self.cold[:in_flight]], connections=1)
            time.sleep(1)
            program.go()
            most, end, all_there = 0.0, time.monotonic() + WAIT, False
            while not all_there and time.monotonic() < end:
                all_there = self.taken() >= in_flight  # and wait still, for the sink's tick
                most = max(most, pss(program.pids()))
        self.sink.stop()
        open_at_once = self.sink.held
        self.sink.restart()
        if open_at_once < in_flight:
            raise BenchError(f"{kind.__name__}: {open_at_once} of {in_flight} deliveries were open")
        return most


@dataclass
class Case:
    """How it is run, and its goals: the ratio of the CPU, that of the time."""

    name: str
    run: Callable[[Callable[..., Any]], Run]
    cpu: float
    wall: float | None = None


def cases(bench: GatewayBench, n: int) -> list[Case]:
    far, cold = [f"user@{FAR}"], [f"user@{domain}" for domain in bench.cold]
    return [
        Case(KEPT, lambda kind: bench.mail_in(kind, "tls", 1000, 2 * n), 0.30, 1 / 3),
        Case(EACH, lambda kind: bench.mail_in(kind, "tls", 1, n), 0.50),
        Case("in, clear, a connection each", lambda kind: bench.mail_in(kind, "clear", 1, n), 0.50),
        Case(REUSE, lambda kind: bench.mail_out(kind, far, n), 0.30, 1 / 5),
        Case(COLD, lambda kind: bench.mail_out(kind, cold, n), 0.30),
        Case("through, over TLS, out under DANE", lambda kind: bench.mail_through(kind, n), 0.45),
    ]


def compare(rounds: int, ours: Callable[[], Run], peer: Callable[[], Run]) -> Both:
    both = Both()
    alternate(rounds, lambda: both.note(True, ours()), lambda: both.note(False, peer()))
    return both


def compare_memory(bench: GatewayBench, rounds: int, in_flight: int) -> Pair:
    """MiB."""
    pair = Pair()
    alternate(rounds, lambda: pair.ours.append(bench.memory(Ours, in_flight)),
              lambda: pair.peer.append(bench.memory(Theirs, in_flight)))
    return pair
