"""daneway check fetches an MTA-STS policy as a sender does (RFC 8461), and tells whether it can be
had and what it does to the MX hosts. It never changes the verdict."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import Any, Sequence

import pytest

from lab import certs
from lab.certs import DAY, Cert
from lab.dns_server import Rule
from lab.https_server import HttpsServer
from lab.pytest_plugin import Daneway, wait_until
from lab.smtp_server import Smtp, Tls
from lab.world import World
from test_check import check, findings

DOMAIN = "sts.example"
HOST = "mx1.mail.sts.example"


def policy(*mx: str, mode: str = "enforce", max_age: str = "1209600", end: str = "\r\n") -> bytes:
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {m}" for m in mx), f"max_age: {max_age}"]
    return "".join(line + end for line in lines).encode()


GOOD = policy(HOST)


class Site:
    """A DANE domain with an MTA-STS announcement and a web server."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ca = certs.issue("Lab Web CA", ca=True)
        self.ca_file = world.dir / "web-ca.pem"
        self.ca_file.write_text(self.ca.pem())

    def certificate(self, name: str = f"mta-sts.{DOMAIN}", issuer: Cert | None = None,
                    **options: Any) -> Cert:
        return certs.issue(name, issuer or self.ca, dns=[name], **options)

    def check(self, daneway: Daneway, *args: str) -> Any:
        _, result = check(daneway, self.world, DOMAIN, "--ca-file", str(self.ca_file), *args)
        assert result["verdict"] == "dane", result
        return result

    def run(self, daneway: Daneway, *args: str, txt: str = '"v=STSv1; id=20261125;"',
            cert: Cert | None = None, web: bool = True, host: bool = True, alias: str = "mta-sts",
            addresses: Sequence[str] = (), second: str = "", servers: Any = None, **behaviour: Any) -> Any:
        world = self.world
        key = certs.self_signed(HOST)
        smtp = world.add_smtp(Smtp(hostname=HOST, tls=Tls([key.write(world.dir / "mx.pem")])))
        at = list(addresses) or [world.address()]
        pem = (cert or self.certificate()).write(world.dir / "web.pem")
        self.web = HttpsServer(at, pem, **behaviour)
        if web:
            world.add_daemon(self.web)
        lines = [f"_mta-sts TXT {t}" for t in txt.split("\n")]
        for mx in [HOST, *([second] if second else [])]:
            lines += [f"@ MX 10 {mx}.", f"{mx}. A {smtp.addresses[0]}",
                      f"_25._tcp.{mx}. TLSA {key.tlsa(3, 1, 1)}"]
        if host:
            lines += [f"{alias} {'AAAA' if ':' in a else 'A'} {a}" for a in at]
        if alias != "mta-sts":
            lines.append(f"mta-sts CNAME {alias}")
        world.add_zone(DOMAIN, lines, servers=servers)
        world.start()
        return self.check(daneway, *args)


@pytest.fixture
def site(fresh_world: World) -> Site:
    return Site(fresh_world)


def sts(result: Any) -> dict[str, Any]:
    return {c["id"]: c for c in result["checks"] if c["id"].startswith("sts.")}


GOOD_SET = {"sts.present", "sts.enforce"}


@pytest.mark.parametrize("body", [GOOD, policy(HOST, end="\n"), policy("*.mail.sts.example"),
                                  policy(HOST.upper()), policy(HOST) + b"unknown: field\r\n"])
def test_good(site: Site, daneway: Daneway, body: bytes) -> None:
    found = sts(site.run(daneway, body=body))
    assert set(found) == GOOD_SET
    assert "mail.sts.example, for 1209600 seconds" in found["sts.enforce"]["detail"]
    (request,) = site.web.requests
    assert request.startswith(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.sts.example\r\n")
    assert b"daneway/" in request and b"Cookie" not in request
    assert site.web.names == ["mta-sts.sts.example"]


def test_addresses(site: Site, daneway: Daneway) -> None:
    """IPv6 alone; and beside addresses of both families at which nobody answers."""
    found = sts(site.run(daneway, body=GOOD, addresses=[site.world.address6()]))
    assert set(found) == GOOD_SET
    dead = [site.world.address6(), site.world.address()]
    zone = site.world.zones[f"{DOMAIN}."].zone
    for address in dead:
        zone.add("mta-sts", "AAAA" if ":" in address else "A", address)
    site.world.update(DOMAIN)
    assert set(sts(site.check(daneway))) == GOOD_SET


def test_alias(site: Site, daneway: Daneway) -> None:
    """Section 8.2: the policy host may be a provider's, by CNAME; the name stays the domain's."""
    found = sts(site.run(daneway, body=GOOD, alias="web"))
    assert set(found) == GOOD_SET and site.web.names == ["mta-sts.sts.example"]


# --- what the policy says -------------------------------------------------------------------------

@pytest.mark.parametrize("mx, word", [
    (["*.sts.example"], '"*.sts.example" covers one label only'),
    (["*.mx1.mail.sts.example"], f'"*.mx1.mail.sts.example" does not cover {HOST} itself'),
    (["mx2.mail.sts.example"], f"allows mx2.mail.sts.example, not {HOST}"),
    (["*.mail.sts.example.org", "mail.sts.example"], f"not {HOST}. Senders"),
])
def test_forbidden_host(site: Site, daneway: Daneway, mx: list[str], word: str) -> None:
    """ST11, ST16. No other host is allowed either."""
    found = sts(site.run(daneway, body=policy(*mx)))
    finding = found["sts.forbids"]
    assert finding["subject"] == HOST
    assert word in finding["detail"] and "then return it" in finding["detail"]
    assert f'Add "mx: {HOST}" at https://mta-sts.{DOMAIN}/' in finding["fix"]
    assert finding["senders"]["tlsrpt"] == "validation-failure"
    assert mx[0] in found["sts.leftover"]["detail"]


def test_one_of_two_hosts(site: Site, daneway: Daneway) -> None:
    found = sts(site.run(daneway, body=policy("mx2.mail.sts.example", "old.sts.example"),
                         second="mx2.mail.sts.example"))
    assert found["sts.forbids"]["subject"] == HOST
    assert "then return it" not in found["sts.forbids"]["detail"]
    assert found["sts.leftover"]["detail"].startswith("old.sts.example:")


def test_testing(site: Site, daneway: Daneway) -> None:
    """ST13."""
    found = sts(site.run(daneway, body=policy("mx2.mail.sts.example", mode="testing")))
    assert {"sts.testing", "sts.would-forbid"} < set(found) and "sts.forbids" not in found


def test_none(site: Site, daneway: Daneway) -> None:
    """ST14: of a policy that is none nothing else is told."""
    found = sts(site.run(daneway, body=policy("mx2.mail.sts.example", mode="none", max_age="1")))
    assert set(found) == {"sts.present", "sts.none"}


def test_short_life(site: Site, daneway: Daneway) -> None:
    found = sts(site.run(daneway, body=policy(HOST, max_age="604799")))
    assert "max_age is 604799 seconds" in found["sts.short-lived"]["detail"]


def test_repeated(site: Site, daneway: Daneway) -> None:
    found = sts(site.run(daneway, body=GOOD + b"mode: none\r\n"))
    assert set(found) == GOOD_SET | {"sts.repeated"}
    assert found["sts.repeated"]["detail"].startswith('"mode" at')


@pytest.mark.parametrize("body, word", [
    (b"", "it is empty"), (b"<html>", 'line 1: there is no ":"'),
    (b"version: STSv2\r\n" + GOOD, "line 1: the version"),
    (GOOD.replace(b"enforce", b"force"), "line 2: the mode"),
    (GOOD.replace(b"1209600", b"2 weeks"), "line 4: max_age is no number"),
    (GOOD.replace(b"1209600", b"31557601"), "line 4: max_age is larger"),
    (policy(), 'the field "mx" is missing'), (GOOD + b"x: \xff\r\n", "line 5: the value"),
    (GOOD + b"x: \x1b[31m\r\n", "line 5: the value"), (GOOD + b"\0", "line 5"),
    (policy(f"{HOST}."), "ends with a dot"),
])
def test_unreadable(site: Site, daneway: Daneway, body: bytes, word: str) -> None:
    """ST10."""
    finding = sts(site.run(daneway, body=body))["sts.unreadable"]
    assert word in finding["detail"], finding
    assert finding["senders"]["tlsrpt"] == "sts-policy-invalid"


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "", "text/plainer"])
def test_not_text(site: Site, daneway: Daneway, kind: str) -> None:
    found = sts(site.run(daneway, body=GOOD, content_type=kind))
    assert (kind or "no type") in found["sts.not-text"]["detail"] and "sts.enforce" in found


def test_text_with_parameters(site: Site, daneway: Daneway) -> None:
    assert set(sts(site.run(daneway, body=GOOD, content_type="Text/Plain;charset=x"))) == GOOD_SET


# --- a policy that cannot be had ------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@pytest.mark.parametrize("behaviour, word, fix", [
    ({"status": "404 Not Found"}, "status 404", "with status 200"),
    ({"status": "500 Oops"}, "status 500", "with status 200"),
    ({"status": "204 No Content", "body": b""}, "status 204", "with status 200"),
    ({"status": "301 Moved", "headers": ["Location: https://www.sts.example/x"]},
     'redirects (status 301) to "https://www.sts.example/x"', "itself"),
    ({"endless": True}, "longer than 64 KiB", "policy alone"),
    ({"body": b"x" * 65537}, "longer than 64 KiB", "policy alone"),
    ({"raw": HEAD + b"X-Filler: %s\r\n" % (b"y" * 1000) * 100 + b"\r\n"}, "longer than", "alone"),
    ({"raw": b"HTTP/1.1 100 Continue\r\n\r\n" * 5000 + HEAD + b"\r\n"}, "longer than", "alone"),
    ({"raw": b"SSH-2.0-OpenSSH\r\n"}, "no whole HTTP answer", "port 443"),
    ({"raw": b""}, "no whole HTTP answer", "port 443"),
    ({"raw": HEAD + b"Content-Length: 1000\r\n\r\nversion: STSv1\r\n"}, "no whole HTTP", "port 443"),
    ({"web": False}, "no address takes the connection", "every address"),
])
def test_not_fetched(site: Site, daneway: Daneway, behaviour: dict[str, Any], word: str,
                     fix: str) -> None:
    """ST8."""
    found = sts(site.run(daneway, **{"body": GOOD, **behaviour}))
    finding = found["sts.not-fetched"]
    assert set(found) == {"sts.present", "sts.not-fetched"}
    assert word in finding["detail"] and fix in finding["fix"], finding
    assert "https://mta-sts.sts.example/.well-known/mta-sts.txt" in finding["detail"]
    assert finding["senders"]["tlsrpt"] == "sts-policy-fetch-error"
    assert len(site.web.requests) <= 1


def test_longest(site: Site, daneway: Daneway) -> None:
    """64 KiB exactly."""
    more = b"x: " + b"y" * (65536 - len(GOOD) - 5) + b"\r\n"
    assert set(sts(site.run(daneway, body=GOOD + more))) == GOOD_SET


@pytest.mark.parametrize("how", [{"delay": 30}, {"trickle": 0.2}])
def test_slow(site: Site, daneway: Daneway, how: dict[str, Any]) -> None:
    """Half of the test's time at most, also for a server that sends octet by octet."""
    begin = time.monotonic()
    found = sts(site.run(daneway, "--timeout", "6", body=GOOD, **how))
    assert time.monotonic() - begin < 9
    assert "no whole answer came in time" in found["sts.not-fetched"]["detail"]


@pytest.mark.parametrize("what, word", [
    ("other-name", "not of that name"), ("common-name", "only a common name"),
    ("self-signed", "no CA that counts"), ("ended", "has expired"),
    ("other-ca", "no CA that counts"), ("ended-ca", "has expired"),
    ("two-labels", "not of that name")])
def test_certificate(site: Site, daneway: Daneway, what: str, word: str) -> None:
    """RFC 8461 section 3.3: DNS-ID, a trusted CA, in time. What such a server says is not taken."""
    name = "mta-sts.sts.example"
    old = {"start": -90 * DAY, "end": -DAY}
    cert = {
        "other-name": lambda: site.certificate("www.sts.example"),
        "common-name": lambda: certs.issue(name, site.ca, emails=["a@sts.example"]),
        "self-signed": lambda: certs.self_signed(name),
        "ended": lambda: site.certificate(**old),
        "other-ca": lambda: site.certificate(issuer=certs.issue("Other CA", ca=True)),
        "ended-ca": lambda: site.certificate(
            issuer=certs.issue("Lab Web CA 2", site.ca, ca=True, **old)),
        "two-labels": lambda: site.certificate("*.example"),
    }[what]()
    found = sts(site.run(daneway, body=GOOD, cert=cert))
    finding = found["sts.certificate"]
    assert set(found) == {"sts.present", "sts.certificate"}
    assert word in finding["detail"], finding
    assert f"a certificate for {name}" in finding["fix"]
    assert finding["senders"]["tlsrpt"] == "sts-webpki-invalid"
    assert what == "common-name" or not site.web.requests


def test_wildcard_certificate(site: Site, daneway: Daneway) -> None:
    assert set(sts(site.run(daneway, body=GOOD,
                            cert=site.certificate("*.sts.example")))) == GOOD_SET


def test_system_cas(site: Site, daneway: Daneway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --ca-file the lab's CA is nobody's; one that cannot be read is our own trouble."""
    site.run(daneway, body=GOOD)
    _, result = check(daneway, site.world, DOMAIN)
    assert "sts.certificate" in sts(result)
    monkeypatch.setenv("DANEWAY_CA_FILE", str(site.ca_file))
    _, result = check(daneway, site.world, DOMAIN)
    assert set(sts(result)) == GOOD_SET
    _, result = check(daneway, site.world, DOMAIN, "--ca-file", "/nowhere.pem")
    assert sts(result)["sts.unknown"]["status"] == "skip", result


def test_no_address(site: Site, daneway: Daneway) -> None:
    finding = sts(site.run(daneway, host=False))["sts.not-fetched"]
    assert "it does not exist" in finding["detail"]
    assert "take the record at _mta-sts.sts.example out" in finding["fix"]


def test_late(site: Site, daneway: Daneway) -> None:
    """The whole test's time is over while the address is looked up: nothing is told of the policy,
    and the rest stands."""
    dns = site.world.add_dns([Rule("drop", f"mta-sts.{DOMAIN}")])
    begin = time.monotonic()
    found = sts(site.run(daneway, "--timeout", "4", "--dns-timeout", "30", body=GOOD,
                         servers=[(f"ns.{DOMAIN}.", dns.addresses)]))
    assert time.monotonic() - begin < 8
    assert "time for the whole domain" in found["sts.unknown"]["detail"]


def test_interrupted(site: Site, daneway: Daneway) -> None:
    """Ctrl-C in the midst of a fetch."""
    site.run(daneway, body=GOOD)
    site.web.delay = 30
    argv = [str(daneway.path), "--root-hints", str(site.world.root_hints), "--trust-anchor",
            str(site.world.trust_anchor), "check", "--ca-file", str(site.ca_file), DOMAIN]
    before = len(site.web.requests)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert wait_until(lambda: len(site.web.requests) > before)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=10)
    assert b"1 were under way" in errors and child.returncode == 3, (child.returncode, errors)


# --- what is not asked ----------------------------------------------------------------------------

@pytest.mark.parametrize("txt, id", [('"v=STSv1;"', "broken"), ('"v=STSv1; id=2026-11-25"', "bad-id"),
                                     ('"v=STSv1; id=a"\n"v=STSv1; id=b"', "several"),
                                     ('"v=STSv2; id=a"', "")])
def test_not_asked_for(site: Site, daneway: Daneway, txt: str, id: str) -> None:
    """ST6: no announcement, or one that does not count: nothing is fetched."""
    found = sts(site.run(daneway, body=GOOD, txt=txt))
    assert set(found) == ({f"sts.{id}"} if id else set()) and not site.web.requests


def test_only_dane(site: Site, daneway: Daneway) -> None:
    assert not sts(site.run(daneway, "--only", "dane", body=GOOD))
    assert not site.web.requests


def test_environment(site: Site, daneway: Daneway, monkeypatch: pytest.MonkeyPatch) -> None:
    """It leads the fetch nowhere else."""
    for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (site.world.dir / ".netrc").write_text("default login a password secret\n")
    monkeypatch.setenv("HOME", str(site.world.dir))
    assert set(sts(site.run(daneway, body=GOOD))) == GOOD_SET
    assert b"Authorization" not in site.web.requests[0]


# --- many, and evidence ---------------------------------------------------------------------------

def test_many(site: Site, daneway: Daneway) -> None:
    """Each domain's policy is fetched once, by its own name, 200 at a time at most; who waits for
    a place does not run out of time."""
    world, names = site.world, [f"d{i}.{DOMAIN}" for i in range(650)]
    cert = certs.issue("many", site.ca, dns=[f"mta-sts.{n}" for n in names])
    smtp = world.add_smtp(Smtp(hostname=HOST))
    web = world.add_daemon(HttpsServer([world.address()], cert.write(world.dir / "many.pem"),
                                       body=policy("*.mail.test"), delay=6))
    lines = [f"{HOST}. A {smtp.addresses[0]}"]
    for name in names:
        lines += [f"{name}. MX 10 {HOST}.", f'_mta-sts.{name}. TXT "v=STSv1; id=1"',
                  f"mta-sts.{name}. A {web.addresses[0]}"]
    world.add_zone(DOMAIN, lines)
    world.start()
    # Four times six seconds, where a fetch has ten and a domain twenty. AddressSanitizer takes a
    # multiple of the time: there all but the waiting is tested.
    limit = "60" if b"__asan_init" in daneway.path.read_bytes() else "20"
    begin = time.monotonic()
    _, results, err = daneway.run(world, "check", "--ca-file", str(site.ca_file), "--timeout", limit,
                                  "-", stdin="".join(f"{n}\n" for n in names).encode())
    assert len(results) == len(names), err
    for result in results:
        assert "sts.forbids" in sts(result), result
    assert sorted(web.names) == sorted(f"mta-sts.{n}" for n in names)
    assert 100 < web.most <= 200 and time.monotonic() - begin > 22, web.most


def test_damaged_evidence(site: Site, daneway: Daneway) -> None:
    site.run(daneway, body=GOOD)
    saved = site.world.dir / "saved.json"
    text = saved.read_text()
    for spoilt in (text.replace('"stage": "tried"', '"stage": "other"'),
                   text.replace('"end": "answered"', '"end": "other"'),
                   text.replace('"type": "text/plain"', '"type": null'),
                   text.replace('"status": 200', '"status": 1000'),
                   text.replace('"host": "mta-sts.sts.example"', '"host": 1'),
                   text.replace('"body": "', '"body": "x'),
                   text.replace('"body": "', '"body": "' + "20" * 65536)):
        assert spoilt != text
        saved.write_text(spoilt)
        code, result, errors = daneway.run(site.world, "check", "--replay", str(saved))
        assert (code, result) == (78, []) and '"sts" is damaged' in errors, (code, errors)
