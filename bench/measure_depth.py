"""What a message costs the gateway when many others wait in its queue."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import BenchError, Pair, alternate
from bench.measure_gateway import RELAY_PORT, GatewayBench, Ours

AT_ONCE = 50000  # messages of one run of the load
MANY = 200000    # from so many on a depth is measured once


@dataclass
class Depth:
    """Milliseconds of CPU a message in and out, seconds from start to ready, MiB of the process at
    its largest."""

    into: float
    out: float
    start: float
    memory: float


@dataclass
class Depths:
    """Ours is the deep queue, the peer the shallow one."""

    into: Pair = field(default_factory=Pair)
    out: Pair = field(default_factory=Pair)
    start: Pair = field(default_factory=Pair)
    memory: Pair = field(default_factory=Pair)

    def note(self, deep: bool, depth: Depth) -> None:
        for name in ("into", "out", "start", "memory"):
            pair = getattr(self, name)
            (pair.ours if deep else pair.peer).append(getattr(depth, name))


def _memory(program: Ours) -> float:
    assert program.server.popen
    text = Path(f"/proc/{program.server.popen.pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+)", text, re.M)
    if found is None:
        raise BenchError("the gateway has ended")
    return int(found.group(1)) / 1024




def measure_depth(bench: GatewayBench, messages: int, window: int) -> Depth:
    """Fills the queue; the last `window` messages in are measured. Then a new start, and all of it
    goes out."""
    to = [f"user@{domain}" for domain in bench.cold]

    def fill(count: int) -> None:
        while count > 0:
            some = min(count, AT_ONCE)
            bench.load(RELAY_PORT, "clear", 1000, some, to)
            count -= some

    bench.sink.restart()
    with bench.running(Ours, hold=True) as program:
        fill(messages - window)
        began = program.seconds()
        fill(window)
        into = (program.seconds() - began) * 1000 / window
        memory = _memory(program)
        program.stop()
        began = time.monotonic()
        program.start()
        start = time.monotonic() - began
        began, before = program.seconds(), bench.taken()
        program.go()
        bench.wait_taken(before + messages)
        time.sleep(0.3)  # results are written
        out = (program.seconds() - began) * 1000 / messages
        return Depth(into, out, start, max(memory, _memory(program)))


def compare_depths(bench: GatewayBench, rounds: int, deep: int, shallow: int) -> Depths:
    both, window = Depths(), shallow // 2
    alternate(1 if deep >= MANY else rounds,
              lambda: both.note(True, measure_depth(bench, deep, window)),
              lambda: both.note(False, measure_depth(bench, shallow, window)))
    return both
