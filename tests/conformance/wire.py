"""Judges what the mail servers of a case saw: promises that hold in every session, and proofs."""

from __future__ import annotations

import functools
import re
import ssl
from typing import Any, Iterator

from drive import Run
from lab.smtp_server import Session
from stage import Staged

IN_CLEAR = re.compile(r"(EHLO|HELO) \S+|STARTTLS|QUIT", re.I)
QUIT = re.compile(r"(QUIT\r\n)?", re.I)
BARE = re.compile(r"\r(?!\n|\Z)|(?<!\r)\n")
TLS12, TLS13 = 0x0303, 0x0304
PRE_SHARED_KEY, SERVER_CERTIFICATE_TYPE = 41, 20
SIGNALLING = (0x00FF, 0x5600)           # no suites: RFC 5746, RFC 7507


def judge(staged: Staged, run: Run) -> Iterator[str]:
    for name, sessions in run.sessions.items():
        for session in sessions:
            yield from (f"{name}: {objection}" for objection in _session(session))
    for proof in (_levels, _nowhere, _arrival, _sni, _said):
        yield from proof(staged, run)


# --- every session

def _session(session: Session) -> Iterator[str]:
    if BARE.search(session.clear) or BARE.search(session.secure):
        yield "a bare CR or LF (S22)"
    if (session.tls or session.tls_error) and not session.clear.endswith("STARTTLS\r\n"):
        yield f"in clear between STARTTLS and the handshake: {session.clear[-80:]!r} (S13)"
    inside = [c for c in session.commands if c.startswith("tls:")]
    if inside and not re.match(r"tls:(EHLO |QUIT$)", inside[0], re.I):
        yield f"the first word inside TLS is {inside[0]!r} (S11)"
    if any(re.match(r"tls:STARTTLS", c, re.I) for c in inside):
        yield "STARTTLS inside TLS (S12)"
    if session.tls and session.tls.get("resumed"):
        yield "a resumed TLS session (S21)"
    if session.hello:
        yield from _hello(session.hello)


@functools.cache
def _suites() -> dict[int, dict[str, Any]]:
    """All that OpenSSL knows, the worst included."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    return {suite["id"] & 0xFFFF: suite for suite in context.get_ciphers()}


def _hello(hello: dict[str, Any]) -> Iterator[str]:
    """What is offered at no level: P7, P8-P11, P12, P18, S21."""
    if hello["record_type"] != 22:
        yield f"the handshake begins with {hello['record_type']} (P7)"
        return
    for number in set(hello["suites"]) - set(SIGNALLING):
        suite = _suites().get(number)
        if suite is None:
            yield f"offers a cipher suite 0x{number:04x} that is none of OpenSSL's"
        elif suite["auth"] == "auth-null" or suite["strength_bits"] < 112 or \
                "rc4" in str(suite["symmetric"]):
            yield f"offers {suite['name']} (P8, P11)"
    if TLS13 not in hello["versions"]:
        yield "does not offer TLS 1.3 (P3)"
    if hello["compressions"] != [0]:
        yield "offers compression (P18)"
    if PRE_SHARED_KEY in hello["extensions"]:
        yield "offers to resume a session (S21)"
    if SERVER_CERTIFICATE_TYPE in hello["extensions"]:
        yield "offers raw public keys (P12)"


# --- what the level of an attempt promises

def _levels(staged: Staged, run: Run) -> Iterator[str]:
    attempts = run.output.get("attempts", []) if isinstance(run.output, dict) else []
    lax = {a["address"] for a in attempts if a["level"] == "may"}   # for another domain, perhaps
    strict = {a["address"] for a in attempts if a["level"] in ("dane", "encrypt")} - lax
    proven = {a["address"] for a in attempts
              if (a["tls"] or {}).get("authenticated") in ("dane-ee", "dane-ta")}
    unproven = {a["address"] for a in attempts if a["level"] == "dane"} - lax - proven
    for name, sessions in run.sessions.items():
        for session in sessions:
            if session.server in strict:
                yield from _only_tls(name, session)
            if session.server in strict and session.hello and \
                    set(session.hello.get("versions", [])) - {TLS12, TLS13}:
                yield f"{name} was offered TLS versions {session.hello['versions']} (P1)"
            if session.server in unproven and not QUIT.fullmatch(session.secure):
                yield f"to {name}, which did not authenticate: {session.secure[:200]!r}"


def _only_tls(name: str, session: Session) -> Iterator[str]:
    for line in session.clear.splitlines():
        if not IN_CLEAR.fullmatch(line):
            yield f"in clear to {name}: {line!r}"


# --- the case's own proofs

def _names(value: bool | str | list[str], staged: Staged) -> list[str]:
    if isinstance(value, bool):
        return list(staged.servers) if value else []
    return [value] if isinstance(value, str) and value else list(value)


def _nowhere(staged: Staged, run: Run) -> Iterator[str]:
    """`clear_only`, `no_mail`, `never`, `not_connected`."""
    for name, sessions in run.sessions.items():
        for session in sessions:
            if name in _names(staged.case.clear_only, staged):
                yield from _only_tls(name, session)
            got = session.clear + session.secure
            for word in staged.fill(staged.case.never):
                if word.lower() in got.lower():
                    yield f"{name} got {word!r}"
            if name in _names(staged.case.no_mail, staged):
                for word in ("MAIL FROM", "RCPT TO", staged.token, *staged.recipients):
                    if word.lower() in got.lower():
                        yield f"{name} got {word!r}"
        if name in staged.case.not_connected and sessions:
            yield f"connected to {name}"


def _arrival(staged: Staged, run: Run) -> Iterator[str]:
    """The message is where it was said to be, whole, for the recipients that were said."""
    out = run.output if isinstance(run.output, dict) else {}
    got = {name: [m for s in sessions for m in s.messages]
           for name, sessions in run.sessions.items()}
    wanted = _names(staged.case.message, staged)
    holders = [name for name, messages in got.items() if messages]
    if wanted and sorted(holders) != sorted(wanted):
        yield f"the message is at {holders}, expected {wanted}"
    said = sorted(_on_wire(to) for to, r in out.get("recipients", {}).items()
                  if r["result"] == "delivered")
    accepted = sorted(to.lower() for messages in got.values() for m in messages for to in m["to"])
    if said != accepted:
        yield f"said to be delivered to {said}, but accepted for {accepted}"
    for name in holders:
        for message in got[name]:
            if message["data"].encode("latin-1") != staged.arrives:
                yield f"{name} got another message: {message['data']!r}"
            if staged.case.over and message["tls"] != (staged.case.over == "tls"):
                yield f"{name} got the message {'under TLS' if message['tls'] else 'in clear'}"


def _on_wire(address: str) -> str:
    local, _, domain = address.lower().rpartition("@")
    return f"{local}@{domain.encode('idna').decode()}"


def _sni(staged: Staged, run: Run) -> Iterator[str]:
    wanted = staged.case.sni
    if not wanted:
        return
    for server, name in (wanted.items() if isinstance(wanted, dict) else [("mx", wanted)]):
        expected = None if name == "-" else staged.case.absolute(staged.fill(name))
        seen = {s.sni for s in run.sessions[server] if s.tls or s.tls_error}
        if seen != {expected}:
            yield f"SNI at {server}: {seen or 'no handshake'}, expected {expected}"


def _said(staged: Staged, run: Run) -> Iterator[str]:
    """`said`: the verbs of each session in order; `not_said`."""
    wanted = staged.case.said or {}
    for server, each in (wanted.items() if isinstance(wanted, dict) else [("mx", wanted)]):
        patterns = [each] if isinstance(each, str) else each
        heard = [" ".join(_verb(c) for c in s.commands) for s in run.sessions[server]]
        if len(heard) != len(patterns) or not all(map(re.fullmatch, patterns, heard)):
            yield f"said to {server}: {heard}, expected {patterns}"
    for pattern in staged.case.not_said:
        for name, sessions in run.sessions.items():
            for command in (c for s in sessions for c in s.commands):
                if re.search(pattern, command, re.I):
                    yield f"said to {name}: {command!r}"


def _verb(command: str) -> str:
    return (command.split() or [""])[0].upper().replace("TLS:", "tls:")
