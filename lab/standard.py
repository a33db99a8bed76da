"""The standard world: what `lab run` brings up and the demo shows.

domain                     MX host                            a sender that obeys RFC 7672
good.example               mx.good.example, Postfix, 3 1 1    dane
good-exim.example          mx.good-exim.example, Exim, 3 1 1  dane
hosted.example             mx.good.example                    dane (host of another domain)
mismatch.example           Postfix, 3 1 1 of another key      dane, not delivered
expired.example            signatures expired                 defer
nodane.example             signed, no TLSA                    may
insecure.plain             unsigned zone, MX at Postfix       may
null.example               null MX                            bounce
implicit.example           no MX, A record, 3 1 1             dane
unusable.example           only 1 1 1                         encrypt
v6.example                 IPv6 only, 3 1 1                   dane
"""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from lab import certs
from lab.exim import Exim
from lab.namespace import many_users
from lab.postfix import Postfix
from lab.smtp_server import Smtp, Tls
from lab.world import World
from lab.zones import Damage

POSTFIX_DOMAINS = ("good.example", "hosted.example", "mismatch.example", "expired.example",
                   "nodane.example", "insecure.plain", "implicit.example", "unusable.example",
                   "v6.example")


def _domain(world: World, domain: str, address: str, tlsa: Sequence[str],
            damages: Sequence[Damage] = ()) -> None:
    """A domain with one MX host `mx.DOMAIN` at `address` and these TLSA records."""
    kind = "AAAA" if ":" in address else "A"
    lines = ["@ MX 10 mx", f"mx {kind} {address}"]
    lines += [f"_25._tcp.mx TLSA {record}" for record in tlsa]
    world.add_zone(domain, lines, damages=damages,
                   algorithm=None if domain.endswith(".plain") else 13)
    world.hosts[domain] = {"host": f"mx.{domain}", "addresses": [address]}


def build(world: World) -> World:
    v4, v6, exim_v4 = world.address(), world.address6(), world.address()
    postfix_cert, exim_cert = certs.self_signed("mx.good.example"), certs.self_signed(
        "mx.good-exim.example")
    match, other = postfix_cert.tlsa(3, 1, 1), certs.self_signed("other").tlsa(3, 1, 1)

    _domain(world, "good.example", v4, [match])
    _domain(world, "good-exim.example", exim_v4, [exim_cert.tlsa(3, 1, 1)])
    _domain(world, "mismatch.example", v4, [other])
    _domain(world, "expired.example", v4, [match], [Damage("expired")])
    _domain(world, "nodane.example", v4, [])
    _domain(world, "insecure.plain", v4, [match])
    _domain(world, "unusable.example", v4, [postfix_cert.tlsa(1, 1, 1)])
    _domain(world, "v6.example", v6, [match])
    world.add_zone("hosted.example", ["@ MX 10 mx.good.example."])
    world.add_zone("null.example", ["@ MX 0 ."])
    world.add_zone("implicit.example", [f"@ A {v4}", f"_25._tcp TLSA {match}"])
    world.hosts["hosted.example"] = {"host": "mx.good.example", "addresses": [v4]}
    world.hosts["implicit.example"] = {"host": "implicit.example", "addresses": [v4]}

    postfix_pem = postfix_cert.write(world.dir / "postfix.pem")
    exim_pem = exim_cert.write(world.dir / "exim.pem")
    if many_users():
        _real(world, [v4, v6], exim_v4, postfix_pem, exim_pem)
    else:
        for addresses, name, pem in (([v4, v6], "mx.good.example", postfix_pem),
                                     ([exim_v4], "mx.good-exim.example", exim_pem)):
            world.add_smtp(Smtp(hostname=name, tls=Tls([pem])), addresses)
    return world


def _real(world: World, postfix_at: list[str], exim_at: str, postfix_pem: Path,
          exim_pem: Path) -> None:
    postfix = Postfix("good", world.dir / "postfix", world.logs / "postfix.log",
                      hostname="mx.good.example", listen=postfix_at, domains=POSTFIX_DOMAINS,
                      certificate=postfix_pem)
    exim = Exim("good", world.dir / "exim", world.logs / "exim.log",
                hostname="mx.good-exim.example", listen=[exim_at], domains=["good-exim.example"],
                certificate=exim_pem)
    for daemon, domains in ((postfix, POSTFIX_DOMAINS), (exim, ("good-exim.example",))):
        world.add_daemon(daemon)
        for domain in domains:
            world.hosts[domain] |= {"server": type(daemon).__name__,
                                    "mailbox": str(daemon.mailbox)}
