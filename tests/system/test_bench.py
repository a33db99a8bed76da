"""The bench on a few domains, so that it works when it is wanted. No figure is judged here."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from lab.namespace import HOME

BUILD = Path(os.environ.get("DANEWAY", str(HOME / "build/daneway"))).parent
NAMES = ("policy, cold", "delivery", "check", "check, shared hosts: handshakes")  # those with a goal


def test_bench_runs(tmp_path: Path) -> None:
    if not (BUILD / "bench/sink").exists():
        pytest.skip(f"no {BUILD}/bench: build first")
    done = subprocess.run(["/usr/bin/python3", str(HOME / "bench/run"), "--domains", "20", "--rounds",
                           "1", "--in-flight", "5", "--memory-in-flight", "10", "--shared",
                           "500", "--shared-hosts", "5", "--queued", "500", "--messages", "100",
                           "--build", str(BUILD), "--out", str(tmp_path)],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads((tmp_path / "performance.json").read_text())}
    for name in NAMES:
        row = rows[name]
        assert set(row) == {"name", "unit", "ours", "peer", "peer_name", "ratio", "goal", "met"}
        assert row["ours"] > 0 and row["peer"] > 0 and row["met"] == (row["ratio"] <= row["goal"])
    page = (tmp_path / "performance.md").read_text()
    assert all(f"| {name} |" in page for name in rows)
