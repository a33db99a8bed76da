"""daneway check asks every name server by itself (RFC 7672 section 2.1.1, matrix A25, B30): a
server that is behind, signed all the same, decides for the senders whose resolver asks it."""

from __future__ import annotations

import json
import time
from typing import Any, Sequence

import pytest

from lab import certs
from lab.certs import Cert
from lab.dns_server import Rule
from lab.pytest_plugin import Daneway
from lab.smtp_server import Smtp, Tls
from lab.world import World
from test_check import check, findings

HOST = "mx.two.example"
OWNER = "_25._tcp.mx"


class Two:
    """A mail domain with two name servers: Knot, up to date, and another one."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.key, self.old = certs.self_signed(HOST), certs.self_signed(HOST)
        pem = self.key.write(world.dir / "two.pem")
        self.smtp = world.add_smtp(Smtp(hostname=HOST, tls=Tls([pem])))

    def lines(self, *records: str) -> list[str]:
        return ["@ MX 10 mx", f"mx A {self.smtp.addresses[0]}",
                *(f"{OWNER} TLSA {r}" for r in records)]

    def publish(self, bad: Sequence[str], *records: str) -> Any:
        self.name = f"ns2.two.example[{bad[0]}]"
        return self.world.add_zone("two.example", self.lines(*records), servers=[
            ("ns1.two.example.", self.world.tiers[2].addresses[:1]),
            ("ns2.two.example.", list(bad))])

    def behind(self, before: Sequence[str], now: Sequence[str]) -> None:
        """The second server has the zone as it was before the last change."""
        knot = self.world.add_secondary()
        zone = self.publish(knot.addresses, *before)
        self.world._delegate()
        knot.put("two.example.", zone.sign())
        zone.remove(OWNER, "TLSA")
        for record in now:
            zone.add(OWNER, "TLSA", record)
        zone.serial += 1
        zone.set_soa("ns1.two.example.", "hostmaster.two.example.")
        self.world.start()

    def rules(self, *rules: Rule, tcp: str = "serve") -> None:
        dns = self.world.add_dns(rules, tcp=tcp)
        self.publish(dns.addresses, self.key.tlsa(3, 1, 1))
        self.world.start()


@pytest.fixture
def two(fresh_world: World) -> Two:
    return Two(fresh_world)


def found(result: Any, identity: str) -> dict[str, Any]:
    (finding,) = findings(result, identity)
    return finding


def ids(result: Any) -> set[str]:
    return {c["id"] for c in result["checks"]}


def current(cert: Cert) -> str:
    return cert.tlsa(3, 1, 1)


def test_stale_records(two: Two, daneway: Daneway) -> None:
    """An old TLSA RRset at one server of two breaks mail for a part of the senders. Which of the
    two our own resolver asks is chance: it may see the mismatch itself."""
    two.behind([current(two.old)], [current(two.key)])
    code, result = check(daneway, two.world, "two.example")
    assert (code, result["verdict"]) == (2, "broken")
    if "smtp.mismatch" in ids(result):
        assert "servers.tlsa-other-match" in ids(result)
        return
    finding = found(result, "servers.tlsa-other")
    assert two.name in finding["detail"] and current(two.old) in finding["detail"]
    assert "ns1.two.example" not in finding["detail"]
    assert finding["senders"]["exchange"] == "4/5.7.323 tlsa-invalid"
    assert two.name in found(result, "dnssec.servers.serial")["detail"]


def test_stale_absence(two: Two, daneway: Daneway) -> None:
    """A server that does not have the records yet: senders that ask it do no DANE."""
    two.behind([], [current(two.key)])
    _, result = check(daneway, two.world, "two.example")
    assert result["verdict"] in ("partial", "none")
    if result["verdict"] == "partial":
        assert two.name in found(result, "servers.tlsa-denied")["detail"]


def test_both_match(two: Two, daneway: Daneway) -> None:
    """During a roll-over two servers may differ and both be right."""
    two.behind([current(two.key)], [current(two.key), current(two.old)])
    _, result = check(daneway, two.world, "two.example")
    assert result["verdict"] == "dane"
    found(result, "servers.tlsa-other-match")


@pytest.mark.parametrize("rule, identity, word", [
    (Rule("servfail", qname="_25.*"), "dnssec.server.rcode", "SERVFAIL"),
    (Rule("notimp", qtype="TLSA"), "dnssec.server.rcode", "NOTIMP"),
    (Rule("drop", qname="_25.*"), "dnssec.server.fault", "does not answer"),
    (Rule("drop"), "dnssec.server.silent", "does not answer"),
    (Rule("strip-rrsig", qtype="MX"), "dnssec.rrsig.missing", "two.example MX"),
    (Rule("nxdomain", qname="_25.*"), "dnssec.denial.missing", "_25._tcp.mx.two.example"),
    (Rule("forge-signed", "mx.*", "A", records=["mx.two.example. A 192.0.2.66"]),
     "dnssec.rrsig.bad", "mx.two.example A"),
])
def test_one_bad_server(two: Two, daneway: Daneway, rule: Rule, identity: str, word: str) -> None:
    """The validator goes on to the other server, so the verdict stays; the server is named, and
    how to mend it."""
    two.rules(rule)
    _, result = check(daneway, two.world, "two.example", "--dns-timeout", "1.5")
    assert result["verdict"] == "dane"
    matching = [c for c in findings(result, identity)
                if two.name in c["detail"] and word in c["detail"]]
    assert matching and matching[0]["fix"], result["checks"]
    assert "ns1.two.example" not in matching[0]["detail"]
    found(result, "servers.trouble")


def test_no_tcp(two: Two, daneway: Daneway) -> None:
    two.rules(tcp="refuse")
    _, result = check(daneway, two.world, "two.example")
    assert two.name in found(result, "dnssec.server.tcp")["detail"]


def test_all_in_order(two: Two, daneway: Daneway) -> None:
    """One line, nothing below it."""
    two.publish(two.world.tiers[2].addresses[1:], current(two.key))
    two.world.start()
    _, result = check(daneway, two.world, "two.example")
    assert result["verdict"] == "dane"
    assert "asked, over UDP and TCP" in found(result, "servers.alike")["detail"]
    assert not [i for i in ids(result) if i.startswith("dnssec.")]
    assert "The signature over" in found(result, "forecast.signatures")["detail"]


def test_detail(two: Two, daneway: Daneway) -> None:
    """-v and more tell what the chain debugger tells; saved and replayed like all."""
    two.behind([current(two.old)], [current(two.key)])
    sizes = []
    for how in ("-v", "-vv", "-vvv", "-vvvv"):
        _, result = check(daneway, two.world, "two.example", how)
        sizes.append(len(result["checks"]))
    assert sizes == sorted(set(sizes))
    assert "dnssec.packet" in ids(result)


@pytest.mark.parametrize("spoil", [
    lambda s: s["answers"].append({}),
    lambda s: s["findings"].append({"id": "smtp.match", "depth": 0, "subject": "x", "title": "x"}),
    lambda s: s["findings"].append({"id": "dnssec.ds", "depth": 9, "subject": "x", "title": "x"}),
    lambda s: s["findings"].insert(0, {"id": "dnssec.ds", "depth": 1, "subject": "x",
                                       "title": "x"}),
    lambda s: s["findings"].append({"id": "no.such", "depth": 0, "subject": "x", "title": "x"}),
    lambda s: s["findings"].append({"id": "dnssec.ds", "depth": 0, "title": "x"}),
])
def test_damaged_evidence(two: Two, daneway: Daneway, spoil: Any) -> None:
    """What was found there is not to decide anything when it is read back."""
    two.publish(two.world.tiers[2].addresses[1:], current(two.key))
    two.world.start()
    saved = two.world.dir / "saved.json"
    check(daneway, two.world, "two.example")
    evidence = json.loads(saved.read_text())
    spoil(evidence["servers"])
    saved.write_text(json.dumps(evidence))
    code, result, errors = daneway.run(two.world, "check", "--replay", str(saved))
    assert (code, result) == (78, [])
    assert "name servers are damaged" in errors


def test_left_out(two: Two, daneway: Daneway) -> None:
    """--only dane asks what a sender asks."""
    two.publish(two.world.tiers[2].addresses[1:], current(two.key))
    two.world.start()
    _, result = check(daneway, two.world, "two.example", "--only", "dane")
    assert not [i for i in ids(result) if i.startswith("servers.")]


def test_time_is_over(two: Two, daneway: Daneway) -> None:
    """A walk that is not over in time is said; the verdict stands."""
    dns = two.world.add_dns([Rule("drop")])
    two.publish(dns.addresses, current(two.key))
    two.world.start()
    begin = time.monotonic()
    _, result = check(daneway, two.world, "two.example", "--timeout", "4", "--dns-timeout", "9")
    assert time.monotonic() - begin < 8
    assert result["verdict"] == "dane"
    assert ids(result) & {"servers.unfinished", "dnssec.limit"}
