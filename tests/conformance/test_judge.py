"""The judge itself: what it lets pass would prove nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import judge
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
                           data=b"token-x\r\n")


def _run(session: Session, attempt: dict[str, Any]) -> Run:
    output = {"result": "delivered", "attempts": [{**GOOD, **attempt}], "recipients": {}}
    return Run("deliver", [], 0, output, "", 0, [("mx.x.example", "A")], {"mx": [session]})


def _session(clear: str, secure: str, tls: bool = True) -> Session:
    message = {"from": "", "to": [], "data": "token-x\r\n", "tls": tls}
    return Session(0, "198.18.0.1", 25, "", sni="mx.x.example", tls={"version": "TLSv1.3"}, clear=clear, secure=secure,
                   messages=[message])


def test_a_clean_session_passes() -> None:
    run = _run(_session("EHLO a\r\nSTARTTLS\r\n", "EHLO a\r\nMAIL FROM:<>\r\n"), {})
    staged = _staged(sni="mx", message="mx", over="tls")
    for part in (judge._wire, judge._arrival, judge._sni):
        assert list(part(staged, run)) == []


@pytest.mark.parametrize("clear, secure, attempt, words", [
    ("EHLO a\r\nMAIL FROM:<>\r\n", "", {}, "in clear"),
    ("EHLO a\r\nSTARTTLS\r\nx", "", {"level": "encrypt"}, "in clear"),
    ("EHLO a\r\nSTARTTLS\r\n", "EHLO a\r\n", {"tls": {"authenticated": "no"}}, "did not authent"),
    ("EHLO a\r\nSTARTTLS\r\n", "EHLO a\r\n", {"tls": None}, "did not authent")])
def test_the_promise_is_judged_without_being_asked(clear: str, secure: str, attempt: dict,
                                                   words: str) -> None:
    objections = list(judge._wire(_staged(), _run(_session(clear, secure), attempt)))
    assert objections and words in objections[0]


@pytest.mark.parametrize("fields, words", [
    ({"no_mail": True}, "got 'RCPT TO'"), ({"never": ["B@x.example"]}, "got"),
    ({"not_connected": ["mx"]}, "connected to mx")])
def test_proofs_on_the_wire(fields: dict, words: str) -> None:
    run = _run(_session("EHLO a\r\n", "RCPT TO:<b@x.example>\r\n"), {})
    assert any(words in o for o in judge._wire(_staged(**fields), run))


def test_questions_that_must_not_be_asked() -> None:
    run = _run(_session("", ""), {})
    assert list(judge._questions(_staged(not_asked=["mx A"]), run))
    assert list(judge._questions(_staged(not_asked=["* A"]), run))
    assert not list(judge._questions(_staged(not_asked=["mx AAAA"]), run))
    assert list(judge._questions(_staged(asked=["mx AAAA"]), run))


def test_the_message_is_looked_for_everywhere() -> None:
    run = _run(_session("", "", tls=False), {})
    assert list(judge._arrival(_staged(over="tls"), run))
    assert list(judge._arrival(_staged(message="other"), run))
    run.output["result"] = "deferred"
    assert list(judge._arrival(_staged(), run))


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
    proofs = [*judge._wire(_staged(no_mail=True), run), *judge._arrival(_staged(over="clear"), run),
              *judge._questions(_staged(not_asked=["mx A"]), run)]
    assert len(proofs) >= 3 and not any(judge.is_about_output(o) for o in proofs)
