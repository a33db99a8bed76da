"""The standard world: what `lab run` brings up."""

from __future__ import annotations

from lab import certs
from lab.namespace import many_users
from lab.postfix import Postfix
from lab.world import World


def mail_domain(world: World, domain: str, address: str, tlsa: list[str], **options: object) -> None:
    """A domain with one MX host `mx.DOMAIN` at `address` and these TLSA records."""
    lines = ["@ MX 10 mx", f"mx A {address}"]
    lines += [f"_25._tcp.mx TLSA {record}" for record in tlsa]
    world.add_zone(domain, lines, **options)  # type: ignore[arg-type]


def build(world: World) -> World:
    good = certs.self_signed("mx.good.example")
    address = world.address()
    mail_domain(world, "good.example", address, [good.tlsa(3, 1, 1)])
    if many_users():
        postfix = Postfix("good", world.dir / "postfix-good", world.logs / "postfix-good.log",
                          hostname="mx.good.example", listen=[address], domains=["good.example"],
                          certificate=good.write(world.dir / "good.pem"))
        world.add_daemon(postfix)
        world.hosts["good.example"] = {"host": "mx.good.example", "addresses": [address],
                                       "server": "Postfix", "mailbox": str(postfix.mailbox)}
    return world
