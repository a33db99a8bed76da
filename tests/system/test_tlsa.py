"""
daneway tlsa make, match and parse as a user runs them. No network; the certificates are made with
the openssl command, and its digests are the second opinion on every record.
"""

import hashlib
import json
import os
import subprocess
import time

import pytest

DANEWAY = os.environ["DANEWAY"]
NAME = "mail.example.com"
DAY = 86400


def run(*args, stdin=b"", env=None):
    done = subprocess.run([DANEWAY, "tlsa", *args], input=stdin, capture_output=True, timeout=60,
                          env={**os.environ, **(env or {})})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def fails(code, *args, stdin=b"", words=""):
    """Exactly one line on stderr, nothing on stdout."""
    got, out, err = run(*args, stdin=stdin)
    assert (got, out) == (code, ""), err
    assert err.startswith("daneway: ") and err.count("\n") == 1 and err.endswith("\n"), err
    assert words in err, err


def openssl(*args, **kwargs):
    return subprocess.run(["openssl", *args], check=True, capture_output=True, **kwargs).stdout


class Pki:
    """root <- ca <- leaf, and what else a test asks for."""

    def __init__(self, folder):
        self.folder = folder
        self.issue("root", None, ca=True)
        self.issue("ca", "root", ca=True)
        self.issue("leaf", "ca")
        self.issue("old", "ca")
        self.chain = self.file("chain.pem", self.pem("leaf") + self.pem("ca"))

    def path(self, name):
        return str(self.folder / name)

    def file(self, name, data):
        (self.folder / name).write_bytes(data)
        return self.path(name)

    def pem(self, name):
        return (self.folder / (name + ".pem")).read_bytes()

    def key(self, name, *kind):
        openssl("genpkey", *(kind or ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")),
                "-out", self.path(name + ".key"))
        return self.path(name + ".key")

    def issue(self, name, issuer, ca=False, kind=(), san=NAME):
        key = self.key(name, *kind)
        request = openssl("req", "-new", "-key", key, "-subj", "/CN=" + name)
        extensions = "basicConstraints=critical,CA:" + ("TRUE" if ca else "FALSE")
        if not ca:
            extensions += "\nsubjectAltName=DNS:" + san
        args = ["-CA", self.path(issuer + ".pem"), "-CAkey", self.path(issuer + ".key"),
                "-CAcreateserial"] if issuer else ["-signkey", key]
        openssl("x509", "-req", *args, "-days", "30", "-out", self.path(name + ".pem"),
                "-extfile", self.file("extensions", extensions.encode()), input=request)

    def der(self, name, selector):
        if selector == 0:
            return openssl("x509", "-in", self.path(name + ".pem"), "-outform", "DER")
        return openssl("pkey", "-in", self.path(name + ".key"), "-pubout", "-outform", "DER")

    def record(self, name, usage=3, selector=1, matching=1):
        data = self.der(name, selector)
        if matching:
            data = hashlib.new({1: "sha256", 2: "sha512"}[matching], data).digest()
        return "%d %d %d %s" % (usage, selector, matching, data.hex())


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return Pki(tmp_path_factory.mktemp("pki"))


# --- make -----------------------------------------------------------------------------------------


def test_make_has_openssls_digests(pki):
    assert run("make", "--cert", pki.chain) == (0, pki.record("leaf") + "\n", "")
    for selector in (0, 1):
        for matching in (0, 1, 2):
            options = ["--selector", str(selector), "--matching", str(matching)]
            assert run("make", "--cert", pki.chain, *options)[1] == \
                pki.record("leaf", 3, selector, matching) + "\n"
            assert run("make", "--usage", "2", "--cert", pki.chain, *options)[1] == \
                pki.record("ca", 2, selector, matching) + "\n"
    assert run("make", "--usage", "dane-ta", "--selector", "Cert", "--matching", "SHA2-512",
               "--cert", pki.chain)[1] == pki.record("ca", 2, 0, 2) + "\n"


@pytest.mark.parametrize("kind", [
    ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
    ("-algorithm", "ED25519"),
], ids=["rsa", "p256", "p384", "ed25519"])
def test_make_from_keys(pki, kind):
    pki.issue("k", "ca", kind=kind)
    public = pki.file("k.pub", openssl("pkey", "-in", pki.path("k.key"), "-pubout"))
    wanted = pki.record("k") + "\n"
    assert run("make", "--cert", pki.path("k.pem"))[1] == wanted
    assert run("make", "--key", pki.path("k.key"))[1] == wanted
    assert run("make", "--key", public)[1] == wanted
    if kind[1] != "ED25519":
        old = pki.file("k.old", openssl("pkey", "-in", pki.path("k.key"), "-traditional"))
        assert run("make", "--key", old)[1] == wanted


def test_make_a_zone_file_line(pki):
    record = pki.record("leaf")
    assert run("make", "--cert", pki.chain, "--host", "MX1.Example.ORG.")[1] == \
        "_25._tcp.mx1.example.org. 3600 IN TLSA %s\n" % record
    assert run("make", "--cert", pki.chain, "--host", "bücher.example", "--port", "10025", "--ttl",
               "60")[1] == "_10025._tcp.xn--bcher-kva.example. 60 IN TLSA %s\n" % record
    code, out, _ = run("make", "--json", "--cert", pki.chain, "--host", "mx1.example.org")
    made = json.loads(out)
    assert (code, made["record"], made["owner"], made["ttl"]) == \
        (0, record, "_25._tcp.mx1.example.org", 3600)
    assert made["data"] == record.split()[3]
    # What is made reads back as it is.
    _, out, _ = run("make", "--cert", pki.chain, "--host", "mx1.example.org")
    assert json.loads(run("parse", out)[1])["record"] == record


def test_make_refuses(pki):
    cert = ["--cert", pki.chain]
    fails(64, "make", words="--cert")
    fails(64, "make", *cert, "--key", pki.path("leaf.key"))
    fails(64, "make", *cert, "--usage", "1", words="not for SMTP")
    fails(64, "make", *cert, "--usage", "4")
    fails(64, "make", *cert, "--selector", "2")
    fails(64, "make", *cert, "--matching", "3")
    fails(64, "make", *cert, "--matching", "0x1")
    fails(64, "make", *cert, "--port", "587", words="--host")
    fails(64, "make", *cert, "--host", "mx.example", "--port", "65536")
    fails(64, "make", *cert, "--host", "mx.example", "--ttl", "-1")
    fails(64, "make", *cert, "--selektor", "1", words="--selector is meant")
    fails(64, "make", *cert, "word", words="word")
    fails(64, "make", "--key", pki.path("leaf.key"), "--selector", "0", words="--cert")
    fails(65, "make", *cert, "--host", "192.0.2.1")
    fails(65, "make", *cert, "--host", "a..b")
    fails(65, "make", *cert, "--host", ".".join(["a" * 61] * 4), words="too long")
    fails(65, "make", "--usage", "2", "--cert", pki.path("leaf.pem"), words="no CA certificate")
    fails(78, "make", "--cert", pki.path("nowhere.pem"), words="No such file")
    fails(78, "make", "--cert", pki.path("leaf.key"), words="no PEM certificate")
    fails(78, "make", "--key", pki.path("leaf.pem"))


def test_make_never_digests_nothing(pki):
    for text in (b"", b"\n", b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
                 b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", bytes(1000)):
        empty = pki.file("empty", text)
        for option in ("--cert", "--key"):
            fails(78, "make", option, empty, words=empty)
    fails(78, "make", "--cert", pki.file("cut", pki.pem("leaf")[:-40]))
    fails(78, "make", "--cert", pki.file("large", b" " * (2 << 20)), words="larger than")
    fails(78, "make", "--cert", str(pki.folder), words="directory")


def test_make_asks_for_no_passphrase(pki):
    locked = pki.path("locked.key")
    openssl("pkey", "-in", pki.path("leaf.key"), "-aes128", "-passout", "pass:secret", "-out", locked)
    fails(78, "make", "--key", locked, words="passphrase")


# --- match ----------------------------------------------------------------------------------------


def match(pki, *args, chain=None):
    code, out, err = run("match", "--chain", chain or pki.chain, *args)
    assert err == "" and out.count("\n") == 1, err
    seen = json.loads(out)
    assert set(seen) >= {"result", "record", "depth", "error", "detail"}
    assert code == {"match": 0, "mismatch": 1, "unusable": 2}[seen["result"]]
    assert seen["detail"]
    return seen


def test_match(pki):
    record = pki.record("leaf")
    seen = match(pki, "--record", record)
    assert (seen["result"], seen["record"], seen["depth"], seen["error"]) == ("match", record, 0, None)
    # Text of any form comes back in one.
    seen = match(pki, "--json", "--record",
                 "x. IN TLSA DANE-EE SPKI SHA2-256 ( " + record.split()[3].upper() + " )")
    assert seen["record"] == record
    seen = match(pki, "--record", pki.record("ca", 2), "--name", NAME)
    assert (seen["result"], seen["record"], seen["depth"]) == ("match", pki.record("ca", 2), 1)


def test_mismatch(pki):
    seen = match(pki, "--record", pki.record("old"))
    assert (seen["result"], seen["record"], seen["depth"], seen["error"]) == \
        ("mismatch", None, None, "certificate-not-trusted")
    assert pki.record("leaf") in seen["detail"]  # what to publish stands beside it


def test_names_count_for_usage_2_only(pki):
    ta, ee = pki.record("ca", 2), pki.record("leaf")
    seen = match(pki, "--record", ta, "--name", "mx.example.net")
    assert (seen["result"], seen["error"]) == ("mismatch", "certificate-host-mismatch")
    assert NAME in seen["detail"]
    assert match(pki, "--record", ta, "--name", "mx.example.net", "--name", "Mail.Example.com.")[
        "result"] == "match"
    assert match(pki, "--record", ee, "--name", "mx.example.net")["result"] == "match"
    assert "not checked" in match(pki, "--record", ta)["detail"]


def test_time(pki):
    ta, ee = pki.record("ca", 2), pki.record("leaf")
    later, earlier = str(int(time.time()) + 40 * DAY), str(int(time.time()) - DAY)
    assert match(pki, "--record", ta, "--time", later)["error"] == "certificate-expired"
    assert match(pki, "--record", ta, "--time", earlier)["error"] == "certificate-not-trusted"
    assert match(pki, "--record", ee, "--time", later)["result"] == "match"


def test_unusable(pki):
    right = pki.record("leaf")
    for record in ("1" + right[1:], "0" + right[1:], "4" + right[1:], "3 2" + right[3:],
                   "3 1 3" + right[5:], right[:-2], right + "00", "\\# 2 0301", "\\# 3 030101",
                   "3 0 0 3000", "3 1 0 " + pki.der("leaf", 1).hex() + "00"):
        seen = match(pki, "--record", record)
        assert (seen["result"], seen["record"], seen["depth"], seen["error"]) == \
            ("unusable", None, None, "tlsa-invalid"), record
        assert not seen["records"][0]["usable"] and seen["records"][0]["why"] in seen["detail"]


def test_several_records(pki):
    right, old = pki.record("leaf"), pki.record("old")
    assert match(pki, "--record", old, "--record", right)["record"] == right
    # C32: usage 1 neither rescues nor harms.
    pkix = "1" + right[1:]
    assert match(pki, "--record", pkix, "--record", old)["result"] == "mismatch"
    assert match(pki, "--record", pkix, "--record", right)["result"] == "match"
    # G1, G2, G4: digest agility, for each usage and selector, after what is unusable is out.
    strong = pki.record("old", 3, 1, 2)
    seen = match(pki, "--record", right, "--record", strong)
    assert seen["result"] == "mismatch"
    assert [(r["usable"], r["why"]) for r in seen["records"]] == \
        [(True, "digest-agility"), (True, None)]
    assert match(pki, "--record", right, "--record", pki.record("old", 3, 0, 2))["result"] == "match"
    assert match(pki, "--record", right, "--record", strong[:-2])["result"] == "match"
    # C30: usage 2 after a usage 3 that does not match.
    assert match(pki, "--record", old, "--record", pki.record("ca", 2), "--name", NAME)[
        "depth"] == 1


def test_a_ca_that_the_system_trusts_does_not_help(pki):
    """C15: the anchor was not sent; SSL_CERT_FILE is how OpenSSL is told what to trust."""
    trusted = {"SSL_CERT_FILE": pki.path("ca.pem"), "SSL_CERT_DIR": str(pki.folder)}
    code, out, _ = run("match", "--chain", pki.path("leaf.pem"), "--record", pki.record("ca", 2),
                       env=trusted)
    assert (code, json.loads(out)["result"]) == (1, "mismatch")


def test_openssl_cnf_plays_no_part(pki):
    broken = pki.file("broken.cnf", b"config_diagnostics = 1\nopenssl_conf = x\n[x]\n"
                      b"alg_section = y\n[y]\ndefault_properties = fips=yes\n")
    code, out, err = run("match", "--chain", pki.chain, "--record", pki.record("leaf"),
                         env={"OPENSSL_CONF": broken})
    assert (code, err) == (0, "") and json.loads(out)["result"] == "match"


def test_match_refuses(pki):
    record = ["--record", pki.record("leaf")]
    chain = ["--chain", pki.chain]
    fails(64, "match", *chain, words="--record")
    fails(64, "match", *record, words="--chain")
    fails(64, "match", *chain, *record, "--time", "yesterday")
    fails(64, "match", *chain, *record, "--time", "0")
    fails(64, "match", *chain, *record, "--frobnicate", words="--frobnicate")
    fails(64, "match", *chain, "--record")
    fails(65, "match", *chain, "--record", "3 1 1 abc", words="odd number")
    fails(65, "match", *chain, *record, "--record", "256 1 1 ab", words="column 1")
    fails(65, "match", *chain, *record, "--name", "192.0.2.1", words="address")
    fails(65, "match", *chain, *record, "--name", ".example.com")
    fails(78, "match", "--chain", pki.path("nowhere"), *record, words="No such file")
    fails(78, "match", "--chain", pki.path("leaf.key"), *record)


# --- parse ----------------------------------------------------------------------------------------

H = "0123456789abcdef" * 4


def test_parse():
    code, out, err = run("parse", "DANE-EE SPKI SHA2-256 ( %s )" % H.upper())
    assert (code, err) == (0, "")
    assert json.loads(out) == {"record": "3 1 1 " + H, "usage": 3, "selector": 1, "matching": 1,
                               "data": H, "usable": True, "why": None}
    code, out, _ = run("parse", "3 1 1 " + H, "1 1 1 " + H, "TYPE52 \\# 2 0301")
    seen = [json.loads(line) for line in out.splitlines()]
    assert (code, [r["usable"] for r in seen]) == (2, [True, False, False])
    assert seen[1]["why"] and seen[1]["usage"] == 1
    assert (seen[2]["record"], seen[2]["usage"], seen[2]["data"]) == ("\\# 2 0301", None, None)
    fails(64, "parse", words="record")
    fails(64, "parse", "--frobnicate")
    for bad in ("", "3 1 1", "3 1 1 abc", "256 1 1 ab", "-1 1 1 ab", "0x3 1 1 ab", "3 1 1 a:b"):
        fails(65, "parse", bad)


def test_parse_standard_input():
    lines = ["3 1 1 " + H, "", "; a comment", "_25._tcp.mx. 3600 IN TLSA 2 0 1 %s ; end" % H, "3 1 1 ab"]
    code, out, err = run("parse", "-", stdin="\r\n".join(lines).encode())
    assert (code, err) == (2, "")
    assert [json.loads(line)["record"] for line in out.splitlines()] == \
        ["3 1 1 " + H, "2 0 1 " + H, "3 1 1 ab"]
    assert run("parse", "-") == (0, "", "")
    # A bad line costs itself only.
    code, out, err = run("parse", "-", stdin=("3 1 1 zz\n3 1 1 %s\n3 1 1 a\0b\n" % H).encode())
    assert (code, out.count("\n"), err.count("\n")) == (65, 1, 2)
    assert "line 1: column 7" in err and "line 3: " in err


def test_parse_is_bounded():
    longest = b"3 1 0 " + b"ab" * 65532
    assert run("parse", "-", stdin=longest)[0] == 2
    for line in (longest + b"ab", b" " * (64 << 20), b"3 1 1 " + b"a" * (8 << 20)):
        code, out, err = run("parse", "-", stdin=line + b"\n3 1 1 %s\n" % H.encode())
        assert code in (0, 65) and out.count("\n") == 1 and len(err) < 200


def test_output_that_cannot_be_written():
    with open("/dev/full", "wb") as full:
        for args in (["parse", "3 1 1 " + H], ["--help"], ["make", "--help"]):
            done = subprocess.run([DANEWAY, "tlsa", *args], stdout=full, stderr=subprocess.PIPE,
                                  timeout=60)
            assert done.returncode == 74 and done.stderr.count(b"\n") == 1


def test_help():
    for args in ([], ["make"], ["match"], ["parse"]):
        code, out, err = run(*args, "--help")
        assert (code, err) == (0, "") and out.startswith("Usage: daneway tlsa")
    fails(64, words="make, match or parse")
    fails(64, "mark", words="mark")
