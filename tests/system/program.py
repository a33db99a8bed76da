"""Runs the program under test and measures it: time, memory, what it printed."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Sequence

from lab.pytest_plugin import Daneway, parse
from lab.world import World

MESSAGE = b"From: a@sender.test\nTo: b@example\nSubject: lab\n\nthe secret body\n"


@dataclass
class Done:
    code: int
    out: bytes
    err: str
    seconds: float
    peak_kib: int  # of its memory, looked at every 10 ms

    @property
    def json(self) -> Any:
        return parse(self.out)

    @property
    def lines(self) -> list[Any]:
        """The objects of `policy -`."""
        return [parse(line) for line in self.out.splitlines()]

    def complains(self, code: int, *words: str) -> bool:
        """It ended with this code and one line on stderr that has the words, and no output."""
        line = self.err.rstrip("\n")
        assert (self.code, self.out, line.count("\n")) == (code, b"", 0) and line, self
        assert all(word in line for word in words), self
        return True


class Program:
    """The program with the options that make it ask a world's root."""

    def __init__(self, daneway: Daneway, world: World) -> None:
        self.path, self.world = daneway.path, world
        # AddressSanitizer takes a multiple of the memory.
        self.memory_factor = 10 if b"__asan_init" in daneway.path.read_bytes() else 1

    def hints(self) -> list[str]:
        return ["--root-hints", str(self.world.root_hints)]

    def anchor(self) -> list[str]:
        return ["--trust-anchor", str(self.world.trust_anchor)]

    def __call__(self, *args: str | Path, **how: Any) -> Done:
        return self.bare(*self.hints(), *self.anchor(), *args, **how)

    def _watch(self, pid: int, peak: list[int]) -> None:
        """rusage tells the peak of the process that forked it, too; so look on."""
        while True:
            try:
                text = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                return
            if "VmHWM:" not in text:  # it has ended
                return
            peak[0] = int(text.partition("VmHWM:")[2].split()[0]) // self.memory_factor
            time.sleep(0.01)

    def bare(self, *args: str | Path, stdin: bytes | IO[bytes] = b"", timeout: float = 60,
             via: Sequence[str] = ()) -> Done:
        """Without the options for the world. `via`: a command in front."""
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as errors:
            if isinstance(stdin, bytes):
                source.write(stdin)
                source.seek(0)
                stdin = source
            begin, peak = time.monotonic(), [0]
            with subprocess.Popen([*via, str(self.path), *map(str, args)], stdin=stdin,
                                  stdout=subprocess.PIPE, stderr=errors) as child:
                threading.Thread(target=self._watch, args=(child.pid, peak), daemon=True).start()
                timer = threading.Timer(timeout, child.kill)
                timer.start()
                out, _ = child.communicate()
                timer.cancel()
            errors.seek(0)
            return Done(child.returncode, out, errors.read().decode(errors="replace"),
                        time.monotonic() - begin, peak[0])

    def policy(self, *args: str | Path, **how: Any) -> Done:
        return self("policy", *args, **how)

    def policies(self, domains: Sequence[str], *options: str, **how: Any) -> Done:
        """`policy -`."""
        text = "".join(domain + "\n" for domain in domains).encode("utf-8", "surrogateescape")
        return self(*options, "policy", "-", stdin=text, **how)

    def deliver(self, *to: str, options: Sequence[str | Path] = (),
                message: bytes | IO[bytes] = MESSAGE, **how: Any) -> Done:
        recipients = [word for address in to for word in ("--to", address)]
        return self("deliver", "--from", "a@sender.test", *recipients, *options, stdin=message,
                    **how)
