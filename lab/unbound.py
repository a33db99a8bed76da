"""A validating resolver (Unbound's daemon), for Postfix and Exim as senders; delv as second judge.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Sequence

import dns.flags
import dns.message
import dns.query
import dns.rcode

from lab.namespace import SERVERS
from lab.process import Process

UNBOUND = SERVERS / "unbound/usr/sbin/unbound"
DELV = SERVERS / "bind/usr/bin/delv"


class Unbound:
    """Listens at `address`; the lab's /etc/resolv.conf names 127.0.0.1."""

    def __init__(self, directory: Path, log: Path, root_hints: Path, trust_anchor: Path,
                 address: str = "127.0.0.1", via: Sequence[str] = (),
                 options: Sequence[str] = ()) -> None:
        self.dir, self.log, self.address, self.via = directory, log, address, list(via)
        self.root_hints, self.trust_anchor = root_hints, trust_anchor
        self.options = list(options)  # further lines of the section `server:`
        self._process: Process | None = None

    def start(self) -> None:
        self.dir.mkdir(parents=True, exist_ok=True)
        conf = self.dir / "unbound.conf"
        zones = "".join(f'  local-zone: "{z}." nodefault\n' for z in ("test", "home.arpa"))
        options = "".join(f"  {line}\n" for line in self.options)
        conf.write_text(f"""\
server:
  interface: {self.address}
  access-control: 0.0.0.0/0 allow
  do-daemonize: no
  username: ""
  chroot: ""
  pidfile: ""
  directory: "{self.dir}"
  use-syslog: no
  logfile: ""
  val-log-level: 2
  module-config: "validator iterator"
  root-hints: "{self.root_hints}"
  trust-anchor-file: "{self.trust_anchor}"
  do-not-query-localhost: no
  val-nsec3-keysize-iterations: "1024 150 2048 150 4096 150"
{zones}{options}remote-control:
  control-enable: no
""")
        self._process = Process("unbound", [*self.via, str(UNBOUND), "-d", "-p", "-c", str(conf)],
                                self.log)

    def wait(self) -> None:
        assert self._process
        if self.via:
            return  # in another network namespace; its users ask again until it answers
        self._process.wait_for(self.address, 53)

    def stop(self) -> None:
        if self._process:
            self._process.stop()
            self._process = None


def verdict(server: str, name: str, rdtype: str) -> str:
    """What the validating resolver `server` says: secure, insecure, failed (bogus or no answer)."""
    query = dns.message.make_query(name, rdtype, want_dnssec=True)
    answer = dns.query.udp_with_fallback(query, server, timeout=30)[0]
    if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return "failed"
    return "secure" if answer.flags & dns.flags.AD else "insecure"


def delv(server: str, trust_anchor: Path, name: str, rdtype: str) -> str:
    """What BIND's validator says, asking the resolver `server`: "secure", "insecure" or the text of
    the failure."""
    ds = trust_anchor.read_text().split("\n", 1)[0].split()
    keyfile = trust_anchor.with_suffix(".delv")
    keyfile.write_text('trust-anchors { "." static-ds %s %s %s "%s"; };\n'
                       % (ds[3], ds[4], ds[5], "".join(ds[6:])))
    done = subprocess.run([str(DELV), "-a", str(keyfile), "+root=.", f"@{server}", name, rdtype],
                          capture_output=True, text=True, timeout=60)
    text = done.stdout + done.stderr
    if "; fully validated" in text or "; negative response, fully validated" in text:
        return "secure"
    if "unsigned answer" in text or "; negative response, unsigned answer" in text:
        return "insecure"
    return text.strip()
