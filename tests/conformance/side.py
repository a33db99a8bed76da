"""Side by side: every sender over the cases, judged by outcome; differences must be explained.

differences.toml holds the explanations. One that is missing makes the run fail, one that explains
nothing too.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Sequence

import outcome
from case import HERE, Case, load
from lab import namespace
from lab.world import World
from outcome import Verdict
from peers import Peer
from stage import Staged, stage

EXPLANATIONS = HERE / "differences.toml"
AS_REQUIRED, DIFFERS, NOT_COMPARABLE = "as required", "differs", "not comparable"
# More surprises than this are no accident, and not worth a second try.
AGAIN = 40


class SideError(Exception):
    """differences.toml is not as it should be."""


@dataclass
class Found:
    """What one peer did with one case."""

    state: str
    did: str = ""
    why: list[str] = field(default_factory=list)    # objections; the reason if not comparable
    log: list[str] = field(default_factory=list)


@dataclass
class Difference:
    """An explanation."""

    cases: list[str]
    peers: list[str]
    text: str

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return [(case, peer) for case in self.cases for peer in self.peers]


@dataclass
class Explanations:
    differences: list[Difference]
    apart: list[str]                                # cases that would disturb the others

    @classmethod
    def read(cls, path: Path = EXPLANATIONS) -> Explanations:
        table = tomllib.loads(path.read_text())
        made = cls([Difference(**one) for one in table.get("difference", [])],
                   table.get("apart", []))
        pairs = [pair for one in made.differences for pair in one.pairs]
        if twice := {pair for pair in pairs if pairs.count(pair) > 1}:
            raise SideError(f"explained twice: {sorted(twice)}")
        known = {case.id for case in sender_cases()}
        if unknown := {case for case, _ in pairs if case not in known} | (set(made.apart) - known):
            raise SideError(f"no such case of a sender: {', '.join(sorted(unknown))}")
        return made

    @property
    def pairs(self) -> set[tuple[str, str]]:
        return {pair for one in self.differences for pair in one.pairs}


def sender_cases() -> list[Case]:
    return [case for case in load() if case.deliver is not None]


Results = dict[str, dict[str, Found]]       # by peer, by case


def run(peers: Sequence[Peer], cases: Sequence[Case], explanations: Explanations,
        say: Callable[[str], None] = lambda _text: None) -> Results:
    """Stages the cases in one world and drives the peers over them, one peer after the other."""
    if not namespace.inside():
        raise SideError("real mail servers send in the lab only")
    world = World("side")
    try:
        staged = stage(world, cases)
        world.start()
        say(f"{len(staged)} cases are up")
        results = {}
        for peer in peers:
            results[peer.name] = _one_peer(peer, world, staged, explanations)
            count = [found.state for found in results[peer.name].values()].count(DIFFERS)
            say(f"{peer.name}: {count} cases differ")
        return results
    finally:
        world.stop()


def _one_peer(peer: Peer, world: World, staged: dict[str, Staged],
              explanations: Explanations) -> dict[str, Found]:
    found = {i: Found(NOT_COMPARABLE, why=[reason]) for i, one in staged.items()
             if (reason := peer.comparable(one))}
    todo = [one for i, one in staged.items() if i not in found]
    together = [one for one in todo if one.case.id not in explanations.apart]
    found |= _drive(peer, world, together, "")
    for number, one in enumerate(one for one in todo if one not in together):
        found |= _drive(peer, world, [one], f"-apart-{number}")
    # A loaded machine may let a lookup fail that should not: what nobody expects is tried again.
    again = [one for one in together if (found[one.case.id].state == DIFFERS) !=
             ((one.case.id, peer.name) in explanations.pairs)]
    if 0 < len(again) <= AGAIN:
        found |= _drive(peer, world, again, "-again")
    return {i: found[i] for i in staged}


def _drive(peer: Peer, world: World, staged: Sequence[Staged], turn: str) -> dict[str, Found]:
    if not staged:
        return {}
    done = peer.drive(world, staged, turn)
    return {one.case.id: _judge(one, done[one.case.id]) for one in staged}


def _judge(staged: Staged, seen: outcome.Seen | Verdict) -> Found:
    if isinstance(seen, Verdict):
        did, objections = outcome.said(seen), outcome.verdict_objections(staged, seen)
    else:
        did, objections = outcome.did(staged, seen), outcome.objections(staged, seen)
    if objections is None:
        return Found(NOT_COMPARABLE, did, ["the case does not say what a verdict on this host would be"])
    return Found(DIFFERS if objections else AS_REQUIRED, did, objections, seen.log)


def unexplained(results: Results, explanations: Explanations) -> list[str]:
    """Differences without an explanation; explanations, of what was run, without a difference."""
    differing = {(case, peer) for peer, found in results.items() for case, one in found.items()
                 if one.state == DIFFERS}
    ran = {(case, peer) for peer, found in results.items() for case in found}
    wrong = []
    for case, peer in sorted(differing - explanations.pairs):
        one = results[peer][case]
        wrong.append(f"{case}: {peer} differs, and differences.toml does not say why: {one.did}: "
                     f"{'; '.join(one.why)}" + "".join(f"\n    {line}" for line in one.log[-2:]))
    for case, peer in sorted((explanations.pairs & ran) - differing):
        wrong.append(f"{case}: differences.toml explains what {peer} does, but it does not differ: "
                     f"{results[peer][case].did}")
    return wrong
