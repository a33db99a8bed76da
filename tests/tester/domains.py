"""The domains of docs/tester.md in one world: those that tests/system stages for `check`, and broken
chains and name servers. What is wrong with each, and what counts as saying it: domains.toml.
"""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

import dns.message
import dns.rrset

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "system"))

import test_check  # noqa: E402
import test_check_more  # noqa: E402
from lab import certs  # noqa: E402
from lab.certs import Cert  # noqa: E402
from lab.dns_server import DnsServer, Rule  # noqa: E402
from lab.world import World  # noqa: E402
from lab.zones import Damage, Zone  # noqa: E402
from test_check import Stage  # noqa: E402

OWN: dict[str, Callable[[Stage], None]] = {}


def domain(build: Callable[[Stage], None]) -> Callable[[Stage], None]:
    OWN[build.__name__.replace("_", "-")] = build
    return build


def sound(s: Stage, **options: Any) -> None:
    """A mail server whose record matches; what is broken is the zone."""
    s.serve(s.old)
    s.tlsa(s.old.tlsa(3, 1, 1))
    s.options |= options


# --- sound ----------------------------------------------------------------------------------------

@domain
def sound_nsec3(s: Stage) -> None:
    sound(s, denial="nsec3")


@domain
def sound_rsa_zone(s: Stage) -> None:
    sound(s, algorithm=8)


@domain
def sound_two_servers(s: Stage) -> None:
    sound(s)
    good = s.world.tiers[2].addresses
    s.options["servers"] = [(f"ns1.{s.domain}.", good[:1]), (f"ns2.{s.domain}.", good[1:])]


@domain
def sound_two_hosts(s: Stage) -> None:
    s.serve(s.old)
    second = certs.self_signed(f"mx2.{s.domain}")
    s.serve(second, label="mx2", v6=True)
    s.lines.append("@ MX 20 mx2")
    s.tlsa(s.old.tlsa(3, 1, 1))
    s.tlsa(second.tlsa(3, 1, 1), owner="_25._tcp.mx2")


@domain
def sound_other_name(s: Stage) -> None:
    """With usage 3 names do not count (RFC 7672 section 3.1.1)."""
    cert = certs.self_signed("other.test")
    s.serve(cert)
    s.tlsa(cert.tlsa(3, 1, 1))


# --- the chain ------------------------------------------------------------------------------------

def damaged(name: str, *damages: Damage) -> None:
    def build(s: Stage) -> None:
        sound(s)
        s.damages = list(damages)
    OWN[name] = build


damaged("tlsa-not-yet-valid", Damage("not-yet-valid", "_25._tcp.mx", "TLSA"))
damaged("tlsa-unsigned", Damage("missing", "_25._tcp.mx", "TLSA"))
damaged("tlsa-changed-after-signing", Damage("corrupt", "_25._tcp.mx", "TLSA"))
damaged("tlsa-signed-by-unknown-key", Damage("unknown-key", "_25._tcp.mx", "TLSA"))
damaged("tlsa-wrong-signer", Damage("wrong-signer", "_25._tcp.mx", "TLSA"))
damaged("mx-unsigned", Damage("missing", "@", "MX"))
damaged("dnskey-signature-expired", Damage("expired", "@", "DNSKEY"))
damaged("dnskey-signature-corrupt", Damage("corrupt", "@", "DNSKEY"))
damaged("dnskey-missing", Damage("no-dnskey"))
damaged("no-denial", Damage("no-denial"))


def delegated(name: str, ds: str, **options: Any) -> None:
    def build(s: Stage) -> None:
        sound(s, ds=ds, **options)
    OWN[name] = build


delegated("ds-of-a-removed-key", "wrong")
delegated("ds-missing", "none")
delegated("ds-unknown-algorithm", "unknown-algorithm")
delegated("ds-unknown-digest", "unknown-digest")
delegated("ds-of-an-unsigned-zone", "wrong", algorithm=None)
delegated("ed448", "ok", algorithm=16)
delegated("rsasha1", "ok", algorithm=7)
delegated("nsec3-iterations", "ok", denial="nsec3", iterations=400)


@domain
def ds_digest_wrong(s: Stage) -> None:
    """The tag is that of the zone's key, the digest is not: the DS was mistyped."""
    sound(s, ds="none")
    s.after = lambda: s.world.zones["example."].zone.add(
        s.domain + ".", "DS", f"{s.world.zones[s.domain + '.'].zone.keys[0].tag} 13 2 " + "ab" * 32)


@domain
def ds_signature_broken(s: Stage) -> None:
    """The parent's fault."""
    sound(s)
    s.after = lambda: s.world.zones["example."].zone.damages.append(
        Damage("corrupt", s.domain.partition(".")[0], "DS"))


@domain
def denial_unsigned(s: Stage) -> None:
    """The NSEC3 record that denies AAAA at the host has no signature."""
    sound(s, denial="nsec3")

    def spoil() -> None:
        zone = s.world.zones[s.domain + "."].zone
        zone.damages.append(Damage("missing", zone.hashed("mx"), "NSEC3"))
    s.after = spoil


# --- one name server of two -----------------------------------------------------------------------

class Lame(DnsServer):
    """Knows nothing of the zone, and refers to the root."""

    async def answer(self, wire: bytes, address: str, transport: str) -> bytes | None:
        reply = dns.message.make_response(dns.message.from_wire(wire))
        reply.authority.append(dns.rrset.from_text(".", 300, "IN", "NS", "a.root-servers.test."))
        return reply.to_wire()


class Old(DnsServer):
    """Drops every question with EDNS."""

    async def answer(self, wire: bytes, address: str, transport: str) -> bytes | None:
        if dns.message.from_wire(wire).edns >= 0:
            return None
        return await super().answer(wire, address, transport)


def beside(s: Stage, bad: Any) -> None:
    """ns1 is Knot, ns2 the bad one."""
    s.options["servers"] = [(f"ns1.{s.domain}.", s.world.tiers[2].addresses[:1]),
                            (f"ns2.{s.domain}.", list(bad))]


def one_server(name: str, *rules: Rule, tcp: str = "serve") -> None:
    def build(s: Stage) -> None:
        sound(s)
        beside(s, s.world.add_dns(rules, tcp=tcp).addresses)
    OWN[name] = build


def one_custom(name: str, kind: type[DnsServer]) -> None:
    def build(s: Stage) -> None:
        sound(s)
        at = [s.world.address()]
        s.world.add_daemon(kind(at, s.world.tiers[2].addresses[0], s.world.logs / f"{at[0]}.jsonl"))
        beside(s, at)
    OWN[name] = build


one_server("server-strips-signatures", Rule("strip-rrsig"))
one_server("server-strips-denial", Rule("strip-denial"))
one_server("server-silent", Rule("drop"))
one_server("server-refuses", Rule("refused"))
one_server("server-drops-tlsa", Rule("drop", qtype="TLSA"))
one_server("server-notimp-tlsa", Rule("notimp", qtype="TLSA"))
one_server("server-denies-tcp-label", Rule("nxdomain", qname="_tcp.*"))
one_server("server-without-tcp", tcp="refuse")
one_server("server-truncates-without-tcp", Rule("truncate"), tcp="refuse")
one_server("server-other-data", Rule("forge-signed", "mx.*", "A",
                                     records=["mx.server-other-data.example. A 192.0.2.66"]))
one_custom("server-lame", Lame)
one_custom("server-without-edns", Old)


@domain
def server_stale(s: Stage) -> None:
    """Correctly signed, and behind: still the TLSA record of the former key."""
    s.serve(s.old)
    s.tlsa(s.self_signed().tlsa(3, 1, 1))
    knot = s.world.add_secondary()
    beside(s, knot.addresses)

    def renew() -> None:
        s.world._delegate()
        zone = s.world.zones[s.domain + "."].zone
        knot.put(s.domain + ".", zone.sign())
        zone.remove("_25._tcp.mx", "TLSA")
        zone.add("_25._tcp.mx", "TLSA", s.old.tlsa(3, 1, 1))
        zone.serial += 1
        zone.set_soa(f"ns1.{s.domain}.", f"hostmaster.{s.domain}.")
    s.after = renew


@domain
def server_unsigned_zone(s: Stage) -> None:
    """A secondary that serves the zone as it was before signing."""
    sound(s)
    knot = s.world.add_secondary()
    beside(s, knot.addresses)

    def put() -> None:
        entry = s.world.zones[s.domain + "."]
        knot.put(s.domain + ".", Zone(s.domain, algorithm=None, records=entry.zone.records).sign())
    s.after = put


# --- all of them ----------------------------------------------------------------------------------

class Noted(Stage):
    """Knows what its servers serve."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.served: list[Cert] = []

    def pem(self, cert: Cert, chain: Sequence[Cert] | None = None) -> Any:
        self.served.append(cert)
        return super().pem(cert, chain)


@dataclass
class Entry:
    """A domain of domains.toml, staged."""

    id: str
    facts: dict[str, Any]
    stage: Noted

    @property
    def domain(self) -> str:
        return self.stage.domain

    @property
    def hosts(self) -> list[str]:
        """The MX hosts, as the postmaster knows them."""
        names = [m.group(1) for line in self.stage.lines
                 if (m := re.match(r"@ MX \d+ (\S+)", line)) and m.group(1) != "."]
        return [n.rstrip(".") if n.endswith(".") else f"{n}.{self.domain}" for n in names]

    def words(self) -> dict[str, list[str]]:
        """The patterns behind the words in braces of domains.toml, in lower case, the label as "id"."""
        certs = [one for cert in self.stage.served for one in cert.chain]
        right = [cert.tlsa(3 if cert in self.stage.served else 2, selector, mtype)
                 for cert in certs for selector in (0, 1) for mtype in (0, 1, 2)]
        there = " ".join(self.stage.lines)
        records = [" ".join([*(f"0?{n}" for n in one.split()[:3]), one.split()[3]])
                   for one in right if f"_25._tcp.mx TLSA {one}" not in there]
        zone = self.stage.world.zones[self.domain + "."]
        servers = [name for entry in zone.servers[1:2] for name in (entry[0].rstrip("."), *entry[1])]
        owner = r"_25\._tcp\.mx2?\.[a-z0-9.-]+ (?:\d+ )?in tlsa \(? ?"
        return {"record": [owner + one for one in records],
                "leaf-key": [cert.tlsa(3, 1, 1).split()[3] for cert in self.stage.served],
                "ds": [rf"id\.example\. (?:\d+ )?in ds {ds.to_text()}" for ds in zone.zone.ds()]
                if zone.zone.algorithm else [],
                "ns2": [re.escape(name.lower().replace(self.domain, "id.example"))
                        for name in servers],
                "last": [re.escape(a) for server in self.stage.servers[-1:] for a in server.addresses]}

    @property
    def sound(self) -> bool:
        return self.facts["kind"] == "sound"


def builders() -> dict[str, Callable[[Stage], None]]:
    more = {name: build for name, (build, _, _) in test_check_more.STAGES.items()}
    return {**more, **{name: case.build for name, case in test_check.CASES.items()}, **OWN}


def facts() -> dict[str, dict[str, Any]]:
    return tomllib.loads((HERE / "domains.toml").read_text())


def stage(world: World) -> Iterator[Entry]:
    """Puts them into a world that is then to be started."""
    build = builders()
    for name, one in facts().items():
        entry = Entry(name, one, Noted(world, name))
        build[name](entry.stage)
        publish(entry.stage)
        yield entry


def publish(s: Stage) -> None:
    if "servers" not in s.options:
        s.publish()
    else:
        s.world.add_zone(s.domain, s.lines, damages=s.damages, **s.options)
    getattr(s, "after", lambda: None)()
