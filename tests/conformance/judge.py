"""Judges a run: the contract of the command line, what the case expects, and its proofs.

Every function returns the objections as sentences; none means right.
"""

from __future__ import annotations

import re
from typing import Any, Iterator

import wire
from case import NAME_KEYS
from drive import Run
from stage import Staged

SECURITY = {"secure", "insecure", "bogus", "failed"}
LEVELS = {"dane", "encrypt", "may", "unreachable"}
OUTCOMES = {"dane", "encrypt", "may", "mixed", "defer", "bounce"}
RESULTS = {"delivered": 0, "deferred": 75, "failed": 69}
TLSRPT = {None, "starttls-not-supported", "certificate-host-mismatch", "certificate-expired",
          "certificate-not-trusted", "validation-failure", "tlsa-invalid", "dnssec-invalid",
          "dane-required"}
UNORDERED = ("tlsa", "addresses")       # lists whose order DNS does not keep
MATCH_EXIT = {"match": 0, "mismatch": 1, "unusable": 2}


def is_about_output(objection: str) -> bool:
    """Another answer than expected; not a broken contract, a failed proof or a late end."""
    return objection.startswith(".")


def judge(staged: Staged, run: Run) -> list[str]:
    objections = list(_shape(run))
    if not objections:
        contract = _policy_contract if run.command == "policy" else _deliver_contract
        objections += contract(run)
        objections += _differences(staged, staged.expected[run.command], run.output, "")
        if run.command == "policy":
            objections += _records(staged, run)
    objections += _questions(staged, run)
    if run.command == "deliver":
        objections += wire.judge(staged, run)
    if staged.case.seconds and run.seconds > staged.case.seconds:
        objections.append(f"took {run.seconds:.1f} s, allowed {staged.case.seconds} s")
    return objections


def judge_match(staged: Staged, run: Run) -> list[str]:
    """`tlsa match` says of the server's chain what the delivery case says of its handshake."""
    deliver = staged.expected["deliver"]
    attempt = {"level": "dane", "tlsrpt": deliver.get("tlsrpt"), **deliver["attempts"][0]}
    matched = attempt.get("tls", {}).get("matched", "-")
    if attempt["level"] == "encrypt":
        wanted = {"result": "unusable", "record": "-"}
    elif matched != "-":
        wanted = {"result": "match", "record": matched, "error": "-"}
        if matched.startswith("3"):
            wanted["depth"] = 0
    else:
        wanted = {"result": "mismatch", "error": attempt["tlsrpt"]}
    objections = list(_differences(staged, wanted, run.output, ""))
    if not objections and run.exit != MATCH_EXIT[wanted["result"]]:
        objections.append(f"contract: exit {run.exit} for {wanted['result']}")
    return objections


# --- expected output: a subset of it

def _differences(staged: Staged, expected: Any, actual: Any, at: str) -> Iterator[str]:
    """"-" is null, "~words" a regular expression; tables name only what they mean, lists are whole."""
    if isinstance(expected, dict):
        if not isinstance(actual, dict):
            yield f"{at}: {actual!r} is not an object"
            return
        for key, value in expected.items():
            if key in NAME_KEYS and isinstance(value, str) and value not in ("-", ""):
                value = staged.case.absolute(value)
            if key not in actual:
                yield f"{at}.{key}: missing"
                continue
            both = value, actual[key]
            if key in UNORDERED and all(isinstance(one, list) for one in both):
                both = tuple(sorted(one, key=_order) for one in both)
            yield from _differences(staged, *both, f"{at}.{key}")
    elif isinstance(expected, list):
        if not isinstance(actual, list) or len(actual) != len(expected):
            yield f"{at}: expected {len(expected)} entries: {actual!r}"
            return
        for n, (one, other) in enumerate(zip(expected, actual)):
            yield from _differences(staged, one, other, f"{at}[{n}]")
    elif expected == "-":
        if actual is not None:
            yield f"{at}: {actual!r}, expected null"
    elif isinstance(expected, str) and expected.startswith("~"):
        if not isinstance(actual, str) or not re.search(expected[1:], actual):
            yield f"{at}: {actual!r} does not match {expected[1:]!r}"
    elif expected != actual:
        yield f"{at}: {actual!r}, expected {expected!r}"


def _order(entry: Any) -> str:
    return str(entry.get("record")) if isinstance(entry, dict) else str(entry)


def _records(staged: Staged, run: Run) -> Iterator[str]:
    tlsa = [record for host in run.output["hosts"] for record in host["tlsa"]]
    if staged.case.usable:
        usable, unusable = staged.case.usable
        got = sum(r["usable"] for r in tlsa), sum(not r["usable"] for r in tlsa)
        if got != (usable, unusable):
            yield f".hosts: {got[0]} usable, {got[1]} unusable records, expected {usable}, {unusable}: {tlsa}"
        for record in tlsa:
            if not record["usable"] and not record["why"]:
                yield f".hosts: unusable without a reason: {record}"
    if staged.records and sorted(r["record"] for r in tlsa) != sorted(staged.records):
        yield f".hosts: records {[r['record'] for r in tlsa]}, expected {staged.records}"


# --- the contract, for every case

def _shape(run: Run) -> Iterator[str]:
    if not isinstance(run.output, dict):
        yield f"no JSON object: exit {run.exit}, {run.output!r}, {run.stderr!r}"
        return
    keys = (("domain", "outcome", "status", "detail", "mx", "hosts") if run.command == "policy" else
            ("result", "status", "detail", "tlsrpt", "recipients", "attempts"))
    for key in keys:
        if key not in run.output:
            yield f"contract: no {key}"


def _policy_contract(run: Run) -> Iterator[str]:
    out = run.output
    outcome, hosts, mx = out["outcome"], out["hosts"], out["mx"]
    if outcome not in OUTCOMES:
        yield f"contract: outcome {outcome!r}"
    if run.exit != (75 if outcome == "defer" else 0):
        yield f"contract: exit {run.exit} for outcome {outcome}"
    if (out["status"] is None) != (outcome not in ("defer", "bounce")):
        yield f"contract: status {out['status']!r} for outcome {outcome}"
    if mx["security"] not in SECURITY | {"none"} or mx["kind"] not in (
            "mx", "implicit", "null", "configured", None):
        yield f"contract: mx {mx!r}"
    levels = {h["level"] for h in hosts} - {"unreachable"}
    if outcome in LEVELS | {"mixed"} and levels != {outcome} and not (
            outcome == "mixed" and len(levels) > 1):
        yield f"contract: outcome {outcome} with the levels {sorted(levels)}"
    if outcome in ("defer", "bounce") and levels:
        yield f"contract: outcome {outcome} with the levels {sorted(levels)}"
    if [h["preference"] for h in hosts] != sorted(h["preference"] for h in hosts):
        yield "contract: hosts are not in order of preference"
    for host in hosts:
        yield from _host_contract(host)


def _host_contract(host: dict[str, Any]) -> Iterator[str]:
    name = host["host"]
    if host["level"] not in LEVELS or host["address_security"] not in SECURITY | {"none"} or \
            host["tlsa_security"] not in SECURITY | {None}:
        yield f"contract: {name}: {host!r}"
    if name != name.lower() or name.endswith("."):
        yield f"contract: name {name!r}"
    if (host["tlsa_base"] is not None) != bool(host["tlsa"]):
        yield f"contract: {name}: tlsa_base {host['tlsa_base']!r} with {len(host['tlsa'])} records"
    if host["tlsa"] and host["tlsa_security"] != "secure":
        yield f"contract: {name}: records that are {host['tlsa_security']}"
    if host["tlsa_security"] in ("bogus", "failed") and host["level"] != "unreachable":
        yield f"contract: {name}: {host['level']} after a TLSA lookup that is {host['tlsa_security']}"
    for record in host["tlsa"]:
        if set(record) < {"record", "usable", "why"}:
            yield f"contract: {name}: record {record!r}"


def _deliver_contract(run: Run) -> Iterator[str]:
    out = run.output
    if run.exit != RESULTS.get(out["result"]):
        yield f"contract: exit {run.exit} for {out['result']}"
    results = {r["result"] for r in out["recipients"].values()}
    whole = next((r for r in ("deferred", "failed", "delivered") if r in results), None)
    if out["result"] != whole:
        yield f"contract: {out['result']}, but the recipients {sorted(results)}"
    for attempt in out["attempts"]:
        if attempt["tlsrpt"] not in TLSRPT or attempt["level"] not in LEVELS:
            yield f"contract: attempt {attempt!r}"
        if attempt["result"] == "skipped" and (attempt["address"] or attempt["tls"]):
            yield f"contract: skipped, but {attempt!r}"
        if attempt["level"] == "may" and attempt["tlsrpt"] is not None:
            yield f"contract: tlsrpt {attempt['tlsrpt']} at level may"
        if attempt["result"] == "delivered" and attempt["level"] == "dane" and (
                attempt["tls"] or {}).get("authenticated") not in ("dane-ee", "dane-ta"):
            yield f"contract: delivered at dane unauthenticated: {attempt!r}"


# --- proofs

def _question(staged: Staged, text: str) -> tuple[str, str]:
    name, rdtype = text.split()
    return staged.case.absolute(staged.fill(name)).lower(), rdtype


def _questions(staged: Staged, run: Run) -> Iterator[str]:
    for text in staged.case.not_asked:
        name, rdtype = _question(staged, text)
        for asked, asked_type in run.questions:
            if asked_type == rdtype and (name == "*" or asked == name):
                yield f"asked {asked} {asked_type}, which must not be"
                break
    position = 0
    for text in staged.case.asked:
        try:
            position = run.questions.index(_question(staged, text), position)
        except ValueError:
            yield f"did not ask {text} (in this place): {run.questions}"
