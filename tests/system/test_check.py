"""daneway check over broken domains: for each one the verdict, the finding that names server and
cause, and a mend that mends (matrix sections 17a, 18).

A case stages one domain. `mend` says how its mend is applied: by publishing the very record that
the finding shows, or by changing the server; the verdict must then be "dane".
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Iterator, Sequence

import pytest

from lab import certs
from lab.certs import DAY, Cert
from lab.dns_server import Rule
from lab.smtp_server import Smtp, SmtpServer, Tls
from lab.world import World
from lab.zones import Damage

EXIT = {"dane": 0, "partial": 1, "none": 1, "broken": 2, "unknown": 3}
QUICK = ("--dns-timeout", "3", "--connect-timeout", "3", "--timeout", "8")
RECORD = re.compile(r"Publish (\S+)\. IN TLSA (\d+ \d+ \d+ [0-9a-f]+)")


class Stage:
    """One domain, its server and its zone."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.domain, self.host = world, f"{name}.example", f"mx.{name}.example"
        self.old = certs.self_signed(self.host)     # what stood there before
        self.servers: list[SmtpServer] = []
        self.lines = ["@ MX 10 mx"]
        self.damages: list[Damage] = []
        self.rules: list[Rule] = []
        self.files = 0
        self.options: dict[str, Any] = {}

    def pem(self, cert: Cert, chain: Sequence[Cert] | None = None) -> Any:
        self.files += 1
        return cert.write(self.world.dir / f"{self.domain}-{self.files}.pem", chain)

    def serve(self, *certificates: Any, label: str = "mx", v6: bool = False,
              **behaviour: Any) -> SmtpServer:
        """An MX host's address, serving these: a Cert, or (Cert, chain to send)."""
        files = [self.pem(*c) if isinstance(c, tuple) else self.pem(c) for c in certificates]
        if "tls" not in behaviour:
            behaviour["tls"] = Tls(files)
        address = self.world.address6() if v6 else self.world.address()
        server = self.world.add_smtp(Smtp(hostname=self.host, **behaviour), [address])
        self.servers.append(server)
        self.lines.append(f"{label} {'AAAA' if v6 else 'A'} {address}")
        return server

    def self_signed(self, **options: Any) -> Cert:
        return certs.self_signed(self.host, **options)

    def chain(self, **options: Any) -> Cert:
        return certs.chain(self.host, **options)

    def tlsa(self, *records: str, owner: str = "_25._tcp.mx") -> None:
        self.lines += [f"{owner} TLSA {r}" for r in records]

    def publish(self) -> None:
        servers = None
        if self.rules:
            dns = self.world.add_dns(self.rules)
            servers = [(f"ns.{self.domain}.", dns.addresses)]
        self.world.add_zone(self.domain, self.lines, damages=self.damages, servers=servers,
                            **self.options)


@dataclass
class Case:
    """What is staged, and what must come out."""

    build: Callable[[Stage], None]
    verdict: str
    id: str
    cause: str                  # in the finding's detail
    fix: str = ""               # in its mend
    mend: str = ""              # "publish", "beside", "swap": see apply()
    senders: dict[str, str] = field(default_factory=dict)
    subject: str = ""           # default: the host, with an address or not, or the TLSA name
    swap: Callable[[Stage], None] | None = None
    args: tuple[str, ...] = ()  # beside QUICK


CASES: dict[str, Case] = {}


def case(verdict: str, id: str, cause: str, **more: Any) -> Callable[[Any], Any]:
    def keep(build: Callable[[Stage], None]) -> Callable[[Stage], None]:
        CASES[build.__name__.replace("_", "-")] = Case(build, verdict, id, cause, **more)
        return build
    return keep


MISMATCH = {"exchange": "4/5.7.323 tlsa-invalid", "tlsrpt": "certificate-not-trusted",
            "postfix": "Server certificate not trusted"}
NO_TLS = {"exchange": "4/5.7.321 starttls-not-supported", "tlsrpt": "starttls-not-supported"}
DNSSEC = {"exchange": "4/5.7.324 dnssec-invalid", "tlsrpt": "dnssec-invalid"}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# --- the record -----------------------------------------------------------------------------------

@case("broken", "smtp.mismatch", "of another key, most likely an old one", mend="publish",
      senders=MISMATCH)
def renewed_key(s: Stage) -> None:
    s.serve(s.self_signed())
    s.tlsa(s.old.tlsa(3, 1, 1))


@case("broken", "smtp.mismatch", "of another certificate, most likely an old one",
      fix=r"3 1 1 ", mend="publish", senders=MISMATCH)
def renewed_3_0_1(s: Stage) -> None:
    """The key is kept, the certificate is new: 3 0 1 breaks (B19)."""
    s.serve(s.self_signed(key=s.old.key))
    s.tlsa(s.old.tlsa(3, 0, 1))


@case("broken", "smtp.mismatch", 'must be sent.*"Lab Root"|"Lab Root".*must be sent',
      fix='append', mend="swap", senders=MISMATCH,
      swap=lambda s: change(s, (s.leaf, s.leaf.chain)))
def root_not_sent(s: Stage) -> None:
    s.leaf = s.chain()
    s.serve(s.leaf)                              # without the root
    s.tlsa(s.leaf.chain[-1].tlsa(2, 0, 1))


@case("broken", "smtp.mismatch", "sends no issuer", mend="publish", senders=MISMATCH)
def only_leaf_sent(s: Stage) -> None:
    leaf = s.chain()
    s.serve((leaf, [leaf]))
    s.tlsa(leaf.issuer.tlsa(2, 1, 1))


@case("broken", "smtp.mismatch", "of a former one", mend="publish", senders=MISMATCH)
def other_issuer(s: Stage) -> None:
    leaf, former = s.chain(), s.chain()
    s.serve((leaf, leaf.chain))
    s.tlsa(former.issuer.tlsa(2, 1, 1))


@case("broken", "smtp.name-mismatch", "other.test", fix="issued for mx.name-mismatch.example",
      mend="beside", senders={"exchange": "4/5.7.325 certificate-host-mismatch",
                              "tlsrpt": "certificate-host-mismatch"})
def name_mismatch(s: Stage) -> None:
    leaf = s.chain(dns=["other.test"])
    s.serve(leaf)
    s.tlsa(leaf.issuer.tlsa(2, 1, 1))


@case("broken", "smtp.expired", "ended on|expired", fix="Renew", mend="beside",
      senders={"exchange": "4/5.7.322 certificate-expired", "tlsrpt": "certificate-expired"})
def expired_certificate(s: Stage) -> None:
    leaf = s.chain(start=-30 * DAY, end=-DAY)
    s.serve(leaf)
    s.tlsa(leaf.issuer.tlsa(2, 1, 1))


@case("broken", "smtp.not-yet-valid", "not yet valid|begins", mend="beside",
      senders={"exchange": "4/5.7.323 tlsa-invalid", "tlsrpt": "certificate-not-trusted"})
def future_certificate(s: Stage) -> None:
    leaf = s.chain(start=2 * DAY)
    s.serve(leaf)
    s.tlsa(leaf.issuer.tlsa(2, 1, 1))


@case("broken", "smtp.untrusted", ".", mend="beside", senders=MISMATCH)
def broken_signature(s: Stage) -> None:
    leaf = s.chain(bad_signature=True)
    s.serve(leaf)
    s.tlsa(leaf.issuer.tlsa(2, 1, 1))


@case("broken", "smtp.mismatch", 'usage 2 wants an issuer.*as "3 1 1', fix="3 1 1", mend="publish",
      senders=MISMATCH)
def leaf_digest_under_usage_2(s: Stage) -> None:
    leaf = s.chain()
    s.serve(leaf)
    s.tlsa(leaf.tlsa(2, 1, 1))


@case("broken", "smtp.mismatch", 'holds the issuer\'s .*"Lab CA 2".*as "2 0 1', fix="2 0 1",
      mend="publish", senders=MISMATCH)
def ca_digest_under_usage_3(s: Stage) -> None:
    leaf = s.chain()
    s.serve(leaf)
    s.tlsa(leaf.issuer.tlsa(3, 0, 1))


@case("broken", "smtp.mismatch", 'the issuer\'s', fix=r"^Publish \S+ IN TLSA 3 1 1", mend="publish")
def ca_digest_of_a_ca_that_would_not_help(s: Stage) -> None:
    """As 2 0 1 it would not match either: the name is wrong. That must not be proposed."""
    leaf = s.chain(dns=["other.test"])
    s.serve(leaf)
    s.tlsa(leaf.issuer.tlsa(3, 0, 1))


@case("broken", "smtp.mismatch", "PEM text", mend="publish", senders=MISMATCH)
def hash_of_pem(s: Stage) -> None:
    cert = s.self_signed()
    s.serve(cert)
    s.tlsa("3 0 1 " + sha256(cert.pem().encode()))


@case("broken", "smtp.mismatch", "whole chain as PEM", mend="publish", senders=MISMATCH)
def hash_of_chain_file(s: Stage) -> None:
    leaf = s.chain()
    s.serve(leaf)
    s.tlsa("3 1 1 " + sha256("".join(c.pem() for c in leaf.chain[:-1]).encode()))


@case("broken", "smtp.mismatch", "hash of nothing", mend="publish", senders=MISMATCH)
def hash_of_nothing(s: Stage) -> None:
    s.serve(s.self_signed())
    s.tlsa("3 1 1 " + sha256(b""))


@case("broken", "smtp.mismatch", "hash of a hash", mend="publish", senders=MISMATCH)
def hash_of_hex(s: Stage) -> None:
    cert = s.self_signed()
    s.serve(cert)
    s.tlsa("3 1 1 " + sha256(sha256(cert.spki()).encode()))


@case("broken", "smtp.mismatch", r'says selector 0 \(certificate\) and holds the key.*as "3 1 1',
      mend="publish", senders=MISMATCH)
def key_hash_under_selector_0(s: Stage) -> None:
    cert = s.self_signed()
    s.serve(cert)
    s.tlsa("3 0 1 " + sha256(cert.spki()))


@case("broken", "smtp.mismatch", r'says selector 1 \(key\) and holds the certificate',
      mend="publish", senders=MISMATCH)
def certificate_hash_under_selector_1(s: Stage) -> None:
    cert = s.self_signed()
    s.serve(cert)
    s.tlsa("3 1 1 " + sha256(cert.der()))


@case("broken", "smtp.mismatch", "one digit differs", fix="3 1 1", mend="publish",
      senders=MISMATCH)
def one_digit(s: Stage) -> None:
    cert = s.self_signed()
    s.serve(cert)
    right = cert.tlsa(3, 1, 1)
    s.tlsa(right[:-1] + ("0" if right[-1] != "0" else "1"))


@case("broken", "smtp.mismatch", "only the strongest digest counts", fix="3 1 2", mend="publish",
      senders=MISMATCH)
def digest_agility(s: Stage) -> None:
    cert = s.self_signed()
    s.serve(cert)
    s.tlsa(cert.tlsa(3, 1, 1), s.old.tlsa(3, 1, 2))


@case("partial", "tlsa.record-unusable", 'matching type 2.*as "3 1 1', fix="3 1 1", mend="publish",
      subject="_25._tcp.{host}")
def length_disagrees(s: Stage) -> None:
    cert = s.self_signed()
    s.serve(cert)
    s.tlsa("3 1 2 " + sha256(cert.spki()))


@case("partial", "tlsa.record-unusable", "SHA-1 of", subject="_25._tcp.{host}")
def sha1(s: Stage) -> None:
    cert = s.self_signed()
    s.serve(cert)
    s.tlsa("3 1 1 " + hashlib.sha1(cert.spki()).hexdigest())


@case("partial", "tlsa.unusable", ".", mend="publish", subject="_25._tcp.{host}",
      senders={"postfix": "TLSA records unusable", "tlsrpt": "tlsa-invalid"})
def only_usage_1(s: Stage) -> None:
    cert = s.self_signed()
    s.serve(cert)
    s.tlsa(cert.tlsa(1, 1, 1))


@case("partial", "tlsa.record-unusable", 'usage 0.*as "2 0 1', fix="2 0 1", mend="publish",
      subject="_25._tcp.{host}")
def only_usage_0(s: Stage) -> None:
    leaf = s.chain()
    s.serve(leaf)
    s.tlsa(leaf.issuer.tlsa(0, 0, 1))


@case("broken", "smtp.mismatch", "usage 1 is not for SMTP", mend="publish", senders=MISMATCH)
def usage_1_and_an_old_record(s: Stage) -> None:
    cert = s.self_signed()
    s.serve(cert)
    s.tlsa(cert.tlsa(1, 1, 1), s.old.tlsa(3, 1, 1))


# --- where it stands ------------------------------------------------------------------------------

@case("none", "tlsa.none", "signed TLSA record is published", fix="3 1 1", mend="publish",
      subject="_25._tcp.{host}", senders={"tlsrpt": "no-policy-found"})
def no_record(s: Stage) -> None:
    s.serve(s.self_signed())


@case("none", "tlsa.misplaced", "senders ask for _25._tcp.mx", mend="publish",
      subject="_25._tcp.{domain}")
def record_at_the_mail_domain(s: Stage) -> None:
    cert = s.self_signed()
    s.serve(cert)
    s.tlsa(cert.tlsa(3, 1, 1), owner="_25._tcp")


@case("none", "tlsa.misplaced", "senders ask for _25._tcp.mx", mend="publish",
      subject="_443._tcp.{host}")
def record_at_443(s: Stage) -> None:
    cert = s.self_signed()
    s.serve(cert)
    s.tlsa(cert.tlsa(3, 1, 1), owner="_443._tcp.mx")


@case("none", "tlsa.misplaced", "senders ask for _25._tcp.mx", mend="publish", subject="{host}")
def record_at_the_host(s: Stage) -> None:
    cert = s.self_signed()
    s.serve(cert)
    s.tlsa(cert.tlsa(3, 1, 1), owner="mx")


@case("none", "tlsa.alias", "wildcard CNAME swallows", mend="publish", subject="_25._tcp.{host}")
def wildcard_alias(s: Stage) -> None:
    s.serve(s.self_signed())
    s.serve(s.self_signed(), label="www")
    s.lines.append("*.mx CNAME www")


@case("none", "address.insecure", "not signed, so DANE does not apply", subject="{host}",
      fix="zone of mx.* signed", senders={"postfix": "non DNSSEC destination"})
def host_in_unsigned_zone(s: Stage) -> None:
    s.host = "mx.host-in-unsigned-zone.plain"
    server = s.serve(s.self_signed())
    s.lines = [f"@ MX 10 {s.host}."]
    s.world.add_zone("host-in-unsigned-zone.plain", [f"mx A {server.addresses[0]}"],
                     algorithm=None)


@case("none", "tlsa.ignored", "not signed", subject="_25._tcp.{host}")
def host_in_unsigned_zone_with_tlsa(s: Stage) -> None:
    s.host = "mx.ignored.plain"
    cert = s.self_signed()
    server = s.serve(cert)
    s.lines = [f"@ MX 10 {s.host}."]
    s.world.add_zone("ignored.plain", [f"mx A {server.addresses[0]}",
                                       "_25._tcp.mx TLSA " + cert.tlsa(3, 1, 1)], algorithm=None)


@case("partial", "mx.insecure", "not use DANE for this domain", subject="{domain}",
      fix="DS published at the registry")
def unsigned_domain_signed_host(s: Stage) -> None:
    s.domain, s.host = "unsigned.plain", "mx.signed-host.example"
    cert = s.self_signed()
    server = s.serve(cert)
    s.lines = [f"@ MX 10 {s.host}."]
    s.options = {"algorithm": None}
    s.world.add_zone("signed-host.example", [f"mx A {server.addresses[0]}",
                                             "_25._tcp.mx TLSA " + cert.tlsa(3, 1, 1)])


@case("partial", "tlsa.none-here", "signed TLSA record is published", mend="publish",
      subject="_25._tcp.mx2.{domain}")
def one_of_two_hosts(s: Stage) -> None:
    cert = s.self_signed()
    s.serve(cert)
    s.serve(s.self_signed(), label="mx2")
    s.lines.append("@ MX 20 mx2")
    s.tlsa(cert.tlsa(3, 1, 1))


@case("dane", "address.none-here", "has no address", subject="mx2.{domain}")
def second_host_without_address(s: Stage) -> None:
    cert = s.self_signed()
    s.serve(cert)
    s.lines.append("@ MX 20 mx2")
    s.tlsa(cert.tlsa(3, 1, 1))


@case("broken", "address.none", "has no address", subject="{host}")
def no_address(s: Stage) -> None:
    del s


# --- servers that differ --------------------------------------------------------------------------

@case("broken", "smtp.mismatch", "servers or key types of one host differ", fix="beside",
      mend="beside", subject="{host}[{1}]", senders=MISMATCH)
def ipv6_with_another_certificate(s: Stage) -> None:
    cert = s.self_signed()
    s.serve(cert)
    s.serve(s.self_signed(), v6=True)
    s.tlsa(cert.tlsa(3, 1, 1))


@case("broken", "smtp.mismatch", "RSA 2048 certificate at .* matches", fix="beside", mend="beside",
      senders=MISMATCH)
def rsa_matches_ecdsa_not(s: Stage) -> None:
    rsa = s.self_signed(key="rsa2048")
    s.serve(rsa, s.self_signed())
    s.tlsa(rsa.tlsa(3, 1, 1))


# --- the server -----------------------------------------------------------------------------------

def change(s: Stage, *certificates: Any, **behaviour: Any) -> None:
    """The server is set right: these certificates from now on."""
    files = [s.pem(*c) if isinstance(c, tuple) else s.pem(c) for c in certificates]
    s.servers[0].change(Smtp(hostname=s.host, tls=Tls(files), **behaviour))


@case("broken", "smtp.no-starttls", "not offered", fix="Switch STARTTLS on", mend="swap",
      senders={**NO_TLS, "postfix": "TLS is required, but was not offered by host mx."},
      swap=lambda s: change(s, s.old))
def no_starttls(s: Stage) -> None:
    s.serve(tls=None)
    s.tlsa(s.old.tlsa(3, 1, 1))


@case("broken", "smtp.starttls-refused", "454", mend="swap",
      senders={**NO_TLS, "postfix": "TLS is required, but host mx.starttls-refused.example "
                                    "refused to start TLS: "}, swap=lambda s: change(s, s.old))
def starttls_refused(s: Stage) -> None:
    s.serve(s.old, replies={"STARTTLS": "454 4.7.0 TLS not available"})
    s.tlsa(s.old.tlsa(3, 1, 1))


@case("broken", "smtp.handshake", ".", mend="swap",
      senders={"exchange": "4/5.7.321 starttls-not-supported", "tlsrpt": "validation-failure"},
      swap=lambda s: change(s, s.old))
def handshake_fails(s: Stage) -> None:
    s.serve(s.old, after_220="alert")
    s.tlsa(s.old.tlsa(3, 1, 1))


@case("unknown", "smtp.unreached", "450 4.7.1 greylisted")
def greylisted(s: Stage) -> None:
    s.serve(s.old, replies={"connect": "450 4.7.1 greylisted"})
    s.tlsa(s.old.tlsa(3, 1, 1))


@case("unknown", "smtp.unreached", "421 4.7.0 too many")
def rate_limited(s: Stage) -> None:
    s.serve(s.old, replies={"EHLO": "421 4.7.0 too many connections"})
    s.tlsa(s.old.tlsa(3, 1, 1))


@case("unknown", "smtp.unreached", "554 5.7.1 blocked")
def blocked(s: Stage) -> None:
    s.serve(s.old, replies={"connect": "554 5.7.1 blocked"})
    s.tlsa(s.old.tlsa(3, 1, 1))


@case("unknown", "smtp.unreached", "no greeting has come from the server")
def silent(s: Stage) -> None:
    s.serve(s.old, hang_at="connect")
    s.tlsa(s.old.tlsa(3, 1, 1))


@case("unknown", "smtp.unreached", "[Cc]onnection refused")
def refused(s: Stage) -> None:
    s.lines.append(f"mx A {s.world.address()}")
    s.tlsa(s.old.tlsa(3, 1, 1))


@case("unknown", "smtp.unreached", "closed")
def hangs_up(s: Stage) -> None:
    s.serve(s.old, close_at="connect")
    s.tlsa(s.old.tlsa(3, 1, 1))


# --- DNSSEC and name servers ----------------------------------------------------------------------

# The mend is that of the broken link, which the walk has found.
LINK = r"^(?!.*daneway dnssec).*[Ss]ign"


@case("broken", "mx.bogus", ".", subject="{domain}", fix=LINK, senders=DNSSEC)
def expired_signatures(s: Stage) -> None:
    s.serve(s.old)
    s.tlsa(s.old.tlsa(3, 1, 1))
    s.damages = [Damage("expired")]


@case("broken", "address.bogus", ".", subject="{host}", fix=LINK, senders=DNSSEC)
def expired_address(s: Stage) -> None:
    s.serve(s.old)
    s.tlsa(s.old.tlsa(3, 1, 1))
    s.damages = [Damage("expired", "mx", "A"), Damage("missing", "*", "NSEC")]


@case("broken", "tlsa.bogus", ".", subject="_25._tcp.{host}", fix=LINK, senders=DNSSEC)
def expired_tlsa(s: Stage) -> None:
    s.serve(s.old)
    s.tlsa(s.old.tlsa(3, 1, 1))
    s.damages = [Damage("expired", "_25._tcp.mx", "TLSA")]


@case("broken", "tlsa.failed", "SERVFAIL", subject="_25._tcp.{host}",
      senders={**DNSSEC, "postfix": "TLSA lookup error for mx.tlsa-servfail.example:25"})
def tlsa_servfail(s: Stage) -> None:
    s.serve(s.old)
    s.lines.append("_25._tcp.mx TXT here")  # else a denial of _tcp answers the question (RFC 8020)
    s.rules = [Rule("servfail", "_25._tcp.*", "TLSA")]


@case("broken", "tlsa.failed", "NOTIMP|SERVFAIL", subject="_25._tcp.{host}", senders=DNSSEC)
def tlsa_notimp(s: Stage) -> None:
    s.serve(s.old)
    s.lines.append("_25._tcp.mx TXT here")  # else a denial of _tcp answers the question (RFC 8020)
    s.rules = [Rule("notimp", "_25._tcp.*", "TLSA")]


@case("broken", "tlsa.failed", "no answer within 3 seconds", subject="_25._tcp.{host}",
      senders=DNSSEC)
def tlsa_dropped(s: Stage) -> None:
    s.serve(s.old)
    s.lines.append("_25._tcp.mx TXT here")  # else a denial of _tcp answers the question (RFC 8020)
    s.rules = [Rule("drop", "_25._tcp.*", "TLSA")]


@case("broken", "address.alias-failed", "CNAME lookup.*SERVFAIL", subject="{host}",
      senders={**DNSSEC, "postfix": "TLSA lookup error for mx.alias-servfail.example:25"},
      args=("--dns-timeout", "6", "--timeout", "20"))
def alias_servfail(s: Stage) -> None:
    """A signed alias of a host that is not; whether the alias is signed decides, and that question
    fails (A15). Its TTL is 0 and an address never comes, while the other came seconds ago: else
    the validator would have the alias from the answer before."""
    server = s.serve(s.old, label="unused")
    silent = s.world.add_dns([Rule("drop", "host.*", "AAAA")])
    s.world.add_zone("alias-servfail.plain", [f"host A {server.addresses[0]}"], algorithm=None,
                     servers=[("ns.alias-servfail.plain.", silent.addresses)])
    s.lines.append("mx CNAME host.alias-servfail.plain.")
    s.options = {"ttl": 0}
    s.rules = [Rule("servfail", s.host, "CNAME")]


@case("unknown", "mx.failed", "SERVFAIL", subject="{domain}")
def mx_servfail(s: Stage) -> None:
    s.serve(s.old)
    s.rules = [Rule("servfail", s.domain, "MX")]


# --- zones that want to cost time -------------------------------------------------------------------

@case("broken", "smtp.mismatch", "and 484 more records", mend="publish")
def hundreds_of_records(s: Stage) -> None:
    leaf = s.chain()
    for _ in range(4):
        s.serve((leaf, leaf.chain * 6))
    s.tlsa(*(f"{n % 2 + 2} {n // 2 % 2} 1 {n:064x}" for n in range(500)))


@case("partial", "tlsa.unusable", "and 784 more", mend="publish", subject="_25._tcp.{host}")
def hundreds_of_unusable_records(s: Stage) -> None:
    s.serve(s.old)
    s.tlsa(*(f"3 1 9 {n:04x}" for n in range(800)))


# --- running them ---------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def broken() -> Iterator[tuple[World, dict[str, Stage]]]:
    world = World("broken")
    stages = {}
    for name, c in CASES.items():
        stages[name] = Stage(world, name)
        c.build(stages[name])
        stages[name].publish()
    world.start()
    yield world, stages
    world.stop()


def check(daneway: Any, world: World, domain: str, *args: str) -> tuple[int, Any]:
    """Each test is also saved, and replayed to the same result."""
    saved = str(world.dir / "saved.json")
    code, result, err = daneway.run(world, "check", *QUICK, *args, "--save", saved, domain)
    assert isinstance(result, dict), err
    assert "(missing)" not in str(result), result
    if "--to" not in args:
        what_if = [a for i, a in enumerate(args) if "--at" not in (a, args[i - 1] if i else "")]
        again = daneway.run(world, "check", "--replay", saved, *what_if)
        assert again == (code, result, ""), again
    return code, result


def findings(result: Any, id: str, subject: str = "") -> list[Any]:
    return [f for f in result["checks"] if f["id"] == id and (not subject or f["subject"] == subject)]


def apply(case_: Case, stage: Stage, fix: str) -> None:
    """What the finding says: the record published alone or beside the others, or the server."""
    if case_.mend == "swap":
        assert case_.swap
        case_.swap(stage)
        return
    found = RECORD.search(fix) or re.search(r"publish (\S+)\. IN TLSA (\d+ \d+ \d+ [0-9a-f]+)", fix)
    assert found, fix
    owner, record = found.group(1) + ".", found.group(2)
    zone = stage.world.zones[f"{stage.domain}."].zone
    assert ("beside" in fix) == (case_.mend == "beside"), fix
    if case_.mend == "publish":
        zone.remove(owner, "TLSA")
    zone.add(owner, "TLSA", record)
    stage.world.update(stage.domain)


@pytest.mark.parametrize("name", CASES)
def test_broken_domain(broken: Any, daneway: Any, name: str) -> None:
    world, stages = broken
    case_, stage = CASES[name], stages[name]
    code, result = check(daneway, world, stage.domain, *case_.args)
    assert (result["verdict"], code) == (case_.verdict, EXIT[case_.verdict]), result
    addresses = [a for server in stage.servers for a in server.addresses]
    subject = case_.subject.replace("{1}", addresses[-1] if addresses else "")
    subject = subject.format(host=stage.host, domain=stage.domain)
    found = findings(result, case_.id, subject)
    assert found, result
    finding = found[0]
    assert subject or finding["subject"].startswith(f"{stage.host}["), finding
    assert re.search(case_.cause, finding["detail"]), finding
    assert re.search(case_.fix, finding["fix"] or ""), finding
    for who, word in case_.senders.items():
        assert (finding["senders"][who] or "").startswith(word), finding
    if case_.mend:
        apply(case_, stage, finding["fix"])
        code, result = check(daneway, world, stage.domain)
        assert (result["verdict"], code) == ("dane", 0), (finding["fix"], result)


def test_own_time_is_no_verdict(broken: Any, daneway: Any) -> None:
    """What was not waited for is unknown; with time enough it is a fault of the name servers."""
    code, result = check(daneway, broken[0], "tlsa-dropped.example", "--dns-timeout", "10",
                         "--timeout", "4")
    assert (result["verdict"], code) == ("unknown", 3), result
    assert findings(result, "tlsa.late", "_25._tcp.mx.tlsa-dropped.example")


def test_effort_has_an_end(broken: Any, daneway: Any) -> None:
    """Hundreds of records against long chains at several addresses: the last are not explained."""
    world, stages = broken
    zone = world.zones["hundreds-of-records.example."].zone
    zone.remove("_25._tcp.mx", "TLSA")
    zone.add("_25._tcp.mx", "TLSA", *(f"3 1 1 {n:064x}" for n in range(500)))
    world.update("hundreds-of-records.example")
    _, result = check(daneway, world, "hundreds-of-records.example")
    found = findings(result, "smtp.mismatch")
    assert len(found) == len(stages["hundreds-of-records"].servers), result
    assert "not looked into" not in found[0]["detail"]
    assert "not looked into" in found[-1]["detail"]
