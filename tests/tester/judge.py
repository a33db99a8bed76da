"""What a tool's output is worth: found or not by its own verdict; cause and mend by the patterns of
domains.toml, which are the same for all tools."""

from __future__ import annotations

import re
from typing import Any, Callable

from domains import Entry
from tools import Ran

# For what is not broken and not sound either, daneway and dnsviz warn and exit with 0.
ALARM: dict[str, Callable[[Ran], bool]] = {
    "daneway check": lambda ran: any(ran.codes) or _marked(ran.text),
    "daneway dnssec": lambda ran: any(ran.codes) or _marked(ran.text),
    # It says "Verified" when DANE holds; it exits with 0 all the same.
    "posttls-finger": lambda ran: "Verified TLS connection established" not in ran.text,
    "ldns-dane": lambda ran: any(ran.codes),
    "danetool": lambda ran: any(ran.codes),
    # `grok -l warning` prints nothing but errors, warnings and their places.
    "dnsviz": lambda ran: any(ran.codes) or bool(re.search(r"^\{", ran.text, re.M)),
    "delv": lambda ran: bool(re.search(r"resolution failed: (?!ncache)|unsigned answer|timed out",
                                       ran.text)) or _denied(ran.text),
}
LETTERS = ("finds", "cause", "mend")


def _marked(text: str) -> bool:
    """A finding marked "warn" or "FAIL"."""
    return bool(re.search(r"^ +(warn|FAIL) ", text, re.M))


def _denied(text: str) -> bool:
    """delv was asked for TLSA, and there is none."""
    last = text.rpartition("$ delv")[2]
    return "; negative response" in last


def plain(entry: Entry, text: str) -> str:
    """Without command lines; see domains.toml."""
    lines = [line for line in text.splitlines() if not line.startswith("$ ")]
    one = re.sub(r"\s+", " ", " ".join(lines)).lower()
    label = entry.domain.partition(".")[0]
    return re.sub(rf"(?<![\w-]){re.escape(label)}(?=\.(example|plain)\b)", "id", one)


def fill(entry: Entry, pattern: str) -> str:
    for word, values in entry.words().items():
        pattern = pattern.replace("{%s}" % word, f"(?:{'|'.join(values)})" if values else "(?!)")
    return pattern


def says(entry: Entry, what: Any, text: str) -> bool:
    patterns = [what] if isinstance(what, str) else what
    return all(re.search(fill(entry, pattern), text) for pattern in patterns)


def judge(entry: Entry, tool: str, ran: Ran) -> list[str]:
    """Of LETTERS those that hold. Cause and mend count only where the fault was found."""
    if not ALARM[tool](ran):
        return []
    if entry.sound:
        return ["finds"]
    text = plain(entry, ran.text)
    return ["finds", *(word for word in LETTERS[1:] if says(entry, entry.facts[word], text))]
