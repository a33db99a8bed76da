"""Judges what a sender did by what the servers of the case saw: the same for daneway and its peers.

Required is what a case says of the outcome: delivered, deferred or returned; over authenticated TLS,
TLS or in clear; no octet where it must not go; SNI; what must not be asked. Wording, status codes and
the order of commands are daneway's own and not asked of a peer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Iterator

import judge
import wire
from lab.smtp_server import Session
from stage import Staged

STRICT = ("dane", "encrypt")
MAIL = re.compile(r"^(?:MAIL FROM|RCPT TO|DATA|BDAT)\b.*$", re.I | re.M)


@dataclass
class Seen:
    """What one sender did with the message of a case.

    `recipients`: delivered, deferred, failed (returned to the sender), twice (accepted by a server
    and kept for another delivery), pending (it never came to an end).
    """

    recipients: dict[str, str]
    sessions: dict[str, list[Session]]                  # by server
    questions: list[tuple[str, str]]                    # to the case's name server: name, type
    # Address -> whether the sender itself says that it authenticated the server. No server can see
    # it; it counts beside what the servers saw, never instead of it.
    authenticated: dict[str, bool] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)        # the sender's own words, for the reader


def on_wire(address: str) -> str:
    """The address as it is compared: lower case, the domain in A-labels."""
    local, _, domain = address.lower().rpartition("@")
    try:
        return f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        return f"{local}@{domain}"


def _text(received: str) -> str:
    """What the servers write down is Latin-1; what they got may be UTF-8."""
    return received.encode("latin-1").decode("utf-8", errors="replace")


def accepted(sessions: dict[str, list[Session]]) -> dict[str, list[dict[str, Any]]]:
    """Server -> the messages that it took. The scripted servers also take the end of a message whose
    MAIL they had refused (a pipelining client may send that): no real server would."""
    got = {name: [m for s in each for m in s.messages if m["from"] is not None]
           for name, each in sessions.items()}
    return {name: messages for name, messages in got.items() if messages}


def envelope(sessions: dict[str, list[Session]]) -> list[str]:
    """The recipients for whom a server took the message."""
    return [on_wire(_text(to)) for messages in accepted(sessions).values() for m in messages
            for to in m["to"]]


def result(staged: Staged, address: str, sessions: dict[str, list[Session]], waiting: bool) -> str:
    """What became of a recipient, from the servers and the sender's queue."""
    taken = on_wire(address) in envelope(sessions) or (
        len(staged.recipients) == 1 and bool(envelope(sessions)))   # for somebody else, then
    if taken:
        return "twice" if waiting else "delivered"
    return "deferred" if waiting else "failed"


# --- what is required

def _required_results(staged: Staged) -> dict[str, str]:
    deliver = staged.expected["deliver"]
    each = {on_wire(to): r["result"] for to, r in deliver.get("recipients", {}).items()
            if "result" in r}
    return {to: each.get(on_wire(to), deliver.get("result", "")) for to in staged.recipients}


def server_of(staged: Staged, host: str, address: str | None = None) -> str:
    """The server that a host of an expectation is; "" if that cannot be told."""
    for (name, _), at in staged.addresses.items():
        if at == address:
            return name
    names = list(dict.fromkeys(name for name, _ in staged.addresses))
    same = [name for name in names if host == name or
            staged.case.absolute(host or "@") == staged.case.absolute(name)]
    if len(same) != 1:
        same = [name for name in names if host.split(".")[0] == name] or names
    return same[0] if len(same) == 1 else ""


@dataclass
class Required:
    """What is required at one server."""

    level: str
    result: str = ""                    # of the attempt, where the case says so
    authenticated: str = ""             # dane-ee, dane-ta, no; "" if the case does not say


def required(staged: Staged) -> dict[str, Required]:
    """Server -> what is required of an attempt there, as far as the case says."""
    found: dict[str, Required] = {}
    levels: dict[str, set[str]] = {}
    for attempt in staged.expected["deliver"].get("attempts", []):
        address = attempt.get("address")
        name = server_of(staged, attempt.get("host", ""), None if address == "-" else address)
        tls = attempt.get("tls", {})
        tls = {"authenticated": "no"} if tls == "-" else tls
        if name and attempt.get("level") in (*STRICT, "may"):
            levels.setdefault(name, set()).add(attempt["level"])
            found[name] = Required(attempt["level"], attempt.get("result", ""),
                                   tls.get("authenticated", ""))
    policy = staged.expected.get("policy") or {}
    for host in policy.get("hosts", []):
        name = server_of(staged, host.get("host", ""))
        if name and name not in found and host.get("level") in (*STRICT, "may"):
            levels.setdefault(name, set()).add(host["level"])
            found[name] = Required(host["level"])
    if not found and policy.get("outcome") in (*STRICT, "may"):
        return {name: Required(policy["outcome"]) for name in staged.servers}
    # One server may be two hosts, for two domains.
    return {name: one for name, one in found.items() if len(levels[name]) == 1}


# --- objections

def objections(staged: Staged, seen: Seen) -> list[str]:
    """What was done otherwise than required; none: as required."""
    found = [*_results(staged, seen), *_arrival(staged, seen), *_levels(staged, seen),
             *_nowhere(staged, seen), *_not_said(staged, seen), *_not_asked(staged, seen)]
    if any(s.tls or s.tls_error for each in seen.sessions.values() for s in each):
        found += _sni(staged, seen)
    if any(why.startswith("delivered, required ") for why in found):
        found = [why for why in found if not re.search(r" got (MAIL|RCPT|DATA|the message)", why)
                 or why.endswith(" in clear")]         # goes without saying
    return list(dict.fromkeys(found))


def _results(staged: Staged, seen: Seen) -> Iterator[str]:
    for to, wanted in _required_results(staged).items():
        got = seen.recipients[to]
        if wanted and got != wanted:
            yield f"{got}, required {wanted}" + (f" ({to})" if len(seen.recipients) > 1 else "")


def _arrival(staged: Staged, seen: Seen) -> Iterator[str]:
    taken = accepted(seen.sessions)
    wanted = wire._names(staged.case.message, staged)
    if wanted and taken and sorted(taken) != sorted(wanted):
        yield f"the message is at {' and '.join(sorted(taken))}, required {' and '.join(wanted)}"
    for to in sorted(set(envelope(seen.sessions)) - set(map(on_wire, staged.recipients))):
        yield f"delivered for {to}, who was not asked for"
    body = _body(staged.arrives)
    for name, messages in taken.items():
        for message in messages:
            if _body(message["data"].encode("latin-1")) != body:
                yield f"{name} got another text"
            if staged.case.over and message["tls"] != (staged.case.over == "tls"):
                yield f"{name} got it {'under TLS' if message['tls'] else 'in clear'}"


def _body(data: bytes) -> bytes:
    """What follows the header: an MTA adds fields to that."""
    return data.partition(b"\r\n\r\n")[2].rstrip(b"\r\n")


def _levels(staged: Staged, seen: Seen) -> Iterator[str]:
    """What is required where DANE or TLS is, whether or not the case asks for a proof."""
    for name, wanted in required(staged).items():
        if wanted.level not in STRICT:
            continue
        for session in seen.sessions.get(name, []):
            yield from _in_clear(name, session)
            if wanted.authenticated == "no" and wanted.level == "dane" and (
                    line := MAIL.search(session.secure)):
                yield f"{name} got {_verb(line[0])}, not authenticated"
            if wanted.level == "dane" and session.messages and \
                    not seen.authenticated.get(session.server, True):
                yield f"{name} got it under TLS that was not authenticated"


def _in_clear(name: str, session: Session) -> Iterator[str]:
    if session.clear.rpartition("STARTTLS\r\n")[2].startswith("\x16\x03"):
        yield f"{name} got a handshake that it had not agreed to"
        return
    for line in session.clear.splitlines():
        if not wire.IN_CLEAR.fullmatch(line):
            yield f"{name} got {_verb(line)} in clear"


def _verb(line: str) -> str:
    return (line.split() or ["an empty line"])[0].upper() if line.isascii() else "octets"


def _nowhere(staged: Staged, seen: Seen) -> Iterator[str]:
    """`clear_only`, `no_mail`, `never`, `not_connected`."""
    case = staged.case
    for name, sessions in seen.sessions.items():
        for session in sessions:
            if name in wire._names(case.clear_only, staged):
                yield from _in_clear(name, session)
            got = (session.clear + session.secure).lower()
            if any(word.lower() in got for word in staged.fill(case.never)):
                yield f"{name} got what was not for it"
            if name in wire._names(case.no_mail, staged) and any(
                    word.lower() in got for word in
                    ("MAIL FROM", "RCPT TO", staged.token, *staged.recipients)):
                yield f"{name} got {'the message' if session.messages else 'the envelope'}"
        if name in case.not_connected and sessions:
            yield f"connected to {name}"


def _sni(staged: Staged, seen: Seen) -> Iterator[str]:
    case = staged.case
    for name, text in (case.sni if isinstance(case.sni, dict) else {"mx": case.sni}).items():
        wanted = case.absolute(staged.fill(text)) if text not in ("", "-") else None
        names = {s.sni for s in seen.sessions.get(name, []) if s.tls or s.tls_error}
        if text and names and names != {wanted}:
            got = " and ".join(sorted(name or "none" for name in names))
            yield f"SNI {got}, required {wanted or 'none'}"


def _not_said(staged: Staged, seen: Seen) -> Iterator[str]:
    for pattern in staged.case.not_said:
        for name, sessions in seen.sessions.items():
            for command in (c for s in sessions for c in s.commands):
                if re.search(pattern, command, re.I):
                    yield f"{name} got {command.removeprefix('tls:')!r}"


def _not_asked(staged: Staged, seen: Seen) -> Iterator[str]:
    for text in staged.case.not_asked:
        name, rdtype = judge._question(staged, text)
        for asked, asked_type in seen.questions:
            if asked_type == rdtype and name in ("*", asked):
                yield f"asked {asked} {asked_type}"
                break


# --- in words

def did(staged: Staged, seen: Seen) -> str:
    """What became of the message, in a few words."""
    taken = accepted(seen.sessions)
    where = []
    for name, messages in taken.items():
        how = " and ".join(sorted({"over TLS" if m["tls"] else "in clear" for m in messages}))
        where.append(f"{how} to {name}")
    words = []
    for to, got in seen.recipients.items():
        word = {"failed": "returned", "twice": "accepted, and kept to be sent again",
                "pending": "never came to an end"}.get(got, got)
        if got in ("delivered", "twice") and where:
            word += " " + ", ".join(where)
        words.append(f"{to.split('@')[0]}: {word}" if len(seen.recipients) > 1 else word)
    return "; ".join(dict.fromkeys(words))


# --- a verdict about a host, without a message

@dataclass
class Verdict:
    """What posttls-finger says of the host that it spoke to last."""

    word: str                           # Verified, Trusted, Untrusted, Anonymous; "": no TLS
    server: str                         # "": none
    log: list[str] = field(default_factory=list)


def verdict_objections(staged: Staged, verdict: Verdict) -> list[str] | None:
    """None: the case does not say what a verdict should be."""
    wanted = required(staged)
    if verdict.server in staged.case.not_connected:     # it may look where nothing may be sent
        return ["Verified, required not"] if verdict.word == "Verified" else []
    if not verdict.server:
        whole = set(_required_results(staged).values()) == {"delivered"}
        must = [name for name, one in wanted.items()
                if one.result == "delivered" or (whole and len(wanted) == 1)]
        if must:
            return [f"spoke to no server, required {must[0]}"]
        return None if wanted else []
    if verdict.server not in wanted:
        return None
    one = wanted[verdict.server]
    verified = verdict.word == "Verified"
    delivered = one.result == "delivered" or (
        not one.result and len(wanted) == 1 and
        set(_required_results(staged).values()) == {"delivered"})
    if one.level == "dane" and delivered and not verified:
        return [f"{verdict.word or 'no TLS'}, required Verified"]
    if one.authenticated == "no" and verified:
        return ["Verified, required not"]
    if one.level == "may" and verified:
        return ["Verified, and there is nothing to verify by"]
    if one.level == "encrypt" and delivered and not verdict.word:
        return ["no TLS, required TLS"]
    return []


def said(verdict: Verdict) -> str:
    if not verdict.server:
        return "no server spoken to"
    return f"{verdict.word or 'no TLS'} at {verdict.server}"
