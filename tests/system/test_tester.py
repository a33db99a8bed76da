"""docs/tester.md is true of daneway: what it says of each broken domain of the lab, `check` and `dnssec`
find, name and mend today (tests/tester; the other testers run with `make tester` only)."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Iterator

import pytest

from lab.namespace import HOME
from lab.pytest_plugin import Daneway
from lab.world import World

sys.path.append(str(HOME / "tests/tester"))

import domains  # noqa: E402
import report  # noqa: E402
import tools  # noqa: E402
from judge import LETTERS, judge  # noqa: E402

DOCUMENTED = json.loads((HOME / "docs/tester.json").read_text())
BY_ID = {one["id"]: one for one in DOCUMENTED["domains"]}
# What `check` finds and says, and no more than mentions ("info"), without a mend unless -v is given.
MENTIONED = {"record-that-fits-nothing", "two-records-of-one-key"}


@pytest.fixture(scope="module")
def judged(daneway: Daneway) -> Iterator[dict[str, dict[str, list[str]]]]:
    world = World("tester")
    entries = list(domains.stage(world))
    world.start()
    found: dict[str, dict[str, list[str]]] = {e.id: {} for e in entries}
    with ThreadPoolExecutor(8) as pool:
        for kind in (tools.Check, tools.Dnssec):
            tool = kind(world, daneway.path)
            for entry, ran in zip(entries, pool.map(tool.ask, entries)):
                found[entry.id][tool.name] = judge(entry, tool.name, ran)
    yield found
    world.stop()


def test_every_domain_is_documented() -> None:
    assert list(BY_ID) == list(domains.facts())


@pytest.mark.parametrize("name", domains.facts())
def test_as_documented(judged: Any, name: str) -> None:
    for tool, letters in judged[name].items():
        assert letters == BY_ID[name]["tools"][tool], tool


@pytest.mark.parametrize("name", domains.facts())
def test_check_keeps_its_promise(judged: Any, name: str) -> None:
    """Whatever is broken is found by one command, which says why and how to mend it; nothing else is."""
    sound = domains.facts()[name]["kind"] == "sound"
    if name not in MENTIONED:
        assert judged[name]["daneway check"] == ([] if sound else list(LETTERS))


def test_document_and_data_agree() -> None:
    entries = [domains.Entry(name, facts, None)  # type: ignore[arg-type]  # not to be staged
               for name, facts in domains.facts().items()]
    found = {tool.name: {i: one["tools"][tool.name] for i, one in BY_ID.items()}
             for tool in tools.TOOLS}
    text = report.text(entries, found, DOCUMENTED["versions"], DOCUMENTED["date"])
    assert (HOME / "docs/tester.md").read_text() == text
