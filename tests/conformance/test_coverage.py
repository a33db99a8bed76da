"""Each row is covered or excused, and the table says so."""

from __future__ import annotations

import pytest

import rows
from case import CaseError, load, parse


def test_every_row_is_covered_or_excused() -> None:
    assert rows.Coverage().objections() == []


def test_every_row_of_matching_is_asked_of_tlsa_match() -> None:
    asked = {row for case in load() if case.matchable for row in case.rows}
    wanted = {row for row in rows.matrix() if rows.section(row) in ("C", "G", "N")}
    assert wanted - asked == {"C33", "C34"}


def test_table_is_current() -> None:
    assert not rows.is_stale(rows.Coverage()), "tests/conformance/rows.py --write"


def test_mentions_are_rows_and_nothing_else() -> None:
    text = '/* C13-C15; matrix T6, S1 */ x = C9; char *s = "U2: no"; t("0xB1 a.F3 D2=1 #A1");'
    assert rows._mentions(text) == {"C13", "C14", "C15", "T6", "S1", "U2"}


@pytest.mark.parametrize("change, words", [
    ({"polcy": "dane"}, "unknown: polcy"), ({"id": "Big_Name"}, "an id is a label"),
    ({"policy": None}, "nothing must come out")])
def test_a_wrong_case_is_refused(change: dict, words: str) -> None:
    good = {"id": "x", "rows": ["T1"], "title": "t", "policy": "dane"}
    parse(good, "t")
    with pytest.raises(CaseError, match=words):
        parse({**good, **change}, "t")
