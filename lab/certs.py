"""Certificates of every kind, and the TLSA records for them."""

from __future__ import annotations

import datetime
import functools
import hashlib
import ipaddress
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
EKU = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH,
       "email": ExtendedKeyUsageOID.EMAIL_PROTECTION}

SRV_NAME = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")      # RFC 4985


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None, microsecond=0)


def make_key(kind: str = "p256") -> Any:
    """kind: rsa1024 rsa2048 rsa3072 p256 p384 ed25519"""
    if kind.startswith("rsa"):
        return rsa.generate_private_key(public_exponent=65537, key_size=int(kind[3:]))
    if kind == "p256":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "p384":
        return ec.generate_private_key(ec.SECP384R1())
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    raise ValueError(f"unknown kind of key: {kind}")


@functools.cache
def shared_key(kind: str, index: int = 0) -> Any:
    """A key that is made once for a run (RSA keys are slow to make)."""
    del index
    return make_key(kind)


@dataclass(frozen=True)
class Cert:
    """A certificate with its private key. `chain` is what a server would send: itself first, then
    the issuers up to the self-signed root."""

    cert: x509.Certificate
    key: Any
    issuer: Cert | None = field(default=None, repr=False)

    @property
    def chain(self) -> list[Cert]:
        return [self] + (self.issuer.chain if self.issuer else [])

    def der(self) -> bytes:
        return self.cert.public_bytes(serialization.Encoding.DER)

    def pem(self) -> str:
        return self.cert.public_bytes(serialization.Encoding.PEM).decode()

    def key_pem(self) -> str:
        return self.key.private_bytes(serialization.Encoding.PEM,
                                      serialization.PrivateFormat.PKCS8,
                                      serialization.NoEncryption()).decode()

    def spki(self) -> bytes:
        return self.cert.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    def tlsa(self, usage: int, selector: int, mtype: int) -> str:
        """The RDATA of a TLSA record that describes this certificate, in presentation format."""
        data = self.spki() if selector == 1 else self.der()
        if mtype == 1:
            data = hashlib.sha256(data).digest()
        elif mtype == 2:
            data = hashlib.sha512(data).digest()
        return f"{usage} {selector} {mtype} {data.hex()}"

    def write(self, path: Path, chain: Sequence[Cert] | None = None) -> Path:
        """A PEM file with this key and the certificates of `chain` (default: without the root),
        in the order given; the first need not be this one."""
        if chain is None:
            chain = [c for c in self.chain if c.issuer is not None] or [self]
        path.write_text(self.key_pem() + "".join(c.pem() for c in chain))
        path.chmod(0o644)
        return path


def _general_names(dns: Sequence[str], ips: Sequence[str], emails: Sequence[str],
                   uris: Sequence[str], srvs: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName(d) for d in dns]
    names += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
    names += [x509.RFC822Name(mail) for mail in emails]
    names += [x509.UniformResourceIdentifier(uri) for uri in uris]
    names += [x509.OtherName(SRV_NAME, bytes([0x16, len(srv)]) + srv.encode()) for srv in srvs]
    return names


def issue(cn: str | None = None, issuer: Cert | None = None, *, key: Any = "p256",
          dns: Sequence[str] = (), ips: Sequence[str] = (), emails: Sequence[str] = (),
          uris: Sequence[str] = (), srvs: Sequence[str] = (), revocation: str | None = None,
          ca: bool = False, pathlen: int | None = None,
          key_cert_sign: bool | None = None, eku: Sequence[str] | None = None,
          permitted: Sequence[str] = (), excluded: Sequence[str] = (),
          start: datetime.timedelta = -DAY, end: datetime.timedelta = 30 * DAY,
          sha1: bool = False, bad_signature: bool = False) -> Cert:
    """Makes a certificate; self-signed without an issuer. `start`, `end` are relative to now;
    `permitted`, `excluded` are DNS name constraints; `key` is a kind or a private key;
    `revocation` is the URL of the issuer's OCSP responder and CRL."""
    private = make_key(key) if isinstance(key, str) else key
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)] if cn else [])
    signer = issuer.key if issuer else private
    builder = (x509.CertificateBuilder().subject_name(subject)
               .issuer_name(issuer.cert.subject if issuer else subject)
               .public_key(private.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(now() + start).not_valid_after(now() + end))
    if ca or pathlen is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=pathlen), True)
    if key_cert_sign is not None or ca:
        builder = builder.add_extension(x509.KeyUsage(
            digital_signature=True, key_cert_sign=key_cert_sign is not False, crl_sign=ca,
            content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, encipher_only=False, decipher_only=False), True)
    names = _general_names(dns, ips, emails, uris, srvs)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), not cn)
    if eku is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([EKU[e] for e in eku]), False)
    if revocation:
        url = x509.UniformResourceIdentifier(revocation)
        builder = builder.add_extension(x509.AuthorityInformationAccess(
            [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, url)]), False)
        builder = builder.add_extension(x509.CRLDistributionPoints(
            [x509.DistributionPoint([url], None, None, None)]), False)
    if permitted or excluded:
        builder = builder.add_extension(x509.NameConstraints(
            [x509.DNSName(d) for d in permitted] or None,
            [x509.DNSName(d) for d in excluded] or None), True)
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(private.public_key()), False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False)
    digest = None
    if not isinstance(signer, ed25519.Ed25519PrivateKey):
        digest = hashes.SHA1() if sha1 else hashes.SHA256()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)     # of SHA-1
        cert = builder.sign(signer, digest)
    if bad_signature:
        der = bytearray(cert.public_bytes(serialization.Encoding.DER))
        der[-1] ^= 1
        cert = x509.load_der_x509_certificate(bytes(der))
    return Cert(cert, private, issuer)


def self_signed(name: str, **options: Any) -> Cert:
    """What most DANE-EE servers have: a self-signed certificate with one name."""
    options.setdefault("dns", [name])
    return issue(name[:64], **options)


def chain(name: str, depth: int = 2, **leaf: Any) -> Cert:
    """root <- CA 1 <- ... <- CA depth <- leaf; returns the leaf."""
    above = issue("Lab Root", ca=True)
    for number in range(1, depth + 1):
        above = issue(f"Lab CA {number}", above, ca=True)
    leaf.setdefault("dns", [name])
    return issue(name[:64], above, **leaf)
