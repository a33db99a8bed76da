"""Puts cases into a world of the lab: zones, name servers, certificates, mail servers.

Each case has domains of its own (ID.example, ID.test, ID.plain), a scripted name server of its own
for all of them (so its query log is the case's), and mail servers of its own.
"""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any, Sequence

from case import Case, CaseError, ZONE_KEYS, expand
from lab import certs
from lab.dns_server import DnsServer, Query, Rule
from lab.smtp_server import Smtp, SmtpServer, Tls, anonymous
from lab.world import World
from lab.zones import Damage

# Certificates that need not be described; `certs` may change single options of them. "ca-7" is the
# seventh of a long line: issued by ca-6, ca-1 by the root.
PKI: dict[str, dict[str, Any]] = {
    "root": {"ca": True}, "ca": {"ca": True, "issuer": "root"},
    "leaf": {"issuer": "ca", "dns": ["mx.{example}"]}}
TLS_KEYS = ("minimum", "maximum", "ciphers", "abort_unknown_sni")
SERVER_KEYS = ("chain", "key", "chains", "sni", "anonymous", "tls", "port", "down", "domain")


def _period(text: str) -> datetime.timedelta:
    """"-1d", "30d", "2h": relative to now."""
    number, unit = int(text[:-1]), text[-1]
    return datetime.timedelta(**{{"d": "days", "h": "hours"}[unit]: number})


class Staged:
    """A case in a world."""

    def __init__(self, world: World, case: Case) -> None:
        self.world, self.case = world, case
        self.certs: dict[str, certs.Cert] = {}
        self.addresses: dict[tuple[str, str], str] = {}
        self.servers: dict[str, SmtpServer] = {}
        self.token = f"token-{case.id}-{id(self):x}"
        self.dns: DnsServer = world.add_dns([], tcp=case.dns_tcp)
        self._zones()
        self.dns.rules += [self._rule(rule) for rule in case.dns]
        self._times = [rule.times for rule in self.dns.rules]
        self.records = self.fill(case.records)
        self.expected = {name: self.fill(getattr(case, name)) for name in case.commands}
        for name in case.servers:
            self.address(name)
        self._listen()

    # --- placeholders

    def fill(self, value: Any) -> Any:
        return expand(value, self._placeholder)

    def _placeholder(self, word: str, mark: str, rest: str) -> str:
        if mark == "" and word in ("example", "test", "plain"):
            return self.case.zone_name(word)
        if mark == "" and word == "long":
            return self.case.long_name()
        if mark == ":":                       # {mx:3 1 1} a TLSA record, {mx:1 1} its data
            numbers = [int(n) for n in rest.split()]
            usage = numbers.pop(0) if len(numbers) == 3 else None
            record = self.cert(word).tlsa(3, *numbers)
            return record.split()[3] if usage is None else f"{usage} {record[2:]}"
        return self.address(word, rest or "1")

    def address(self, server: str, which: str = "1") -> str:
        """{mx} or {mx.1}, {mx.2}: IPv4 addresses of a server; {mx.6}: its IPv6 address."""
        key = (server, which)
        if key not in self.addresses:
            six = which.startswith("6")
            self.addresses[key] = self.world.address6() if six else self.world.address()
        return self.addresses[key]

    # --- certificates

    def cert(self, name: str) -> certs.Cert:
        """A certificate of the case; that of a server is self-signed if nothing else is said."""
        if name in self.certs:
            return self.certs[name]
        chain = self.case.servers.get(name, {}).get("chain")
        options = {**self._common(name), **self.case.certs.get(name, {})}
        if options:
            made = self._issue(name, options)
        elif chain:
            made = self.cert(chain[0])
        else:
            made = certs.self_signed(self.case.absolute(name))
        self.certs[name] = made
        return made

    def _common(self, name: str) -> dict[str, Any]:
        if number := re.fullmatch(r"ca-(\d+)", name):
            above = int(number[1]) - 1
            return {"ca": True, "issuer": f"ca-{above}" if above else "root"}
        return PKI.get(name, {})

    def _issue(self, name: str, options: dict[str, Any]) -> certs.Cert:
        options = self.fill(options)
        for key in ("start", "end"):
            if key in options:
                options[key] = _period(options[key])
        issuer = options.pop("issuer", "")
        above = self.cert(issuer) if issuer else None
        if "key_of" in options:
            options["key"] = self.cert(options.pop("key_of")).key
        elif str(options.get("key", "")).startswith("rsa"):
            options["key"] = certs.shared_key(options["key"], len(self.certs) % 4)
        return certs.issue(options.pop("cn", name), above, **options)

    def _pem(self, file: str, chain: Sequence[str], key: str | None = None) -> Path:
        path = self.world.dir / f"{self.case.id}-{file}.pem"
        names = [name for entry in chain for name in _line(entry)]
        return self.cert(key or names[0]).write(path, [self.cert(name) for name in names])

    def pem(self, server: str) -> Path:
        """What a server sends, without its key."""
        path = self.world.dir / f"{self.case.id}-{server}.chain"
        text = (self.world.dir / f"{self.case.id}-{server}-0.pem").read_text()
        path.write_text(text[text.index("-----BEGIN CERTIFICATE"):])
        return path

    @property
    def trusted(self) -> Path | None:
        if not self.case.trusted:
            return None
        path = self.world.dir / f"{self.case.id}-trusted.crt"
        path.write_text("".join(self.cert(name).pem() for name in self.case.trusted))
        return path

    # --- mail servers

    def _listen(self) -> None:
        # Servers that were only named in a zone are good ones.
        for name in dict.fromkeys(server for server, _ in self.addresses):
            options = dict(self.case.servers.get(name, {}))
            if options.pop("down", False):
                continue
            behaviour = Smtp(hostname=self.case.absolute(name), tls=self._tls(name, options))
            for key in SERVER_KEYS + TLS_KEYS:
                options.pop(key, None)
            for key, value in options.items():
                if not hasattr(behaviour, key):
                    raise CaseError(f"{self.case.id}: servers.{name}: unknown: {key}")
                setattr(behaviour, key, value.encode("latin-1") if key == "inject" else _raw(value))
            at = [a for (server, _), a in self.addresses.items() if server == name]
            port = self.case.servers.get(name, {}).get("port", 25)
            self.servers[name] = self.world.add_smtp(behaviour, at, port)

    def _tls(self, name: str, options: dict[str, Any]) -> Tls | None:
        if options.get("tls") is False:
            return None
        if options.get("anonymous"):
            return anonymous()
        chains = options.get("chains") or [options.get("chain") or [name]]
        files = [self._pem(f"{name}-{n}", chain, options.get("key"))
                 for n, chain in enumerate(chains)]
        sni = {self.case.absolute(self.fill(host)): self._pem(f"{name}-sni-{n}", chain)
               for n, (host, chain) in enumerate(options.get("sni", {}).items())}
        return Tls(files, sni=sni, **{k: options[k] for k in TLS_KEYS if k in options})

    # --- zones

    def _zones(self) -> None:
        case = self.case
        everything = {"example": {"lines": case.zone_lines(), **case.zone_options}, **case.zones}
        # Parents first: a zone is delegated from the closest zone above it.
        for key in sorted(everything, key=lambda k: k.count(".")):
            self._zone(key, dict(everything[key]))

    def _zone(self, key: str, table: dict[str, Any]) -> None:
        name = self.case.zone_name(key)
        lines = [self.fill(line) for line in table.pop("lines", [])]
        if unknown := set(table) - set(ZONE_KEYS):
            raise CaseError(f"{self.case.id}: zone {key}: unknown: {', '.join(sorted(unknown))}")
        damages = []
        for text in table.pop("damages", []):
            kind, *where = text.split()
            damages.append(Damage(kind, *where))
        if table.get("algorithm") == 0 or (key.endswith("plain") and "algorithm" not in table):
            table["algorithm"] = None
        for field in ("more_algorithms", "idle_algorithms"):
            table[field] = tuple(table.get(field, ()))
        apex_ns = table.pop("apex_ns", True)
        zone = self.world.add_zone(name, lines, servers=[(f"ns.{name}.", self.dns.addresses)],
                                   damages=damages, **table)
        if not apex_ns:
            zone.remove("@", "NS")

    # --- name server

    def _rule(self, rule: str | dict[str, Any]) -> Rule:
        """"servfail _25._tcp.mx TLSA [udp]", or a table with the fields of lab's Rule."""
        rule = self.fill(rule)
        if isinstance(rule, str):
            action, name, *rest = rule.split()
            zone = self.world.zones[f"{self.case.zone_name('example')}."].zone
            return Rule(action, self.case.absolute(name), *rest, zone=zone)
        table = dict(rule)
        if "qname" in table:
            table["qname"] = self.case.absolute(table["qname"])
        records = []
        for line in table.get("records", []):
            owner, rest = line.split(None, 1)
            records.append(f"{self.case.absolute(owner)}. {rest}")
        return Rule(**{**table, "records": records})

    def questions(self, since: int = 0) -> list[Query]:
        return self.dns.queries[since:]

    def rewind(self) -> None:
        """For another sender: what a rule does so many times only, it does again."""
        for rule, times in zip(self.dns.rules, self._times):
            rule.times = times

    # --- the message

    @property
    def recipients(self) -> list[str]:
        return self.fill(self.case.to) or [f"b@{self.fill(self.case.argument)}"]

    def tlsa_records(self) -> list[str]:
        """All TLSA records of the case; `tlsa match` gets them."""
        lines = self.case.zone_lines() + [line for zone in self.case.zones.values()
                                          for line in zone.get("lines", [])]
        return [self.fill(line.split(" TLSA ")[1]) for line in lines if " TLSA " in line]

    @property
    def arrives(self) -> bytes:
        """The message as a server must get it: lines in CRLF, else as it was."""
        return self.data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    @property
    def data(self) -> bytes:
        """The message on standard input: that of the case, or one with what a careless sender
        would break: dots, long lines, no ASCII."""
        if self.case.data:
            return f"{self.case.data}{self.token}\n".encode()
        return (f"From: a@sender.test\r\nSubject: conformance\r\n\r\n{self.token}\r\n.\r\n"
                f"..two\r\n.\r\n{'x' * 900}\r\nend\r\n").encode()


def stage(world: World, cases: Sequence[Case]) -> dict[str, Staged]:
    return {case.id: Staged(world, case) for case in cases}


def _line(entry: str) -> list[str]:
    """"ca-9..1": ca-9, ca-8 and so on to ca-1."""
    if not (ends := re.fullmatch(r"ca-(\d+)\.\.(\d+)", entry)):
        return [entry]
    return [f"ca-{number}" for number in range(int(ends[1]), int(ends[2]) - 1, -1)]


def _raw(value: Any) -> Any:
    """A scripted reply that begins with "=" goes out as the octets that follow."""
    if isinstance(value, dict):
        return {key: _raw(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_raw(one) for one in value]
    return value[1:].encode("latin-1") if isinstance(value, str) and value[:1] == "=" else value
