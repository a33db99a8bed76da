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
from lab.zones import Damage
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
    seen = set()
    for _ in range(20):
        code, result = check(daneway, two.world, "two.example")
        assert (code, result["verdict"]) == (2, "broken")
        differ, = [c for c in findings(result, "dnssec.servers.differ")
                   if "TLSA" in c["detail"]]
        assert two.name in differ["detail"]
        if "smtp.mismatch" in ids(result):
            seen.add("mismatch")
            found(result, "servers.tlsa-other-match")
        else:
            seen.add("other")
            finding = found(result, "servers.tlsa-other")
            assert two.name in finding["detail"] and current(two.old) in finding["detail"]
            assert "ns1.two.example" not in finding["detail"]
            assert finding["senders"]["exchange"] == "4/5.7.323 tlsa-invalid"
        if len(seen) == 2:
            break
    assert "other" in seen


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
    # The resolver may take the bad server again and again: time enough to come to the other one.
    _, result = check(daneway, two.world, "two.example", "--dns-timeout", "5", "--timeout", "16")
    assert result["verdict"] == "dane"
    matching = [c for c in findings(result, identity)
                if two.name in c["detail"] and word in c["detail"]]
    assert matching and matching[0]["fix"], result["checks"]
    assert "ns1.two.example" not in matching[0]["detail"]
    found(result, "servers.trouble")


def test_name_above_denied(two: Two, daneway: Daneway) -> None:
    """A25: NXDOMAIN for _tcp.mx hides the record from resolvers that ask label by label."""
    two.rules(Rule("nxdomain", qname="_tcp.*"))
    code, result = check(daneway, two.world, "two.example")
    assert (code, result["verdict"]) == (1, "partial")
    finding = found(result, "servers.tlsa-hidden")
    assert two.name in finding["detail"] and "ns1.two.example" not in finding["detail"]
    assert "_tcp.mx.two.example" in finding["fix"]
    assert "_25._tcp.mx.two.example" in found(result, "dnssec.denial.hides")["detail"]


def test_name_above_not_provable(fresh_world: World, daneway: Daneway) -> None:
    """B30: the zone has no NSEC3 record for _tcp.mx, so its absence of records has no proof."""
    key = certs.self_signed("mx.gap.example")
    pem = key.write(fresh_world.dir / "gap.pem")
    smtp = fresh_world.add_smtp(Smtp(hostname="mx.gap.example", tls=Tls([pem])))
    fresh_world.add_zone("gap.example", ["@ MX 10 mx", f"mx A {smtp.addresses[0]}",
                                         f"{OWNER} TLSA {current(key)}"], denial="nsec3",
                         damages=[Damage("no-above")])
    fresh_world.start()
    _, result = check(daneway, fresh_world, "gap.example")
    assert any("_tcp.mx.gap.example" in c["detail"] and c["detail"].count("_25.") == 0
               for c in result["checks"] if c["id"].startswith("dnssec.denial.")), result


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
    lambda s: s["hidden"].append({"owner": "x", "above": "x"}),
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
    spoil(evidence["servers"][0])
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
    """A walk that is not over in time is said; the verdict stands. The decision does not ask for SOA,
    so it has its answers whichever server it takes."""
    dns = two.world.add_dns([Rule("drop", qtype="SOA")])
    two.publish(dns.addresses, current(two.key))
    two.world.start()
    begin = time.monotonic()
    _, result = check(daneway, two.world, "two.example", "--timeout", "4", "--dns-timeout", "9")
    assert time.monotonic() - begin < 8
    assert result["verdict"] == "dane"
    assert ids(result) & {"servers.unfinished", "dnssec.limit"}


# --- many domains: each from its own zone down, MX hosts of other zones once for all


def check_many(daneway: Daneway, world: World, *domains: str, args: Sequence[str] = ()
               ) -> dict[str, Any]:
    text = "".join(f"{domain}\n" for domain in domains).encode()
    _, result, errors = daneway.run(world, "check", "-", *args, stdin=text)
    assert not errors, errors
    return {r["domain"]: r for r in (result if isinstance(result, list) else [result])}


def test_many_stale_records(two: Two, daneway: Daneway) -> None:
    two.behind([current(two.old)], [current(two.key)])
    result = check_many(daneway, two.world, "two.example")["two.example"]
    assert result["verdict"] == "broken"
    assert ids(result) & {"smtp.mismatch", "servers.tlsa-other"}
    assert any(two.name in c["detail"] for c in findings(result, "dnssec.servers.differ"))


def test_many_bad_server(two: Two, daneway: Daneway) -> None:
    two.rules(Rule("strip-rrsig", qtype="MX"))
    result = check_many(daneway, two.world, "two.example")["two.example"]
    finding = found(result, "dnssec.rrsig.missing")
    assert two.name in finding["detail"] and "two.example MX" in finding["detail"]


class Hosted:
    """Domains that share an MX host, in a zone of its own at a name server that keeps count."""

    def __init__(self, world: World, n: int, *rules: Rule) -> None:
        self.world = world
        key = certs.self_signed("mx.hoster.example")
        pem = key.write(world.dir / "hoster.pem")
        smtp = world.add_smtp(Smtp(hostname="mx.hoster.example", tls=Tls([pem])))
        self.hoster, self.customers = world.add_dns(rules), world.add_dns()
        world.add_zone("hoster.example",
                       [f"mx A {smtp.addresses[0]}", f"{OWNER} CNAME tlsa.keys",
                        f"tlsa.keys TLSA {current(key)}"],
                       servers=[("ns.hoster.example.", self.hoster.addresses)])
        self.domains = [f"c{i}.example" for i in range(n)]
        for domain in self.domains:
            world.add_zone(domain, ["@ MX 10 mx.hoster.example."],
                           servers=[(f"ns.{domain}.", self.customers.addresses)])
        world.start()


def test_many_share_a_host(fresh_world: World, daneway: Daneway) -> None:
    hosted = Hosted(fresh_world, 40)
    results = check_many(daneway, fresh_world, *hosted.domains)
    assert {r["verdict"] for r in results.values()} == {"dane"}
    assert len(results) == 40
    for result in results.values():
        # The customer's zone and the hoster's; neither the root nor the top-level domain.
        assert "2 addresses of name servers of 2 zones" in found(result, "servers.alike")["detail"]
    # Once by the walk, over UDP and TCP, and once by the resolver, at most.
    assert len(hosted.hoster.asked("hoster.example", "SOA")) == 2
    assert len(hosted.hoster.asked("tlsa.keys.hoster.example", "TLSA")) <= 3
    assert len(hosted.hoster.asked("mx.hoster.example", "A")) <= 2
    for domain in hosted.domains:
        assert len(hosted.customers.asked(domain, "SOA")) == 2


def test_many_hosts_in_a_zone(fresh_world: World, daneway: Daneway) -> None:
    """A provider's zone with a host for each customer is looked at once, each host by itself."""
    hoster, n = fresh_world.add_dns(), 30
    key = certs.self_signed("mx.hoster.example")
    smtp = fresh_world.add_smtp(Smtp(hostname="mx.hoster.example",
                                     tls=Tls([key.write(fresh_world.dir / "hoster.pem")])))
    lines = []
    for i in range(n):
        lines += [f"c{i} A {smtp.addresses[0]}", f"_25._tcp.c{i} TLSA {current(key)}"]
        fresh_world.add_zone(f"c{i}.example", [f"@ MX 10 c{i}.hoster.example."])
    fresh_world.add_zone("hoster.example", lines,
                         servers=[("ns.hoster.example.", hoster.addresses)])
    fresh_world.start()
    results = check_many(daneway, fresh_world, *(f"c{i}.example" for i in range(n)))
    assert {r["verdict"] for r in results.values()} == {"dane"} and len(results) == n
    assert len(hoster.asked("hoster.example", "SOA")) == 2  # UDP, TCP
    assert len(hoster.asked("c7.hoster.example", "A")) == 2  # the walk, the resolver


def test_many_share_a_fault(fresh_world: World, daneway: Daneway) -> None:
    """What is wrong at the host's servers is told to every domain."""
    hosted = Hosted(fresh_world, 5, Rule("truncate", qtype="A"))
    hosted.hoster.tcp = "refuse"
    hosted.hoster.rules.append(Rule("strip-denial", qtype="AAAA"))
    results = check_many(daneway, fresh_world, *hosted.domains)
    assert len(results) == 5
    for result in results.values():
        assert findings(result, "dnssec.denial.missing"), result


def test_many_alias_elsewhere(fresh_world: World, daneway: Daneway) -> None:
    """A TLSA alias into a third zone is told, not walked; the verdict has its records."""
    key = certs.self_signed("mx.alias.example")
    pem = key.write(fresh_world.dir / "alias.pem")
    smtp = fresh_world.add_smtp(Smtp(hostname="mx.alias.example", tls=Tls([pem])))
    fresh_world.add_zone("alias.example", ["@ MX 10 mx", f"mx A {smtp.addresses[0]}",
                                           f"{OWNER} CNAME tlsa.third.example."])
    fresh_world.add_zone("third.example", [f"tlsa TLSA {current(key)}"])
    fresh_world.start()
    result = check_many(daneway, fresh_world, "alias.example", args=["-v"])["alias.example"]
    assert result["verdict"] == "dane"
    assert "tlsa.third.example TLSA" in found(result, "dnssec.alias.elsewhere")["detail"]
    assert not findings(result, "dnssec.validator.disagrees")


def test_many_broken_above(fresh_world: World, daneway: Daneway) -> None:
    """A chain that is broken above is not walked, but it is said what does."""
    fresh_world.add_zone("cut.example", ["@ MX 10 mx", "mx A 192.0.2.1"], ds="wrong")
    fresh_world.add_zone("open.example", ["@ MX 10 mx", "mx A 192.0.2.1"], algorithm=None)
    fresh_world.start()
    results = check_many(daneway, fresh_world, "cut.example", "open.example", "no.such.example",
                         args=["--connect-timeout", "1"])
    assert "daneway dnssec --mail cut.example" in found(results["cut.example"],
                                                        "servers.unfinished")["fix"]
    assert findings(results["open.example"], "servers.alike")
    assert not [i for i in ids(results["no.such.example"]) if i.startswith("servers.")]
