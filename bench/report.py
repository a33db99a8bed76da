"""What was measured, as docs/performance.md and docs/performance.json.

The bench has parts, which may be measured at different times. A part that is measured anew takes the
place of what the two files said of it; the rows of the others stay, with their date and commit.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import statistics
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.explain import EXPLANATIONS
from bench.measure import Pair
from lab import packages


@dataclass
class Row:
    """One quantity: medians over the rounds, and the median of the rounds' ratios. The goal is one of
    the ratio, or, with `plain_goal`, of our figure itself."""

    name: str
    unit: str
    ours: float
    peer: float | None = None
    peer_name: str | None = None
    ratio: float | None = None
    goal: float | None = None
    spread: tuple[float, float] | None = None  # least and largest ratio of a round
    plain_goal: bool = False

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
        value = self.ours if self.plain_goal else self.ratio
        return None if self.goal is None or value is None else value <= self.goal

    def json(self, part: Part) -> dict:
        spread = None if self.spread is None else [_rounded(value) for value in self.spread]
        return {"name": self.name, "unit": self.unit, "ours": _rounded(self.ours),
                "peer": _rounded(self.peer), "peer_name": self.peer_name,
                "ratio": _rounded(self.ratio), "spread": spread, "goal": _rounded(self.goal),
                "plain_goal": self.plain_goal, "met": self.met, "part": part.name,
                "date": part.date, "commit": part.commit}

    @staticmethod
    def read(row: dict) -> Row:
        spread = None if row["spread"] is None else (row["spread"][0], row["spread"][1])
        return Row(row["name"], row["unit"], row["ours"], row["peer"], row["peer_name"],
                   row["ratio"], row["goal"], spread, row["plain_goal"])


@dataclass
class Part:
    """Where, when and how the rows of one part were measured; `numbers` are what its text names."""

    name: str
    date: str
    commit: str
    build: str
    machine: str
    system: str
    numbers: dict[str, int]

    @staticmethod
    def of(name: str, home: Path, build: Path, numbers: dict[str, int]) -> Part:
        return Part(name, datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
                    _commit(home), _build(build), _machine(), _system(), numbers)


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
        return "unknown"
    changed = _command(*git, "status", "--porcelain", "--", "src", "bench", cwd=home)
    return f"{commit}{' and changes' if changed else ''}"


def _build(build: Path) -> str:
    version = _command(str(build / "daneway"), "--version").removeprefix("daneway ")
    return f"{version}, {_build_type(build)}"


def _build_type(build: Path) -> str:
    try:
        options = json.loads((build / "meson-info/intro-buildoptions.json").read_text())
    except (OSError, ValueError):
        return "unknown"
    values = {option["name"]: option["value"] for option in options}
    return f"{values.get('buildtype')}, sanitizers {values.get('b_sanitize')}"


def _machine() -> str:
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    gigabytes = int(memory.group(1)) / 1024 / 1024 if memory else 0
    return (f"{_processor()}, {len(os.sched_getaffinity(0))} processors, {gigabytes:.1f} GiB")


def _server(name: str) -> str:
    words = packages.versions().get(name, "").split("_")
    return words[1] if len(words) > 1 else "unknown"


def _system() -> str:
    return (f"Linux {platform.release()}; libunbound {_package('libunbound8')}, OpenSSL "
            f"{_package('libssl3')}, SQLite {_package('libsqlite3-0')}, libevent "
            f"{_package('libevent-2.1-7')}, Knot DNS {_server('knot')}, Postfix "
            f"{_server('postfix')}, Exim {_server('exim')}")


def _table(rows: list[Row]) -> list[str]:
    lines = ["| what | unit | daneway | peer | peer's name | ratio (rounds) | goal |",
             "| --- | --- | ---: | ---: | --- | --- | --- |"]
    for row in rows:
        ratio = ""
        if row.ratio is not None and row.spread is not None:
            ratio = f"{row.ratio:.2f} ({row.spread[0]:.2f} to {row.spread[1]:.2f})"
        goal = "" if row.goal is None else f"at most {_text(row.goal)}: {'met' if row.met else 'missed'}"
        lines.append(f"| {row.name} | {row.unit} | {_text(row.ours)} | {_text(row.peer)} | "
                     f"{row.peer_name or ''} | {ratio} | {goal} |")
    return lines


def _section(part: Part, rows: list[Row]) -> list[str]:
    facts = [("Date", part.date), ("daneway", f"{part.build}, commit {part.commit}"),
             ("Machine", part.machine), ("System", part.system)]
    title, text = EXPLANATIONS[part.name]
    return [f"## {title}", "", *_table(rows), "", "| | |", "| --- | --- |",
            *[f"| {name} | {value} |" for name, value in facts], "", text(part.numbers), ""]


def read(directory: Path) -> list[tuple[Part, list[Row]]]:
    """What the files say; nothing where there are none."""
    path = directory / "performance.json"
    if not path.exists():
        return []
    found = json.loads(path.read_text())
    return [(Part(**part), [Row.read(row) for row in found["rows"] if row["part"] == part["name"]])
            for part in found["parts"]]


def write(directory: Path, measured: list[tuple[Part, list[Row]]]) -> None:
    """In the order of EXPLANATIONS, beside what the files say of other parts."""
    parts = {part.name: (part, rows) for part, rows in [*read(directory), *measured]}
    order = [parts[name] for name in EXPLANATIONS if name in parts]
    lines = ["# Performance", "", "Measured and written by `make bench`; no figure is by hand.", ""]
    lines += [line for part, rows in order for line in _section(part, rows)]
    lines += ["## To repeat it", "", "    make bench", "",
              "or, for one part or other numbers, `bench/run --help`.", ""]
    (directory / "performance.md").write_text("\n".join(lines))
    text = json.dumps({"parts": [asdict(part) for part, _ in order],
                       "rows": [row.json(part) for part, rows in order for row in rows]}, indent=1)
    (directory / "performance.json").write_text(text + "\n")


def summary(rows: list[Row]) -> str:
    return "\n".join(f"{row.name}: {_text(row.ours)} {row.unit}" +
                     (f", {row.ratio:.2f} x {row.peer_name}" if row.ratio is not None else "") +
                     ("" if row.met is None else f" (goal {_text(row.goal)}: "
                                                 f"{'met' if row.met else 'missed'})")
                     for row in rows)
