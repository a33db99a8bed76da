"""The lab's certificates, judged by openssl(1)."""

from __future__ import annotations

import datetime
import hashlib
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lab import certs
from lab.certs import DAY, Cert

ROOT = certs.issue("Root", ca=True)
CA = certs.issue("CA", ROOT, ca=True)


def _verify(tmp_path: Path, leaf: Cert, *options: str) -> str:
    (tmp_path / "root.pem").write_text(leaf.chain[-1].pem())
    (tmp_path / "middle.pem").write_text("".join(c.pem() for c in leaf.chain[1:-1]))
    (tmp_path / "leaf.pem").write_text(leaf.pem())
    done = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_depth", "200",
         "-CAfile", "root.pem", "-untrusted", "middle.pem", *options, "leaf.pem"],
        cwd=tmp_path, capture_output=True, text=True)
    return "ok" if done.returncode == 0 else done.stderr


def _leaf(issuer: Cert = CA, **options: Any) -> Cert:
    options.setdefault("dns", ["mx.test"])
    return certs.issue("mx.test", issuer, **options)


@pytest.mark.parametrize("leaf, expected", [
    (_leaf(), "ok"), (_leaf(key="rsa2048"), "ok"), (_leaf(key="p384"), "ok"),
    (_leaf(key="ed25519"), "ok"), (_leaf(eku=["server"]), "ok"),
    (certs.chain("mx.test", depth=98), "ok"),
    (_leaf(eku=["client"]), "unsuitable certificate purpose"),
    (_leaf(end=-datetime.timedelta(hours=1)), "certificate has expired"),
    (_leaf(start=DAY), "certificate is not yet valid"),
    (_leaf(bad_signature=True), "certificate signature failure"),
    (_leaf(certs.issue("CA", ROOT, ca=False)), "invalid CA certificate"),
    (_leaf(certs.issue("CA", ROOT, ca=True, key_cert_sign=False)), "invalid"),
    (_leaf(certs.issue("Sub", certs.issue("CA", ROOT, ca=True, pathlen=0), ca=True)),
     "path length constraint exceeded"),
    (_leaf(certs.issue("CA", ROOT, ca=True, permitted=["other.test"])), "permitted subtree"),
    (_leaf(certs.issue("CA", ROOT, ca=True, excluded=["mx.test"])), "excluded subtree"),
    (_leaf(certs.issue("CA", ROOT, ca=True, end=-DAY / 2)), "certificate has expired"),
])
def test_verdicts(tmp_path: Path, leaf: Cert, expected: str) -> None:
    assert expected in _verify(tmp_path, leaf)


@pytest.mark.parametrize("options, host, expected", [
    ({}, "mx.test", True), ({}, "other.test", False),
    ({"dns": ["*.wild.test"]}, "mx.wild.test", True),
    ({"dns": ["*.wild.test"]}, "a.b.wild.test", False),
    ({"dns": [], "ips": ["192.0.2.1"]}, "mx.test", True),       # CN counts: no DNS-ID (N10)
    ({"dns": [], "emails": ["a@b.test"]}, "mx.test", True),
    ({"dns": ["other.test"]}, "mx.test", False),                # CN does not count (N8)
    ({"dns": ["mx.test\0.evil.test"]}, "mx.test", False),
])
def test_names(tmp_path: Path, options: dict[str, Any], host: str, expected: bool) -> None:
    verdict = _verify(tmp_path, _leaf(**options), "-verify_hostname", host)
    assert (verdict == "ok") is expected, verdict


def test_tlsa(tmp_path: Path) -> None:
    leaf = _leaf()
    (tmp_path / "leaf.pem").write_text(leaf.pem())
    key = subprocess.run("openssl x509 -in leaf.pem -noout -pubkey |"
                         "openssl pkey -pubin -outform DER", shell=True, cwd=tmp_path,
                         capture_output=True, check=True).stdout
    assert leaf.tlsa(3, 1, 1) == f"3 1 1 {hashlib.sha256(key).hexdigest()}"
    assert leaf.tlsa(2, 1, 2) == f"2 1 2 {hashlib.sha512(key).hexdigest()}"
    assert leaf.tlsa(3, 1, 0) == f"3 1 0 {key.hex()}"
    assert leaf.tlsa(3, 0, 0) == f"3 0 0 {leaf.der().hex()}"
