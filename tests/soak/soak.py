"""The gateway under load for a long time: what must not grow is sampled, and judged at the end.

In rounds: messages through the gateway (in over TLS, out under DANE), some of them large, some to
destinations that fail; then as long a rest as that took, which makes half load; then a reload, every
other one with new certificates. What must hold: every message is taken, all that can be delivered
arrive, the failing ones leave the queue when their lifetime is over, and between the first and the
last third of the run memory, descriptors and threads do not grow. Nothing arrives twice.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable

from bench.measure import PORT, Sink
from lab import certs
from lab.gateway import Gateway
from lab.world import World

USER = "daneway"
CONNECTIONS, OCTETS = 20, 4096
LARGE, LARGE_OCTETS, LARGE_EVERY = 5, 2 << 20, 5  # messages, in every so manieth round
FAILING = 10          # messages a round
LIFETIME = 60         # seconds that failing ones are kept, the least that the configuration takes
RETRY = 15
MEMORY_GROWTH = 1.10  # of the last third over the first,
MEMORY_SLACK = 4 << 20
DESCRIPTORS_SLACK = 20
ARRIVE = 120          # seconds for the rest to arrive


class SoakError(Exception):
    pass


@dataclass
class Sample:
    seconds: float  # since the start
    memory: int     # octets of the process's own
    descriptors: int
    threads: int
    queued: int


def judge(samples: list[Sample], asan: bool = False) -> list[str]:
    """What has grown, in words; the first tenth warms up."""
    kept = samples[len(samples) // 10:]
    third = len(kept) // 3
    if third < 1:
        return ["too few samples"]
    first, last = kept[:third], kept[-third:]

    def pair(what: Callable[[Sample], int]) -> tuple[float, float]:
        return statistics.median(map(what, first)), statistics.median(map(what, last))
    found = []
    before, after = pair(lambda s: s.memory)
    if after > before * MEMORY_GROWTH + MEMORY_SLACK and not asan:
        found.append(f"memory: {before / 2**20:.1f} MiB have become {after / 2**20:.1f}")
    before, after = pair(lambda s: s.descriptors)
    if after > before + DESCRIPTORS_SLACK:
        found.append(f"descriptors: {before:.0f} have become {after:.0f}")
    before, after = pair(lambda s: s.threads)
    if after > before:
        found.append(f"threads: {before:.0f} have become {after:.0f}")
    return found


class Soak:
    def __init__(self, program: Path, messages: int, say: Callable[[str], None]) -> None:
        self.build, self.messages, self.say = program.parent, messages, say
        self.asan = "build-asan" in str(program)
        self.world = world = World("soak")
        self.at, sink_at, notices_at, dead_at = (world.address() for _ in range(4))
        far = certs.self_signed("mx.far.example")
        self.pem = far.write(world.dir / "far.pem")
        good, wrong = far.tlsa(3, 1, 1), certs.self_signed("other").tlsa(3, 1, 1)
        for name, address, record in (("far.example", sink_at, good), ("dead.example", dead_at, good),
                                      ("sender.example", notices_at, good),
                                      ("mismatch.example", sink_at, wrong)):
            world.add_zone(name, ["@ MX 10 mx", f"mx A {address}", f"_25._tcp.mx TLSA {record}"])
        self.sink = Sink(self.build / "bench/sink", self.pem, [sink_at], world.logs / "soak-sink.log")
        # Apart, so that what arrives can be counted.
        self.notices = Sink(self.build / "bench/sink", self.pem, [notices_at],
                            world.logs / "soak-notices.log")
        self.own = world.dir / "mx1.pem"
        self.new_certificate()
        self.gateway = Gateway(program, world, {
            "certificates": [{"chain": str(self.own), "key": str(self.own)}],
            "listeners": [{"relay": f"{self.at}:{PORT}", "networks": ["198.18.0.0/15"]}],
            "queue": {"retry": [f"{RETRY}s"], "lifetime": f"{LIFETIME}s", "delay_notice": 0},
            "limits": {"connections_per_client": 1000}})
        self.samples: list[Sample] = []
        self.good = 0
        self.failing: list[float] = []  # when each was handed in
        self.rounds = self.reloads = 0
        world.add_daemon(self.sink)
        world.add_daemon(self.notices)
        world.add_daemon(self.gateway)

    def new_certificate(self) -> None:
        """Over the old one, by rename: a reload never sees half a file."""
        made = certs.self_signed("mx1.hoster.test").write(self.own.with_suffix(".new"))
        made.chmod(0o600)
        shutil.chown(made, USER)
        os.replace(made, self.own)

    # --- talking to it

    def ask(self, command: str) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(str(self.gateway.state / "control"))
            s.sendall(json.dumps({"command": command}).encode() + b"\n")
            answer = json.loads(s.makefile().readline())
        if "done" not in answer:
            raise SoakError(f"{command}: {answer}")
        return answer["done"]

    def load(self, messages: int, octets: int, to: list[str]) -> float:
        argv = [str(self.build / "bench/load"), self.at, str(PORT), "tls", str(CONNECTIONS), "20",
                str(messages), str(octets), "soak@sender.example"]
        began = time.monotonic()
        done = subprocess.run(argv, input="".join(f"{t}\n" for t in to), text=True,
                              capture_output=True, timeout=600)
        if done.returncode != 0:
            raise SoakError(f"load: {done.stderr}")
        return time.monotonic() - began

    def sample(self, began: float) -> None:
        assert self.gateway.popen
        if self.gateway.popen.poll() is not None:
            raise SoakError(f"the gateway has ended: {self.gateway.text()[-3000:]}")
        proc = Path(f"/proc/{self.gateway.popen.pid}")
        text = (proc / "smaps_rollup").read_text()
        memory = 1024 * sum(int(line.split()[1]) for line in text.splitlines()
                            if line.startswith(("Private_Clean", "Private_Dirty")))
        self.samples.append(Sample(
            round(time.monotonic() - began, 1), memory, len(os.listdir(proc / "fd")),
            len(os.listdir(proc / "task")), self.ask("status")["queue"]["messages"]))

    def arrived(self) -> int:
        """Messages at the sink."""
        assert self.sink._process
        self.sink._process.popen.send_signal(10)  # SIGUSR1
        time.sleep(0.05)
        lines = [line for line in self.sink.log.read_text().splitlines() if line.startswith("{")]
        return json.loads(lines[-1])["messages"] if lines else 0

    # --- the run

    def round(self) -> None:
        began = time.monotonic()
        self.load(self.messages, OCTETS, ["user@far.example"])
        self.load(FAILING, OCTETS, ["user@dead.example", "user@mismatch.example"])
        self.good += self.messages
        self.failing += [time.monotonic()] * FAILING
        if self.rounds % LARGE_EVERY == 0:
            self.load(LARGE, LARGE_OCTETS, ["user@far.example"])
            self.good += LARGE
        time.sleep(time.monotonic() - began)
        if self.rounds % 2 == 1:
            self.new_certificate()
        self.ask("reload")
        self.rounds += 1

    def check_queue(self) -> None:
        """What fails leaves the queue in time; what is good does not stay in it."""
        old = time.monotonic() - LIFETIME - 3 * RETRY
        self.failing = [when for when in self.failing if when > old]
        most = len(self.failing) + 2 * self.messages
        if self.samples[-1].queued > most:
            raise SoakError(f"queue: {self.samples[-1].queued} messages, of {most} at most")

    def wait_arrived(self) -> None:
        end = time.monotonic() + ARRIVE
        while (there := self.arrived()) < self.good:
            if time.monotonic() > end:
                raise SoakError(f"{there} of {self.good} messages have arrived")
            time.sleep(0.5)
        if there != self.good:
            raise SoakError(f"{there} messages have arrived, {self.good} were sent")

    def run(self, seconds: float) -> list[str]:
        """What is wrong, in words: nothing, if all is well."""
        self.world.start()
        try:
            self.gateway.wait_for("dns", health="good")
            # An hour's log of each message would be gigabytes.
            self.gateway.write(log={"level": "warning"})
            self.ask("reload")
            began = time.monotonic()
            while time.monotonic() - began < seconds:
                self.round()
                self.sample(began)
                self.check_queue()
                if self.rounds % 50 == 0:
                    self.say(f"{self.rounds} rounds: {self.samples[-1]}")
            self.wait_arrived()
            problems = judge(self.samples, self.asan)
            problems += [line for line in self.gateway.text().splitlines() if " error " in line]
            if "ERROR: AddressSanitizer" in self.gateway.text():
                problems.append("a finding of AddressSanitizer")
            return problems
        except SoakError as error:
            return [str(error)]
        finally:
            self.world.stop()

    def report(self) -> str:
        first, last = self.samples[0], self.samples[-1]
        return (f"{self.good} messages in {self.rounds} rounds with a reload each, "
                f"{last.seconds:.0f} s; memory {first.memory / 2**20:.1f} to "
                f"{last.memory / 2**20:.1f} MiB, descriptors {first.descriptors} to "
                f"{last.descriptors}, threads {first.threads} to {last.threads}, queue "
                f"{first.queued} to {last.queued}")

    def write(self, path: Path) -> None:
        path.write_text("".join(json.dumps(asdict(s)) + "\n" for s in self.samples))
