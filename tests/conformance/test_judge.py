"""The judge itself: what it lets pass would prove nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import judge
import wire
from case import Case
from drive import Run
from lab.smtp_server import Session

GOOD: dict[str, Any] = {"domain": "x", "host": "mx.x.example", "address": "198.18.0.1",
                        "level": "dane", "tls": {"authenticated": "dane-ee"},
                        "result": "delivered", "status": "2.0.0", "reply": "", "tlsrpt": None}


def _staged(**fields: Any) -> Any:
    case = Case(id="x", rows=["T1"], title="t", **fields)
    return SimpleNamespace(case=case, fill=lambda value: value, token="token-x",
                           recipients=["b@x.example"], servers={"mx": None}, records=[],
                           arrives=b"token-x\r\n")


def _run(session: Session, attempt: dict[str, Any]) -> Run:
    output = {"result": "delivered", "attempts": [{**GOOD, **attempt}],
              "recipients": {"b@x.example": {"result": "delivered"}}}
    return Run("deliver", [], 0, output, "", 0, [("mx.x.example", "A")], {"mx": [session]})


def _session(clear: str, secure: str, tls: bool = True) -> Session:
    message = {"from": "", "to": ["B@x.example"], "data": "token-x\r\n", "tls": tls}
    return Session(0, "198.18.0.1", 25, "", sni="mx.x.example", clear=clear, secure=secure,
                   tls={"version": "TLSv1.3", "resumed": False}, messages=[message])


def test_a_clean_session_passes() -> None:
    run = _run(_session("EHLO a\r\nSTARTTLS\r\n", "EHLO a\r\nMAIL FROM:<>\r\n"), {})
    staged = _staged(sni="mx", message="mx", over="tls")
    assert list(wire.judge(staged, run)) == []


@pytest.mark.parametrize("clear, secure, attempt, words", [
    ("EHLO a\r\nMAIL FROM:<>\r\n", "", {}, "in clear"),
    ("EHLO a\r\nSTARTTLS\r\nx", "", {"level": "encrypt"}, "in clear"),
    ("EHLO a\r\nSTARTTLS\r\n", "EHLO a\r\n", {"tls": {"authenticated": "no"}}, "did not authent"),
    ("EHLO a\r\nSTARTTLS\r\n", "EHLO a\r\n", {"tls": None}, "did not authent")])
def test_the_promise_is_judged_without_being_asked(clear: str, secure: str, attempt: dict,
                                                   words: str) -> None:
    objections = list(wire._levels(_staged(), _run(_session(clear, secure), attempt)))
    assert objections and words in objections[0]


@pytest.mark.parametrize("fields, words", [
    ({"no_mail": True}, "got 'RCPT TO'"), ({"never": ["B@x.example"]}, "got"),
    ({"not_connected": ["mx"]}, "connected to mx")])
def test_proofs_on_the_wire(fields: dict, words: str) -> None:
    run = _run(_session("EHLO a\r\n", "RCPT TO:<b@x.example>\r\n"), {})
    assert any(words in o for o in wire._nowhere(_staged(**fields), run))


HELLO: dict[str, Any] = {"record_type": 22, "versions": [0x0304, 0x0303], "compressions": [0],
                         "suites": [0x1301, 0xC02F, 0x00FF], "extensions": [0, 43]}


@pytest.mark.parametrize("fields, words", [
    ({"secure": "MAIL FROM:<>\n"}, "S22"), ({"clear": "EHLO a\rSTARTTLS\r\n"}, "S22"),
    ({"clear": "EHLO a\r\nSTARTTLS\r\nEHLO a\r\n"}, "S13"),
    ({"commands": ["EHLO a", "STARTTLS", "tls:MAIL FROM:<>"]}, "S11"),
    ({"commands": ["tls:EHLO a", "tls:STARTTLS"]}, "S12"), ({"tls": {"resumed": True}}, "S21"),
    ({"hello": {"record_type": 0x80}}, "P7"), ({"hello": {**HELLO, "suites": [0x0034]}}, "P8"),
    ({"hello": {**HELLO, "suites": [0x0002]}}, "P11"),
    ({"hello": {**HELLO, "suites": [0x0005]}}, "none of OpenSSL's"),
    ({"hello": {**HELLO, "versions": [0x0303]}}, "P3"),
    ({"hello": {**HELLO, "compressions": [1, 0]}}, "P18"),
    ({"hello": {**HELLO, "extensions": [41]}}, "S21"),
    ({"hello": {**HELLO, "extensions": [20]}}, "P12")])
def test_promises_of_every_session(fields: dict, words: str) -> None:
    session = _session("EHLO a\r\nSTARTTLS\r\n", "EHLO a\r\n")
    session.hello = HELLO
    assert list(wire._session(session)) == []
    for key, value in fields.items():
        setattr(session, key, value)
    assert any(words in objection for objection in wire._session(session))


def test_old_versions_are_offered_at_may_only() -> None:
    session = _session("EHLO a\r\nSTARTTLS\r\n", "EHLO a\r\n")
    session.hello = {**HELLO, "versions": [0x0304, 0x0303, 0x0302]}
    assert any("P1" in o for o in wire._levels(_staged(), _run(session, {})))
    assert list(wire._levels(_staged(), _run(session, {"level": "may"}))) == []


@pytest.mark.parametrize("said, same", [
    ("EHLO STARTTLS tls:EHLO", True), (["EHLO STARTTLS tls:EHLO"], True), ("EHLO.*", True),
    ("EHLO STARTTLS", False), (["EHLO STARTTLS tls:EHLO", "EHLO"], False)])
def test_said(said: Any, same: bool) -> None:
    session = _session("", "")
    session.commands = ["EHLO a", "starttls", "tls:EHLO a"]
    run = _run(session, {})
    assert (list(wire._said(_staged(said=said), run)) == []) is same
    assert list(wire._said(_staged(not_said=["tls:ehlo"]), run))


def test_questions_that_must_not_be_asked() -> None:
    run = _run(_session("", ""), {})
    assert list(judge._questions(_staged(not_asked=["mx A"]), run))
    assert list(judge._questions(_staged(not_asked=["* A"]), run))
    assert not list(judge._questions(_staged(not_asked=["mx AAAA"]), run))
    assert list(judge._questions(_staged(asked=["mx AAAA"]), run))


def test_the_message_is_looked_for_everywhere() -> None:
    run = _run(_session("", "", tls=False), {})
    assert list(wire._arrival(_staged(over="tls"), run))
    assert list(wire._arrival(_staged(message="other"), run))
    run.output["recipients"]["b@x.example"]["result"] = "deferred"
    assert list(wire._arrival(_staged(), run))


@pytest.mark.parametrize("expected, actual, same", [
    ({"host": "mx"}, {"host": "mx.x.example", "more": 1}, True), ({"a": "-"}, {"a": None}, True),
    ({"a": "-"}, {"a": "-"}, False), ({"a": "~^b"}, {"a": "bc"}, True), ([], [1], False),
    ({"a": 1}, {}, False), ({"host": "mx"}, {"host": "mx.y.example"}, False)])
def test_subset(expected: Any, actual: Any, same: bool) -> None:
    assert (list(judge._differences(_staged(), expected, actual, "")) == []) is same


def test_a_deviation_forgives_output_only() -> None:
    expected = list(judge._differences(_staged(), {"outcome": "dane"}, {"outcome": "may"}, ""))
    assert all(judge.is_about_output(o) for o in expected) and expected
    run = _run(_session("MAIL FROM:<>\r\n", ""), {})
    proofs = [*wire._nowhere(_staged(no_mail=True), run), *wire._arrival(_staged(over="clear"), run),
              *judge._questions(_staged(not_asked=["mx A"]), run)]
    assert len(proofs) >= 3 and not any(judge.is_about_output(o) for o in proofs)
