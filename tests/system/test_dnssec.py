"""daneway dnssec against every kind of broken zone: the verdict is the validator's, and the finding
names the server, the record and the key, and the mend.
"""

from __future__ import annotations

import base64
import os
import time
from typing import Any, Iterator

import dns.flags
import dns.message
import dns.name
import dns.rrset
import pytest

from lab.dns_server import DnsServer, Rule
from lab.pytest_plugin import Daneway
from lab.unbound import verdict
from lab.world import World
from lab.zones import Damage, Zone

KINDS = ("expired", "not-yet-valid", "missing", "corrupt", "wrong-signer", "unknown-key",
         "extra-bad")
WORDS = ("secure", "insecure", "bogus", "unknown")


class Chain:
    """One run of daneway dnssec."""

    def __init__(self, code: int, out: Any, err: str) -> None:
        assert isinstance(out, dict), (code, err)
        self.code, self.out = code, out
        self.verdict = out["verdict"]
        assert WORDS.index(self.verdict) == code

    def ids(self) -> set[str]:
        return {c["id"] for c in self.out["checks"]}

    def bad(self) -> set[str]:
        return {c["id"] for c in self.out["checks"] if c["status"] in ("warn", "fail")
                and not c["id"].startswith(("dnssec.zone.", "dnssec.name."))}

    def find(self, identity: str, subject: str | None = None) -> dict[str, Any]:
        for check in self.out["checks"]:
            if check["id"] == identity and subject in (None, check["subject"]):
                return check
        raise AssertionError(f"no {identity} for {subject} in {sorted(self.ids())}")

    def zone(self, name: str) -> dict[str, Any]:
        return next(z for z in self.out["zones"] if z["zone"] == name)

    def name(self, name: str) -> dict[str, Any]:
        return next(n for n in self.out["names"] if n["name"] == name)


def look(daneway: Daneway, world: World, *args: str, timeout: float = 60) -> Chain:
    return Chain(*daneway.run(world, "dnssec", *args, timeout=timeout))


def _other_key_signs(world: World) -> None:
    """The DS points to a key that is published and signs nothing; another one does."""
    class OtherKey(Zone):
        def ds(self, digest: str = "SHA256") -> list[Any]:
            return super().ds(digest)[:1]

        def sign(self, now: float | None = None) -> str:
            return "".join(line + "\n" for line in super().sign(now).splitlines()
                           if f" {self.keys[0].tag} {self.name}" not in line)

    world.add_zone("key-other.example", ["mx A 192.0.2.1"])
    entry = world.zones["key-other.example."]
    entry.zone = OtherKey("key-other.example", more_algorithms=(13,), records=entry.zone.records)


@pytest.fixture(scope="module")
def zoo() -> Iterator[World]:
    """A zone for each kind of zone, each with an address `mx`."""
    world = World("zoo")
    for kind in KINDS:
        world.add_zone(f"{kind}.example", ["mx A 192.0.2.1", "other A 192.0.2.2"],
                       damages=[Damage(kind, "mx", "A")])
    for kind in ("no-denial", "no-dnskey", "expired"):
        world.add_zone(f"zone-{kind}.example", ["mx A 192.0.2.1"], damages=[Damage(kind)])
    for ds in ("none", "wrong", "unknown-algorithm", "unknown-digest", "sha384", "two"):
        world.add_zone(f"ds-{ds}.example", ["mx A 192.0.2.1"], ds=ds)
    for kind in ("expired", "corrupt", "missing"):
        world.add_zone(f"key-{kind}.example", ["mx A 192.0.2.1"],
                       damages=[Damage(kind, "@", "DNSKEY")])
    _other_key_signs(world)
    world.add_zone("digest.example", ["mx A 192.0.2.1"], ds="none")
    world.zones["example."].zone.add(
        "digest", "DS", f"{world.zones['digest.example.'].zone.keys[0].tag} 13 2 " + "ab" * 32)
    world.add_zone("cut.example", ["mx A 192.0.2.1"])
    world.zones["example."].zone.damages.append(Damage("corrupt", "cut", "DS"))
    world.add_zone("below.cut.example", ["mx A 192.0.2.1"])
    world.add_zone("proof.example", ["mx A 192.0.2.1"], denial="nsec3")
    proof = world.zones["proof.example."].zone
    proof.damages.append(Damage("missing", proof.hashed("mx"), "NSEC3"))
    world.add_zone("unsigned.example", ["mx A 192.0.2.1"], algorithm=None)
    world.add_zone("unsigned-ds.example", ["mx A 192.0.2.1"], algorithm=None, ds="wrong")
    world.add_zone("deep.plain", ["mx A 192.0.2.1"], algorithm=None)
    world.add_zone("island.plain", ["mx A 192.0.2.1"], ds="none")
    for algorithm in (8, 10, 13, 14, 15, 16):
        world.add_zone(f"alg{algorithm}.example", ["mx A 192.0.2.1"], algorithm=algorithm)
    for algorithm in (5, 7):
        world.add_zone(f"alg{algorithm}.example", ["mx A 192.0.2.1"], algorithm=algorithm)
    world.add_zone("twice.example", ["mx A 192.0.2.1"], algorithm=8, more_algorithms=(13,))
    for denial in ("nsec", "nsec3", "optout"):
        world.add_zone(f"{denial}.example", ["mx A 192.0.2.1", "*.wild A 192.0.2.7",
                                             "_25._tcp.deep.name TLSA 3 1 1 " + "ab" * 32],
                       denial=denial)
        world.add_zone(f"child.{denial}.example", ["@ A 192.0.2.3"], algorithm=None)
        world.add_zone(f"signed.{denial}.example", ["@ A 192.0.2.3"])
    world.add_zone("iterated.example", ["mx A 192.0.2.1"], denial="nsec3", iterations=20,
                   salt="aabb")
    world.add_zone("very-iterated.example", ["mx A 192.0.2.1"], denial="nsec3", iterations=400)
    world.add_zone("big.example", ["mx A 192.0.2.1"], extra_dnskeys=20)
    world.add_zone("alias.example", [
        "a CNAME mx.alg13.example.", "b CNAME mx.unsigned.example.", "c CNAME mx.expired.example.",
        "d DNAME alg15.example.", "loop CNAME pool.alias.example.",
        "pool CNAME loop.alias.example.", "nothing CNAME no.alg13.example.",
        *[f"n{i} CNAME n{i + 1}" for i in range(40)]])
    world.add_zone("mail.example", ["@ MX 10 mx", "@ MX 20 mx.unsigned.example.", "mx A 192.0.2.1",
                                    "_25._tcp.mx TLSA 3 1 1 " + "ab" * 32])
    world.add_zone("implicit.example", ["@ A 192.0.2.1", "_25._tcp TLSA 3 1 1 " + "ab" * 32])
    world.add_zone("null.example", ["@ MX 0 ."])
    world.start()
    yield world
    world.stop()


@pytest.fixture(scope="module")
def resolver(zoo: World) -> Iterator[str]:
    unbound = zoo.add_resolver("127.0.0.5")
    yield unbound.address
    unbound.stop()


SECURE = ["mx.extra-bad.example A", "mx.ds-sha384.example A", "mx.ds-two.example A",
          "mx.proof.example A", "mx.zone-no-denial.example A", "mx.twice.example A",
          "mx.big.example A", "mx.iterated.example A", "no.iterated.example A",
          "mx.very-iterated.example A", ". DNSKEY", "example SOA", "alg13.example DS",
          "child.nsec.example DS", "child.nsec3.example DS",
          *[f"other.{kind}.example A" for kind in KINDS],
          *[f"mx.alg{n}.example A" for n in (5, 7, 8, 10, 13, 14, 15, 16)],
          *[f"{name}.{denial}.example A" for denial in ("nsec", "nsec3")
            for name in ("no", "any.wild", "deep.name", "name", "x._tcp.deep.name", "mx",
                         "signed", "no.signed")],
          *[f"{name}.{denial}.example AAAA" for denial in ("nsec", "nsec3")
            for name in ("mx", "any.wild")],
          "mx.optout.example A", "mx.optout.example AAAA", "signed.optout.example A",
          "a.alias.example A", "b.alias.example CNAME", "mx.d.alias.example A",
          "nothing.alias.example A"]
INSECURE = ["mx.ds-none.example A", "mx.ds-unknown-algorithm.example A",
            "mx.ds-unknown-digest.example A", "mx.unsigned.example A", "mx.unsigned.example MX",
            "no.unsigned.example A", "no.very-iterated.example A", "mx.very-iterated.example AAAA",
            *[f"{name}.{denial}.example A" for denial in ("nsec", "nsec3", "optout")
              for name in ("child", "no.child")],
            "child.nsec.example AAAA",
            "any.wild.optout.example A", "no.optout.example A", "b.alias.example A",
            "mx.deep.plain A", "mx.island.plain A", "plain SOA"]
BOGUS = [*[f"mx.{kind}.example A" for kind in KINDS if kind != "extra-bad"],
         *[f"mx.{zone}.example A" for zone in
           ("zone-no-dnskey", "zone-expired", "ds-wrong", "unsigned-ds", "cut", "below.cut",
            "key-expired", "key-corrupt", "key-missing", "key-other",
            "digest")],
         "mx.proof.example AAAA", "no.zone-no-denial.example A", "mx.zone-no-denial.example TLSA",
         "c.alias.example A"]


@pytest.mark.parametrize("question", [*SECURE, *INSECURE, *BOGUS])
def test_agrees_with_validators(zoo: World, daneway: Daneway, resolver: str, question: str) -> None:
    name, rdtype = question.split()
    expected = ("secure" if question in SECURE else
                "insecure" if question in INSECURE else "bogus")
    chain = look(daneway, zoo, name, rdtype)
    assert chain.verdict == expected, chain.out["checks"]
    assert verdict(resolver, name, rdtype) == expected.replace("bogus", "failed")
    if name == "mx.alg16.example":
        # libunbound of Debian 12 has no Ed448; the daemon has.
        assert "insecure" in chain.find("dnssec.validator.disagrees")["detail"]
        return
    assert "dnssec.validator.disagrees" not in chain.ids()


def test_loops_and_long_chains(zoo: World, daneway: Daneway) -> None:
    chain = look(daneway, zoo, "loop.alias.example", "A")
    assert chain.verdict == "unknown"
    assert "loop.alias.example" in chain.find("dnssec.alias.loop")["detail"]
    chain = look(daneway, zoo, "n0.alias.example", "A")
    assert chain.verdict == "unknown"
    chain.find("dnssec.alias.long")
    assert len(chain.out["names"]) <= 16


@pytest.mark.parametrize("name, rdtype, identity, tag, detail, fix", [
    ("mx.expired.example", "A", "dnssec.rrsig.expired", True, "ended 10 days ago",
     "Sign the zone expired.example. again"),
    ("mx.not-yet-valid.example", "A", "dnssec.rrsig.not-yet-valid", True, "begins in ",
     "Set the clock of the machine that signs not-yet-valid.example."),
    ("mx.missing.example", "A", "dnssec.rrsig.missing", False, "mx.missing.example A: no RRSIG",
     "Sign mx.missing.example A in missing.example."),
    ("mx.corrupt.example", "A", "dnssec.rrsig.bad", True, "changed after signing",
     "Sign mx.corrupt.example A in corrupt.example. again with key {tag}"),
    ("mx.wrong-signer.example", "A", "dnssec.rrsig.signer", True, "names elsewhere.test. as signer",
     "with the zone's own name as signer"),
    ("mx.unknown-key.example", "A", "dnssec.rrsig.no-key", False, "not in the DNSKEY RRset",
     "in the DNSKEY RRset of unknown-key.example."),
    ("mx.extra-bad.example", "A", "dnssec.rrsig.spare", True, "Another one is valid",
     "take the signature of key {tag} out"),
    ("no.zone-no-denial.example", "A", "dnssec.denial.missing", False, "without a signed NSEC",
     "Build the NSEC or NSEC3 chain of zone-no-denial.example."),
    ("mx.proof.example", "AAAA", "dnssec.rrsig.missing", False, "NSEC3: no RRSIG",
     "in proof.example."),
    ("mx.zone-no-dnskey.example", "A", "dnssec.dnskey.missing", True, "holds a DS for",
     "Remove the DS of key {tag} at the parent example."),
    ("mx.unsigned-ds.example", "A", "dnssec.dnskey.missing", False, "(key 12345)",
     "Remove the DS of key 12345 at the parent example."),
    ("mx.ds-wrong.example", "A", "dnssec.ds.no-key", False, "holds a DS for key 12345",
     "Remove the DS of key 12345 at the parent example."),
    ("mx.key-expired.example", "A", "dnssec.rrsig.expired", True, "key-expired.example DNSKEY",
     "Sign the zone key-expired.example. again"),
    ("mx.key-corrupt.example", "A", "dnssec.rrsig.bad", True, "key-corrupt.example DNSKEY",
     "with key {tag}"),
    ("mx.key-missing.example", "A", "dnssec.rrsig.missing", False, "key-missing.example DNSKEY",
     "Sign key-missing.example DNSKEY in key-missing.example."),
    ("mx.key-other.example", "A", "dnssec.dnskey.not-signed", True, "no valid signature over",
     "Sign the DNSKEY RRset of key-other.example. with key {tag}"),
    ("mx.digest.example", "A", "dnssec.ds.mismatch", True, "the digest is of something else",
     "Replace the DS at the parent example. by: digest.example. IN DS {tag} 13 2"),
    ("mx.ds-unknown-algorithm.example", "A", "dnssec.ds.unsupported", False,
     "key 12345: algorithm 253", "publish a DS of digest type 2"),
    ("mx.ds-unknown-digest.example", "A", "dnssec.ds.unsupported", True, "digest type 200",
     "publish a DS of digest type 2"),
    ("mx.ds-none.example", "A", "dnssec.ds.missing", False, "without a DS at example.",
     "Have the parent publish: ds-none.example. IN DS {tag} 13 2 "),
    ("mx.alg16.example", "A", "dnssec.algorithm.ed448", True, "ED448 (16)", "ED25519"),
    ("mx.alg7.example", "A", "dnssec.algorithm.deprecated", True, "RSASHA1-NSEC3-SHA1 (7)",
     "Roll alg7.example. to algorithm 13"),
    ("mx.iterated.example", "AAAA", "dnssec.nsec3.iterations", False, "20 iterations",
     "0 additional iterations"),
    ("mx.very-iterated.example", "AAAA", "dnssec.nsec3.too-many-iterations", False,
     "400 iterations", "0 additional iterations"),
    ("mx.big.example", "A", "dnssec.dnskey.many", False, "21 keys", "Remove the keys"),
])
def test_causes_and_mends(zoo: World, daneway: Daneway, name: str, rdtype: str, identity: str,
                          tag: bool, detail: str, fix: str) -> None:
    chain = look(daneway, zoo, name, rdtype)
    zone = name.split(".", 1)[1]
    key = zoo.zones[zone + "."].zone.keys
    number = str(key[0].tag) if key else ""
    finding = chain.find(identity)
    assert detail.format(tag=number) in finding["detail"], finding
    assert fix.format(tag=number) in finding["fix"], finding
    assert not tag or number in finding["detail"], finding
    if identity.startswith(("dnssec.rrsig", "dnssec.denial", "dnssec.dnskey.missing",
                            "dnssec.dnskey.not-signed", "dnssec.ds.no-key")):
        for address in zoo.tiers[2].addresses:
            assert f"ns.{zone}[{address}]" in finding["detail"], finding
    assert "?" not in (finding["detail"] + finding["fix"])


def test_offered_ds_is_right(zoo: World, daneway: Daneway) -> None:
    chain = look(daneway, zoo, "mx.ds-none.example", "A")
    want = zoo.zones["ds-none.example."].zone.ds()[0].to_text()
    assert chain.find("dnssec.ds.missing")["fix"].endswith(want)


def test_broken_ds_signature(zoo: World, daneway: Daneway) -> None:
    """The parent's own signature over DS: the parent's servers and key are named."""
    chain = look(daneway, zoo, "mx.cut.example", "A")
    finding = chain.find("dnssec.rrsig.bad", "cut.example DS")
    assert f"key {zoo.zones['example.'].zone.keys[0].tag}" in finding["detail"]
    assert f"a.nic.example[{zoo.tiers[1].addresses[0]}]" in finding["detail"]
    assert chain.zone("example")["security"] == "secure"
    assert chain.zone("cut.example")["security"] == "bogus"


def test_clean(zoo: World, daneway: Daneway) -> None:
    """Nothing is found where there is nothing."""
    for name in ("mx.alg13.example", "no.nsec.example", "any.wild.nsec3.example"):
        assert look(daneway, zoo, name).bad() == set()


def test_mail(zoo: World, daneway: Daneway) -> None:
    chain = look(daneway, zoo, "--mail", "mail.example")
    asked = {(n["name"], n["type"]): n["security"] for n in chain.out["names"]}
    assert asked[("mail.example", "MX")] == "secure"
    assert asked[("mx.mail.example", "A")] == "secure"
    assert asked[("_25._tcp.mx.mail.example", "TLSA")] == "secure"
    assert asked[("mx.unsigned.example", "A")] == "insecure"
    assert chain.verdict == "insecure"
    chain = look(daneway, zoo, "--mail", "implicit.example")
    assert ("_25._tcp.implicit.example", "TLSA") in {(n["name"], n["type"])
                                                     for n in chain.out["names"]}
    assert chain.verdict == "secure"
    assert len(look(daneway, zoo, "--mail", "null.example").out["names"]) == 1


def test_levels_of_detail(zoo: World, daneway: Daneway) -> None:
    sizes = [len(look(daneway, zoo, *["-v"] * n, "mx.alg13.example", "A").out["checks"])
             for n in range(4)]
    assert sizes == sorted(set(sizes)), sizes
    packets = look(daneway, zoo, "-vvv", "mx.alg13.example", "A")
    assert any(c["id"] == "dnssec.packet" and " octets, UDP, " in c["title"]
               for c in packets.out["checks"])
    assert any("mx.alg13.example. 300 IN A 192.0.2.1" in c["title"]
               for c in packets.out["checks"])


# --- name servers that differ or misbehave


class Pair:
    """A zone with a good name server and one that misbehaves."""

    def __init__(self, world: World, *rules: Rule, tcp: str = "serve", only: bool = False) -> None:
        self.world = world
        self.bad = world.add_dns(rules, tcp=tcp)
        good = world.tiers[2].addresses[:1]
        servers = [("bad.pair.example.", self.bad.addresses)]
        if not only:
            servers.append(("good.pair.example.", good))
        world.add_zone("pair.example", ["mx A 192.0.2.1", "*.wild A 192.0.2.7",
                                        "_25._tcp.mx TLSA 3 1 1 " + "ab" * 32], servers=servers)
        world.start()
        self.name = f"bad.pair.example[{self.bad.addresses[0]}]"


@pytest.mark.parametrize("rule, name, rdtype, identity, word", [
    (Rule("drop"), "mx", "A", "dnssec.server.silent", "does not answer"),
    (Rule("wrong-id"), "mx", "A", "dnssec.server.silent", "answers another question"),
    (Rule("malformed"), "mx", "A", "dnssec.server.silent", "malformed"),
    (Rule("wrong-question", qname="mx.*"), "mx", "A", "dnssec.server.fault", "another question"),
    (Rule("drop", qname="_25.*"), "_25._tcp.mx", "TLSA", "dnssec.server.fault", "does not answer"),
    (Rule("malformed", qtype="DNSKEY"), "mx", "A", "dnssec.server.fault", "malformed"),
    (Rule("servfail", qname="_25.*"), "_25._tcp.mx", "TLSA", "dnssec.server.rcode", "SERVFAIL"),
    (Rule("refused"), "mx", "A", "dnssec.server.rcode", "REFUSED"),
    (Rule("notimp", qtype="TLSA"), "_25._tcp.mx", "TLSA", "dnssec.server.rcode", "NOTIMP"),
    (Rule("strip-rrsig"), "mx", "A", "dnssec.rrsig.missing", "mx.pair.example A"),
    (Rule("strip-denial"), "no", "A", "dnssec.denial.missing", "no.pair.example"),
    (Rule("strip-denial"), "any.wild", "A", "dnssec.denial.missing", "any.wild.pair.example"),
    (Rule("empty", qtype="A"), "mx", "A", "dnssec.denial.missing", "mx.pair.example A"),
    (Rule("nxdomain", qname="mx.*"), "mx", "A", "dnssec.denial.missing", "mx.pair.example"),
    (Rule("forge", "mx.*", "A", records=["mx.pair.example. A 192.0.2.66"]), "mx", "A",
     "dnssec.rrsig.missing", "mx.pair.example A"),
    (Rule("forge-signed", "mx.*", "A", records=["mx.pair.example. A 192.0.2.66"]), "mx", "A",
     "dnssec.rrsig.bad", "changed after signing"),
])
def test_one_bad_server(fresh_world: World, daneway: Daneway, rule: Rule, name: str, rdtype: str,
                        identity: str, word: str) -> None:
    """One server of two: the verdict stays, the server is named, and the good one is not."""
    pair = Pair(fresh_world, rule)
    chain = look(daneway, fresh_world, "--dns-timeout", "1.5", f"{name}.pair.example", rdtype)
    assert chain.verdict == "secure", chain.out["checks"]
    found = [c for c in chain.out["checks"] if c["id"] == identity and pair.name in c["detail"]
             and word in c["detail"]]
    assert found, [c for c in chain.out["checks"] if c["status"] in ("warn", "fail")]
    assert not any("good.pair.example" in c["detail"] for c in found)
    assert found[0]["fix"]


@pytest.mark.parametrize("rule, name, rdtype, expected", [
    (Rule("drop"), "mx", "A", "unknown"),
    (Rule("servfail", qname="_25.*"), "_25._tcp.mx", "TLSA", "unknown"),
    (Rule("refused"), "mx", "A", "unknown"),
    (Rule("drop", qtype="DNSKEY"), "mx", "A", "unknown"),
    (Rule("drop", qname="_25.*"), "_25._tcp.mx", "TLSA", "unknown"),
    (Rule("strip-rrsig"), "mx", "A", "bogus"),
    (Rule("strip-denial"), "no", "A", "bogus"),
    (Rule("empty", qtype="A"), "mx", "A", "bogus"),
    (Rule("forge", "mx.*", "A", records=["mx.pair.example. A 192.0.2.66"]), "mx", "A", "bogus"),
])
def test_only_bad_servers(fresh_world: World, daneway: Daneway, rule: Rule, name: str, rdtype: str,
                          expected: str) -> None:
    """No answer is "unknown", never "insecure"; a forged one is bogus."""
    Pair(fresh_world, rule, only=True)
    chain = look(daneway, fresh_world, "--dns-timeout", "1.5", f"{name}.pair.example", rdtype)
    assert chain.verdict == expected, chain.out["checks"]


@pytest.mark.parametrize("tcp", ["refuse", "close", "hang"])
def test_tcp(fresh_world: World, daneway: Daneway, tcp: str) -> None:
    pair = Pair(fresh_world, tcp=tcp)
    chain = look(daneway, fresh_world, "--dns-timeout", "1.5", "mx.pair.example", "A")
    assert chain.verdict == "secure"
    finding = chain.find("dnssec.server.tcp")
    assert pair.name in finding["detail"] and "port 53 over TCP" in finding["fix"]


def test_truncation(fresh_world: World, daneway: Daneway) -> None:
    """TC leads to TCP; where that is closed, the answer is missing and the server named."""
    pair = Pair(fresh_world, Rule("truncate", qname="mx.*"))
    assert look(daneway, fresh_world, "mx.pair.example", "A").bad() == set()
    assert [q.transport for q in pair.bad.asked("mx.pair.example", "A")][:2] == ["udp", "tcp"]


def test_truncation_without_tcp(fresh_world: World, daneway: Daneway) -> None:
    pair = Pair(fresh_world, Rule("truncate", qname="mx.*"), tcp="refuse", only=True)
    chain = look(daneway, fresh_world, "--dns-timeout", "1.5", "mx.pair.example", "A")
    assert chain.verdict == "unknown"
    finding = chain.find("dnssec.server.fault")
    assert pair.name in finding["detail"] and "truncates" in finding["detail"]


class Old(DnsServer):
    """Drops every question with EDNS."""

    async def answer(self, wire: bytes, address: str, transport: str) -> bytes | None:
        if dns.message.from_wire(wire).edns >= 0:
            return None
        return await super().answer(wire, address, transport)


def _custom(world: World, kind: type[DnsServer], addresses: int = 1) -> DnsServer:
    at = [world.address() for _ in range(addresses)]
    return world.add_daemon(kind(at, world.tiers[2].addresses[0],
                                 world.logs / f"custom-{at[0]}.jsonl"))


class Lame(DnsServer):
    """Knows nothing, and refers to the root."""

    async def answer(self, wire: bytes, address: str, transport: str) -> bytes | None:
        reply = dns.message.make_response(dns.message.from_wire(wire))
        reply.authority.append(dns.rrset.from_text(".", 300, "IN", "NS", "a.root-servers.test."))
        return reply.to_wire()


def test_lame(fresh_world: World, daneway: Daneway) -> None:
    lame = _custom(fresh_world, Lame)
    fresh_world.add_zone("lame.example", ["mx A 192.0.2.1"],
                         servers=[("bad.lame.example.", lame.addresses),
                                  ("good.lame.example.", fresh_world.tiers[2].addresses)])
    fresh_world.start()
    chain = look(daneway, fresh_world, "mx.lame.example", "A")
    assert chain.verdict == "secure"
    for identity in ("dnssec.server.lame", "dnssec.referral.wrong"):
        finding = chain.find(identity)
        assert f"bad.lame.example[{lame.addresses[0]}]" in finding["detail"]
        assert "good.lame" not in finding["detail"] and "lame.example." in finding["fix"]


def test_edns_blocked(fresh_world: World, daneway: Daneway) -> None:
    old = _custom(fresh_world, Old)
    fresh_world.add_zone("old.example", ["mx A 192.0.2.1"],
                         servers=[("ns.old.example.", old.addresses)])
    fresh_world.start()
    chain = look(daneway, fresh_world, "--dns-timeout", "1.5", "mx.old.example", "A")
    assert chain.verdict == "unknown"
    assert f"ns.old.example[{old.addresses[0]}]" in chain.find("dnssec.server.edns")["detail"]


def test_different_versions(fresh_world: World, daneway: Daneway) -> None:
    """Two servers, the second with forged (older) NS and data: the difference is told."""
    pair = Pair(fresh_world, Rule("forge-signed", "mx.*", "A",
                                  records=["mx.pair.example. A 192.0.2.66",
                                           "mx.pair.example. A 192.0.2.67"]))
    finding = look(daneway, fresh_world, "mx.pair.example", "A").find("dnssec.servers.differ")
    assert "2 records" in finding["detail"] and pair.name in finding["detail"]


# --- hostile zones: bounded time


def quick(daneway: Daneway, world: World, *args: str, seconds: float = 10,
          question: str = "1.5") -> Chain:
    begin = time.monotonic()
    chain = look(daneway, world, "--dns-timeout", question, *args)
    assert time.monotonic() - begin < seconds
    return chain


class Endless(DnsServer):
    """Refers every question one label further down, to itself."""

    async def answer(self, wire: bytes, address: str, transport: str) -> bytes | None:
        query = dns.message.from_wire(wire)
        qname = query.question[0].name
        reply = dns.message.make_response(query)
        if len(qname) < 100:  # DNSKEY, SOA, NS of the zones on the way
            return reply.to_wire()
        self._depth = getattr(self, "_depth", 3) + (address == self.addresses[0])
        deeper = qname.split(min(len(qname), self._depth))[1]
        name = f"ns.{deeper}"
        reply.authority.append(dns.rrset.from_text(deeper, 300, "IN", "NS", name))
        reply.additional.append(dns.rrset.from_text(name, 300, "IN", "A", *self.addresses))
        return reply.to_wire(max_size=65535)


def test_endless_referrals(fresh_world: World, daneway: Daneway) -> None:
    server = _custom(fresh_world, Endless)
    fresh_world.add_zone("end.example", [], servers=[("ns.end.example.", server.addresses)],
                         algorithm=None)
    fresh_world.start()
    name = ".".join(["a"] * 115) + ".end.example"
    chain = quick(daneway, fresh_world, name, "A")
    assert chain.verdict == "unknown"
    assert len(chain.out["zones"]) == 48
    assert "limit of zones" in chain.find("dnssec.limit")["detail"]


def test_too_many_questions(fresh_world: World, daneway: Daneway) -> None:
    """Sixty addresses at each of the zones: the limit of questions ends it."""
    server = _custom(fresh_world, Endless, addresses=60)
    fresh_world.add_zone("end.example", [], servers=[("ns.end.example.", server.addresses)],
                         algorithm=None)
    fresh_world.start()
    chain = quick(daneway, fresh_world, ".".join(["a"] * 115) + ".end.example", "A", seconds=60,
                  question="9")  # the scripted server is slow, and is not to seem silent
    assert chain.verdict == "unknown"
    assert "limit of questions" in chain.find("dnssec.limit")["detail"]


def test_too_many_hosts(fresh_world: World, daneway: Daneway) -> None:
    """Fifty MX hosts are looked at; that there are more makes it unknown."""
    fresh_world.add_zone("hosts.example", [f"@ MX 10 m{i:02d}" for i in range(60)])
    fresh_world.start()
    chain = quick(daneway, fresh_world, "--mail", "hosts.example")
    assert chain.verdict == "unknown"
    assert "MX hosts" in chain.find("dnssec.limit")["detail"]
    assert len([n for n in chain.out["names"] if n["type"] == "TLSA"
                and n["security"] == "secure"]) == 50


class Crowd(DnsServer):
    """Names a thousand name servers with a thousand addresses, which do not answer."""

    async def answer(self, wire: bytes, address: str, transport: str) -> bytes | None:
        query = dns.message.from_wire(wire)
        if query.question[0].name != dns.name.from_text("sub.crowd.example."):
            return await super().answer(wire, address, transport)
        reply = dns.message.make_response(query)
        names = [f"n{i}.sub.crowd.example." for i in range(1000)]
        reply.authority.append(dns.rrset.from_text("sub.crowd.example.", 300, "IN", "NS", *names))
        for i, name in enumerate(names):
            reply.additional.append(dns.rrset.from_text(
                name, 300, "IN", "A", f"127.66.{i >> 8}.{i & 255}"))
        return reply.to_wire(max_size=1200 if transport == "udp" else 65535) \
            if transport == "tcp" else _truncated(reply)


def _truncated(reply: dns.message.Message) -> bytes:
    reply.flags |= dns.flags.TC
    reply.authority, reply.additional = [], []
    return reply.to_wire()


def test_a_thousand_servers(fresh_world: World, daneway: Daneway) -> None:
    server = _custom(fresh_world, Crowd)
    fresh_world.add_zone("crowd.example", [], servers=[("ns.crowd.example.", server.addresses)],
                         algorithm=None)
    fresh_world.start()
    chain = quick(daneway, fresh_world, "sub.crowd.example", "A")
    assert chain.verdict == "unknown"
    assert len(chain.zone("sub.crowd.example")["servers"]) <= 64


class Trap(Zone):
    """Hundreds of keys of one tag and signatures by that tag (KeyTrap, CVE-2023-50387)."""

    def sign(self, now: float | None = None) -> str:
        lines = super().sign(now).splitlines()
        key = self.keys[0]
        own = next(line for line in lines if " IN DNSKEY " in line)
        head = own.rsplit(" ", 1)[0] if own.count(" ") == 7 else " ".join(own.split(" ")[:7])
        for _ in range(200):
            lines.append(f"{head} {_same_tag(key.tag, 257, 13)}")
        for line in list(lines):
            fields = line.split(" ")
            if fields[3] == "RRSIG" and fields[4] in ("A", "DNSKEY"):
                for _ in range(200):
                    lines.append(" ".join(fields[:12]) + " "
                                 + base64.b64encode(os.urandom(64)).decode())
        return "\n".join(lines) + "\n"


def _same_tag(tag: int, flags: int, algorithm: int) -> str:
    """A key whose checksum is that tag."""
    while True:
        body = os.urandom(62)
        for last in range(0, 65536, 1):
            rdata = flags.to_bytes(2, "big") + bytes([3, algorithm]) + body
            total = sum(b << 8 if i % 2 == 0 else b for i, b in enumerate(rdata))
            for carry in range(0, 64):
                wanted = (tag - total - carry) & 0xffff
                full = total + wanted
                if (full + (full >> 16)) & 0xffff == tag:
                    return base64.b64encode(body + wanted.to_bytes(2, "big")).decode()
            break


def test_key_trap(fresh_world: World, daneway: Daneway) -> None:
    fresh_world.add_zone("trap.example", ["mx A 192.0.2.1"])
    entry = fresh_world.zones["trap.example."]
    trap = Trap("trap.example", records=entry.zone.records)
    entry.zone = trap
    fresh_world.start()
    chain = quick(daneway, fresh_world, "mx.trap.example", "A")
    assert chain.verdict == "bogus"
    finding = chain.find("dnssec.limit.signatures")
    assert "more than 16 pairs" in finding["detail"]


def test_a_thousand_keys(fresh_world: World, daneway: Daneway) -> None:
    """65,535 octets of keys: as many as one answer can hold."""
    class Many(Zone):
        def sign(self, now: float | None = None) -> str:
            text = super().sign(now)
            return text + "".join(
                f"{self.name}. 300 IN DNSKEY 256 3 13 "
                f"{base64.b64encode(os.urandom(40)).decode()}\n" for _ in range(1000))

    fresh_world.add_zone("keys.example", ["mx A 192.0.2.1"])
    entry = fresh_world.zones["keys.example."]
    entry.zone = Many("keys.example", records=entry.zone.records)
    fresh_world.start()
    chain = quick(daneway, fresh_world, "mx.keys.example", "A")
    assert "100" in chain.find("dnssec.dnskey.many")["detail"]
    assert chain.verdict == "bogus"  # the keys were added after signing


def test_never_answering(fresh_world: World, daneway: Daneway) -> None:
    silent = fresh_world.add_dns([Rule("drop")], [fresh_world.address() for _ in range(60)],
                                 tcp="hang")
    fresh_world.add_zone("silent.example", [], servers=[("ns.silent.example.", silent.addresses)])
    fresh_world.start()
    chain = quick(daneway, fresh_world, "--mail", "silent.example")
    assert chain.verdict == "unknown"
    assert len(silent.asked()) < 60 * 16


def test_deadline(fresh_world: World, daneway: Daneway) -> None:
    silent = fresh_world.add_dns([Rule("drop")], tcp="hang")
    fresh_world.add_zone("silent.example", [], servers=[("ns.silent.example.", silent.addresses)])
    fresh_world.start()
    begin = time.monotonic()
    chain = look(daneway, fresh_world, "--timeout", "2", "--dns-timeout", "60", "silent.example")
    assert time.monotonic() - begin < 5
    assert chain.verdict == "unknown"
    assert "time for the whole command" in chain.find("dnssec.limit")["detail"]


# --- the command


@pytest.mark.parametrize("args, code", [
    ([], 64), (["a.example", "NOSUCHTYPE"], 64), (["a.example", "AXFR"], 64),
    (["a.example", "A", "B"], 64), (["--mail", "a.example", "MX"], 64), (["--nonsense"], 64),
    (["--forward", "127.0.0.1", "a.example"], 64), (["http://a.example/"], 65), (["a b"], 65),
    (["user@a.example"], 65), (["192.0.2.1"], 65), (["a..b"], 65), (["x" * 64 + ".example"], 65),
    (["a\x1b[31m.example"], 65), (["\udcff"], 65), (["--mail", "a\\.b.example"], 65)])
def test_bad_input(world: World, daneway: Daneway, args: list[str], code: int) -> None:
    import subprocess
    done = subprocess.run([str(daneway.path), "--root-hints", str(world.root_hints),
                           "--trust-anchor", str(world.trust_anchor), "dnssec", *args],
                          capture_output=True, timeout=20)
    assert done.returncode == code, done.stderr
    assert b"\x1b" not in done.stderr and done.stderr.count(b"\n") == 1


def test_anchor(world: World, daneway: Daneway, tmp_path: Any) -> None:
    other = tmp_path / "anchor"
    other.write_text(". IN DS 12345 13 2 " + "ab" * 32 + "\n")
    code, _, err = daneway.run(world, "dnssec", "--trust-anchor", str(other), "good.example")
    assert code == 78 and "anchor" in err
    code, _, err = daneway.run(world, "dnssec", "--root-hints", "/nonexistent", "good.example")
    assert code == 78 and "/nonexistent" in err


def test_nothing_steers_the_terminal(fresh_world: World, daneway: Daneway) -> None:
    import subprocess
    fresh_world.add_zone("esc.example", ['mx TXT "\\027[31mred\\155\\255"',
                                         "a CNAME \\027\\155c.esc.example."])
    fresh_world.start()
    for name, rdtype in (("mx.esc.example", "TXT"), ("a.esc.example", "A")):
        done = subprocess.run([str(daneway.path), "--root-hints", str(fresh_world.root_hints),
                               "--trust-anchor", str(fresh_world.trust_anchor), "dnssec", "-vvv",
                               name, rdtype], capture_output=True, timeout=20)
        assert done.returncode == 0
        assert all(c == 10 or 32 <= c < 127 for c in done.stdout), done.stdout
