"""Writes docs/tester.md and docs/tester.json."""

from __future__ import annotations

import datetime
import json
import subprocess
from pathlib import Path
from typing import Sequence

from domains import Entry
from judge import LETTERS
from lab import packages
from tools import TOOLS

Judged = dict[str, dict[str, list[str]]]    # tool -> domain -> of LETTERS

PACKAGES = {"posttls-finger": "postfix", "delv": "bind"}
KINDS = {"tls": "The record and the server", "record": "What is published", "chain": "The chain",
         "servers": "One name server of two", "sound": "Sound domains"}
INTRODUCTION = """\
What testers say about broken mail domains of the lab: who finds the fault (F), who names its cause
(C), who says what to do (M). "–": not found; ".": not found, and not a thing that this tool looks at.
Made by `make tester`; data in [tester.json](tester.json).

**Finds** is the tool's own verdict, one rule for all domains: daneway: exit code not 0, or a line
"warn" or "FAIL"; posttls-finger: no "Verified TLS connection"; ldns-dane, danetool: exit code not 0;
dnsviz: an error or a warning; delv: an answer is not validated, or there is no TLSA record. **Cause**
and **mend** count where the fault was found and the output matches the patterns of
[domains.toml](../tests/tester/domains.toml), which are the same for all tools. A mend that is a record
must be the whole record, and the right one. The patterns are ours, written with the output of all tools at hand; judge for yourself:
`tests/tester/run --show [--tool TOOL] DOMAIN`.

How they are run: daneway from the lab's root hints. posttls-finger (`-l dane`), ldns-dane and danetool
through a validating Unbound; the last two, which test a host, for each MX host. ldns-dane has no
STARTTLS: it is given the chain that `openssl s_client` got, for each address. dnsviz (`probe -A -a .`,
`grok -l warning`) from the lab's root hints, MX, addresses and TLSA. delv (`+cd`, so that the resolver
hides nothing) for the same. Debian 12's dnsviz does not start `grok` with Debian 12's pygraphviz 1.7,
where it looks for a version that has moved; it is told the version. posttls-finger prints the digests
of the server's certificate and key, from which one can make the record; that is not counted as a mend.

Where addresses or name servers differ, a tool that takes one of them takes it by chance: in
`ipv6-with-another-certificate` (posttls-finger, danetool) and `server-stale` (all that ask the
resolver) another run may give another letter.
"""


def versions(program: Path) -> dict[str, str]:
    done = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True)
    found = {"daneway": done.stdout.split()[1]}
    debs = packages.versions()
    for tool in TOOLS:
        if not tool.name.startswith("daneway"):
            name = debs.get(PACKAGES.get(tool.name, tool.name), "")
            found[tool.name] = name.partition("_")[2].rpartition("_")[0].replace("%3a", ":")
    return found


def words(found: Sequence[str]) -> str:
    return " ".join(word[0].upper() for word in found) or "–"


def _cell(entry: Entry, tool: str, found: Sequence[str]) -> str:
    if entry.sound:
        return "false alarm" if found else "–"
    looks = next(t.looks for t in TOOLS if t.name == tool)
    return words(found) if found or entry.facts["kind"] in looks else "."


def lines(entries: Sequence[Entry], judged: Judged) -> list[str]:
    return [f"{e.id}: " + ", ".join(f"{tool} {_cell(e, tool, found[e.id])}"
                                    for tool, found in judged.items()) for e in entries]


def _counts(entries: Sequence[Entry], tool: str, found: dict[str, list[str]]) -> list[int]:
    """Of what it looks at; then the false alarms."""
    looks = next(t.looks for t in TOOLS if t.name == tool)
    mine = [found[e.id] for e in entries if e.facts["kind"] in looks]
    return [len(mine), *(sum(word in one for one in mine) for word in LETTERS),
            sum(bool(found[e.id]) for e in entries if e.sound)]


def summary(entries: Sequence[Entry], judged: Judged) -> list[str]:
    sound = sum(e.sound for e in entries)
    return [f"| of {len(entries) - sound} broken domains | looks at | finds | names the cause "
            f"| gives the mend | false alarms, of {sound} |",
            "| --- | --- | --- | --- | --- | --- |",
            *(f"| {tool} | {' | '.join(map(str, _counts(entries, tool, found)))} |"
              for tool, found in judged.items())]


def _table(entries: Sequence[Entry], judged: Judged) -> list[str]:
    return ["| domain | what is wrong | " + " | ".join(judged) + " |",
            "| --- | --- |" + " --- |" * len(judged),
            *(f"| {e.id} | {e.facts['what']} | "
              + " | ".join(_cell(e, tool, found[e.id]) for tool, found in judged.items()) + " |"
              for e in entries)]


def text(entries: Sequence[Entry], judged: Judged, numbers: dict[str, str], date: str) -> str:
    out = ["# Testers, side by side", "", INTRODUCTION, f"{date}: " + ", ".join(
        f"{name} {number}" for name, number in numbers.items()) + ".", "",
        *summary(entries, judged), "",
        "`check` and `dnssec` are two commands of one program: `dnssec` looks at no mail server."]
    for kind, title in KINDS.items():
        mine = [e for e in entries if e.facts["kind"] == kind]
        out += ["", f"## {title}", "", *_table(mine, judged)]
    return "\n".join(out) + "\n"


def write(directory: Path, entries: Sequence[Entry], judged: Judged, numbers: dict[str, str]) -> None:
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    each = ",\n".join(json.dumps({
        "id": e.id, "kind": e.facts["kind"], "what": e.facts["what"],
        "tools": {tool: found[e.id] for tool, found in judged.items()}}) for e in entries)
    head = json.dumps({"date": date, "versions": numbers})
    (directory / "tester.json").write_text(f"{head[:-1]}, \"domains\": [\n{each}\n]}}\n")
    (directory / "tester.md").write_text(text(entries, judged, numbers, date))
