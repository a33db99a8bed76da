"""Writes docs/conformance.md and docs/conformance.json from what side.py found."""

from __future__ import annotations

import datetime
import json
import re
import subprocess
from pathlib import Path
from typing import Any, Sequence

import rows
from case import Case
from lab import packages
from side import AS_REQUIRED, DIFFERS, NOT_COMPARABLE, Difference, Explanations, Found, Results

INTRODUCTION = """\
Written by `make conformance` (`tests/conformance/run`). Each case is a domain in the lab, with really
signed zones and real TLS ([its form](../tests/conformance/README.md)); every sender gets one message
for it, or for posttls-finger one question, and one try. What it did is read from the scripted mail and
name servers' logs and from the sender's queue. That a server was *authenticated* no server can see: there
the sender's own log counts beside them.

Judged is the outcome alone: delivered, deferred or returned; over authenticated TLS, TLS or in clear; no
octet where it must not go; server name indication; what must not be asked. A case's options are set in
the peer where it has such a setting (mandatory DANE: `dane-only`, `hosts_require_dane`; half-DANE:
`smtp_tls_dane_insecure_mx_policy`; relays: `transport_maps`, `manualroute`). Postfix has
`smtp_tls_security_level = dane`, Exim `dnssec_request_domains = *` and `hosts_try_dane = *`, both shorter
time-outs (5 s) and a validating Unbound of their own at 127.0.0.1; all else is as it comes.

A difference is not a fault: RFC 7672 leaves choices, and a sender may well be stricter or more lenient
than a case asks. The numbers lead to the explanations at the end."""


OUTCOMES = {"failed": "returned", "not": "not verified"}


def versions(program: Path) -> dict[str, str]:
    said = subprocess.run([str(program), "--version"], capture_output=True, text=True).stdout
    found = {"daneway": (re.search(r"\d\S*", said) or [""])[0]}
    unpacked = packages.versions()
    for peer, server in (("Postfix", "postfix"), ("posttls-finger", "postfix"), ("Exim", "exim"),
                         ("Unbound", "unbound")):
        found[peer] = unpacked[server].split("_")[1]
    library = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libgnutls30"],
                             capture_output=True, text=True).stdout
    found["Exim"] += f" (GnuTLS {library})" if library else ""
    return found


def _counts(found: dict[str, Found]) -> list[int]:
    return [sum(one.state == state for one in found.values())
            for state in (AS_REQUIRED, DIFFERS, NOT_COMPARABLE)]


def summary(results: Results) -> str:
    return "\n".join(f"{peer}: {a} as required, {b} differ, {c} not comparable"
                     for peer, found in results.items() for a, b, c in [_counts(found)])


def details(cases: Sequence[Case], results: Results) -> str:
    """For one who looks into single cases."""
    lines = []
    for case in cases:
        lines.append(f"{case.id}: {case.title}")
        for peer, found in results.items():
            one = found[case.id]
            lines.append(f"  {peer}: {one.state}: {one.did}" + "".join(f"\n    {w}" for w in one.why))
            lines += [f"      {line}" for line in one.log[-3:]]
    return "\n".join(lines)


# --- the table

class _Book:
    """All that the document is made of."""

    def __init__(self, cases: Sequence[Case], results: Results, explanations: Explanations) -> None:
        self.cases = {case.id: case for case in cases}
        self.results, self.explanations = results, explanations
        self.numbers: dict[tuple[str, str], int] = {}
        order = {case: n for n, case in enumerate(self.cases)}
        self.listed = sorted((one for one in explanations.differences if order.keys() & one.cases),
                             key=lambda one: min(order[c] for c in one.cases if c in order))
        for number, one in enumerate(self.listed, 1):
            self.numbers |= {pair: number for pair in one.pairs}

    def row(self, name: str, title: str) -> str:
        mine = [case.id for case in self.cases.values() if name in case.rows]
        cells = [self._cell(peer, mine) for peer in self.results]
        return f"| {name} | {title} | {len(mine)} | " + " | ".join(cells) + " |"

    def _cell(self, peer: str, cases: Sequence[str]) -> str:
        found = {case: self.results[peer][case] for case in cases}
        comparable = {i: one for i, one in found.items() if one.state != NOT_COMPARABLE}
        if not comparable:
            return "not comparable: " + "; ".join(dict.fromkeys(one.why[0] for one in found.values()))
        differing = {i: one for i, one in comparable.items() if one.state == DIFFERS}
        if not differing:
            return AS_REQUIRED
        many = f"{len(differing)} of {len(comparable)} differ" if len(comparable) > 1 else DIFFERS
        did = "; ".join(dict.fromkeys(_short(one) for one in differing.values()))
        marks = sorted({self.numbers[i, peer] for i in differing if (i, peer) in self.numbers})
        return f"**{many}**: {did} " + " ".join(f"[{n}](#difference-{n})" for n in marks)

    def difference(self, number: int, one: Difference) -> list[str]:
        names = list(dict.fromkeys(row for case in one.cases if case in self.cases
                                   for row in self.cases[case].rows))
        lines = [f'<a id="difference-{number}"></a>', f"**{number}. {', '.join(one.peers)}** "
                 f"({', '.join(names)}): {one.text}", ""]
        for peer in one.peers:
            groups: dict[str, list[str]] = {}
            for case in one.cases:
                if case in self.results[peer]:
                    groups.setdefault(_whole(self.results[peer][case]), []).append(case)
            lines += [f"- {peer}, {', '.join(f'`{c}`' for c in ids)}: {text}"
                      for text, ids in groups.items()]
        return [*lines, ""]


def _parts(one: Found) -> tuple[str, list[str]]:
    """What was done, with what was required if that is another outcome; the other objections."""
    for why in one.why:
        got, _, wanted = why.partition(", required ")
        if wanted and not got.startswith("SNI"):
            rest = [_words(other) for other in one.why if other != why]
            return f"{one.did} (required: {OUTCOMES.get(wanted, _words(wanted))})", rest
    return one.did, []


def _short(one: Found) -> str:
    did, _ = _parts(one)
    return did if did != one.did else f"{did}, but {_words(one.why[0])}"


def _whole(one: Found) -> str:
    did, rest = _parts(one)
    return "; ".join([did, *(rest if did != one.did else map(_words, one.why))])


def _words(why: str) -> str:
    """Without the domains of the lab, which are the case's id."""
    return re.sub(r"\.?[a-z0-9-]+\.(example|test|plain)\b", "", why).replace("|", "\\|")


def text(cases: Sequence[Case], results: Results, explanations: Explanations,
         versions_: dict[str, str], date: str) -> str:
    book = _Book(cases, results, explanations)
    lines = ["# Side by side", "", INTRODUCTION, "", f"{date}: " + ", ".join(
        f"{name} {number}" for name, number in versions_.items()) + ".", "",
        "| | as required | differs | not comparable |", "| --- | --- | --- | --- |"]
    lines += [f"| {peer} | " + " | ".join(map(str, _counts(found))) + " |"
              for peer, found in results.items()]
    matrix = rows.matrix()
    used = {row for case in cases for row in case.rows}
    for section, title in rows.SECTIONS.items():
        mine = [row for row in matrix if row in used and rows.section(row) == section]
        if mine:
            lines += ["", f"## {section}: {title}", "",
                      "| row | situation | cases | " + " | ".join(results) + " |",
                      "| --- | --- | --- |" + " --- |" * len(results)]
            lines += [book.row(row, matrix[row]) for row in mine]
    lines += ["", "## Differences", ""]
    for number, one in enumerate(book.listed, 1):
        lines += book.difference(number, one)
    return "\n".join(lines).rstrip() + "\n"


def data(cases: Sequence[Case], results: Results, explanations: Explanations,
         versions_: dict[str, str], date: str) -> dict[str, Any]:
    why = {pair: one.text for one in explanations.differences for pair in one.pairs}
    return {"date": date, "versions": versions_, "cases": [{
        "id": case.id, "rows": case.rows, "title": case.title,
        "senders": {peer: _entry(found[case.id], why.get((case.id, peer)))
                    for peer, found in results.items()}} for case in cases]}


def _entry(one: Found, explanation: str | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"state": one.state, "did": one.did or None}
    if one.state == NOT_COMPARABLE:
        entry["reason"] = one.why[0]
    elif one.state == DIFFERS:
        entry |= {"otherwise": [_words(w) for w in one.why], "explanation": explanation}
    return entry


def write(directory: Path, cases: Sequence[Case], results: Results, explanations: Explanations,
          versions_: dict[str, str]) -> None:
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    whole = data(cases, results, explanations, versions_, date)
    each = ",\n".join(json.dumps(one) for one in whole.pop("cases"))       # one a line
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "conformance.json").write_text(
        f"{json.dumps(whole)[:-1]}, \"cases\": [\n{each}\n]}}\n")
    (directory / "conformance.md").write_text(
        text(cases, results, explanations, versions_, date))
