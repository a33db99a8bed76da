"""`make soak`, so short that it only shows that it works; and that its judgement finds growth."""

from __future__ import annotations

import os
from pathlib import Path

from lab.namespace import HOME
from tests.soak.soak import Sample, Soak, judge

import pytest

PROGRAM = Path(os.environ.get("DANEWAY", str(HOME / "build/daneway")))


def test_soak(needs_users: None, capsys: pytest.CaptureFixture[str]) -> None:
    if not (PROGRAM.parent / "bench/sink").exists():
        pytest.skip(f"no {PROGRAM.parent}/bench: build first")
    soak = Soak(PROGRAM, 100, print)
    problems = soak.run(20)
    assert not problems, (problems, soak.samples[-3:])
    assert soak.rounds > 5 and soak.good >= soak.rounds * 100


@pytest.mark.parametrize("what,step", [("memory", 1 << 20), ("descriptors", 2), ("threads", 1)])
def test_growth_is_found(what: str, step: int) -> None:
    flat = {"memory": 20 << 20, "descriptors": 40, "threads": 4, "queued": 10}
    grows = [Sample(seconds=n, **{**flat, what: flat[what] + n * step}) for n in range(40)]
    assert [found.partition(":")[0] for found in judge(grows)] == [what]
    assert judge([Sample(seconds=n, **flat) for n in range(40)]) == []
    assert judge([]) == ["too few samples"]
