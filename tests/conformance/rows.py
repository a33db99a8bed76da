#!/usr/bin/python3
"""Which row of the matrix is covered where: docs/conformance-rows.md.

    tests/conformance/rows.py [--write]

A row is covered by a case here or by a unit or system test that names it; not-covered.toml excuses the rest,
each row (or whole section) with a reason. Source files that name a row are shown, but cover nothing.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from case import HERE, load  # noqa: E402

# A test outside of the data says by a table ROWS which rows it covers.
TESTS = re.compile(r"^ROWS = (\{.*?^\})", re.S | re.M)

HOME = HERE.parent.parent
TABLE = HOME / "docs/conformance-rows.md"
ROW = r"(?:ST|RT|RP|[RMATUSPCGNQDVXFB])\d{1,2}"
# A row where it is meant as one: not part of a word, a number or hexadecimal data.
MENTION = re.compile(rf"(?<![\w#&.\\$-])({ROW})(?:-({ROW}))?(?![\w=(\[])")
SECTIONS = {
    "R": "Resolver and answers", "M": "Next hop and MX", "A": "Addresses and TLSA base domain",
    "T": "TLSA answer to policy", "U": "Usability of records", "S": "SMTP and STARTTLS",
    "P": "TLS parameters", "C": "Certificate matching", "G": "Digests", "N": "Names",
    "Q": "Several hosts, retries, bounces", "D": "Mandatory DANE", "V": "DNSSEC validation",
    "F": "Owner name, wire and text format", "ST": "MTA-STS", "RT": "REQUIRETLS", "RP": "TLSRPT",
    "X": "Submission, SRV", "B": "Publisher, receiver"}


def section(row: str) -> str:
    return row.rstrip("0123456789")


def matrix() -> dict[str, str]:
    lines = (HERE / "rows.tsv").read_text().splitlines()
    return dict(line.split("\t", 1) for line in lines)


def _mentions(text: str) -> set[str]:
    """Rows named in comments and strings of a C file; ranges such as A2-A7 are counted out."""
    found: set[str] = set()
    for part in re.findall(r'/\*.*?\*/|//[^\n]*|"(?:[^"\\\n]|\\.)*"', text, re.S):
        for first, last in MENTION.findall(part):
            found.add(first)
            if last and section(first) == section(last):
                low, high = (int(re.sub(r"\D", "", row)) for row in (first, last))
                found |= {f"{section(first)}{n}" for n in range(low, high + 1)}
    return found


def in_files(*patterns: str) -> dict[str, list[str]]:
    """Row -> files below the project that name it."""
    found: dict[str, list[str]] = {}
    for path in sorted(p for pattern in patterns for p in HOME.glob(pattern)):
        for row in _mentions(path.read_text()):
            found.setdefault(row, []).append(str(path.relative_to(HOME)))
    return found


def _tests() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted(HERE.glob("test_*.py")):
        for table in TESTS.findall(path.read_text()):
            found.update(ast.literal_eval(table))
    return found


def excuses() -> dict[str, str]:
    """Row -> why it has no case; a section's reason counts for all of its rows."""
    table = tomllib.loads((HERE / "not-covered.toml").read_text())
    reasons = {row: table["sections"][section(row)] for row in matrix()
               if section(row) in table["sections"]}
    return {**reasons, **table["rows"]}


class Coverage:
    def __init__(self) -> None:
        self.rows = matrix()
        self.cases: dict[str, list[str]] = {}
        self.deviations = [case for case in load() if case.deviation]
        for case in load():
            for row in case.rows:
                self.cases.setdefault(row, []).append(case.id)
        for test, rows in _tests().items():
            for row in rows:
                self.cases.setdefault(row, []).append(test)
        self.units = in_files("tests/unit/*.c")
        for row, paths in in_files("tests/system/test_*.py").items():
            self.units.setdefault(row, []).extend(paths)
        self.sources = in_files("src/**/*.[ch]")
        self.excuses = excuses()
        self.excused = tomllib.loads((HERE / "not-covered.toml").read_text())["rows"]

    def covered(self, row: str) -> bool:
        return row in self.cases or row in self.units

    def objections(self) -> list[str]:
        """What is wrong: rows without cover and excuse, names of rows that do not exist."""
        wrong = [f"{row} is neither covered nor excused: {self.rows[row]}" for row in self.rows
                 if not self.covered(row) and row not in self.excuses]
        known = set(self.rows)
        wrong += [f"case {self.cases[row][0]}: there is no row {row}"
                  for row in self.cases if row not in known]
        wrong += [f"not-covered.toml: there is no row {row}"
                  for row in self.excuses if row not in known]
        wrong += [f"not-covered.toml excuses {row}, which {self.cases[row][0]} covers"
                  for row in self.excused if row in self.cases]
        return wrong

    def text(self) -> str:
        counted = [self.covered(row) for row in self.rows]
        staged = sum(row in self.cases for row in self.rows)
        lines = [
            "# Rows of the conformance matrix", "",
            "Written by `tests/conformance/rows.py --write`; a test fails when it is stale. Cases are "
            "in `tests/conformance/cases/SECTION.toml`, `test_` names in `tests/conformance`.", "",
            f"{len(counted)} rows: {staged} staged in the lab, {sum(counted) - staged} more by unit "
            f"or system tests alone, {len(counted) - sum(counted)} not covered, with the reason."]
        if self.deviations:
            lines += ["", "Known deviations: the case expects what is right, another answer comes out, "
                      "and the promises hold all the same.", ""]
            lines += [f"- {c.id} ({', '.join(c.rows)}): {c.deviation}" for c in self.deviations]
        for name, title in SECTIONS.items():
            lines += ["", f"## {name}: {title}", "", "| row | situation | covered by | code |",
                      "| --- | --- | --- | --- |"]
            lines += [self._line(row) for row in self.rows if section(row) == name]
        return "\n".join(lines) + "\n"

    def _line(self, row: str) -> str:
        by = [f"{case}" for case in self.cases.get(row, [])]
        by += [f"`{path.removeprefix('tests/')}`" for path in self.units.get(row, [])]
        cell = ", ".join(by) or f"not covered: {self.excuses.get(row, 'no reason given')}"
        if by and row in self.excuses and row not in self.cases:
            cell += f" (not staged: {self.excuses[row]})"
        code = ", ".join(f"`{path.removeprefix('src/')}`" for path in self.sources.get(row, []))
        return f"| {row} | {self.rows[row]} | {cell} | {code} |"


def is_stale(coverage: Coverage) -> bool:
    """Whether the table is. The last column is only a pointer into the code: it may lag."""
    def essence(text: str) -> list[str]:
        return [line.rsplit(" | ", 1)[0] for line in text.splitlines()]
    return not TABLE.exists() or essence(TABLE.read_text()) != essence(coverage.text())


def main() -> int:
    coverage = Coverage()
    wrong = coverage.objections()
    if "--write" in sys.argv[1:]:
        TABLE.write_text(coverage.text())
    elif is_stale(coverage):
        wrong.append(f"{TABLE.relative_to(HOME)} is stale: tests/conformance/rows.py --write")
    print("\n".join(wrong) or f"{len(coverage.rows)} rows: all covered or excused")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
