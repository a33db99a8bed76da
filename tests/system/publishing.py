"""A hoster's zone on real name servers: a primary that takes signed updates and signs the zone
itself, and a secondary. The world knows the delegation and the DS; tests/publish/drive.c publishes.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, Sequence

import dns.dnssec
import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rdata
import dns.rrset

from lab.bind import Bind
from lab.knot import Knot
from lab.namespace import HOME, LabError
from lab.world import World

ZONE = "hoster.example"
OWNER = f"_25._tcp.mx.{ZONE}"
DRIVE = Path(os.environ.get("DANEWAY", HOME / "build/daneway")).parent / "tests/publish/publish_drive"


def tlsa(octet: int) -> str:
    """A record `3 1 1`, as RDATA in hexadecimal."""
    return "030101" + f"{octet:02x}" * 32


def shown(address: str, owner: str, rdtype: str) -> set[str]:
    """What a server says, by a library that is not ours."""
    query = dns.message.make_query(owner, rdtype, want_dnssec=True)
    answer = dns.query.tcp(query, address, timeout=3).answer
    return {rdata.to_text() for rrset in answer if rrset.rdtype == dns.rdatatype.from_text(rdtype)
            for rdata in rrset}


def zone_text(addresses: Sequence[str]) -> str:
    lines = [f"$ORIGIN {ZONE}.", "$TTL 300",
             f"@ SOA ns1 hostmaster 1 3600 600 604800 60"]
    for n, address in enumerate(addresses, 1):
        lines += [f"@ NS ns{n}", f"ns{n} A {address}"]
    return "\n".join([*lines, "mx A 198.51.100.1", "alias CNAME mx", "*.wild TXT \"any\""]) + "\n"


class Key:
    """A TSIG key: the file that daneway reads, and the section of Knot."""

    def __init__(self, path: Path, name: str = "daneway", algorithm: str = "hmac-sha256",
                 secret: bytes | None = None) -> None:
        self.path, self.name, self.algorithm = path, name, algorithm
        self.secret = base64.b64encode(secret or os.urandom(32)).decode()
        path.write_text(f'key "{name}" {{\n\talgorithm {algorithm};\n\tsecret "{self.secret}";\n}};\n')
        path.chmod(0o600)

    def knot(self) -> list[str]:
        return [f"  - id: {self.name}", f"    algorithm: {self.algorithm}",
                f"    secret: {self.secret}"]


class Hoster:
    """The zone, served by `primary` and `secondary` (Knot); started by start()."""

    def __init__(self, world: World, algorithm: str = "hmac-sha256") -> None:
        self.world = world
        self.key = Key(world.dir / "update.key", algorithm=algorithm)
        self.primary, self.secondary = world.add_secondary("primary"), world.add_secondary()
        self.addresses = [self.primary.addresses[0], self.secondary.addresses[0]]
        self.extra: list[str] = []  # further addresses of name servers

    def start(self) -> Hoster:
        first, second = self.addresses
        self.primary.sections = [
            "key:", *self.key.knot(),
            "remote:", "  - id: secondary", f'    address: "{second}@53"', f'    via: "{first}"',
            "acl:", "  - id: update", f"    key: {self.key.name}", "    action: update",
            "    update-type: [ TLSA, CNAME, MX, TXT ]",
            "  - id: transfer", f'    address: "{second}"', "    action: transfer",
            "policy:", "  - id: lab", "    algorithm: ecdsap256sha256", "    single-type-signing: on",
            "    rrsig-lifetime: 7d", "    rrsig-refresh: 1d"]
        self.primary.options[f"{ZONE}."] = {
            "dnssec-signing": "on", "dnssec-policy": "lab", "acl": "[ update, transfer ]",
            "notify": "secondary", "journal-content": "changes"}
        self._set_secondary()
        self._add_zone()
        self.primary.put(f"{ZONE}.", zone_text([*self.addresses, *self.extra]))
        self.world.start()
        self._delegate()
        return self

    def _set_secondary(self) -> None:
        first, second = self.addresses
        self.secondary.sections = [
            "remote:", "  - id: primary", f'    address: "{first}@53"', f'    via: "{second}"',
            "acl:", "  - id: notify", f'    address: "{first}"', "    action: notify"]
        self.secondary.options[f"{ZONE}."] = {
            "master": "primary", "acl": "notify", "zonefile-load": "none",
            "retry-min-interval": "1s", "retry-max-interval": "1s"}
        self.secondary.zones[f"{ZONE}."] = ""

    def _add_zone(self) -> None:
        servers = [(f"ns{n}.{ZONE}.", [a]) for n, a in enumerate([*self.addresses, *self.extra], 1)]
        self.world.add_zone(ZONE, ["mx A 198.51.100.1"], servers=servers, algorithm=None)

    def _delegate(self) -> None:
        for address in self.addresses:
            wait_for(lambda: shown(address, ZONE, "DNSKEY"), f"{address} serves {ZONE}")
        key = dns.rdata.from_text("IN", "DNSKEY", shown(self.addresses[0], ZONE, "DNSKEY").pop())
        ds = dns.dnssec.make_ds(dns.name.from_text(ZONE), key, "SHA256")
        self.world.zones["example."].zone.add(f"{ZONE}.", "DS", ds.to_text())
        self.world.update("example")

    def start_bind(self) -> Hoster:
        """The same with BIND as the primary."""
        world, (first, second) = self.world, self.addresses
        world.daemons.remove(self.primary)
        self._set_secondary()
        self._add_zone()
        world.add_daemon(Bind(world.dir / "bind", world.logs / "bind.log", first, ZONE,
                              zone_text(self.addresses), key=self.key.path.read_text(),
                              key_name=self.key.name, notify=second))
        world.start()
        self._delegate()
        return self

    def block_transfers(self) -> None:
        self.primary.options[f"{ZONE}."]["acl"] = "[ update ]"
        self.primary.reload()
        time.sleep(0.5)

    def allow_transfers(self) -> None:
        self.primary.options[f"{ZONE}."]["acl"] = "[ update, transfer ]"
        self.primary.reload()

    # --- the program under test

    def run(self, *sets: dict[str, Any], servers: Sequence[str] | None = None, **publisher: Any) -> Any:
        """One change, read back at `servers` (default: all; [] for none)."""
        servers = [*self.addresses, *self.extra] if servers is None else servers
        request: dict[str, Any] = {"zone": ZONE, "sets": sets, **publisher}
        if servers:
            request["readback"] = {"servers": list(servers),
                                   "root_hints": str(self.world.root_hints),
                                   "trust_anchor": str(self.world.trust_anchor)}
        done = subprocess.run([DRIVE], input=json.dumps(request), capture_output=True, text=True,
                              timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def update(self, *sets: dict[str, Any], address: str | None = None, key: Key | None = None,
               clock: int = 0, timeout: int = 5, **more: Any) -> Any:
        return self.run(*sets, rfc2136={"address": address or self.addresses[0],
                                        "key": str((key or self.key).path), "clock": clock,
                                        "timeout": timeout}, **more)

    def seen(self, *sets: dict[str, Any]) -> list[str]:
        return [sight["seen"] for sight in self.run(*sets)["sights"]]


def records(*octets: int, owner: str = OWNER, ttl: int = 300, **more: Any) -> dict[str, Any]:
    """The TLSA RRset of the MX host."""
    return {"owner": owner, "type": "TLSA", "ttl": ttl, "rdata": [tlsa(o) for o in octets], **more}


def wait_for(condition: Any, what: str, seconds: float = 15,
             last: Any = None) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if condition():
                return
        except (dns.exception.DNSException, OSError, EOFError):
            pass
        time.sleep(0.05)
    raise LabError(f"in vain: {what}: {last() if last else ''}")
