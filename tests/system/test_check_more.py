"""daneway check beyond the verdict: lints, the forecast, what-if, the inbound test. None of them
changes the verdict."""

from __future__ import annotations

import email
import email.utils
import json
import random
import re
import socket
import threading
import time
from typing import Any, Callable, Iterator

import pytest

from lab import certs
from lab.certs import DAY
from lab.smtp_server import Smtp, Tls
from lab.world import World
from test_check import Stage, check, findings

STAGES: dict[str, tuple[Callable[[Stage], None], str, list[tuple[str, str, str]]]] = {}


def lint(verdict: str, *expected: tuple[str, str, str]) -> Callable[[Any], Any]:
    """What must be found: id, subject, words in the detail."""
    def keep(build: Callable[[Stage], None]) -> Callable[[Stage], None]:
        STAGES[build.__name__.replace("_", "-")] = (build, verdict, list(expected))
        return build
    return keep


OWNER = "_25._tcp.{host}"


@lint("dane", ("tlsrpt.none", "{domain}", "_smtp._tls.plain-sailing.example"),
      ("tlsrpt.none-at-host", "{host}", "_smtp._tls.mx.plain-sailing.example"),
      ("forecast.signatures", "{domain}", "^The signature over"))
def plain_sailing(s: Stage) -> None:
    s.serve(s.old)
    s.tlsa(s.old.tlsa(3, 1, 1))


@lint("dane", ("tlsa.unseen", OWNER, "next key.*or an old one"))
def record_that_fits_nothing(s: Stage) -> None:
    s.serve(s.old)
    s.tlsa(s.old.tlsa(3, 1, 1), s.self_signed().tlsa(3, 1, 1))


@lint("dane", ("tlsa.ta-not-sent", OWNER, '"Lab Root"'))
def anchor_not_sent(s: Stage) -> None:
    leaf = s.chain()
    s.serve(leaf)
    s.tlsa(leaf.tlsa(3, 1, 1), leaf.chain[-1].tlsa(2, 0, 1))


@lint("dane", ("tlsa.one-key", OWNER, "no roll-over"))
def two_records_of_one_key(s: Stage) -> None:
    s.serve(s.old)
    s.tlsa(s.old.tlsa(3, 1, 1), s.old.tlsa(3, 0, 1))


@lint("dane", ("tlsa.only-sha512", OWNER, "need not know"))
def only_sha512(s: Stage) -> None:
    s.serve(s.old)
    s.tlsa(s.old.tlsa(3, 1, 2))


@lint("dane", ("tlsa.whole-certificate", "{host}[{0}]", "lives for 31 days"))
def whole_certificate(s: Stage) -> None:
    s.serve(s.old)
    s.tlsa(s.old.tlsa(3, 0, 1))


@lint("dane", ("cert.ends-soon", "{host}[{0}]", "mail stops then"),
      ("forecast.breaks", "{domain}", '"mx.ta-ends-soon.example" of mx'))
def ta_ends_soon(s: Stage) -> None:
    leaf = s.chain(start=-80 * DAY, end=9 * DAY)
    s.serve(leaf)
    s.tlsa(leaf.issuer.tlsa(2, 1, 1))


@lint("dane", ("cert.ends-harmlessly", "{host}[{0}]", "dates do not count"))
def ee_has_ended(s: Stage) -> None:
    cert = s.self_signed(start=-80 * DAY, end=-DAY)
    s.serve(cert)
    s.tlsa(cert.tlsa(3, 1, 1))


@lint("dane", ("tlsa.too-many", OWNER, "^13 at"))
def thirteen_records(s: Stage) -> None:
    s.serve(s.old)
    s.tlsa(s.old.tlsa(3, 1, 1), *(f"3 1 1 {n:064x}" for n in range(12)))


@lint("dane", ("tlsa.long-ttl", OWNER, "^A day or more"))
def long_ttl(s: Stage) -> None:
    s.serve(s.old)
    s.tlsa(s.old.tlsa(3, 1, 1))
    s.options = {"ttl": 172800}


@lint("dane", ("tlsa.record-unusable", OWNER, "usage 1 is not for SMTP"))
def usage_1_beside_3(s: Stage) -> None:
    s.serve(s.old)
    s.tlsa(s.old.tlsa(3, 1, 1), s.old.tlsa(1, 1, 1))


@lint("dane", ("mx.null-mixed", "{domain}", "takes no mail"))
def null_mixed(s: Stage) -> None:
    s.serve(s.old)
    s.tlsa(s.old.tlsa(3, 1, 1))
    s.lines.append("@ MX 0 .")


@lint("dane", ("mx.repeated", "{domain}", "several preferences"))
def repeated(s: Stage) -> None:
    s.serve(s.old)
    s.tlsa(s.old.tlsa(3, 1, 1))
    s.lines.append("@ MX 20 mx")


@lint("dane", ("mx.alias", "{host}", "CNAME for real.alias.example"))
def alias(s: Stage) -> None:
    s.serve(s.old, label="real")
    s.tlsa(s.old.tlsa(3, 1, 1), owner="_25._tcp.real")
    s.lines.append("mx CNAME real")


@lint("dane", ("tlsrpt.present", "{domain}", "mailto:r@x.test"),
      ("tlsrpt.several", "{host}", "none"), ("sts.present", "{domain}", "id 20260101"),
      ("sts.not-fetched", "{domain}", "mta-sts.announced.example, it does not exist"))
def announced(s: Stage) -> None:
    s.serve(s.old)
    s.tlsa(s.old.tlsa(3, 1, 1))
    s.lines += ['_smtp._tls TXT "v=TLSRPTv1; rua=" "mailto:r@x.test"', '_smtp._tls TXT "hello"',
                '_smtp._tls.mx TXT "v=TLSRPTv1;rua=mailto:a@x.test"',
                '_smtp._tls.mx TXT "v=TLSRPTv1;rua=mailto:b@x.test"',
                '_mta-sts TXT "v=STSv1; id=20260101;"']


@lint("dane", ("tlsrpt.broken", "{domain}", "v=TLSRPTv1"), ("sts.broken", "{domain}", "v=STSv1"))
def announced_badly(s: Stage) -> None:
    s.serve(s.old)
    s.tlsa(s.old.tlsa(3, 1, 1))
    s.lines += ['_smtp._tls TXT "v=TLSRPTv1;"', '_mta-sts TXT "v=STSv1;"']


@lint("unknown", ("smtp.unreached", "{host}[{1}]", "refused"))
def one_address_not_reached(s: Stage) -> None:
    """Its record may be the one that fits nothing seen: nothing is said of it."""
    s.serve(s.old)
    s.silent = s.world.address()
    s.lines.append(f"mx A {s.silent}")
    s.tlsa(s.old.tlsa(3, 1, 1), s.self_signed().tlsa(3, 1, 1))


# --- for what-if and the inbound test -------------------------------------------------------------

@lint("dane")
def two_keys(s: Stage) -> None:
    rsa = s.self_signed(key="rsa2048")
    s.keys = [rsa, s.old]
    s.serve(rsa, s.old)
    s.tlsa(rsa.tlsa(3, 1, 1), s.old.tlsa(3, 1, 1))


@lint("dane")
def under_a_ca(s: Stage) -> None:
    s.leaf = s.chain()
    s.serve((s.leaf, s.leaf.chain))
    s.tlsa(s.leaf.issuer.tlsa(2, 0, 1))


@lint("none")
def without_dane(s: Stage) -> None:
    s.serve(s.old)


@lint("dane")
def inbound(s: Stage) -> None:
    s.serve(s.old, replies={"RCPT:grey@inbound.example": "450 4.2.0 greylisted",
                            "RCPT:nobody@inbound.example": "550 5.1.1 no such user"})
    s.tlsa(s.old.tlsa(3, 1, 1))


@lint("broken")
def inbound_mismatch(s: Stage) -> None:
    s.serve(s.self_signed())
    s.tlsa(s.old.tlsa(3, 1, 1))


@pytest.fixture(scope="module")
def fragile() -> Iterator[tuple[World, dict[str, Stage]]]:
    world = World("fragile")
    stages = {}
    for name, (build, _, _) in STAGES.items():
        stages[name] = Stage(world, name)
        build(stages[name])
        stages[name].publish()
    world.start()
    yield world, stages
    world.stop()


@pytest.mark.parametrize("name", STAGES)
def test_lint(fragile: Any, daneway: Any, name: str) -> None:
    world, stages = fragile
    stage, (_, verdict, expected) = stages[name], STAGES[name]
    _, result = check(daneway, world, stage.domain)
    assert result["verdict"] == verdict, result
    for id, subject, words in expected:
        subject = subject.replace("{0}", stage.servers[0].addresses[0])
        subject = subject.replace("{1}", getattr(stage, "silent", ""))
        subject = subject.format(host=stage.host, domain=stage.domain)
        found = findings(result, id, subject)
        assert found, (id, subject, result)
        assert re.search(words, found[0]["detail"]), found
        assert found[0]["status"] in ("pass", "info", "warn"), found


def test_what_was_not_seen_is_not_judged(fragile: Any, daneway: Any) -> None:
    world, stages = fragile
    _, result = check(daneway, world, stages["one-address-not-reached"].domain)
    assert not findings(result, "tlsa.unseen"), result


def test_a_sound_domain_has_no_warning(fragile: Any, daneway: Any) -> None:
    world, stages = fragile
    for name in ("plain-sailing", "two-keys", "under-a-ca", "inbound"):
        _, result = check(daneway, world, stages[name].domain)
        assert not [f for f in result["checks"] if f["status"] in ("warn", "fail")], result


def test_forecast_names_the_date(fragile: Any, daneway: Any) -> None:
    """DNS signatures end sooner, but are renewed: what follows them is told with them."""
    world, stages = fragile
    domain, end = stages["under-a-ca"].domain, stages["under-a-ca"].leaf.cert.not_valid_after
    date = end.strftime("%Y-%m-%d")
    _, result = check(daneway, world, domain)
    finding, = findings(result, "forecast.signatures")
    assert date not in finding["title"] and f"After that, on {date}" in finding["detail"], finding
    _, result = check(daneway, world, domain, "--only", "dane")
    finding, = findings(result, "forecast.breaks")
    assert date in finding["title"], finding
    _, result = check(daneway, world, stages["plain-sailing"].domain, "--only", "dane")
    assert findings(result, "forecast.no-date"), result


# --- --at -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("days,verdict,id", [(29, "dane", "forecast.breaks"),
                                             (31, "broken", "smtp.expired"),
                                             (-3, "broken", "smtp.not-yet-valid")])
@pytest.mark.parametrize("form", ["unix", "rfc3339", "offset"])
def test_at(fragile: Any, daneway: Any, days: int, verdict: str, id: str, form: str) -> None:
    world, stages = fragile
    when = int(time.time()) + days * 86400
    text = {"unix": str(when),
            "rfc3339": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when)),
            "offset": time.strftime("%Y-%m-%dT%H:%M:%S.5-02:00", time.gmtime(when - 7200))}[form]
    _, result = check(daneway, world, stages["under-a-ca"].domain, "--at", text)
    assert result["verdict"] == verdict, result
    assert findings(result, id), result
    _, result = check(daneway, world, stages["plain-sailing"].domain, "--at", text)
    assert result["verdict"] == "dane", result    # usage 3: no dates


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "2026-02", "2026-02-30", "2026-13-01",
                                  "2026-01-01T25:00:00Z", "2026-01-01T00:00:00",
                                  "2026-01-01T00:00:00+1:00", "2026-01-01T00:00:00Zx",
                                  "1234567890123", "2026-01-01T00:00:00.Z"])
def test_at_that_is_no_time(fragile: Any, daneway: Any, text: str) -> None:
    world, _ = fragile
    code, _, err = daneway.run(world, "check", "--at", text, "plain-sailing.example")
    assert code == 64 and "--at" in err, (text, code, err)


# --- what if --------------------------------------------------------------------------------------

def test_cert_that_would_not_match(fragile: Any, daneway: Any) -> None:
    world, stages = fragile
    new = stages["plain-sailing"].self_signed()
    code, result = check(daneway, world, "plain-sailing.example", "--cert",
                         str(new.write(world.dir / "new.pem")))
    finding, = findings(result, "what-if.cert-mismatch")
    assert (code, finding["subject"]) == (0, "mx.plain-sailing.example"), result
    assert new.tlsa(3, 1, 1) in finding["fix"], finding
    assert "wait two TTLs" in finding["fix"]


def test_cert_of_the_same_key(fragile: Any, daneway: Any) -> None:
    world, stages = fragile
    new = stages["plain-sailing"].self_signed(key=stages["plain-sailing"].old.key)
    _, result = check(daneway, world, "plain-sailing.example", "--cert",
                      str(new.write(world.dir / "new.pem")))
    assert findings(result, "what-if.cert-match", "mx.plain-sailing.example"), result


def test_cert_under_the_ca(fragile: Any, daneway: Any) -> None:
    """Of the published issuer; then for another name; then beyond its end."""
    world, stages = fragile
    ca = stages["under-a-ca"].leaf.issuer
    good = certs.issue("new", ca, dns=["mx.under-a-ca.example"])
    other = certs.issue("new", ca, dns=["other.test"])
    for cert, args, id in ((good, (), "match"), (other, (), "refused"),
                           (good, ("--at", str(int(time.time()) + 31 * 86400)), "refused")):
        path = cert.write(world.dir / "new.pem", [cert, ca])
        _, result = check(daneway, world, "under-a-ca.example", "--cert", str(path), *args)
        assert findings(result, f"what-if.cert-{id}", "mx.under-a-ca.example"), result


def test_cert_where_nothing_binds(fragile: Any, daneway: Any) -> None:
    world, stages = fragile
    new = stages["without-dane"].self_signed()
    _, result = check(daneway, world, "without-dane.example", "--cert",
                      str(new.write(world.dir / "new.pem")))
    finding, = findings(result, "what-if.cert-free")
    assert new.tlsa(3, 1, 1) in finding["fix"], finding


def test_cert_that_is_none(fragile: Any, daneway: Any, tmp_path: Any) -> None:
    world, _ = fragile
    (tmp_path / "x.pem").write_text("hello")
    for path in (tmp_path / "x.pem", tmp_path / "missing.pem"):
        code, _, err = daneway.run(world, "check", "--cert", str(path), "plain-sailing.example")
        assert code == 78 and str(path) in err, (code, err)


def test_records(fragile: Any, daneway: Any) -> None:
    """Each session has its answer: the RSA key matches, the other does not; both, with both."""
    world, stages = fragile
    rsa, p256 = stages["two-keys"].keys
    one = ("--record", rsa.tlsa(3, 1, 1))
    _, result = check(daneway, world, "two-keys.example", *one)
    assert result["verdict"] == "dane"
    match, = findings(result, "what-if.record-match")
    assert match["detail"].startswith("RSA 2048 key"), match
    mismatch, = findings(result, "what-if.record-mismatch")
    assert mismatch["detail"].startswith("P-256 key") and "another key" in mismatch["detail"]
    assert p256.tlsa(3, 1, 1) in mismatch["fix"]
    _, result = check(daneway, world, "two-keys.example", *one, "--record", p256.tlsa(3, 1, 1))
    assert len(findings(result, "what-if.record-match")) == 2, result


def test_record_where_there_is_none_yet(fragile: Any, daneway: Any) -> None:
    world, stages = fragile
    _, result = check(daneway, world, "without-dane.example", "--record",
                      stages["without-dane"].old.tlsa(3, 1, 1))
    assert findings(result, "what-if.record-match"), result
    _, result = check(daneway, world, "without-dane.example", "--record",
                      stages["without-dane"].old.tlsa(1, 1, 1))
    finding, = findings(result, "what-if.record-mismatch")
    assert "usage 1 is not for SMTP" in finding["detail"], finding


def test_record_that_is_none(fragile: Any, daneway: Any) -> None:
    world, _ = fragile
    code, _, err = daneway.run(world, "check", "--record", "3 1 x", "plain-sailing.example")
    assert code == 65 and "--record" in err


# --- the inbound test -----------------------------------------------------------------------------

@pytest.mark.parametrize("user,id,words", [("postmaster", "accepted", "250 2.1.5|ok"),
                                           ("grey", "deferred", "greylisted"),
                                           ("nobody", "refused", "no such user")])
def test_to(fragile: Any, daneway: Any, user: str, id: str, words: str) -> None:
    world, stages = fragile
    server = stages["inbound"].servers[0]
    before = len(server.sessions)
    code, result = check(daneway, world, "inbound.example", "--to", f"{user}@inbound.example")
    assert (code, result["verdict"]) == (0, "dane"), result
    address = server.addresses[0]
    finding, = findings(result, f"inbound.{id}", f"mx.inbound.example[{address}]")
    assert re.search(words, finding["detail"]), finding
    commands = [c for s in server.sessions[before:] for c in s.commands]
    assert f"tls:RCPT TO:<{user}@inbound.example>" in commands, commands
    assert not [c for c in commands if re.match("(tls:)?(DATA|BDAT)", c)], commands
    assert not [c for c in commands if re.match("(MAIL|RCPT)", c)], commands  # nothing in clear
    assert [c for c in commands if c.startswith("tls:MAIL FROM:<>")], commands
    assert not server.messages


def test_to_alone_names_the_domain(fragile: Any, daneway: Any) -> None:
    world, _ = fragile
    code, result, err = daneway.run(world, "check", "--to", "postmaster@inbound.example", "--from",
                                    "me@sender.test")
    assert (code, result["domain"]) == (0, "inbound.example"), err


def test_to_of_a_server_that_does_not_match(fragile: Any, daneway: Any) -> None:
    """Not one octet of the address to a server that DANE refuses."""
    world, stages = fragile
    _, result = check(daneway, world, "inbound-mismatch.example", "--to",
                      "secret@inbound-mismatch.example", "--send")
    assert result["verdict"] == "broken"
    assert "secret" not in stages["inbound-mismatch"].servers[0].received
    assert not findings(result, "inbound.accepted")
    finding, = findings(result, "inbound.not-delivered")
    assert "4.7.323" in finding["detail"], finding


class Busy:
    """Plain SMTP at many addresses of one network, each greeting after a while."""

    def __init__(self, addresses: list[str], wait: float) -> None:
        self.addresses, self.pause = addresses, wait
        self.lock, self.now, self.most = threading.Lock(), 0, 0

    def start(self) -> None:
        self.listeners = [socket.create_server((a, 25)) for a in self.addresses]
        for listener in self.listeners:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def wait(self) -> None:
        pass

    def stop(self) -> None:
        for listener in self.listeners:
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _count(self, more: int) -> None:
        with self.lock:
            self.now += more
            self.most = max(self.most, self.now)

    def _serve(self, conn: socket.socket) -> None:
        self._count(1)
        try:
            time.sleep(self.pause)
            conn.sendall(b"220 busy\r\n")
            for line in conn.makefile("rb"):
                if line.startswith(b"QUIT"):
                    break
                conn.sendall(b"250 ok\r\n")
            self._count(-1)  # before the client knows that it is over
            conn.sendall(b"221 bye\r\n")
        except OSError:
            pass
        conn.close()


@pytest.mark.parametrize("time_enough", [True, False])
def test_to_within_the_limits_of_a_network(daneway: Any, time_enough: bool) -> None:
    """12 addresses of one network: 8 sessions at a time, those of --to too; the others have their
    turn, or it is said that it did not come."""
    world = World("busy")
    server = world.add_daemon(Busy([world.address() for _ in range(12)],
                                   0.3 if time_enough else 1.2))
    world.add_zone("busy.example", ["@ MX 10 mx", *(f"mx A {a}" for a in server.addresses)])
    world.start()
    try:
        _, result, err = daneway.run(world, "check", "--only", "dane", "--to", "a@busy.example",
                                     "--timeout", "30" if time_enough else "3.5", "busy.example")
    finally:
        world.stop()
    said = [c for c in findings(result, "inbound.accepted") + findings(result, "inbound.deferred")]
    assert server.most == 8 and len(said) == 12, (server.most, result, err)
    late = [c for c in said if "before its turn came" in c["detail"]]
    assert len(late) == (0 if time_enough else 4), said


def test_to_usage(fragile: Any, daneway: Any) -> None:
    world, _ = fragile
    for args, expected in ((("--send", "inbound.example"), 64), (("--to", "x", "d.example"), 65),
                           (("--to", "a@[192.0.2.1]", "d.example"), 65),
                           (("--from", "a@b.test", "inbound.example"), 64),
                           (("--to", "a@inbound.example", "--to", "b@inbound.example"), 64)):
        code, _, err = daneway.run(world, "check", *args)
        assert code == expected, (args, code, err)
    code, result, _ = daneway.run(world, "check", "--to", "a@inbound.example", "other.example")
    assert (code, result["checks"][0]["id"]) == (3, "input.invalid"), result


def test_send(fragile: Any, daneway: Any) -> None:
    world, stages = fragile
    server = stages["inbound"].servers[0]
    before = len(server.messages)
    code, result = check(daneway, world, "inbound.example", "--to", "postmaster@inbound.example",
                         "--send", "--helo", "tester.test")
    finding, = findings(result, "inbound.delivered", "postmaster@inbound.example")
    assert code == 0 and "dane-ee" in finding["detail"], finding
    message, = server.messages[before:]
    assert message["tls"] and message["from"].startswith("FROM:<>"), message
    parsed = email.message_from_string(message["data"])
    assert parsed["To"] == "<postmaster@inbound.example>"
    assert parsed["From"] == "<postmaster@tester.test>"
    sent = email.utils.parsedate_to_datetime(parsed["Date"])
    assert abs(sent.timestamp() - time.time()) < 60
    assert re.fullmatch(r"<[0-9]+\.[0-9a-f]{24}@tester\.test>", parsed["Message-ID"])
    assert not parsed.defects and "no answer is needed" in parsed.get_payload().replace("\n", " ")


# --- save and replay (that a replay gives the same is checked in every test: check()) -------------

def damaged(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Copies of a document in which one part is missing, of another type, or another value."""
    items = (list(value.items()) if isinstance(value, dict)
             else list(enumerate(value)) if isinstance(value, list) else [])
    for key, part in items:
        for other in (None, "x", -1, [], {}, 10**12):
            copy = value.copy()
            copy[key] = other
            yield (*at, key), copy
        copy = value.copy()
        del copy[key]
        yield (*at, key), copy
        for where, changed in damaged(part, (*at, key)):
            copy = value.copy()
            copy[key] = changed
            yield where, copy


@pytest.mark.parametrize("name", ["two-keys", "under-a-ca"])
def test_replay_of_a_damaged_file(fragile: Any, daneway: Any, name: str) -> None:
    """A result or a refusal; never a crash."""
    world, stages = fragile
    path = world.dir / "damaged.json"
    daneway.run(world, "check", "--save", str(path), stages[name].domain)
    saved = json.loads(path.read_text())
    variants = list(damaged(saved))
    random.Random(7672).shuffle(variants)
    refused = 0
    for where, variant in variants[:400]:
        path.write_text(json.dumps(variant))
        code, result, err = daneway.run(world, "check", "--replay", str(path))
        assert code in (0, 1, 2, 3, 78), (where, code, err)
        assert (code == 78) == (str(path) in err), (where, code, err)
        refused += code == 78
    assert 0 < refused < 400


def test_replay_usage(fragile: Any, daneway: Any, tmp_path: Any) -> None:
    world, _ = fragile
    path = str(tmp_path / "saved.json")
    assert daneway.run(world, "check", "--save", path, "two-keys.example")[0] == 0
    for args in (("two-keys.example",), ("--to", "a@two-keys.example"), ("--at", "5000000000"),
                 ("--save", path)):
        code, _, err = daneway.run(world, "check", "--replay", path, *args)
        assert code == 64 and "--replay" in err, (args, code, err)
    for args in (("two-keys.example", "without-dane.example"), ("-",)):
        code, _, err = daneway.run(world, "check", "--save", path, *args)
        assert code == 64 and "--save" in err, (args, code, err)
    code, _, err = daneway.run(world, "check", "--save", str(tmp_path / "no" / "x"),
                               "two-keys.example")
    assert code == 74, err
    daneway.run(world, "policy", "--save", path, "two-keys.example")
    code, _, err = daneway.run(world, "check", "--replay", path)
    assert code == 78 and "daneway check --save" in err, err
    assert daneway.run(world, "check", "--replay", path, "--nagios")[0] == 3


def test_replay_needs_no_network(fragile: Any, daneway: Any, tmp_path: Any) -> None:
    world, _ = fragile
    path = str(tmp_path / "saved.json")
    _, before, _ = daneway.run(world, "check", "--save", path, "two-keys.example")
    _, after, err = daneway.run(world, "check", "--replay", path, via=("unshare", "-n"))
    assert before == after, err


def test_what_if_on_a_replay(fragile: Any, daneway: Any, tmp_path: Any) -> None:
    world, stages = fragile
    path = str(tmp_path / "saved.json")
    daneway.run(world, "check", "--save", path, "two-keys.example")
    _, result, _ = daneway.run(world, "check", "--replay", path, "--record",
                               stages["two-keys"].keys[0].tlsa(3, 1, 1))
    assert len(findings(result, "what-if.record-match")) == 1, result
