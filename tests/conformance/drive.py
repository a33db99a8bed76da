"""Drives a program over a staged case. A driver of another mail server has the same two methods."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.pytest_plugin import parse
from lab.smtp_server import Session
from stage import Staged

SENDER = "a@sender.test"


@dataclass
class Run:
    """What came out of one command, and what the servers of the case saw meanwhile."""

    command: str
    argv: list[str]
    exit: int
    output: Any
    stderr: str
    seconds: float
    questions: list[tuple[str, str]]            # name, type
    sessions: dict[str, list[Session]]          # by server


class Daneway:
    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, staged: Staged, command: str) -> Run:
        world, options = staged.world, staged.fill(staged.case.options)
        argv = [str(self.path), "--json", "--root-hints", str(world.root_hints),
                "--trust-anchor", str(world.trust_anchor), command, *options]
        data = b""
        if command == "policy":
            argv.append(staged.fill(staged.case.argument))
        else:
            argv += ["--from", SENDER]
            for recipient in staged.recipients:
                argv += ["--to", recipient]
            data = staged.data
        return observe(staged, command, argv, data)

    def match(self, staged: Staged) -> Run:
        """`tlsa match` with the chain that the case's server sends, its records and names."""
        argv = [str(self.path), "tlsa", "match", "--json", "--chain", str(staged.pem("mx"))]
        for record in staged.tlsa_records():
            argv += ["--record", record]
        for name in staged.case.names:
            dot = "." if name.endswith(".") else ""     # N15: one final dot makes no difference
            argv += ["--name", staged.case.absolute(staged.fill(name)) + dot]
        return observe(staged, "match", argv, b"")


def observe(staged: Staged, command: str, argv: list[str], data: bytes) -> Run:
    asked = len(staged.dns.queries)
    before = {name: len(server.sessions) for name, server in staged.servers.items()}
    env = {**os.environ, "SSL_CERT_FILE": str(staged.trusted)} if staged.trusted else None
    start = time.monotonic()
    try:
        done = subprocess.run(argv, input=data, capture_output=True, timeout=100, env=env)
        code, out, err = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as late:
        code, out, err = -1, late.stdout or b"", (late.stderr or b"") + b"\nkilled after 100 s"
    seconds = time.monotonic() - start
    sessions = {name: server.sessions[before[name]:] for name, server in staged.servers.items()}
    settle([s for group in sessions.values() for s in group])
    try:
        output = parse(out)
    except ValueError:
        output = out.decode(errors="replace")
    return Run(command, argv, code, output, err.decode(errors="replace"), seconds,
               [(q.qname, q.qtype) for q in staged.questions(asked)], sessions)


def settle(sessions: list[Session]) -> None:
    """Waits until the servers have read what the ended program had sent."""
    end = time.monotonic() + 3
    while any(not s.end for s in sessions) and time.monotonic() < end:
        time.sleep(0.005)
