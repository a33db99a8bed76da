"""Child processes of the lab: started, watched, ended by pid."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from typing import Sequence

from lab.namespace import LabError


class Process:
    """A daemon in the foreground, its output in a log file."""

    def __init__(self, name: str, argv: Sequence[str], log: Path, cwd: Path | None = None,
                 env: dict[str, str] | None = None) -> None:
        self.name, self.log = name, log
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          cwd=cwd, env=env, start_new_session=True)

    def wait_for(self, address: str, port: int, seconds: float = 15) -> None:
        """Waits until a TCP port answers; an early end of the process is an error with its log."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.popen.poll() is not None:
                raise LabError(f"{self.name} ended ({self.popen.returncode}): {self.tail()}")
            try:
                socket.create_connection((address, port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise LabError(f"{self.name} does not answer on {address}:{port}: {self.tail()}")

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""

    def stop(self, seconds: float = 5) -> None:
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
