"""For a conftest.py: pytest executes itself again inside the lab, and has these fixtures there.

DANEWAY names the binary to test (default build/daneway). Fixtures: `world` (the standard world, one
for the run), `fresh_world` (an empty one for a test), `daneway` (runs the binary on a world).
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from lab import namespace, packages
from lab.namespace import HOME
from lab.world import World


def pytest_configure(config: pytest.Config) -> None:
    if namespace.inside() or config.option.collectonly:
        return
    packages.fetch()
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture:
        capture.stop_global_capturing()
    namespace.reexec(["--bare", "--", sys.executable, "-m", "pytest",
                      *config.invocation_params.args])


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    made = World.standard()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def fresh_world() -> Iterator[World]:
    made = World("test")
    yield made
    made.stop()


class Daneway:
    """The program under test."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, world: World, command: str, *args: str, stdin: bytes = b"",
            timeout: float = 120, via: tuple[str, ...] = ()) -> tuple[int, Any, str]:
        """Exit code, JSON of standard output (a list if it has several lines), standard error."""
        argv = [*via, str(self.path), "--json", "--root-hints", str(world.root_hints),
                "--trust-anchor", str(world.trust_anchor), command, *args]
        done = subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout)
        if "--nagios" in args or "--openmetrics" in args:
            return done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace")
        output = parse(done.stdout)
        if command in ("check", "dnssec") and done.stdout and "--help" not in args:
            check_schema(output, command)
        return done.returncode, output, done.stderr.decode(errors="replace")


@functools.cache
def validator(command: str = "check") -> Any:
    import jsonschema
    schema = json.loads((HOME / f"docs/{command}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def check_schema(output: Any, command: str = "check") -> None:
    """Whatever the command prints as JSON is as its published schema says."""
    for result in output if isinstance(output, list) else [output]:
        validator(command).validate(result)


def parse(output: bytes) -> Any:
    try:
        return json.loads(output)
    except ValueError:
        return [json.loads(line) for line in output.splitlines() if line.strip()]


@pytest.fixture(scope="session")
def daneway() -> Daneway:
    path = Path(os.environ.get("DANEWAY", str(HOME / "build/daneway")))
    if not path.exists():
        pytest.skip(f"no {path}: build first, or set DANEWAY")
    return Daneway(path)


@pytest.fixture(scope="session")  # before any fixture that starts an MTA
def needs_users() -> None:
    if not namespace.many_users():
        pytest.skip(namespace.why_not_many_users())


def wait_until(condition: Callable[[], bool], seconds: float = 15) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return condition()
