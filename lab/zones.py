"""Zones, built and signed here, with every kind of damage that the matrix asks for.

A zone is data: records, an algorithm, a kind of denial, a list of damages. `Zone.sign()` gives the
text of a complete zone file; Knot serves it as it is (no checks, no signing of its own).
"""

from __future__ import annotations

import base64
import functools
import os
import struct
import time
from dataclasses import dataclass, field, replace
from typing import Any, Iterable

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from dns.rdatatype import RdataType

Name = dns.name.Name
IN = dns.rdataclass.IN
HOUR, DAY = 3600, 86400
TTL = 300

ALGORITHMS = {"rsasha256": 8, "rsasha512": 10, "p256": 13, "p384": 14, "ed25519": 15, "ed448": 16}
DAMAGES = (
    "expired", "not-yet-valid",  # the period of the signature
    "missing",                   # no signature
    "corrupt",                   # one bit of the signature flipped
    "wrong-signer",              # the signer field names another zone
    "unknown-key",               # signed by a key that is not in the DNSKEY RRset
    "extra-bad",                 # a good signature and a bad one
    "extra-unknown",             # a good signature and one by a key that is not there
    "labels",                    # the labels field counts one more than the name has
    "no-denial",                 # zone-wide: no NSEC or NSEC3 record
    "no-above",                  # zone-wide: no NSEC3 record for names that only have names below
    "no-dnskey",                 # zone-wide: signed, but the DNSKEY RRset is not there
    "last-nsec",                 # zone-wide: the last NSEC record does not lead to the apex
)


@dataclass(frozen=True)
class Damage:
    """What is wrong, with which RRsets: owner relative to the zone ("@", "mx"), "*" is all."""

    kind: str
    owner: str = "*"
    rdtype: str = "*"

    def __post_init__(self) -> None:
        if self.kind not in DAMAGES:
            raise ValueError(f"unknown damage: {self.kind}")


def make_private(algorithm: int) -> Any:
    if algorithm in (5, 7, 8, 10):
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if algorithm == 13:
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == 14:
        return ec.generate_private_key(ec.SECP384R1())
    if algorithm == 15:
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == 16:
        return ed448.Ed448PrivateKey.generate()
    raise ValueError(f"cannot sign with algorithm {algorithm}")


@functools.cache
def _rsa_pool(index: int) -> Any:
    del index
    return make_private(8)


class Key:
    """A zone key: KSK and ZSK in one (flags 257), as most small zones have it."""

    _made = 0

    def __init__(self, algorithm: int, flags: int = 257) -> None:
        if algorithm in (5, 7, 8, 10):
            Key._made += 1
            self.private = _rsa_pool(Key._made % 8)  # RSA keys are slow to make
        else:
            self.private = make_private(algorithm)
        self.dnskey = dns.dnssec.make_dnskey(self.private.public_key(), algorithm, flags)
        self.tag = dns.dnssec.key_id(self.dnskey)


@functools.lru_cache(maxsize=None)
def _bitmap(types: frozenset[int]) -> tuple[tuple[int, bytes], ...]:
    windows: dict[int, bytearray] = {}
    for value in sorted(types):
        window, low = divmod(value, 256)
        bits = windows.setdefault(window, bytearray())
        bits.extend(bytes(low // 8 + 1 - len(bits)))
        bits[low // 8] |= 0x80 >> (low % 8)
    return tuple((window, bytes(bits)) for window, bits in windows.items())


def nsec3_label(name: Name, salt: str, iterations: int) -> str:
    return dns.dnssec.nsec3_hash(name, salt or None, iterations, 1).lower()


@dataclass
class Zone:
    """A zone's data and how it is to be signed. All names end up below `name`."""

    name: str
    algorithm: int | None = 13         # None: unsigned
    more_algorithms: tuple[int, ...] = ()  # further keys that sign everything
    idle_algorithms: tuple[int, ...] = ()  # keys with a DS that sign nothing
    denial: str = "nsec"               # nsec, nsec3, optout
    salt: str = ""
    iterations: int = 0
    damages: list[Damage] = field(default_factory=list)
    extra_dnskeys: int = 0             # large sets: RSA keys of 512 octets that sign nothing
    serial: int = 1
    ttl: int = TTL
    records: dict[tuple[Name, RdataType], dns.rdataset.Rdataset] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.origin = dns.name.from_text(self.name)
        # Filled by sign(): RRsets that no zone file can hold, with their signatures (of empty RDATA).
        self.unwritable: dict[tuple[Name, RdataType], list[dns.rrset.RRset]] = {}
        self._keys: list[Key] | None = None

    # --- records

    def add(self, owner: str, rdtype: str, *rdatas: str, ttl: int | None = None) -> Zone:
        """Adds records; owner "@" is the apex, relative names are relative to the zone."""
        name = dns.name.from_text(owner, self.origin)
        kind = dns.rdatatype.from_text(rdtype)
        rdataset = self.records.get((name, kind))
        if rdataset is None:
            rdataset = dns.rdataset.Rdataset(IN, kind, ttl=self.ttl if ttl is None else ttl)
            self.records[(name, kind)] = rdataset
        for text in rdatas:
            rdataset.add(_rdata(kind, text, self.origin))
        return self

    def add_lines(self, lines: Iterable[str]) -> Zone:
        """Lines such as "mx A 198.18.0.1"."""
        for line in lines:
            owner, rdtype, rdata = line.split(None, 2)
            self.add(owner, rdtype, rdata)
        return self

    def remove(self, owner: str, rdtype: str) -> Zone:
        """Removes an RRset if it is there."""
        self.records.pop((dns.name.from_text(owner, self.origin),
                          dns.rdatatype.from_text(rdtype)), None)
        return self

    def set_soa(self, server: str, contact: str) -> None:
        """The SOA with the present serial; a negative answer lives 60 s."""
        self.remove("@", "SOA").add("@", "SOA", f"{server} {contact} {self.serial} "
                                    "7200 3600 86400 60")

    def has(self, owner: str, rdtype: str) -> bool:
        return (dns.name.from_text(owner, self.origin),
                dns.rdatatype.from_text(rdtype)) in self.records

    def hashed(self, owner: str) -> str:
        """The NSEC3 owner of a name, relative: for a Damage of its NSEC3 record."""
        return nsec3_label(dns.name.from_text(owner, self.origin), self.salt, self.iterations)

    # --- keys

    @property
    def keys(self) -> list[Key]:
        if self._keys is None:
            wanted = () if self.algorithm is None else (self.algorithm, *self.more_algorithms,
                                                        *self.idle_algorithms)
            self._keys = [Key(algorithm) for algorithm in wanted]
        return self._keys

    def ds(self, digest: str = "SHA256") -> list[dns.rdata.Rdata]:
        return [dns.dnssec.make_ds(self.origin, key.dnskey, digest,
                                   policy=dns.dnssec.allow_all_policy) for key in self.keys]

    # --- signing

    def _dnskeys(self) -> dns.rdataset.Rdataset:
        rdataset = dns.rdataset.Rdataset(IN, RdataType.DNSKEY, ttl=self.ttl)
        for key in self.keys:
            rdataset.add(key.dnskey)
        for _ in range(self.extra_dnskeys):
            material = base64.b64encode(b"\x03\x01\x00\x01" + os.urandom(512)).decode()
            rdataset.add(dns.rdata.from_text(IN, RdataType.DNSKEY, f"256 3 8 {material}"))
        return rdataset

    def _cuts(self) -> set[Name]:
        return {name for name, kind in self.records
                if kind == RdataType.NS and name != self.origin}

    def _damages(self, owner: Name, kind: RdataType) -> set[str]:
        relative = owner.relativize(self.origin).to_text()
        return {d.kind for d in self.damages
                if d.owner in ("*", relative) and d.rdtype in ("*", dns.rdatatype.to_text(kind))}

    def sign(self, now: float | None = None) -> str:
        """The zone file, signed unless `algorithm` is None."""
        data = dict(self.records)
        if self.algorithm is None:
            return _text(data.items())
        signed = _Signer(self, data, int(now if now is not None else time.time())).run()
        return _text(self._set_aside(signed))

    def _set_aside(self, signed: list) -> list:
        """Takes RRsets with empty RDATA out of a zone file: Knot would not load it. A scripted name
        server answers with them (the action "serve")."""
        aside = {key for key, rdataset in signed
                 if any(len(rdata.to_wire() or b"") == 0 for rdata in rdataset)}
        self.unwritable = {key: [] for key in aside}
        kept = []
        for (owner, kind), rdataset in signed:
            of = (owner, rdataset.covers if kind == RdataType.RRSIG else kind)
            if of not in aside:
                kept.append(((owner, kind), rdataset))
                continue
            rrset = dns.rrset.RRset(owner, IN, kind, rdataset.covers)
            rrset.update(rdataset)
            self.unwritable[of].append(rrset)
        return kept


class _Signer:
    """One signing of one zone."""

    def __init__(self, zone: Zone, data: dict, now: int) -> None:
        self.zone, self.data, self.now = zone, data, now
        self.apex = zone.origin
        self.zone_wide = {d.kind for d in zone.damages if d.owner == "*"}
        self.stranger = Key(zone.algorithm or 13)
        self.cuts = zone._cuts()

    def run(self) -> list[tuple[tuple[Name, RdataType], dns.rdataset.Rdataset]]:
        zone = self.zone
        self.data[(self.apex, RdataType.DNSKEY)] = zone._dnskeys()
        if zone.denial != "nsec":
            param = dns.rdataset.Rdataset(IN, RdataType.NSEC3PARAM, ttl=0)
            param.add(dns.rdata.from_text(IN, RdataType.NSEC3PARAM,
                                          f"1 0 {zone.iterations} {zone.salt or '-'}"))
            self.data[(self.apex, RdataType.NSEC3PARAM)] = param
        signed = {key: rdataset for key, rdataset in self.data.items() if self._is_signed(*key)}
        denial: dict = {}
        if "no-denial" not in self.zone_wide:
            denial = self._nsec(signed) if zone.denial == "nsec" else self._nsec3(signed)
        signed.update(denial)
        result = list(self.data.items()) + list(denial.items())
        for (owner, kind), rdataset in signed.items():
            signatures = self._signatures(owner, kind, rdataset)
            if len(signatures):
                result.append(((owner, RdataType.RRSIG), signatures))
        if "no-dnskey" in self.zone_wide:
            result = [r for r in result if r[0] != (self.apex, RdataType.DNSKEY)]
        return result

    def _below_cut(self, owner: Name) -> bool:
        while len(owner) > len(self.apex):
            owner = owner.parent()
            if owner in self.cuts:
                return True
        return False

    def _is_signed(self, owner: Name, kind: RdataType) -> bool:
        if owner in self.cuts:
            return kind == RdataType.DS
        return not self._below_cut(owner) if self.cuts else True

    def _types(self) -> dict[Name, set[int]]:
        """What each name that belongs to this zone has, delegations with NS and DS only."""
        types: dict[Name, set[int]] = {}
        for owner, kind in self.data:
            if owner in self.cuts:
                if kind in (RdataType.NS, RdataType.DS):
                    types.setdefault(owner, set()).add(kind)
            elif not self.cuts or not self._below_cut(owner):
                types.setdefault(owner, set()).add(kind)
        return types

    def _nsec(self, signed: dict) -> dict:
        del signed
        types = self._types()
        names = sorted(types)
        chain = {}
        for position, owner in enumerate(names):
            following = names[(position + 1) % len(names)]
            if following == self.apex and "last-nsec" in self.zone_wide:
                following = names[1]
            kinds = frozenset(types[owner] | {RdataType.RRSIG, RdataType.NSEC})
            rdata = _NSEC(IN, RdataType.NSEC, following, _bitmap(kinds))
            chain[(owner, RdataType.NSEC)] = dns.rdataset.from_rdata(self.zone.ttl, rdata)
        return chain

    def _nsec3(self, signed: dict) -> dict:
        del signed
        zone, types = self.zone, self._types()
        optout = zone.denial == "optout"
        if optout:
            types = {n: t for n, t in types.items()
                     if n not in self.cuts or RdataType.DS in t}
        for owner in list(types):  # empty non-terminals
            while not any(d.kind == "no-above" for d in zone.damages) and len(owner) > len(self.apex):
                types.setdefault(owner, set())
                owner = owner.parent()
        hashed = {nsec3_label(n, zone.salt, zone.iterations): n for n in types}
        labels = sorted(hashed)
        chain = {}
        for position, label in enumerate(labels):
            own = hashed[label]
            kinds = set(types[own])
            if kinds and (own not in self.cuts or RdataType.DS in kinds):
                kinds.add(RdataType.RRSIG)
            following = base64.b32hexdecode(labels[(position + 1) % len(labels)].upper())
            rdata = _NSEC3(IN, RdataType.NSEC3, 1, 1 if optout else 0, zone.iterations,
                           bytes.fromhex(zone.salt), following, _bitmap(frozenset(kinds)))
            owner = dns.name.Name((label.encode(),) + self.apex.labels)
            chain[(owner, RdataType.NSEC3)] = dns.rdataset.from_rdata(zone.ttl, rdata)
        return chain

    def _signatures(self, owner: Name, kind: RdataType,
                    rdataset: dns.rdataset.Rdataset) -> dns.rdataset.Rdataset:
        result = dns.rdataset.Rdataset(IN, RdataType.RRSIG, kind, ttl=rdataset.ttl)
        damages = self.zone._damages(owner, kind)
        if "missing" in damages:
            return result
        start, end = self.now - HOUR, self.now + 14 * DAY
        # Far off: validators forgive a skew (Unbound: a tenth of the period, at most a day).
        if "expired" in damages:
            start, end = self.now - 30 * DAY, self.now - 10 * DAY
        if "not-yet-valid" in damages:
            start, end = self.now + 10 * DAY, self.now + 30 * DAY
        signer = self.apex
        if "wrong-signer" in damages:
            signer = dns.name.from_text("elsewhere.test.")
        keys = self.zone.keys[:len(self.zone.keys) - len(self.zone.idle_algorithms)]
        if "unknown-key" in damages:
            keys = [self.stranger]
        elif "extra-unknown" in damages:
            keys = [self.stranger, *keys]
        for key in keys:
            rrsig = _rrsig(owner, rdataset, key, signer, start, end, "labels" in damages)
            if "corrupt" in damages:
                rrsig = _flipped(rrsig)
            if "extra-bad" in damages:
                result.add(_flipped(rrsig))
            result.add(rrsig)
        return result


_HASHES = {5: hashes.SHA1, 7: hashes.SHA1, 8: hashes.SHA256, 10: hashes.SHA512,
           13: hashes.SHA256, 14: hashes.SHA384}


def _sign_bytes(key: Key, data: bytes) -> bytes:
    algorithm = int(key.dnskey.algorithm)
    if algorithm in (5, 7, 8, 10):
        return key.private.sign(data, padding.PKCS1v15(), _HASHES[algorithm]())
    if algorithm in (13, 14):
        r, s = decode_dss_signature(key.private.sign(data, ec.ECDSA(_HASHES[algorithm]())))
        size = 32 if algorithm == 13 else 48
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    return key.private.sign(data)


def _rrsig(owner: Name, rdataset: dns.rdataset.Rdataset, key: Key, signer: Name, start: int,
           end: int, more_labels: bool = False) -> Any:
    """RFC 4034 section 3.1.8.1. Done here because dnspython 2.3 counts the label of a wildcard."""
    labels = len(owner) - 1 - (1 if owner.is_wild() else 0) + more_labels
    rrsig = _RRSIG(IN, RdataType.RRSIG, rdataset.rdtype, key.dnskey.algorithm, labels, rdataset.ttl,
                   end, start, key.tag, signer.canonicalize(), b"")
    head = owner.to_digestable() + struct.pack("!HHI", rdataset.rdtype, IN, rdataset.ttl)
    data = rrsig.to_wire()
    for wire in sorted(rdata.to_digestable() for rdata in rdataset):
        data += head + struct.pack("!H", len(wire)) + wire
    return rrsig.replace(signature=_sign_bytes(key, data))


_RRSIG = dns.rdata.get_rdata_class(IN, RdataType.RRSIG)
_NSEC = dns.rdata.get_rdata_class(IN, RdataType.NSEC)
_NSEC3 = dns.rdata.get_rdata_class(IN, RdataType.NSEC3)


def _rdata(kind: RdataType, text: str, origin: Name) -> dns.rdata.Rdata:
    """RDATA from text; after "\\#" octets as they are (RFC 3597), well formed for the type or not."""
    words = text.split()
    if words[0] != "\\#":
        return dns.rdata.from_text(IN, kind, text, origin, False)
    octets = bytes.fromhex("".join(words[2:]))
    if len(octets) != int(words[1]):
        raise ValueError(f"{text}: not {words[1]} octets")
    return dns.rdata.GenericRdata(IN, kind, octets)


def _flipped(rrsig: Any) -> Any:
    signature = bytearray(rrsig.signature)
    signature[len(signature) // 2] ^= 1
    return rrsig.replace(signature=bytes(signature))


def _text(items: Iterable[tuple[tuple[Name, RdataType], dns.rdataset.Rdataset]]) -> str:
    lines = []
    for (owner, kind), rdataset in items:
        prefix = f"{owner.to_text()} {rdataset.ttl} IN {dns.rdatatype.to_text(kind)} "
        lines += [prefix + rdata.to_text() for rdata in rdataset]
    return "\n".join(lines) + "\n"


def clone(zone: Zone, **changes: Any) -> Zone:
    """A copy with other settings and the same keys."""
    copy = replace(zone, records=dict(zone.records), **changes)
    copy._keys = zone._keys
    return copy
