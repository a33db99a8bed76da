"""A namespace of its own for the program that is measured, behind a link with a delay.

    link = Link(build, world, 20)     # milliseconds from here to there and back
    link.start()
    subprocess.run([*link.via, ...])  # runs there; its address is link.at
    link.stop()

The servers stay where they are, in the lab's namespace (compare lab/attacker.py).
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from lab.namespace import LabError, run
from lab.process import Process
from lab.world import World

NETWORK, NETWORK6 = "10.77.0.0/24", "fd00:77::/64"
HERE, THERE = ("10.77.0.1", "fd00:77::1"), ("10.77.0.2", "fd00:77::2")
PACKETS = "10000"  # that wait for the link to take them


class Link:
    """`lost`, after stop(): packets that found the link full."""

    def __init__(self, build: Path, world: World, round_trip_ms: int) -> None:
        self.program, self.netns, self.at = build / "bench/delay_link", "bench-link", THERE[0]
        self.delay_us = round_trip_ms * 500  # in each direction
        self.log = world.logs / f"link-{time.monotonic_ns()}.log"
        self.lost = 0
        self._process: Process | None = None

    @property
    def via(self) -> list[str]:
        return ["ip", "netns", "exec", self.netns]

    def start(self) -> None:
        run("ip", "netns", "add", self.netns)
        self._process = Process("delay_link", [str(self.program), str(self.delay_us), "bench-near",
                                               f"/run/netns/{self.netns}", "bench-far"], self.log)
        end = time.monotonic() + 10
        while "ready" not in self._process.tail():
            if self._process.popen.poll() is not None or time.monotonic() > end:
                raise LabError(f"no link: {self._process.tail()}")
            time.sleep(0.01)
        there = ["ip", "-n", self.netns]
        run(*there, "link", "set", "lo", "up")
        for ip, device, (v4, v6) in ((["ip"], "bench-near", HERE), (there, "bench-far", THERE)):
            run(*ip, "addr", "add", f"{v4}/24", "dev", device)
            run(*ip, "link", "set", device, "txqueuelen", PACKETS, "up")
            if Path("/proc/sys/net/ipv6").exists():
                run(*ip, "-6", "addr", "add", f"{v6}/64", "dev", device, "nodad")
        run(*there, "route", "add", "default", "dev", "bench-far")
        if Path("/proc/sys/net/ipv6").exists():
            run(*there, "-6", "route", "add", "default", "dev", "bench-far")

    def stop(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.stop()
        run("ip", "netns", "del", self.netns)
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        if not lines:
            raise LabError(f"the link failed: {process.tail()}")
        self.lost = json.loads(lines[-1])["lost"]
