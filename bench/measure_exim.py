"""Exim of Debian in the place of Postfix, for mail in (compare bench/measure_gateway.py).

What differs from its defaults is in CONFIG. It queues everything (`queue_only`), so that no delivery is
measured, as what the others take in is held.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bench.measure import PORT
from bench.measure_gateway import HERE, GatewayBench, tree_seconds
from lab.exim import EXIM
from lab.process import Process

CONFIG = """\
primary_hostname = mx.bench.example
exim_path = {exim}
exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = {dir}/spool
log_file_path = {dir}/log/%slog
pid_file_path = {dir}/spool/exim.pid
local_interfaces = <; {at}
daemon_smtp_ports = {port}
tls_advertise_hosts = *
tls_certificate = {pem}
tls_privatekey = {pem}
# As many connections as the load makes, and messages on each.
smtp_accept_max = 200
smtp_accept_max_per_connection = 0
smtp_connect_backlog = 200
queue_only
split_spool_directory
rfc1413_query_timeout = 0s
host_lookup =
dns_dnssec_ok = 1
keep_environment =
acl_smtp_rcpt = acl_rcpt
begin acl
acl_rcpt:
  accept domains = {here}
  deny
begin routers
here:
  driver = manualroute
  domains = {here}
  route_list = * {sink}
  transport = remote
begin transports
remote:
  driver = smtp
"""


class Exim:
    """Takes mail in and keeps it."""

    def __init__(self, bench: GatewayBench, folder: Path, hold: bool) -> None:
        assert hold
        self.dir, self.at, self.log = folder / "exim", bench.at, bench.world.logs / "bench-exim.log"
        for name in ("spool", "log"):
            (self.dir / name).mkdir(parents=True)
            shutil.chown(self.dir / name, "Debian-exim", "Debian-exim")
        pem = self.dir / "server.pem"
        shutil.copy(bench.pem, pem)
        shutil.chown(pem, "Debian-exim", "Debian-exim")
        self.config = self.dir / "exim.conf"
        self.config.write_text(CONFIG.format(exim=EXIM, dir=self.dir, at=bench.at, port=PORT, pem=pem,
                                             here=HERE, sink=bench.sink_addresses[0]))
        self._process: Process | None = None

    def start(self) -> None:
        self._process = Process("exim", [str(EXIM), "-C", str(self.config), "-bdf"], self.log,
                                env={"PATH": os.environ["PATH"], "LC_ALL": "C"})
        self._process.wait_for(self.at, PORT)

    def seconds(self) -> float:
        assert self._process
        return tree_seconds(self._process.popen.pid)

    def commits(self) -> int | None:
        return None

    def stop(self) -> None:
        if self._process:
            self._process.stop()
            self._process = None
