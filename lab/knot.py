"""Knot DNS serving the signed zones exactly as they are."""

from __future__ import annotations

import hashlib
import signal
import time
from pathlib import Path
from typing import Sequence

import dns.exception
import dns.message
import dns.query

from lab.namespace import SERVERS, LabError
from lab.process import Process

KNOTD = SERVERS / "knot/usr/sbin/knotd"


class Knot:
    """One server process with some zones on some addresses."""

    def __init__(self, name: str, directory: Path, log: Path, addresses: Sequence[str]) -> None:
        self.name, self.dir, self.log = name, directory, log
        self.addresses = list(addresses)
        self.zones: dict[str, str] = {}  # name with the final dot -> text
        # Zones that are not served as they are: name -> lines of its configuration that add to
        # those of every zone or stand in their place ("dnssec-signing: on", "acl: update").
        self.options: dict[str, dict[str, str]] = {}
        # Whole sections before the zones: keys, ACLs, remotes, signing policies.
        self.sections: list[str] = []
        self._process: Process | None = None

    def _write(self) -> None:
        for directory in ("zones", "db"):
            (self.dir / directory).mkdir(parents=True, exist_ok=True)
        listen = ", ".join(f'"{address}@53"' for address in self.addresses)
        lines = ["server:", f"  listen: [ {listen} ]", f'  rundir: "{self.dir}"',
                 "  udp-workers: 1", "  tcp-workers: 1", "  background-workers: 1",
                 "  tcp-max-clients: 200", "log:", "  - target: stderr", "    any: warning",
                 "database:", f'  storage: "{self.dir}/db"', "  journal-db-max-size: 16M",
                 "  timer-db-max-size: 16M", "  kasp-db-max-size: 16M", *self.sections, "template:",
                 "  - id: default", f'    storage: "{self.dir}/zones"', "    zonefile-sync: -1",
                 "    zonefile-load: whole", "    journal-content: none",
                 "    semantic-checks: off", "zone:"]
        for name in self.zones:
            lines += [f'  - domain: "{name}"', f'    file: "{_file(name)}"']
            lines += [f"    {key}: {value}" for key, value in self.options.get(name, {}).items()]
        (self.dir / "knot.conf").write_text("\n".join(lines) + "\n")

    def put(self, name: str, text: str) -> None:
        """Adds or replaces a zone; seen by the server after start() or reload()."""
        self.zones[name] = text
        path = self.dir / "zones" / _file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def start(self) -> None:
        self._write()
        self._process = Process(f"knot ({self.name})",
                                [str(KNOTD), "-c", str(self.dir / "knot.conf")], self.log)

    def wait(self) -> None:
        assert self._process
        for address in self.addresses:
            self._process.wait_for(address, 53)

    def reload(self) -> None:
        """Reads configuration and changed zones again (zones are loaded a little later)."""
        self._write()
        assert self._process
        self._process.popen.send_signal(signal.SIGHUP)

    def wait_serial(self, name: str, serial: int, seconds: float = 10) -> None:
        """Waits until the zone is served with this serial."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                answer = dns.query.udp(dns.message.make_query(name, "SOA"), self.addresses[0],
                                       timeout=1).answer
                if answer and answer[0][0].serial == serial:
                    return
            except dns.exception.Timeout:
                pass
            time.sleep(0.02)
        raise LabError(f"knot ({self.name}) does not serve {name} with serial {serial}")

    def stop(self) -> None:
        if self._process:
            self._process.stop()
            self._process = None


def _file(name: str) -> str:
    plain = (name.rstrip(".") or "root").replace("/", "_").replace("\\", "_")
    if len(plain) > 200:
        plain = hashlib.sha256(name.encode()).hexdigest()
    return plain + ".zone"
