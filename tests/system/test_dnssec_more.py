"""daneway dnssec: what a zone asks of its parent, how its servers deny, dates at another time; the
page, the picture and the published schema.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, Iterator

import dns.message
import dns.rdatatype
import pytest

from lab.dns_server import DnsServer
from lab.knot import Knot
from lab.pytest_plugin import Daneway, validator
from lab.world import World
from lab.zones import Damage, Zone, clone
from test_dnssec import Chain, look

SVG = "{http://www.w3.org/2000/svg}"
HTML = "{http://www.w3.org/1999/xhtml}"
FOREIGN = "12345 13 2 " + "ab" * 32


def _cdnskey(zone: Zone) -> str:
    return zone.keys[0].dnskey.to_text()


def _asking(world: World, name: str, cds: list[str], cdnskey: list[str], **options: Any) -> Zone:
    """A zone with these CDS and CDNSKEY; "own" is that of its key."""
    zone = world.add_zone(name, ["mx A 192.0.2.1"], **options)
    for text in cds:
        zone.add("@", "CDS", zone.ds()[0].to_text() if text == "own" else text)
    for text in cdnskey:
        zone.add("@", "CDNSKEY", _cdnskey(zone) if text == "own" else text)
    return zone


def _second(world: World, name: str, zone: Zone, **changes: Any) -> str:
    """A name server with another version of the zone; "name[address]" of it."""
    other = Knot(f"second-{name}", world.dir / f"second-{name}", world.logs / f"second-{name}.log",
                 [world.address()])
    entry = world.zones[name + "."]
    entry.servers.append((f"second.{name}.", other.addresses))
    zone.add("@", "NS", f"second.{name}.")
    zone.add("second", "A", other.addresses[0])
    copy = clone(zone, **changes)
    for change in ("CDS", "CDNSKEY"):
        if changes == {}:
            copy.remove("@", change)
    other.put(name + ".", copy.sign())
    world.add_daemon(other)
    return f"second.{name}[{other.addresses[0]}]"


@pytest.fixture(scope="module")
def zoo() -> Iterator[World]:
    world = World("upkeep")
    world.second = {}  # type: ignore[attr-defined]
    other = Zone("other.example").keys[0].dnskey.to_text()
    _asking(world, "same.example", ["own"], ["own"])
    _asking(world, "one.example", ["own"], [])
    changing = _asking(world, "change.example", ["own"], ["own"])
    changing.add("@", "CDS", changing.ds("SHA384")[0].to_text())
    _asking(world, "first.example", ["own"], ["own"], ds="none")
    _asking(world, "gone.example", ["0 0 0 00"], ["0 3 0 AA=="])
    _asking(world, "half-gone.example", ["own"], [r"\# 5 0000030000"]).add(
        "@", "CDNSKEY", other)
    _asking(world, "bad-gone.example", [r"\# 5 0001000000"], [])
    _asking(world, "no-key.example", ["own", FOREIGN], [])
    _asking(world, "break.example", [FOREIGN], [])
    _asking(world, "both.example", ["own"], [other])
    _asking(world, "no-sig.example", ["own"], ["own"], damages=[Damage("missing", "@", "CDS")])
    _asking(world, "bad-sig.example", ["own"], ["own"],
            damages=[Damage("corrupt", "@", "CDNSKEY")])
    split = _asking(world, "split.example", ["own"], ["own"])
    world.second["split"] = _second(world, "split.example", split)
    for name, change in (("salted", {"salt": "aabb"}), ("iterated", {"iterations": 5}),
                         ("outed", {"denial": "optout"}), ("mixed", {"denial": "nsec"})):
        zone = world.add_zone(f"{name}.example", ["mx A 192.0.2.1"], denial="nsec3")
        world.second[name] = _second(world, f"{name}.example", zone, **change)
    world.add_zone("no-chain.example", ["mx A 192.0.2.1"], damages=[Damage("no-denial")])
    world.add_zone("last.example", ["mx A 192.0.2.1"], damages=[Damage("last-nsec")])
    world.add_zone("idle.example", ["mx A 192.0.2.1"], idle_algorithms=(15,))
    digest = world.add_zone("digest.example", ["mx A 192.0.2.1"])
    world.zones["example."].zone.add("digest", "DS", f"{digest.keys[0].tag} 13 200 " + "ab" * 32)
    world.add_zone("private.example", ["mx A 192.0.2.1", "@ NS p.private.example.",
                                       "p A 10.1.2.3", "p AAAA fd00::1"])
    world.zones["private.example."].servers.append(("p.private.example.", ["10.1.2.3", "fd00::1"]))
    world.add_zone("expired.example", ["mx A 192.0.2.1"], damages=[Damage("expired", "mx", "A")])
    world.add_zone("wrong.example", ["mx A 192.0.2.1"], ds="wrong")
    world.add_zone("unsigned.example", ["mx A 192.0.2.1"], algorithm=None)
    world.add_zone("alias.example", ["a CNAME mx.same.example.", "b CNAME mx.expired.example.",
                                     "@ MX 10 mx.same.example.", "@ MX 20 mx.unsigned.example."])
    world.start()
    yield world
    world.stop()


# --- what the zone asks of its parent


@pytest.mark.parametrize("zone, identity, word, fix", [
    ("one", "dnssec.cds.one-only", "", ""),
    ("change", "dnssec.cds.pending", "(digest type 4); the DS at the parent: {tag}", ""),
    ("first", "dnssec.cds.pending", "{tag} (digest type 2); the DS at the parent: none", ""),
    ("same", "dnssec.cds.current", "{tag} (digest type 2); the DS at the parent: {tag}", ""),
    ("gone", "dnssec.cds.delete", "gone.example CDS", "remove gone.example CDS"),
    ("half-gone", "dnssec.cds.delete-wrong", "other records stand beside it", "CDS 0 0 0 00"),
    ("half-gone", "dnssec.cds.mismatch", "CDS: {tag} (digest type 2); CDNSKEY: ", "same keys"),
    ("bad-gone", "dnssec.cds.delete-wrong", "its other fields are not 0", "CDNSKEY 0 3 0 AA=="),
    ("no-key", "dnssec.cds.no-key", "names key 12345", "Publish key 12345"),
    ("break", "dnssec.cds.breaks", "none of them is of a key", "break.example CDS of the key"),
    ("both", "dnssec.cds.mismatch", "CDS: {tag} (digest type 2); CDNSKEY: ", "same keys"),
    ("no-sig", "dnssec.cds.not-signed", "no valid signature", "the DS at example. names"),
    ("bad-sig", "dnssec.cds.not-signed", "bad-sig.example CDNSKEY", "Sign bad-sig.example CDNSKEY"),
])
def test_requests(zoo: World, daneway: Daneway, zone: str, identity: str, word: str,
                  fix: str) -> None:
    tag = str(zoo.zones[f"{zone}.example."].zone.keys[0].tag)
    chain = look(daneway, zoo, "-v", f"mx.{zone}.example", "A")
    finding = chain.find(identity)
    assert word.format(tag=tag) in finding["detail"], finding
    assert fix in (finding["fix"] or ""), finding
    assert chain.verdict == ("insecure" if zone == "first" else "secure")


def test_a_good_request_is_no_fault(zoo: World, daneway: Daneway) -> None:
    for zone in ("same", "change", "one"):
        assert look(daneway, zoo, f"mx.{zone}.example", "A").bad() == set(), zone
    assert not any(i.startswith("dnssec.cds") for i in look(daneway, zoo, "mx.last.example").ids())


def test_servers_that_ask_for_different_things(zoo: World, daneway: Daneway) -> None:
    finding = look(daneway, zoo, "mx.split.example", "A").find("dnssec.cds.differ")
    assert zoo.second["split"] + ": no such record" in finding["detail"]  # type: ignore
    assert "split.example CDS" in finding["detail"] and "same version" in finding["fix"]


# --- how it denies


@pytest.mark.parametrize("zone, words", [
    ("salted", "a salt of 2 octets"), ("iterated", "5 iterations"), ("outed", "opt-out"),
    ("mixed", "NSEC")])
def test_servers_that_deny_differently(zoo: World, daneway: Daneway, zone: str,
                                       words: str) -> None:
    chain = look(daneway, zoo, f"mx.{zone}.example", "A")
    finding = chain.find("dnssec.nsec3.differ")
    second = re.search(re.escape(zoo.second[zone]) + r": ([^;]*)", finding["detail"])  # type: ignore
    assert second and words in second.group(1), finding
    assert chain.verdict == "secure" and f"{zone}.example." in finding["fix"]


@pytest.mark.parametrize("zone, identity, words", [
    ("no-chain", "dnssec.denial.missing", "no-chain.example CDNSKEY is denied by"),
    ("idle", "dnssec.algorithm.incomplete", "no signature of ED25519 (15)"),
    ("digest", "dnssec.ds.digest", "digest type 200"),
    ("private", "dnssec.ns.private", "p.private.example[10.1.2.3], p.private.example[fd00::1]"),
])
def test_more_of_the_zone(zoo: World, daneway: Daneway, zone: str, identity: str,
                          words: str) -> None:
    chain = look(daneway, zoo, "--dns-timeout", "1.5", f"mx.{zone}.example", "A")
    finding = chain.find(identity)
    assert words in finding["detail"] and finding["fix"], finding
    assert chain.verdict == "secure"


def test_last_nsec(zoo: World, daneway: Daneway) -> None:
    chain = look(daneway, zoo, "ns.last.example", "MX")
    assert "ns.last.example NSEC" in chain.find("dnssec.nsec.last")["detail"]
    assert "dnssec.nsec.last" not in look(daneway, zoo, "mx.last.example", "MX").ids()


class Changed(DnsServer):
    """Gives addresses a longer life than was signed, and tells of more iterations."""

    async def answer(self, wire: bytes, address: str, transport: str) -> bytes | None:
        reply = dns.message.from_wire(await super().answer(wire, address, transport) or b"")
        for rrset in reply.answer:
            if dns.rdatatype.A in (rrset.rdtype, rrset.covers):
                rrset.ttl = 86400
            if rrset.rdtype == dns.rdatatype.NSEC3PARAM:
                changed = rrset[0].replace(iterations=7)
                rrset.clear()
                rrset.add(changed)
        return reply.to_wire(max_size=65535)


def test_what_a_server_changes(fresh_world: World, daneway: Daneway) -> None:
    server = fresh_world.add_daemon(Changed([fresh_world.address()],
                                            fresh_world.tiers[2].addresses[0],
                                            fresh_world.logs / "changed.jsonl"))
    fresh_world.add_zone("changed.example", ["mx A 192.0.2.1"], denial="nsec3",
                         servers=[("ns.changed.example.", server.addresses)])
    fresh_world.start()
    chain = look(daneway, fresh_world, "mx.changed.example", "A")
    finding = chain.find("dnssec.rrsig.original-ttl")
    assert "a TTL of 86400 s; 300 s were signed" in finding["detail"]
    finding = chain.find("dnssec.nsec3.param")
    assert f"ns.changed.example[{server.addresses[0]}]: NSEC3PARAM with 7 " in finding["detail"]
    assert "NSEC3 with 0 iterations" in finding["detail"]
    assert chain.verdict == "secure"


# --- at another time


def test_at(zoo: World, daneway: Daneway) -> None:
    """Signatures of the lab are valid for 14 days; an expired one was valid 20 days ago."""
    now = int(time.time())
    later = look(daneway, zoo, "--at", str(now + 20 * 86400), "mx.same.example", "A")
    assert later.verdict == "bogus" and later.out["at"] == now + 20 * 86400
    assert "ended 5 days ago" in later.find("dnssec.rrsig.expired")["detail"] \
        or "ended 6 days ago" in later.find("dnssec.rrsig.expired")["detail"]
    assert all(n["validator"] is None for n in later.out["names"])
    assert "dnssec.validator.disagrees" not in later.ids()
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 14 * 86400 - 3 * 3600))
    assert "dnssec.rrsig.ends-soon" in look(daneway, zoo, "--at", soon, "mx.same.example").ids()
    assert look(daneway, zoo, "mx.same.example", "A").out["at"] is None
    code, _, err = daneway.run(zoo, "dnssec", "--at", "tomorrow", "mx.same.example")
    assert code == 64 and "tomorrow" in err


# --- the schema


def test_the_schema_refuses(zoo: World, daneway: Daneway) -> None:
    """It is no schema of everything (all other tests hold real output against it)."""
    good = look(daneway, zoo, "-v", "a.alias.example", "A").out
    check = validator("dnssec")
    assert check.is_valid(good)
    for path in ([], ["zones", 0], ["zones", 1, "servers", 0], ["zones", 1, "ds", 0],
                 ["zones", 0, "keys", 0], ["names", 0], ["checks", 0]):
        part = good
        for step in path:
            part = part[step]
        for key in part:
            bad = json.loads(json.dumps(good))
            inner = bad
            for step in path:
                inner = inner[step]
            del inner[key]
            assert not check.is_valid(bad), (path, key)
    for key, value in (("verdict", "fine"), ("at", "now"), ("zones", []), ("mail", None)):
        assert not check.is_valid(good | {key: value})


# --- the picture and the page


def draw(daneway: Daneway, world: World, tmp_path: Path, *args: str) -> tuple[Chain, Any, Any]:
    svg, html = tmp_path / "chain.svg", tmp_path / "chain.html"
    chain = look(daneway, world, "--svg", str(svg), "--html", str(html), *args)
    return chain, ElementTree.parse(svg).getroot(), ElementTree.parse(html).getroot()


def texts(root: Any) -> list[str]:
    return [t.text or "" for t in root.iter(f"{SVG}text")]


def edges(root: Any, word: str) -> list[Any]:
    """The lines drawn so, without those of the legend."""
    return [p for p in root.iter(f"{SVG}path")
            if p.get("class", "").startswith("edge ") and word in p.get("class").split()
            and p.get("marker-end")]


def test_a_chain_that_holds(zoo: World, daneway: Daneway, tmp_path: Path) -> None:
    chain, root, _ = draw(daneway, zoo, tmp_path, "mx.same.example", "A")
    tag = zoo.zones["same.example."].zone.keys[0].tag
    assert chain.verdict == "secure" and root.tag == f"{SVG}svg"
    assert {". (root)", "example.", "same.example.", f"DNSKEY {tag}, KSK+ZSK", f"{tag} SHA-256",
            "A mx.same.example.: 1 record"} <= set(texts(root))
    for word, n in (("holds", 9), ("broken", 0), ("insecure", 0), ("unknown", 0)):
        assert len(edges(root, word)) == n, word
    ids = {e.get("id"): e.text for e in root if e.tag in (f"{SVG}title", f"{SVG}desc")}
    assert root.get("aria-labelledby").split() == list(ids)
    assert ids["chain-title"] == "Chain of trust of mx.same.example. A: secure"
    assert "A mx.same.example. is secure." in ids["chain-desc"]


@pytest.mark.parametrize("name, label", [
    ("mx.expired.example", "expired"), ("mx.wrong.example", "no such key")])
def test_the_broken_link_is_red(zoo: World, daneway: Daneway, tmp_path: Path, name: str,
                                label: str) -> None:
    chain, root, _ = draw(daneway, zoo, tmp_path, name, "A")
    assert chain.verdict == "bogus"
    (broken,) = edges(root, "broken")
    assert "s-fail" in broken.get("class").split() and label in texts(root)
    assert len([p for p in root.iter(f"{SVG}path") if "cross" in p.get("class", "")]) == 2


def test_an_insecure_delegation_shows(zoo: World, daneway: Daneway, tmp_path: Path) -> None:
    _, root, _ = draw(daneway, zoo, tmp_path, "--mail", "alias.example")
    (dashed,) = edges(root, "insecure")
    assert "s-skip" in dashed.get("class").split()
    assert {"no DS, proven", "for unsigned.example.", "insecure delegation"} <= set(texts(root))
    assert not edges(root, "broken")


def test_an_alias_into_another_zone(zoo: World, daneway: Daneway, tmp_path: Path) -> None:
    _, root, _ = draw(daneway, zoo, tmp_path, "b.alias.example", "A")
    aliases = [p for p in root.iter(f"{SVG}path") if p.get("class") == "alias s-info"
               and p.get("marker-end")]
    assert len(aliases) == 1 and len(edges(root, "broken")) == 1
    assert "A b.alias.example.: alias of mx.expired.example." in texts(root)


def test_the_page_holds_the_picture(zoo: World, daneway: Daneway, tmp_path: Path) -> None:
    chain, root, page = draw(daneway, zoo, tmp_path, "mx.expired.example", "A")
    (inner,) = page.iter(f"{SVG}svg")
    assert texts(inner) == texts(root)
    text = "".join(page.itertext())
    assert "mx.expired.example" in text and "ended 10 days ago" in text and "bogus" in text
    assert "Sign the zone expired.example. again" in text
    assert not any(e.tag in (f"{HTML}script", f"{HTML}link", f"{HTML}img") for e in page.iter())
    for element in page.iter():
        assert not any("http" in v for k, v in element.attrib.items() if k != "content")


def test_nothing_hostile_in_the_picture(fresh_world: World, daneway: Daneway,
                                        tmp_path: Path) -> None:
    fresh_world.add_zone("esc.example", [
        "a CNAME \\027\\155\\<b\\>x\\&\\034.esc.example.", "@ MX 10 \\<script\\>.esc.example."])
    fresh_world.start()
    for args in (("a.esc.example", "A"), ("--mail", "esc.example")):
        draw(daneway, fresh_world, tmp_path, *args)
        for file in ("chain.svg", "chain.html"):
            text = (tmp_path / file).read_bytes()
            assert b"<script" not in text and b"<b>" not in text and b"\x1b" not in text


def test_files_that_cannot_be_written(zoo: World, daneway: Daneway, tmp_path: Path) -> None:
    for option in ("--svg", "--html"):
        done = subprocess.run(
            [str(daneway.path), "--root-hints", str(zoo.root_hints), "--trust-anchor",
             str(zoo.trust_anchor), "dnssec", option, str(tmp_path / "none" / "x"), ". "],
            capture_output=True, timeout=20)
        assert done.returncode == 65  # the name comes first
        done = subprocess.run(
            [str(daneway.path), "--root-hints", str(zoo.root_hints), "--trust-anchor",
             str(zoo.trust_anchor), "dnssec", option, str(tmp_path / "none" / "x"), "example"],
            capture_output=True, timeout=20)
        assert done.returncode == 74 and option.encode() in done.stderr
