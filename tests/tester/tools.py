"""The testers, each with its best configuration in the lab: what it prints about a domain, as a reader
would see it. Whether that finds the fault is judged in judge.py.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Sequence

import dns.exception
import dns.message
import dns.query
import dns.rdatatype

from domains import Entry
from lab import namespace
from lab.namespace import SERVERS
from lab.postfix import Postfix
from lab.world import World

RESOLVER = "127.0.0.1"
PATIENCE = 6        # seconds that a tool waits for a server
LIMIT = 180         # seconds for one run of a tool


@dataclass
class Ran:
    """All runs of a tool for one domain: the text with its command lines, the exit codes."""

    text: str = ""
    codes: list[int] = field(default_factory=list)


def run(ran: Ran, argv: Sequence[str | Path], shown: str, stdin: bytes = b"",
        env: dict[str, str] | None = None, limit: float = LIMIT, cwd: Path | None = None) -> bytes:
    try:
        done = subprocess.run([str(a) for a in argv], input=stdin, capture_output=True,
                              timeout=limit, env=env, cwd=cwd)
        out, text, code = done.stdout, done.stdout + done.stderr, done.returncode
    except subprocess.TimeoutExpired as late:
        out, text, code = b"", (late.stdout or b"") + b"\n(stopped)\n", 124
    ran.text += f"$ {shown}\n{text.decode(errors='replace').rstrip()}\n[exit {code}]\n"
    ran.codes.append(code)
    return out


def addresses(host: str) -> list[str]:
    """By the lab's resolver, without regard to validation."""
    found = []
    for rdtype in ("A", "AAAA"):
        query = dns.message.make_query(host, rdtype)
        query.flags |= dns.flags.CD
        try:
            answer = dns.query.udp(query, RESOLVER, timeout=20).answer
        except dns.exception.Timeout:
            continue
        found += [r.address for rrset in answer for r in rrset
                  if r.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)]
    return found


class Tool:
    """`looks`: the kinds of fault (domains.toml) that it is made to see."""

    name = ""
    looks: frozenset[str] = frozenset(("tls", "record", "chain", "servers"))

    def __init__(self, world: World, program: Path) -> None:
        self.world, self.program = world, program

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def ask(self, entry: Entry) -> Ran:
        raise NotImplementedError


class Check(Tool):
    name = "daneway check"

    def ask(self, entry: Entry) -> Ran:
        ran = Ran()
        run(ran, [self.program, "--root-hints", self.world.root_hints, "--trust-anchor",
                  self.world.trust_anchor, "check", "--dns-timeout", "3", "--connect-timeout", "3",
                  "--timeout", "20", entry.domain], f"daneway check {entry.domain}")
        return ran


class Dnssec(Tool):
    name = "daneway dnssec"
    looks = frozenset(("chain", "servers"))

    def ask(self, entry: Entry) -> Ran:
        ran = Ran()
        run(ran, [self.program, "--root-hints", self.world.root_hints, "--trust-anchor",
                  self.world.trust_anchor, "dnssec", "--dns-timeout", "3", "--timeout", "20",
                  "--mail", entry.domain], f"daneway dnssec --mail {entry.domain}")
        return ran


class Finger(Tool):
    name = "posttls-finger"
    looks = frozenset(("tls", "record", "chain"))

    def start(self) -> None:
        self.postfix = Postfix("tester", self.world.dir / "tester", self.world.logs / "tester.log",
                               hostname="sender.test", tls_level="dane")
        self.postfix.start()
        self.postfix.wait()

    def stop(self) -> None:
        self.postfix.stop()

    def ask(self, entry: Entry) -> Ran:
        ran = Ran()
        words = ["-t", str(PATIENCE), "-T", str(PATIENCE), "-l", "dane", "-d", "sha256", "-L",
                 "verbose,certmatch,summary", entry.domain]
        run(ran, self.postfix.tool("posttls-finger", *words), f"posttls-finger {' '.join(words)}")
        return ran


class PerHost(Tool):
    """Tools that test a host: every MX host that the postmaster has."""

    looks = frozenset(("tls", "record", "chain"))

    def ask(self, entry: Entry) -> Ran:
        ran = Ran()
        for host in entry.hosts:
            self.host(ran, host)
        return ran

    def host(self, ran: Ran, host: str) -> None:
        raise NotImplementedError


class LdnsDane(PerHost):
    """It speaks no SMTP: it gets the chain of certificates that `openssl s_client` was shown."""

    name = "ldns-dane"

    def host(self, ran: Ran, host: str) -> None:
        for address in addresses(host) or [""]:
            at = f"[{address}]:25" if ":" in address else f"{address or host}:25"
            out = run(Ran(), ["timeout", PATIENCE, "openssl", "s_client", "-starttls", "smtp",
                              "-connect", at, "-servername", host, "-showcerts"], "openssl s_client",
                      stdin=b"QUIT\r\n").decode(errors="replace")
            pems = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", out, re.S)
            if not pems:
                ran.text += f"(openssl s_client -starttls smtp -connect {at}: no certificate)\n"
                ran.codes.append(1)
                continue
            path = self.world.dir / f"ldns-dane-{address.replace(':', '_')}.pem"
            path.write_text("".join(pems))
            tool = SERVERS / "ldns-dane/usr/bin/ldns-dane"
            run(ran, [tool, "-r", RESOLVER, "-c", path, "verify", host, "25"],
                f"ldns-dane -c CHAIN.pem verify {host} 25", limit=40)


class Danetool(PerHost):
    name = "danetool"

    def start(self) -> None:
        self.anchor = self.world.dir / "danetool.key"
        self.anchor.write_text(self.world.trust_anchor.read_text())
        namespace.run("mount", "--bind", str(self.anchor), "/usr/share/dns/root.key")

    def stop(self) -> None:
        namespace.run("umount", "/usr/share/dns/root.key")

    def host(self, ran: Ran, host: str) -> None:
        words = ["--check", host, "--starttls-proto=smtp", "--port=25", "--local-dns"]
        run(ran, [SERVERS / "danetool/usr/bin/danetool", *words], f"danetool {' '.join(words)}",
            limit=40, cwd=self.world.dir)   # it leaves files there


class Dnsviz(Tool):
    """Not installed, it would take the internet's root hints: so it is told where its data lies. It
    believes to have no network where there is no route to the internet's root server A."""

    name = "dnsviz"
    looks = frozenset(("chain", "servers"))
    ROUTES = (("-4", "198.41.0.4"), ("-6", "2001:503:ba3e::2:30"))
    # dnsviz 0.9.4 asks pygraphviz for its version in a place that Debian 12's 1.7 has no more.
    START = ("import runpy, sys, types, pygraphviz, dnsviz.config as c; "
             "pygraphviz.release = types.SimpleNamespace(version=pygraphviz.__version__); "
             "c.DNSVIZ_SHARE_PATH = sys.argv.pop(1); sys.argv.pop(0); "
             "runpy.run_path(sys.argv[0], run_name='__main__')")

    def start(self) -> None:
        home = SERVERS / "dnsviz/usr"
        share = self.world.dir / "dnsviz"
        (share / "hints").mkdir(parents=True, exist_ok=True)
        (share / "hints/named.root").write_text(self.world.root_hints.read_text())
        self.keys = share / "keys"
        self.keys.write_text("".join(f". 3600 IN DNSKEY {k.dnskey.to_text()}\n"
                                     for k in self.world.zones["."].zone.keys))
        self.argv = ["/usr/bin/python3", "-c", self.START, share, home / "bin/dnsviz"]
        self.env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(share),
                    "PYTHONPATH": f"{home}/lib/python3/dist-packages"}
        for family, address in self.ROUTES:
            namespace.run("ip", family, "route", "add", "local", address, "dev", "lo")

    def stop(self) -> None:
        for family, address in self.ROUTES:
            namespace.run("ip", family, "route", "del", "local", address, "dev", "lo")

    def ask(self, entry: Entry) -> Ran:
        ran = Ran()
        asked = [("MX", entry.domain)]
        for host in entry.hosts:
            asked += [("A,AAAA", host), ("TLSA", f"_25._tcp.{host}")]
        for types, name in asked:   # in one probe it would skip some of them
            probed, words = Ran(), ["probe", "-A", "-a", ".", "-d", "1", "-R", types, name]
            data = run(probed, [*self.argv, *words], "", env=self.env)
            run(ran, [*self.argv, "grok", "-l", "warning", "-t", self.keys],
                f"dnsviz {' '.join(words)} | dnsviz grok -l warning -t KEYS", stdin=data,
                env=self.env)
            ran.codes += probed.codes
        return ran


class Delv(Tool):
    name = "delv"
    looks = frozenset(("record", "chain"))

    def start(self) -> None:
        ds = self.world.trust_anchor.read_text().split("\n", 1)[0].split()
        self.keys = self.world.dir / "delv.keys"
        self.keys.write_text('trust-anchors { "." static-ds %s %s %s "%s"; };\n'
                             % (ds[3], ds[4], ds[5], "".join(ds[6:])))

    def ask(self, entry: Entry) -> Ran:
        ran = Ran()
        asked = [(entry.domain, "MX")]
        for host in entry.hosts:
            asked += [(host, "A"), (host, "AAAA"), (f"_25._tcp.{host}", "TLSA")]
        for name, rdtype in asked:
            run(ran, [SERVERS / "bind/usr/bin/delv", "-a", self.keys, "+root=.", "+cd", f"@{RESOLVER}", name,
                      rdtype], f"delv -a KEYS +cd @{RESOLVER} {name} {rdtype}", limit=40)
        return ran


TOOLS: list[type[Tool]] = [Check, Dnssec, Finger, LdnsDane, Danetool, Dnsviz, Delv]
