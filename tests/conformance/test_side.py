"""Side by side in small, so that it cannot rot; and that its judge and its book-keeping object."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import outcome
import report
import side
from case import Case, load
from drive import Daneway
from lab.namespace import HOME
from lab.smtp_server import Session
from outcome import Seen, Verdict
from peers import EximSender, Wish, everyone
from side import AS_REQUIRED, DIFFERS, Difference, Explanations, Found

# One of each kind: authenticated, refused, encrypted, in clear, returned; mandatory, relay; of
# what differs each peer something.
SMOKE = ["c1", "c8-311", "c13-root-201", "c19-stuffed", "d2-no-tlsa", "m25-configured-relay",
         "m9-nxdomain-secure", "n6-original", "s1-absent-may", "t2-unusable", "t6-servfail"]


def test_all_senders_over_a_few_cases(needs_users: None) -> None:
    program = Daneway(Path(os.environ.get("DANEWAY", str(HOME / "build/daneway"))))
    cases = [case for case in load() if case.id in SMOKE]
    assert len(cases) == len(SMOKE)
    explanations = Explanations.read()
    results = side.run(everyone(program), cases, explanations)
    assert side.unexplained(results, explanations) == []
    assert all(one.state == AS_REQUIRED for one in results["daneway"].values())
    assert results["Postfix"]["c1"].did == "delivered over TLS to mx"
    assert results["Exim"]["c8-311"].did == "deferred"
    assert results["posttls-finger"]["c1"].did == "Verified at mx"
    text = report.text(cases, results, explanations, {"Postfix": "1"}, "2020-01-01")
    assert "| C19 |" in text and "**1. " in text


# --- the demand for explanations

def _results(**states: str) -> dict[str, dict[str, Found]]:
    return {"Exim": {case.replace("_", "-"): Found(state, "deferred", ["why"])
                     for case, state in states.items()}}


@pytest.mark.parametrize("state, explained, words", [
    (DIFFERS, False, "does not say why"), (AS_REQUIRED, True, "it does not differ"),
    (DIFFERS, True, ""), (AS_REQUIRED, False, "")])
def test_every_difference_and_only_a_difference_is_explained(state: str, explained: bool,
                                                             words: str) -> None:
    differences = [Difference(["c1"], ["Exim"], "because")] if explained else []
    wrong = side.unexplained(_results(c1=state), Explanations(differences, []))
    assert len(wrong) == bool(words) and all(words in line for line in wrong)


@pytest.mark.parametrize("text, words", [
    ('[[difference]]\ncases = ["c1", "c1"]\npeers = ["Exim"]\ntext = "t"\n', "twice"),
    ('[[difference]]\ncases = ["c0"]\npeers = ["Exim"]\ntext = "t"\n', "no such case")])
def test_a_wrong_explanation_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "differences.toml"
    path.write_text(text)
    with pytest.raises(side.SideError, match=words):
        Explanations.read(path)


def test_explanations_are_about_known_senders() -> None:
    names = {peer.name for peer in everyone(Daneway(Path("none")))}
    assert {peer for one in Explanations.read().differences for peer in one.peers} <= names


# --- the judge

def _staged(deliver: dict[str, Any], **fields: Any) -> Any:
    case = Case(id="x", rows=["T1"], title="t", deliver=deliver, **fields)
    return SimpleNamespace(case=case, fill=lambda value: value, token="token-x",
                           recipients=["b@x.example"], servers={"mx": None},
                           addresses={("mx", "1"): "198.18.0.1"}, expected={"deliver": deliver},
                           arrives=b"Subject: s\r\n\r\ntoken-x\r\n")


def _seen(result: str, clear: str = "EHLO a\r\nSTARTTLS\r\n", secure: str = "EHLO a\r\n",
          message: dict[str, Any] | None = None, proven: bool = True) -> Seen:
    messages = [{"from": "FROM:<>", "to": ["b@x.example"], "tls": True,
                 "data": "Received: x\r\nSubject: s\r\n\r\ntoken-x\r\n", **message}] \
        if message is not None else []
    session = Session(0, "198.18.0.1", 25, "", sni="mx.x.example", clear=clear, secure=secure,
                      tls={"version": "TLSv1.3"}, messages=messages)
    return Seen({"b@x.example": result}, {"mx": [session]}, [("mx.x.example", "A")],
                {"198.18.0.1": proven})


GOOD = {"result": "delivered", "attempts": [{"host": "mx", "level": "dane", "result": "delivered",
                                            "tls": {"authenticated": "dane-ee"}}]}
BAD = {"result": "deferred", "attempts": [{"host": "mx", "level": "dane", "result": "deferred",
                                          "tls": {"authenticated": "no"}}]}


def test_what_is_required_passes() -> None:
    staged = _staged(GOOD, message="mx", over="tls", sni="mx", not_asked=["other A"])
    assert outcome.objections(staged, _seen("delivered", message={})) == []
    assert outcome.objections(_staged(BAD, no_mail=True), _seen("deferred")) == []


@pytest.mark.parametrize("deliver, fields, seen, words", [
    (GOOD, {}, _seen("deferred"), "deferred, required delivered"),
    (GOOD, {}, _seen("twice", message={}), "twice, required"),
    (GOOD, {}, _seen("pending"), "pending, required"),
    (GOOD, {}, _seen("delivered", message={}, proven=False), "not authenticated"),
    (GOOD, {}, _seen("delivered", "EHLO a\r\nMAIL FROM:<>\r\n", message={}), "MAIL in clear"),
    (GOOD, {}, _seen("delivered", message={"to": ["c@x.example"]}), "who was not asked for"),
    (GOOD, {}, _seen("delivered", message={"data": "A: b\r\n\r\nanother\r\n"}), "another text"),
    (GOOD, {"over": "tls"}, _seen("delivered", message={"tls": False}), "in clear"),
    (GOOD, {"sni": "other"}, _seen("delivered", message={}), "SNI"),
    (GOOD, {"not_asked": ["mx A"]}, _seen("delivered", message={}), "asked mx.x.example A"),
    (GOOD, {"not_connected": ["mx"]}, _seen("delivered", message={}), "connected to mx"),
    (GOOD, {"never": ["EHLO a"]}, _seen("delivered", message={}), "not for it"),
    (BAD, {}, _seen("deferred", secure="EHLO a\r\nMAIL FROM:<>\r\n"), "MAIL, not authenticated"),
    (BAD, {}, _seen("deferred", "EHLO a\r\nSTARTTLS\r\n\x16\x03\x01"), "handshake"),
    ({"result": "deferred"}, {"no_mail": True}, _seen("deferred", secure="RCPT TO:<c@d>\r\n"),
     "the envelope")])
def test_what_is_not_is_named(deliver: dict, fields: dict, seen: Seen, words: str) -> None:
    assert any(words in why for why in outcome.objections(_staged(deliver, **fields), seen))


def test_a_message_that_no_transaction_began_is_none() -> None:
    """The scripted servers take the end of a message after a refused MAIL."""
    assert outcome.accepted(_seen("x", message={"from": None}).sessions) == {}


@pytest.mark.parametrize("taken, waiting, result", [
    (True, False, "delivered"), (True, True, "twice"), (False, True, "deferred"),
    (False, False, "failed")])
def test_what_became_of_a_recipient(taken: bool, waiting: bool, result: str) -> None:
    sessions = _seen("x", message={} if taken else None).sessions
    assert outcome.result(_staged(GOOD), "B@x.example", sessions, waiting) == result


@pytest.mark.parametrize("deliver, verdict, right", [
    (GOOD, Verdict("Verified", "mx"), True), (GOOD, Verdict("Trusted", "mx"), False),
    (GOOD, Verdict("", ""), False), (BAD, Verdict("Untrusted", "mx"), True),
    (BAD, Verdict("Verified", "mx"), False)])
def test_a_verdict(deliver: dict, verdict: Verdict, right: bool) -> None:
    assert (outcome.verdict_objections(_staged(deliver), verdict) == []) is right


# --- the drivers

def test_every_option_of_a_case_is_a_setting_of_a_peer() -> None:
    for case in side.sender_cases():
        Wish.of(SimpleNamespace(case=case, fill=lambda value: value))


@pytest.mark.parametrize("next_hop, route", [
    ("[mx.a.example]", "mx.a.example"), ("[mx.a.example]:10025", "mx.a.example::10025"),
    ("a.example", "a.example/MX"), ("a.example:2525", "a.example/MX::2525"),
    ("[198.18.0.1]:25", "198.18.0.1::25")])
def test_a_next_hop_in_words_of_exim(next_hop: str, route: str) -> None:
    assert EximSender()._route(next_hop) == route
