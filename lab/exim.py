"""Real Exim (GnuTLS) from Debian's package: as receiver with TLS, and as sender."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Sequence

from lab.namespace import SERVERS
from lab.process import Process

EXIM = SERVERS / "exim/usr/sbin/exim4"


class Exim:
    """An instance: `listen` addresses on port 25, mail for `domains` goes to one mbox file.

    Mail for other domains (submit()) is sent by MX, with DANE if `dane`. `routers` is text that
    stands before the router for these, `transports` text behind the transports; `remote` are further
    options of the transport of that name.
    """

    def __init__(self, name: str, directory: Path, log: Path, *, hostname: str,
                 listen: Sequence[str] = (), domains: Sequence[str] = (),
                 certificate: Path | None = None, dane: bool = True, routers: str = "",
                 transports: str = "", remote: Sequence[str] = (), via: Sequence[str] = ()) -> None:
        self.name, self.dir, self.log = name, directory, log
        self.hostname, self.listen, self.domains = hostname, list(listen), list(domains)
        self.certificate, self.dane, self.via = certificate, dane, list(via)
        self.routers, self.transports, self.remote = routers, transports, list(remote)
        self._process: Process | None = None

    @property
    def mailbox(self) -> Path:
        return self.dir / "mail" / "inbox"

    @property
    def config(self) -> Path:
        return self.dir / "exim.conf"

    def _text(self) -> str:
        interfaces = " ; ".join(self.listen) or "127.0.0.1"
        tls = ""
        if self.certificate:
            tls = (f"tls_advertise_hosts = *\ntls_certificate = {self.certificate}\n"
                   f"tls_privatekey = {self.certificate}\n")
        dane = "hosts_try_dane = *" if self.dane else "hosts_try_dane ="
        remote = "".join(f"  {option}\n" for option in self.remote)
        return f"""\
primary_hostname = {self.hostname}
exim_path = {EXIM}
exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = {self.dir}/spool
log_file_path = {self.dir}/log/%slog
pid_file_path = {self.dir}/spool/exim.pid
local_interfaces = <; {interfaces}
daemon_smtp_ports = 25
{tls}domainlist ours = {" : ".join(self.domains)}
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data
acl_smtp_mail = acl_data
deliver_drop_privilege
smtputf8_advertise_hosts = *
host_lookup =
rfc1413_query_timeout = 0s
smtp_enforce_sync = false
log_selector = +tls_certificate_verified +tls_sni +tls_peerdn
dns_dnssec_ok = 1
message_size_limit = 100M
keep_environment =
never_users =
trusted_users = root
begin acl
acl_data:
  accept
acl_rcpt:
  accept domains = +ours
  deny
begin routers
ours:
  driver = accept
  domains = +ours
  transport = inbox
{self.routers}others:
  driver = dnslookup
  dnssec_request_domains = *
  transport = remote
  ignore_target_hosts = <; 0.0.0.0
  no_more
begin transports
inbox:
  driver = appendfile
  file = {self.mailbox}
  delivery_date_add
  envelope_to_add
  return_path_add
  mode = 0644
remote:
  driver = smtp
  {dane}
  dnssec_request_domains = *
{remote}{self.transports}begin retry
* * F,1h,5s
"""

    def prepare(self) -> None:
        """Enough for submit(); start() does it too."""
        for name in ("spool", "log", "mail"):
            (self.dir / name).mkdir(parents=True, exist_ok=True)
            shutil.chown(self.dir / name, "Debian-exim", "Debian-exim")
        self.config.write_text(self._text())

    def start(self) -> None:
        self.prepare()
        argv = [*self.via, str(EXIM), "-C", str(self.config), "-bdf", "-q10s"]
        self._process = Process(f"exim ({self.name})", argv, self.log,
                                env={"PATH": os.environ["PATH"], "LC_ALL": "C"})

    def wait(self) -> None:
        assert self._process
        for address in self.listen:
            self._process.wait_for(address, 25)

    def submit(self, sender: str, recipients: Sequence[str], message: bytes) -> None:
        """Hands a message in and delivers it at once."""
        argv = [*self.via, str(EXIM), "-C", str(self.config), "-odf", "-oi", "-f", sender, "--",
                *recipients]
        subprocess.run(argv, input=message, check=True, capture_output=True)

    def main_log(self) -> str:
        path = self.dir / "log" / "mainlog"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self) -> None:
        if self._process:
            self._process.stop()
            self._process = None
