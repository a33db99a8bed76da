"""A case of the matrix as data: cases/SECTION.toml, described in README.md.

What is staged (`zones`, `servers`, `certs`, `dns`) is apart from what must come out: a driver of
another mail server stages the same and judges by `deliver["result"]` and the proofs alone.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Callable, Iterable

HERE = Path(__file__).resolve().parent
COMMON_ZONE = ["@ MX 10 mx", "mx A {mx}"]
TLSA = ["{mx:3 1 1}"]
TLDS = ("example", "test", "plain")     # the last is unsigned
ZONE_KEYS = ("ds", "algorithm", "more_algorithms", "idle_algorithms", "denial", "salt", "iterations",
             "damages", "extra_dnskeys", "ttl", "apex_ns")
# What `at.LEVEL` publishes at mx: a record that authenticates, one that is unusable (U2), none.
LEVEL_TLSA = {"dane": ["{mx:3 1 1}"], "encrypt": ["{mx:1 1 1}"], "may": []}
LEVEL_TLSRPT = {"encrypt": "tlsa-invalid", "may": "-"}
# `refused`: the status of DESIGN.md section 3 for a result type.
REFUSED = {"certificate-expired": "4.7.322", "certificate-not-trusted": "4.7.323",
           "certificate-host-mismatch": "4.7.325", "validation-failure": "4.7.323"}
# Values of these keys of the output are names: relative to the case's domain without a final dot.
NAME_KEYS = ("host", "tlsa_base", "domain")


class CaseError(Exception):
    """A case is not as README.md says."""


@dataclass
class Case:
    """One situation and what must come out of it."""

    id: str
    rows: list[str]
    title: str
    section: str = ""
    # staged
    zone: list[str] | None = None           # lines of ID.example; default: the common zone
    tlsa: list[str] = field(default_factory=lambda: list(TLSA))  # at _25._tcp.mx of the common zone
    more: list[str] = field(default_factory=list)                # lines added to it
    zone_options: dict[str, Any] = field(default_factory=dict)   # ds, denial, damages ... at the top
    zones: dict[str, dict[str, Any]] = field(default_factory=dict)
    servers: dict[str, dict[str, Any]] = field(default_factory=dict)
    certs: dict[str, dict[str, Any]] = field(default_factory=dict)
    dns: list[str | dict[str, Any]] = field(default_factory=list)
    dns_tcp: str = "serve"
    # the command
    argument: str = "{example}"             # of policy; the recipient's domain of deliver
    to: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    data: str = ""                          # the message on standard input; default: a nasty one
    trusted: list[str] = field(default_factory=list)    # certificates in the system's CA store
    # what must come out
    policy: dict[str, Any] | None = None
    hosts: list[dict[str, Any]] | None = None       # short for policy.hosts
    usable: list[int] = field(default_factory=list)     # usable and unusable records of the only host
    records: list[str] = field(default_factory=list)    # the only host's records, as text
    deliver: dict[str, Any] | None = None
    attempts: list[dict[str, Any]] | None = None    # short for deliver.attempts
    matched: str = ""           # short for: delivered to mx under TLS, this record authenticated it
    refused: str = ""           # short for: mx's certificate is refused, with this result type
    names: list[str] = field(default_factory=lambda: ["mx", "@"])   # of `tlsa match`
    # proofs
    asked: list[str] = field(default_factory=list)  # in this order
    not_asked: list[str] = field(default_factory=list)
    sni: str | dict[str, str] = ""
    message: str | list[str] = ""                   # the servers that got it, the rest did not
    over: str = ""                                  # tls, clear: how it got there
    said: str | list[str] | dict[str, str | list[str]] = ""     # to mx: verbs, an entry a session
    not_said: list[str] = field(default_factory=list)           # regular expressions, to nobody
    clear_only: bool | list[str] = False
    no_mail: bool | list[str] = False
    never: list[str] = field(default_factory=list)  # words that no server may get
    not_connected: list[str] = field(default_factory=list)
    seconds: float = 0                              # the command must end within
    deviation: str = ""                             # why another output comes out, known and safe
    slow: bool = False                              # left out of the short form

    @property
    def matchable(self) -> bool:
        """`tlsa match` must agree: rows of C, G, N, but those that only a handshake has."""
        return (any(re.fullmatch(r"[CGN]\d+", row) for row in self.rows)
                and not {"C33", "C34"} & set(self.rows) and self.deliver is not None
                and bool(self.attempts) and self.attempts[0].get("level") != "may")

    @property
    def commands(self) -> list[str]:
        return [name for name in ("policy", "deliver") if getattr(self, name) is not None]

    def zone_name(self, key: str) -> str:
        """"plain" is ID.plain, "sub.example" is sub.ID.example."""
        *above, tld = key.split(".")
        if tld not in TLDS:
            raise CaseError(f"{self.id}: zone {key} is below none of {', '.join(TLDS)}")
        return ".".join([*above, self.id, tld])

    def absolute(self, name: str) -> str:
        """A name as in a zone file, made absolute; no final dot in the result."""
        if name == "*":
            return name
        origin = self.zone_name("example")
        if name == "@":
            return origin
        return name[:-1] if name.endswith(".") else f"{name}.{origin}"

    def long_name(self) -> str:
        """A relative name of 250 octets in all: it fits into 255, with _25._tcp before it not."""
        left = 250 - len(self.zone_name("example")) - 2
        labels = []
        while left > 0:
            labels.append("l" * (min(left, 64) - 1))
            left -= 64
        return ".".join(labels)

    def zone_lines(self) -> list[str]:
        """The lines of the main zone."""
        if self.zone is not None:
            return self.zone + self.more
        return COMMON_ZONE + [f"_25._tcp.mx TLSA {record}" for record in self.tlsa] + self.more


PLACEHOLDER = re.compile(r"\{([a-z0-9_-]+)(?:([.:])([^{}]*))?\}")


def expand(value: Any, fill: Callable[[str, str, str], str]) -> Any:
    """Fills the placeholders of all strings in a value, keys of tables included."""
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda m: fill(m[1], m[2] or "", m[3] or ""), value)
    if isinstance(value, list):
        return [expand(v, fill) for v in value]
    if isinstance(value, dict):
        return {expand(k, fill): expand(v, fill) for k, v in value.items()}
    return value


def variants(table: dict[str, Any]) -> list[dict[str, Any]]:
    """`at."LEVEL..." = {...}`: the case once a level, with what is in the table laid over it."""
    base = dict(table)
    levels = base.pop("at", None)
    if levels is None:
        return [base]
    made = []
    for words, change in levels.items():
        for level in words.split():
            one = {"tlsa": LEVEL_TLSA[level], **base, **change, "id": f"{base['id']}-{level}",
                   "title": f"{base['title']} (at {level})"}
            one["attempts"] = [
                {"level": level, **({"tlsrpt": LEVEL_TLSRPT[level]} if level in LEVEL_TLSRPT else {}),
                 **attempt} for attempt in one.get("attempts", [{}])]
            made.append(one)
    return made


def _certificate_verdict(case: Case) -> None:
    """What `matched` and `refused` are short for."""
    if case.matched:
        usage = (case.matched.partition(":")[2] or case.matched)[0]
        tls = {"authenticated": {"3": "dane-ee", "2": "dane-ta"}[usage], "matched": case.matched}
        case.deliver = {"result": "delivered", "status": "2.0.0", "tlsrpt": "-"}
        case.attempts = [{"result": "delivered", "level": "dane", "tlsrpt": "-", "tls": tls}]
        case.message, case.over = "mx", "tls"
    elif case.refused:
        why = {"status": REFUSED[case.refused.lstrip("~").partition("|")[0]],
               "tlsrpt": case.refused}
        case.deliver = {"result": "deferred", **why}
        case.attempts = [{"result": "deferred", "level": "dane", **why,
                          "tls": {"authenticated": "no", "matched": "-"}}]
        case.no_mail, case.said = True, "EHLO STARTTLS tls:QUIT"


def _expectation(table: Any, word: str) -> Any:
    return {word: table} if isinstance(table, str) else table


def parse(table: dict[str, Any], section: str) -> Case:
    table = dict(table)
    options = {key: table.pop(key) for key in ZONE_KEYS if key in table}
    unknown = set(table) - {f.name for f in fields(Case)}
    if unknown:
        raise CaseError(f"{table.get('id')}: unknown: {', '.join(sorted(unknown))}")
    if missing := {"id", "rows", "title"} - set(table):
        raise CaseError(f"{table.get('id', section)}: missing: {', '.join(sorted(missing))}")
    case = Case(**{**table, "section": section, "zone_options": options})
    case.policy = _expectation(case.policy, "outcome")
    case.deliver = _expectation(case.deliver, "result")
    _certificate_verdict(case)
    for short, whole in (("hosts", "policy"), ("attempts", "deliver")):
        wanted = getattr(case, short)
        if wanted is not None:
            setattr(case, whole, {**(getattr(case, whole) or {}), short: wanted})
    if not re.fullmatch(r"[a-z0-9-]{1,48}", case.id):
        raise CaseError(f"{case.id}: an id is a label of at most 48 octets")
    if not case.commands:
        raise CaseError(f"{case.id}: nothing must come out")
    return case


def load(directory: Path = HERE / "cases") -> list[Case]:
    """All cases, in the order of the files and of the lines in them."""
    cases: list[Case] = []
    for path in sorted(directory.glob("*.toml")):
        try:
            tables = tomllib.loads(path.read_text()).get("case", [])
            cases += [parse(one, path.stem) for table in tables for one in variants(table)]
        except (tomllib.TOMLDecodeError, KeyError, TypeError, CaseError) as error:
            raise CaseError(f"{path.name}: {error}") from error
    ids = [case.id for case in cases]
    if twice := {i for i in ids if ids.count(i) > 1}:
        raise CaseError(f"twice: {', '.join(sorted(twice))}")
    return cases


def short(cases: Iterable[Case]) -> list[Case]:
    """The short form (DANEWAY_SHORT=1): for each row the first case, without slow ones."""
    kept, seen = [], set()
    for case in cases:
        if not case.slow and not set(case.rows) <= seen:
            kept.append(case)
            seen |= set(case.rows)
    return kept


def selected() -> list[Case]:
    cases = load()
    return short(cases) if os.environ.get("DANEWAY_SHORT") == "1" else cases
