"""`daneway serve` as a server of the lab.

    gateway = Gateway(daneway.path, world, {"listeners": [{"mx": f"{address}:25", "tls": "none"}]})
    gateway.start(); gateway.wait()

The configuration is YAML by way of JSON, which is YAML too; DNS of the world and the folder of state
are added. What the gateway logs is in `log`, an event a line.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Mapping, Sequence

from lab import namespace
from lab.namespace import LabError
from lab.world import World

PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')


class Gateway:
    """One process; `config` is what the file says."""

    def __init__(self, program: Path, world: World, config: Mapping[str, Any],
                 name: str = "gateway", argv: Sequence[str] = (), via: Sequence[str] = (),
                 env: Mapping[str, str] | None = None) -> None:
        self.program, self.argv, self.via, self.env = program, list(argv), list(via), dict(env or {})
        self.dir = world.dir / f"{name}-{len(world.daemons)}-{time.monotonic_ns()}"
        self.dir.mkdir()
        self.path, self.log = self.dir / "daneway.yaml", world.logs / f"{self.dir.name}.log"
        self.state = self.dir / "state"
        self.config: dict[str, Any] = {
            "hostname": "mx1.hoster.test", "state": str(self.state),
            "user": "daneway" if namespace.many_users() else "root",
            "dns": {"root_hints": str(world.root_hints), "trust_anchor": str(world.trust_anchor)},
            **config}
        self.popen: subprocess.Popen[bytes] | None = None

    def write(self, **changes: Any) -> None:
        self.config |= changes
        self.path.write_text(json.dumps(self.config, indent=1))

    def start(self, **how: Any) -> None:
        if not self.path.exists():
            self.write()
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(
                [*self.via, str(self.program), "--config", str(self.path), "serve", *self.argv],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **self.env},
                **how)

    def wait(self, seconds: float = 15) -> None:
        """Until it says that it is ready."""
        self.wait_for("ready", seconds=seconds)

    def wait_for(self, event: str, seconds: float = 15, count: int = 1, **values: str) -> dict[str, str]:
        """The last of `count` lines of this event with these values."""
        end = time.monotonic() + seconds
        while True:
            found = self.events(event, **values)
            if len(found) >= count:
                return found[-1]
            ended = self.popen is None or self.popen.poll() is not None
            if ended or time.monotonic() > end:
                raise LabError(f"no event {event} {values} of the gateway"
                               f"{' (it has ended)' if ended else ''}: {self.text()[-3000:]}")
            time.sleep(0.02)

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def events(self, event: str = "", **values: str) -> list[dict[str, str]]:
        found = []
        for line in self.text().splitlines():
            pairs = {k: v[1:-1] if v.startswith('"') else v for k, v in PAIR.findall(line)}
            if pairs.get("event", "") and event in ("", pairs["event"]) and \
                    all(pairs.get(k) == v for k, v in values.items()):
                found.append(pairs)
        return found

    def signal(self, number: signal.Signals) -> None:
        assert self.popen
        self.popen.send_signal(number)

    def reload(self, **changes: Any) -> None:
        """The file with changes; returns when it is in force."""
        before = len(self.events("reloaded"))
        self.write(**changes)
        self.signal(signal.SIGHUP)
        self.wait_for("reloaded", count=before + 1)

    def stop(self, seconds: float = 15) -> int:
        """SIGTERM; its exit code."""
        if self.popen is None:
            return 0
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        code, self.popen = self.popen.returncode, None
        return code

    def tool(self, *words: str | Path, stdin: bytes = b"", **how: Any) -> subprocess.CompletedProcess[str]:
        """A command that speaks to it: "queue", "list", "--json"."""
        return subprocess.run([str(self.program), "--config", str(self.path), *map(str, words)],
                              input=stdin.decode(), capture_output=True, text=True, timeout=60, **how)
