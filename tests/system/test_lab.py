"""The lab itself: what it serves is what the other tests believe it serves."""

from __future__ import annotations

import subprocess
from typing import Iterator

import pytest

from lab.unbound import Unbound, delv
from lab.world import World


@pytest.fixture(scope="module")
def resolver(world: World) -> Iterator[str]:
    unbound = Unbound(world.dir / "unbound", world.logs / "unbound.log", world.root_hints,
                      world.trust_anchor)
    unbound.start()
    unbound.wait()
    yield unbound.address
    unbound.stop()


def test_good_is_secure(world: World, resolver: str) -> None:
    for name, rdtype in (("good.example", "MX"), ("mx.good.example", "A"),
                         ("_25._tcp.mx.good.example", "TLSA"), ("mx.good.example", "AAAA"),
                         ("nothing.good.example", "A")):
        assert delv(resolver, world.trust_anchor, name, rdtype) == "secure", (name, rdtype)


def test_posttls_finger_verifies(world: World, resolver: str, needs_users: None) -> None:
    postfix = next(d for d in world.daemons if getattr(d, "domains", None) == ["good.example"])
    done = subprocess.run(postfix.tool("posttls-finger", "-l", "dane", "-o",
                                       "smtp_dns_support_level=dnssec", "good.example"),
                          capture_output=True, text=True, timeout=60)
    assert "Verified TLS connection established" in done.stdout + done.stderr
