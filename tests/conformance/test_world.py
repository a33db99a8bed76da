"""Rows that need a world of their own: anchor, clock, forwarders, chance. ROWS names them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lab import certs
from lab.dns_server import DnsServer, Rule
from lab.pytest_plugin import Daneway
from lab.smtp_server import Smtp, SmtpServer, Tls
from lab.world import World
from lab.zones import Damage, Zone

# Read by rows.py: test -> rows.
ROWS = {
    "test_stale_anchor": ["V19", "D9"],
    "test_wrong_clock": ["V18"],
    "test_unsigned_root": ["R1", "D9"],
    "test_forwarder_that_strips_signatures": ["R1", "R27"],
    "test_forwarder_and_its_ad_bit": ["R2", "R5"],
    "test_system_resolver_is_not_asked": ["R2", "R4", "R21"],
    "test_equal_preference": ["M16"],
}
DOMAIN = "good.example"


def _good(world: World) -> SmtpServer:
    cert = certs.self_signed("mx.good.example")
    server = world.add_smtp(Smtp(tls=Tls([cert.write(world.dir / "mx.pem")])))
    world.add_zone(DOMAIN, ["@ MX 10 mx", f"mx A {server.addresses[0]}",
                            f"_25._tcp.mx TLSA {cert.tlsa(3, 1, 1)}"])
    return server


def _refused(daneway: Daneway, world: World, server: SmtpServer, *words: str) -> None:
    """Configuration error, said in words; nothing is sent, with mandatory DANE or without."""
    for args in (["policy", DOMAIN], ["policy", "--mode", "mandatory", DOMAIN],
                 ["deliver", "--from", "a@x.test", "--to", f"b@{DOMAIN}"]):
        code, output, errors = daneway.run(world, args[0], *args[1:], stdin=b"Subject: secret\n\n")
        assert code == 78, (args, output, errors)
        assert any(word in errors.lower() for word in words), errors
    assert server.sessions == []


def test_stale_anchor(fresh_world: World, daneway: Daneway) -> None:
    server = _good(fresh_world)
    fresh_world.start()
    stranger = Zone(".").ds()[0].to_text()
    fresh_world.trust_anchor.write_text(f". IN DS {stranger}\n")
    _refused(daneway, fresh_world, server, "anchor")


@pytest.mark.parametrize("kind", ["expired", "not-yet-valid"])
def test_wrong_clock(fresh_world: World, daneway: Daneway, kind: str) -> None:
    """A clock that is ten days off: to a validator it is the same as signatures that are."""
    server = _good(fresh_world)
    for entry in fresh_world.zones.values():
        entry.zone.damages.append(Damage(kind))
    fresh_world.start()
    _refused(daneway, fresh_world, server, "clock")


def test_unsigned_root(fresh_world: World, daneway: Daneway) -> None:
    server = _good(fresh_world)
    fresh_world.zones["."].zone.damages.append(Damage("missing"))
    fresh_world.start()
    _refused(daneway, fresh_world, server, "anchor", "sign")


def _forwarder(world: World, rules: list[Rule]) -> DnsServer:
    """A scripted server before a validating resolver that sets AD. Call it after start()."""
    resolver = world.add_resolver("127.0.0.9")
    server = DnsServer([world.address()], resolver.address, world.logs / "forwarder.jsonl", rules)
    world.add_daemon(server)
    return server


def _forwarded(daneway: Daneway, world: World, forwarder: DnsServer) -> tuple[int, Any, str]:
    done = subprocess.run(
        [str(daneway.path), "--json", "--trust-anchor", str(world.trust_anchor), "--forward",
         forwarder.addresses[0], "policy", DOMAIN], capture_output=True, timeout=60)
    output = json.loads(done.stdout) if done.stdout else None
    return done.returncode, output, done.stderr.decode()


def test_forwarder_that_strips_signatures(fresh_world: World, daneway: Daneway) -> None:
    _good(fresh_world)
    fresh_world.start()
    forwarder = _forwarder(fresh_world, [Rule("strip-rrsig")])
    code, output, errors = _forwarded(daneway, fresh_world, forwarder)
    assert code == 78, (output, errors)
    assert "signature" in errors.lower(), errors


def test_forwarder_and_its_ad_bit(fresh_world: World, daneway: Daneway) -> None:
    """The forwarder vouches with AD for forged records: judged here, not there."""
    _good(fresh_world)
    evil = certs.self_signed("evil").tlsa(3, 1, 1)
    fresh_world.start()
    rule = Rule("forge", f"_25._tcp.mx.{DOMAIN}", "TLSA",
                records=[f"_25._tcp.mx.{DOMAIN} TLSA {evil}"])
    forwarder = _forwarder(fresh_world, [rule])
    code, output, errors = _forwarded(daneway, fresh_world, forwarder)
    assert code == 75, (output, errors)
    assert output["hosts"][0]["tlsa_security"] == "bogus"
    forwarder.rules.clear()
    code, output, errors = _forwarded(daneway, fresh_world, forwarder)
    assert (code, output["outcome"]) == (0, "dane"), errors


def test_system_resolver_is_not_asked(fresh_world: World, daneway: Daneway) -> None:
    """/etc/resolv.conf of the lab names 127.0.0.1, with trust-ad: a liar listens there."""
    _good(fresh_world)
    fresh_world.start()
    log: Path = fresh_world.logs / "liar.jsonl"
    liar = fresh_world.add_daemon(DnsServer(["127.0.0.1"], fresh_world.tiers[2].addresses[0], log,
                                            [Rule("nxdomain")]))
    code, output, _ = daneway.run(fresh_world, "policy", DOMAIN)
    assert (code, output["outcome"]) == (0, "dane")
    code, _, _ = daneway.run(fresh_world, "deliver", "--from", "a@x.test", "--to", f"b@{DOMAIN}",
                             stdin=b"Subject: x\n\n")
    assert code == 0
    assert liar.queries == []


def test_equal_preference(fresh_world: World, daneway: Daneway) -> None:
    """RFC 5321 section 5.1: equal preferences MUST be randomized. 20 runs: one in 500,000 fails."""
    servers = [fresh_world.add_smtp(Smtp()) for _ in range(2)]
    lines = [line for n, server in enumerate(servers)
             for line in (f"@ MX 10 mx{n}", f"mx{n} A {server.addresses[0]}")]
    fresh_world.add_zone(DOMAIN, lines)
    fresh_world.start()
    for run in range(20):
        code, output, _ = daneway.run(fresh_world, "deliver", "--from", "a@x.test", "--to",
                                      f"b@{DOMAIN}", stdin=b"Subject: x\n\n")
        assert (code, len(output["attempts"])) == (0, 1)
        if run >= 5 and all(server.messages for server in servers):
            break
    assert all(server.messages for server in servers)
