"""What the queue costs beside a bare row of SQLite with a commit each: the same disk, in turns."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import OCTETS, BenchError, Pair, alternate

SESSIONS = 100


@dataclass
class StoreFigures:
    """CPU milliseconds a message; messages a second until each is on the disk; the same with its
    delivery recorded; fsyncs of the queue a message."""

    cpu: Pair = field(default_factory=Pair)
    rate: Pair = field(default_factory=Pair)
    through: list[float] = field(default_factory=list)
    fsyncs: list[float] = field(default_factory=list)


def _run(build: Path, how: str, count: int, *sessions: int) -> dict:
    # Below the build: on a disk, not in memory, where an fsync would cost nothing.
    with tempfile.TemporaryDirectory(dir=build, prefix="bench-store-") as directory:
        argv = [build / "bench/store_many", how, directory, OCTETS, *sessions, count]
        done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False)
    result: dict = {}
    for line in done.stdout.splitlines():
        result.update(json.loads(line))
    if done.returncode != 0 or result.get("done") != count:
        raise BenchError(f"store_many {how}: {done.stderr.strip()}")
    return result


def measure_store(build: Path, rounds: int, messages: int, rows: int) -> StoreFigures:
    """`rows`: of the peer, which is slower by an order."""
    figures = StoreFigures()

    def ours() -> None:
        result = _run(build, "queue", messages, SESSIONS)
        figures.cpu.ours.append(result["cpu"] * 1000 / messages)
        figures.rate.ours.append(messages / result["wall"])
        figures.fsyncs.append(result["fsyncs_per_message"])
        result = _run(build, "through", messages, SESSIONS)
        figures.through.append(result["cpu"] * 1000 / messages)

    def peer() -> None:
        result = _run(build, "row", rows)
        figures.cpu.peer.append(result["cpu"] * 1000 / rows)
        figures.rate.peer.append(rows / result["wall"])

    alternate(rounds, ours, peer)
    return figures


def median(values: list[float]) -> float:
    return statistics.median(values)
