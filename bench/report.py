"""What was measured, as docs/performance.md and docs/performance.json."""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.measure import OCTETS, Pair
from lab import packages


@dataclass
class Row:
    """One quantity: medians over the rounds, and the median of the rounds' ratios."""

    name: str
    unit: str
    ours: float
    peer: float | None = None
    peer_name: str | None = None
    ratio: float | None = None
    goal: float | None = None
    spread: tuple[float, float] | None = None  # least and largest ratio of a round

    @staticmethod
    def of(name: str, unit: str, pair: Pair, peer_name: str, goal: float | None = None) -> Row:
        return Row(name, unit, statistics.median(pair.ours), statistics.median(pair.peer), peer_name,
                   pair.ratio(), goal, (min(pair.ratios), max(pair.ratios)))

    @staticmethod
    def single(name: str, unit: str, ours: float, peer: float, peer_name: str,
               goal: float | None = None) -> Row:
        """Measured once."""
        ratio = ours / peer
        return Row(name, unit, ours, peer, peer_name, ratio, goal, (ratio, ratio))

    @property
    def met(self) -> bool | None:
        return None if self.goal is None or self.ratio is None else self.ratio <= self.goal

    def json(self) -> dict:
        return {"name": self.name, "unit": self.unit, "ours": _rounded(self.ours),
                "peer": _rounded(self.peer), "peer_name": self.peer_name,
                "ratio": _rounded(self.ratio), "goal": self.goal, "met": self.met}


@dataclass
class Facts:
    """Where and how."""

    domains: int
    rounds: int
    in_flight: int
    memory_in_flight: int
    shared: int
    shared_hosts: int
    home: Path
    build: Path


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _text(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _command(*argv: str, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _package(name: str) -> str:
    return _command("dpkg-query", "-W", "-f", "${Version}", name) or "unknown"


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text()
    found = re.search(r"^model name\s*: (.*)$", text, re.M)
    return found.group(1) if found else platform.machine()


def _commit(home: Path) -> str:
    # The tree may belong to another user than the one who measures.
    git = ("git", "-c", f"safe.directory={home}")
    commit = _command(*git, "rev-parse", "--short=12", "HEAD", cwd=home)
    if not commit:
        return ""
    changed = _command(*git, "status", "--porcelain", "--", "src", "bench", cwd=home)
    return f", commit {commit}{' and changes' if changed else ''}"


def _build_type(build: Path) -> str:
    try:
        options = json.loads((build / "meson-info/intro-buildoptions.json").read_text())
    except (OSError, ValueError):
        return "unknown"
    values = {option["name"]: option["value"] for option in options}
    return f"{values.get('buildtype')}, sanitizers {values.get('b_sanitize')}"


def _machine(facts: Facts) -> list[tuple[str, str]]:
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    gigabytes = int(memory.group(1)) / 1024 / 1024 if memory else 0
    knot = packages.versions().get("knot", "").split("_")
    version = _command(str(facts.build / "daneway"), "--version")
    return [
        ("Date", datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
        ("daneway", f"{version.removeprefix('daneway ')}{_commit(facts.home)}; build "
                    f"{_build_type(facts.build)}"),
        ("Machine", f"{_processor()}, {len(os.sched_getaffinity(0))} processors, "
                    f"{gigabytes:.1f} GiB"),
        ("System", f"Linux {platform.release()}; libunbound {_package('libunbound8')}, OpenSSL "
                   f"{_package('libssl3')}, libevent {_package('libevent-2.1-7')}, Knot DNS "
                   f"{knot[1] if len(knot) > 1 else 'unknown'}"),
    ]


def _table(rows: list[Row]) -> list[str]:
    lines = ["| what | unit | daneway | peer | peer's name | ratio (rounds) | goal |",
             "| --- | --- | ---: | ---: | --- | --- | --- |"]
    for row in rows:
        ratio = ""
        if row.ratio is not None and row.spread is not None:
            ratio = f"{row.ratio:.2f} ({row.spread[0]:.2f} to {row.spread[1]:.2f})"
        goal = "" if row.goal is None else f"at most {row.goal}: {'met' if row.met else 'missed'}"
        lines.append(f"| {row.name} | {row.unit} | {_text(row.ours)} | {_text(row.peer)} | "
                     f"{row.peer_name or ''} | {ratio} | {goal} |")
    return lines


def _explanation(f: Facts) -> str:
    return f"""## What is compared

The lab (`lab/README.md`) serves {f.domains} signed domains (ECDSA P-256, NSEC), each with one MX host of a
name of its own in its own zone, one address, and one TLSA record `3 1 1`. All addresses belong to one
process, `bench/sink.c`, with one P-256 certificate that all the records match. Network is the loopback
interface, so what is measured is work, not waiting.

Every pair is measured in {f.rounds} rounds, the two in turns, the one first in odd rounds and the other in
even ones. The figures are medians over the rounds; the ratio is the median of the rounds' ratios, beside
it the least and the largest. CPU is user and system time of all threads of a process. A run in which one
domain or delivery did not end as it should is no result.

- **policy, cold**: `daneway policy -` over all domains, from the start of the process to its end, JSON
  included; 2,000 domains at a time. The peer, `bench/bare_unbound.c`, puts the same questions (MX; A and
  AAAA; TLSA) to libunbound with the same settings, as many at a time, and prints nothing.
- **policy, warm**: what each further look at the same domains costs: a run over the list eleven
  times, less the median of the runs over it once.
- **delivery**: a message of {OCTETS} octets to each domain, one connection and one TLS 1.3 handshake each,
  {f.in_flight} at a time, by `bench/deliver_many.c`: one process, the code of `daneway deliver` but for its JSON.
  DNS is warm from a first pass in the same process that is not measured, and asked all the same. The peer,
  `bench/bare_tls.c`, has the addresses from a list and does the dialogue, the handshake and the octets
  with OpenSSL alone: no DNS, no DANE, no deadlines. **deliveries** is the rate on the wall in the same runs,
  with the sink on the same processors.
- **open delivery**: by how much the resident memory grows, divided by {f.memory_in_flight} deliveries that all
  wait for the answer to their message.
- **one `deliver`**: the command from its start to its end: trust anchor, cold DNS from the root, TLS, message.
- **check --only dane**: the work of a sender without the message: MX, addresses, TLSA, one session with an
  address. All domains in one `daneway check -`, cold, JSON included. The peer is Postfix's
  `posttls-finger -l dane`, eight at a time by xargs, with an Unbound that starts empty; its CPU counts.
  One processor is the client's (and Unbound's), the other the servers': so it is for both.
- **check**: everything: of each address a session for each of three kinds of key, of which the sink has one.
  Its bare parts are the same questions put to libunbound by `bench/bare_unbound.c`, those to each name server
  (two over TCP a domain) by bare sockets, `bench/bare_dns.c`, and the same three sessions by
  `bench/bare_tls.c`. What the check does besides is to verify the signatures of each server's answers.
- **check, shared hosts**: one run over {f.shared} names below wildcards that share {f.shared_hosts} MX hosts. How
  many handshakes there were in all; CPU beside a run over a hundredth of them, memory beside one over a tenth:
  up to 2,000 domains are in flight, and memory grows until so many are. Of the CPU, `policy -` on the same
  names has the resolver's share.
- **queue**: `edge/store` alone: messages of {OCTETS} octets from 100 sessions, each of which waits until its
  message is on the disk (fsync); **in and out again** claims them too and records a delivery. The peer is one
  session, one row with the same octets and one commit each, `synchronous=FULL` likewise.

## To repeat it

    make bench

or, for other numbers, `bench/run --help`.
"""


def write(directory: Path, rows: list[Row], facts: Facts) -> None:
    lines = ["# Performance", "", "Measured and written by `make bench`; no figure is by hand.", ""]
    lines += _table(rows) + ["", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in _machine(facts)]
    (directory / "performance.md").write_text("\n".join(lines) + "\n\n" + _explanation(facts))
    text = json.dumps([row.json() for row in rows], indent=1)
    (directory / "performance.json").write_text(text + "\n")


def summary(rows: list[Row]) -> str:
    return "\n".join(f"{row.name}: {_text(row.ours)} {row.unit}" +
                     (f", {row.ratio:.2f} x {row.peer_name}" if row.ratio is not None else "") +
                     ("" if row.met is None else f" (goal {row.goal}: "
                                                 f"{'met' if row.met else 'missed'})")
                     for row in rows)
