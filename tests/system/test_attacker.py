"""An attacker in the path gets not one octet of the message (issue: Deliver), and the same attacks
on a sender without DANE succeed: so the attacks are real, and these tests can fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Iterator

import pytest

from lab import certs
from lab.attacker import Attacker
from lab.namespace import HOME
from lab.smtp_server import Smtp, Tls
from lab.world import World

MESSAGE = b"From: a@sender.test\nTo: b@victim.example\nSubject: lab\n\nthe secret body\n"
FORGED_KEY = ["_25._tcp.mx.victim.example. TLSA 3 1 1 {key}"]
ATTACKS = {
    # mode: forged records, what a sender that obeys RFC 7672 reports
    "strip": ([], "4.7.321"),
    "mangle": ([], "4.7.321"),
    "mitm": ([], "4.7.323"),
    "forge": (FORGED_KEY, "4.7.324"),
    "redirect": (["victim.example. MX 1 mx.attacker.test."], "4.7.324"),
}


@pytest.fixture(scope="module")
def attacked() -> Iterator[tuple[World, Attacker, Any]]:
    world = World("attacked")
    cert = certs.self_signed("mx.victim.example")
    server = world.add_smtp(Smtp(tls=Tls([cert.write(world.dir / "mx.pem")])),
                            [world.address(), world.address6()])
    world.add_zone("victim.example", ["@ MX 10 mx", f"mx A {server.addresses[0]}",
                                      f"mx AAAA {server.addresses[1]}",
                                      "_25._tcp.mx TLSA " + cert.tlsa(3, 1, 1)])
    attacker = world.add_daemon(Attacker(world, "sys"))
    world.start()
    yield world, attacker, server
    world.stop()


def _deliver(world: World, attacker: Attacker, *args: str) -> tuple[int, Any]:
    argv = [*attacker.sender, os.environ["DANEWAY"], "deliver", "--root-hints",
            str(world.root_hints), "--trust-anchor", str(world.trust_anchor), "--dns-timeout", "5",
            *args, "--from", "a@sender.test", "--to", "b@victim.example"]
    done = subprocess.run(argv, input=MESSAGE, capture_output=True, timeout=60)
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("mode", ATTACKS)
def test_not_one_octet(attacked: Any, mode: str) -> None:
    world, attacker, server = attacked
    forged, status = ATTACKS[mode]
    before = len(server.messages)
    attacker.attack(mode, forged)
    code, result = _deliver(world, attacker)
    loot = attacker.loot()
    assert (code, result["result"], result["status"]) == (75, "deferred", status), result
    assert len(server.messages) == before
    for secret in ("secret", "MAIL", "RCPT", "a@sender", "b@victim"):
        assert secret not in loot, loot
    attacker.calm()


@pytest.mark.parametrize("mode", ["strip", "mangle", "mitm"])
def test_without_dane_he_reads_it(attacked: Any, mode: str) -> None:
    world, attacker, server = attacked
    before = len(server.messages)
    attacker.attack(mode)
    code, result = _deliver(world, attacker, "--mode", "none")
    assert (code, result["result"]) == (0, "delivered"), result
    assert "the secret body" in attacker.loot()
    assert len(server.messages) == before + 1
    attacker.calm()


def test_a_mere_listener_changes_nothing(attacked: Any) -> None:
    world, attacker, server = attacked
    before = len(server.messages)
    attacker.attack("relay")
    code, result = _deliver(world, attacker)
    assert (code, result["attempts"][0]["tls"]["authenticated"]) == (0, "dane-ee"), result
    assert len(server.messages) == before + 1
    assert "secret" not in attacker.loot()
    attacker.calm()


def test_demonstration(needs_users: None) -> None:
    """`make demo` checks its own claims; it needs what this machine has."""
    done = subprocess.run([sys.executable, "-m", "lab.demonstration"], cwd=HOME, text=True,
                          capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All as claimed" in done.stdout
