"""The bench on a few domains, so that it works when it is wanted. No figure is judged here."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from bench import report
from bench.link import Link
from bench.measure import Pair
from lab import namespace
from lab.namespace import HOME
from lab.world import World

BUILD = Path(os.environ.get("DANEWAY", str(HOME / "build/daneway"))).parent
# Of each part the rows that count, but for what is not measured everywhere.
NAMES = {
    "check": {"policy, cold", "delivery", "check", "check, shared hosts: handshakes"},
    "gateway": {"in, TLS, kept connections", "in, TLS, kept connections: commits",
                "in, TLS, a connection each", "in, TLS, a connection each, beside OpenSSL",
                "in, TLS, kept connections, beside Exim", "in, TLS, a connection each, beside Exim",
                "out, reuse, one domain", "out, many domains on 20 MX hosts, cold",
                "out, many domains on 20 MX hosts, cold: connections",
                "through, over TLS, out under DANE", "memory at 100 open deliveries"},
    "depth": {"depth 1000: in", "depth 1000: out", "depth 1000: start", "depth 1000: memory"},
}


def bench(part: str, out: Path) -> dict:
    """The rows of this part, by name."""
    if not (BUILD / "bench/sink").exists():
        pytest.skip(f"no {BUILD}/bench: build first")
    done = subprocess.run(["/usr/bin/python3", str(HOME / "bench/run"), "--only", part, "--domains",
                           "20", "--rounds", "1", "--in-flight", "5", "--memory-in-flight", "10",
                           "--shared", "500", "--shared-hosts", "5", "--queued", "500", "--messages",
                           "100", "--round-trips", "20", "--delay-messages", "50", "--shallow", "200", "--deep", "1000", "--build", str(BUILD), "--out", str(out)],
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads((out / "performance.json").read_text())["rows"]
    page = (out / "performance.md").read_text()
    assert all(f"| {row['name']} |" in page for row in found)
    return {row["name"]: row for row in found if row["part"] == part}


def judge(row: dict) -> None:
    assert row["ours"] > 0 and row["date"] and row["commit"]
    value = row["ours"] if row["plain_goal"] else row["ratio"]
    assert row["met"] == (None if row["goal"] is None else value <= row["goal"])
    assert row["peer"] is None or row["peer"] > 0


def test_bench_runs(tmp_path: Path) -> None:
    rows = bench("check", tmp_path)
    assert rows.keys() >= NAMES["check"]
    for name in NAMES["check"]:
        judge(rows[name])


def test_bench_of_the_gateway_runs(tmp_path: Path) -> None:
    if not namespace.many_users():
        pytest.skip(namespace.why_not_many_users())
    rows = bench("gateway", tmp_path)
    assert rows.keys() >= NAMES["gateway"]
    for name in NAMES["gateway"]:
        judge(rows[name])


def test_bench_of_links_with_a_delay_runs(tmp_path: Path) -> None:
    if not namespace.many_users():
        pytest.skip(namespace.why_not_many_users())
    rows = bench("delay", tmp_path)
    assert len(rows) == 3
    assert all(row["ours"] > 0 and row["peer"] > 0 for row in rows.values())


def test_link_delays_both_ways() -> None:
    world = World("link")
    world.start()
    link = Link(BUILD, world, 60)
    took = []
    try:
        link.start()
        for _ in range(5):
            began = time.monotonic()
            with pytest.raises(ConnectionRefusedError):  # nobody listens: one round trip
                socket.create_connection((link.at, 9), 5)
            took.append(time.monotonic() - began)
        link.stop()
        assert 0.060 <= min(took) < 0.080 and link.lost == 0
    finally:
        link.stop()
        world.stop()


def test_bench_of_deep_queues_runs(tmp_path: Path) -> None:
    rows = bench("depth", tmp_path)
    assert rows.keys() == NAMES["depth"]
    for row in rows.values():
        judge(row)


def part(name: str, date: str) -> report.Part:
    numbers = {"domains": 1, "rounds": 1, "in_flight": 1, "memory_in_flight": 1, "shared": 100,
               "shared_hosts": 1, "messages": 1}
    return report.Part(name, date, "abc", "0.1.0", "a machine", "a system", numbers)


def test_bench_keeps_the_rows_of_other_parts(tmp_path: Path) -> None:
    pair = Pair([1.0, 2.0], [4.0, 4.0])
    old = report.Row.of("policy, cold", "ms", pair, "a peer", 0.5)
    plain = report.Row("commits", "per message", 0.3, goal=0.2, plain_goal=True)
    report.write(tmp_path, [(part("check", "before"), [old]),
                            (part("gateway", "before"), [plain, old])])
    report.write(tmp_path, [(part("gateway", "later"), [plain])])
    found = json.loads((tmp_path / "performance.json").read_text())["rows"]
    assert [(row["name"], row["part"], row["date"], row["met"]) for row in found] == [
        ("policy, cold", "check", "before", True), ("commits", "gateway", "later", False)]
    assert found[0]["ratio"] == 0.375 and found[0]["spread"] == [0.25, 0.5]
    page = (tmp_path / "performance.md").read_text()
    assert page.count("| policy, cold |") == 1 and "| before |" in page and "| later |" in page
    assert "at most 0.2: missed" in page
