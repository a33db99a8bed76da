"""A world: zones, name servers, mail servers, as data; started and stopped as one.

    world = World()
    mx = world.address()
    world.add_zone("good.example", ["@ MX 10 mx", f"mx A {mx}"])
    world.start()

The root, `test` and `example` (signed) and `plain` (unsigned) are always there. A zone is delegated
from the closest zone above it, with the DS that `ds` asks for.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable, Sequence

import dns.name

from lab.dns_server import DnsServer, Rule
from lab.knot import Knot
from lab.namespace import STATE, LabError
from lab.postfix import Postfix
from lab.smtp_server import Smtp, SmtpServer
from lab.unbound import Unbound
from lab.zones import Damage, Zone

# DS at the parent: a good one; none (insecure); one of another key (bogus); one whose algorithm or
# digest nobody knows (insecure).
DS_KINDS = ("ok", "none", "wrong", "unknown-algorithm", "unknown-digest", "sha1", "sha384", "two")


@dataclass
class ZoneEntry:
    """A zone with its place in the world."""

    zone: Zone
    ds: str
    servers: list[tuple[str, list[str]]]  # name server's name, its addresses


class Addresses:
    """Hands out addresses; each world has a block of 4,096 of each family."""

    def __init__(self) -> None:
        for block in range(32):
            self.claim = STATE / f"block-{block}"
            try:
                self.claim.mkdir()
            except FileExistsError:
                continue
            self.block, self.used4, self.used6 = block, 0, 0
            return
        raise LabError("32 worlds at once are enough")

    def v4(self) -> str:
        self.used4 += 1
        number = self.block * 4096 + self.used4
        return f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"

    def v6(self) -> str:
        self.used6 += 1
        return f"2001:db8:{self.block + 1:x}::{self.used6:x}"

    def release(self) -> None:
        shutil.rmtree(self.claim, ignore_errors=True)


class World:
    """See the module's text. Nothing listens before start(); stop() ends all that was started."""

    def __init__(self, name: str = "world") -> None:
        self.addresses = Addresses()
        self.name = f"{name}-{self.addresses.block}"
        self.dir = STATE / self.name
        self.logs = STATE / "log" / self.name
        for directory in (self.dir, self.logs):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
        self.zones: dict[str, ZoneEntry] = {}
        self.hosts: dict[str, dict[str, Any]] = {}  # for reports: domain -> facts
        self.daemons: list[Any] = []                # objects with start, wait, stop
        self.tiers = [self._knot(tier) for tier in ("root", "tld", "zones")]
        self.started = False
        self._base()

    def _knot(self, tier: str) -> Knot:
        return Knot(tier, self.dir / f"knot-{tier}", self.logs / f"knot-{tier}.log",
                    [self.address(), self.address6()])

    def _base(self) -> None:
        root = self.tiers[0].addresses
        self.add_zone(".", servers=[("a.root-servers.test.", root)], ds="none")
        tld = self.tiers[1].addresses
        for name in ("test", "example"):
            self.add_zone(name, servers=[(f"a.nic.{name}.", tld)])
        self.add_zone("plain", servers=[("a.nic.plain.", tld)], algorithm=None)
        self.zones["test."].zone.add("a.root-servers.test.", "A", root[0])
        self.zones["test."].zone.add("a.root-servers.test.", "AAAA", root[1])

    # --- building

    def address(self) -> str:
        return self.addresses.v4()

    def address6(self) -> str:
        return self.addresses.v6()

    def add_zone(self, name: str, lines: Iterable[str] = (), *, ds: str = "ok",
                 servers: Sequence[tuple[str, Sequence[str]]] | None = None,
                 damages: Sequence[Damage] = (), **options: Any) -> Zone:
        """Adds a zone. `servers`: (name, addresses) of its name servers, default Knot; `options`
        are those of zones.Zone (algorithm, denial, extra_dnskeys ...)."""
        if ds not in DS_KINDS:
            raise ValueError(f"unknown kind of DS: {ds}")
        zone = Zone(name, damages=list(damages), **options)
        full = zone.origin.to_text()
        if servers is None:
            servers = [(f"ns.{full}", self.tiers[2].addresses)]
        entry = ZoneEntry(zone, ds, [(n, list(a)) for n, a in servers])
        self.zones[full] = entry
        _soa(zone)
        for server, addresses in entry.servers:
            zone.add("@", "NS", server)
            if dns.name.from_text(server).is_subdomain(zone.origin) and full != ".":
                _glue(zone, server, addresses)
        zone.add_lines(lines)
        return zone

    def _parent(self, name: dns.name.Name) -> Zone | None:
        while name != dns.name.root:
            name = name.parent()
            entry = self.zones.get(name.to_text())
            if entry:
                return entry.zone
        return None

    def _delegate(self) -> list[Zone]:
        """Puts NS and DS into the zones above where they are not yet; returns those changed."""
        changed = []
        for entry in self.zones.values():
            parent = self._parent(entry.zone.origin)
            owner = entry.zone.origin.to_text()
            if parent is None or parent.has(owner, "NS"):
                continue
            for server, addresses in entry.servers:
                parent.add(owner, "NS", server)
                if dns.name.from_text(server).is_subdomain(parent.origin):
                    _glue(parent, server, addresses)
            for text in _ds_texts(entry):
                parent.add(owner, "DS", text)
            changed.append(parent)
        return changed

    def _tier(self, zone: Zone) -> Knot:
        return self.tiers[min(len(zone.origin) - 1, 2)]

    # --- running

    def add_daemon(self, daemon: Any) -> Any:
        """Anything with start(), wait(), stop()."""
        self.daemons.append(daemon)
        if self.started:
            daemon.start()
            daemon.wait()
        return daemon

    def add_smtp(self, behaviour: Smtp, addresses: Sequence[str] = (),
                 port: int = 25) -> SmtpServer:
        """A scripted SMTP server, by default at a new IPv4 address (`server.addresses`)."""
        at = list(addresses) or [self.address()]
        log = self.logs / f"smtp-{at[0].replace(':', '_')}.jsonl"
        server = SmtpServer(at, behaviour, log, port)
        self.add_daemon(server)
        return server

    def add_dns(self, rules: Sequence[Rule] = (), addresses: Sequence[str] = (),
                tcp: str = "serve", tier: int = 2) -> DnsServer:
        """A scripted name server before Knot, by default at a new IPv4 address; use it as
        `servers=[("ns.bad.example.", server.addresses)]` of add_zone. `tier`: 0 root, 1 TLDs,
        2 all other zones."""
        at = list(addresses) or [self.address()]
        log = self.logs / f"dns-{at[0].replace(':', '_')}.jsonl"
        server = DnsServer(at, self.tiers[tier].addresses[0], log, list(rules), tcp)
        self.add_daemon(server)
        return server

    def add_secondary(self, name: str = "secondary") -> Knot:
        """A second real name server, for zones that the test puts there itself: an old version
        of one, say. Use its address in `servers` of add_zone."""
        address = self.address()
        name = f"{name}-{address}"
        return self.add_daemon(Knot(name, self.dir / f"knot-{name}",
                                    self.logs / f"knot-{name}.log", [address]))

    def add_resolver(self, address: str = "127.0.0.1", via: Sequence[str] = ()) -> Unbound:
        """A validating resolver. The lab has none of its own accord: daneway must not want one."""
        name = f"unbound-{len(self.daemons)}"
        return self.add_daemon(Unbound(self.dir / name, self.logs / f"{name}.log", self.root_hints,
                                       self.trust_anchor, address, via))

    def add_sender(self, tls_level: str = "dane", via: Sequence[str] = ()) -> Postfix:
        """Postfix as a sender (needs a resolver at 127.0.0.1 for itself): the contrast."""
        name = f"sender-{len(self.daemons)}"
        return self.add_daemon(Postfix(name, self.dir / name, self.logs / f"{name}.log",
                                       hostname="sender.test", tls_level=tls_level, via=via))

    def start(self) -> None:
        self._delegate()
        for entry in self.zones.values():
            self._tier(entry.zone).put(entry.zone.origin.to_text(), entry.zone.sign())
        self._write_anchor()
        everything = [*self.tiers, *self.daemons]
        self.started = True
        for daemon in everything:
            daemon.start()
        for daemon in everything:
            daemon.wait()
        (self.dir / "world.json").write_text(json.dumps(self.hosts, indent=1))

    def update(self, *names: str) -> None:
        """Publishes zones that were added or changed after start(); returns when they are served.
        A validator that has seen the old state keeps it for the TTL."""
        zones = {z.name: z for z in self._delegate()}
        for name in names:
            zone = self.zones[dns.name.from_text(name).to_text()].zone
            zones[zone.name] = zone
        for zone in zones.values():
            zone.serial += 1
            _soa(zone)
            self._tier(zone).put(zone.origin.to_text(), zone.sign())
        for tier in {id(self._tier(z)): self._tier(z) for z in zones.values()}.values():
            tier.reload()
        for zone in zones.values():
            self._tier(zone).wait_serial(zone.origin.to_text(), zone.serial)

    def stop(self) -> None:
        for daemon in [*reversed(self.daemons), *self.tiers]:
            daemon.stop()
        self.started = False
        self.addresses.release()

    def _write_anchor(self) -> None:
        root = self.zones["."]
        (name, addresses), = root.servers
        lines = [f". 3600000 IN NS {name}"]
        lines += [f"{name} 3600000 IN {'AAAA' if ':' in a else 'A'} {a}" for a in addresses]
        self.root_hints.write_text("\n".join(lines) + "\n")
        anchors = [f". IN DS {ds.to_text()}" for ds in root.zone.ds()]
        self.trust_anchor.write_text("\n".join(anchors) + "\n")

    @property
    def root_hints(self) -> Path:
        return self.dir / "root.hints"

    @property
    def trust_anchor(self) -> Path:
        return self.dir / "root.key"

    def environment(self) -> dict[str, str]:
        return {"DANEWAY_ROOT_HINTS": str(self.root_hints),
                "DANEWAY_TRUST_ANCHOR": str(self.trust_anchor),
                "DANEWAY_LAB_LOGS": str(self.logs),
                "DANEWAY_LAB_WORLD": str(self.dir / "world.json")}

    @staticmethod
    def standard() -> World:
        from lab.standard import build
        return build(World("standard"))


def _soa(zone: Zone) -> None:
    above = zone.origin.to_text().lstrip(".") or "root-servers.test."
    zone.set_soa(f"{'a' if zone.name == '.' else 'ns'}.{above}", f"hostmaster.{above}")


def _glue(zone: Zone, server: str, addresses: Sequence[str]) -> None:
    for address in addresses:
        kind = "AAAA" if ":" in address else "A"
        zone.add(server, kind, address)


def _ds_texts(entry: ZoneEntry) -> list[str]:
    zone = entry.zone
    good = [ds.to_text() for ds in zone.ds()]
    if entry.ds == "none" or (zone.algorithm is None and entry.ds == "ok"):
        return []
    if entry.ds == "ok":
        return good
    if entry.ds in ("sha1", "sha384"):
        return [ds.to_text() for ds in zone.ds(entry.ds.upper())]
    if entry.ds == "two":
        return good + [ds.to_text() for ds in zone.ds("SHA384")]
    if entry.ds == "unknown-algorithm":
        return ["12345 253 2 " + "ab" * 32]
    if entry.ds == "unknown-digest":
        algorithm = zone.algorithm or 13
        return [f"{zone.keys[0].tag if zone.keys else 12345} {algorithm} 200 " + "ab" * 32]
    return [f"12345 {zone.algorithm or 13} 2 " + "ab" * 32]  # wrong
