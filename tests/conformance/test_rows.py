"""All cases: staged at once in one world, run side by side, each a test of its own."""

from __future__ import annotations

import json
import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Iterator

import pytest

from case import Case, selected
from drive import Daneway, Run
from judge import is_about_output, judge, judge_match
from lab.namespace import HOME
from lab.world import World
from stage import Staged, stage

CASES = {case.id: case for case in selected()}
# Most of the time is waiting for scripted time-outs.
WORKERS = int(os.environ.get("DANEWAY_JOBS", "6"))


class Results:
    def __init__(self, program: Daneway, staged: dict[str, Staged]) -> None:
        self.program, self.staged = program, staged
        self.pool = ThreadPoolExecutor(WORKERS)
        order = sorted(staged.values(), key=lambda s: not s.case.slow)  # the long ones first
        self.futures: dict[str, Future[list[tuple[Run, list[str]]]]] = {
            s.case.id: self.pool.submit(self._run, s) for s in order}

    def _run(self, staged: Staged) -> list[tuple[Run, list[str]]]:
        results = []
        for command in staged.case.commands:
            run = self.program.run(staged, command)
            results.append((run, judge(staged, run)))
        return results


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest) -> Iterator[Results]:
    path = Path(os.environ.get("DANEWAY", str(HOME / "build/daneway")))
    if not path.exists():
        pytest.fail(f"no {path}: build first, or set DANEWAY")
    chosen = [CASES[item.callspec.params["case_id"]] for item in request.session.items
              if "case_id" in getattr(getattr(item, "callspec", None), "params", {})]
    world = World("conformance")
    staged = stage(world, chosen)
    world.start()
    made = Results(Daneway(path), staged)
    yield made
    made.pool.shutdown(cancel_futures=True)
    world.stop()


@pytest.mark.parametrize("case_id", CASES)
def test_case(case_id: str, results: Results) -> None:
    wrong = [(run, objections) for run, objections in results.futures[case_id].result()
             if objections]
    case = CASES[case_id]
    if case.deviation:
        if not wrong:
            pytest.fail("it deviates no more: take the word from the case", pytrace=False)
        if all(is_about_output(o) for _, objections in wrong for o in objections):
            pytest.xfail(case.deviation)
    if wrong:
        pytest.fail(_report(case, wrong), pytrace=False)


@pytest.mark.parametrize("case_id", [name for name, case in CASES.items() if case.matchable])
def test_tlsa_match_agrees(case_id: str, results: Results) -> None:
    staged = results.staged[case_id]
    run = results.program.match(staged)
    objections = judge_match(staged, run)
    if objections and CASES[case_id].deviation:
        pytest.xfail(CASES[case_id].deviation)
    if objections:
        pytest.fail(_report(CASES[case_id], [(run, objections)]), pytrace=False)


def _report(case: Case, wrong: list[tuple[Run, list[str]]]) -> str:
    lines = [f"{case.id} ({', '.join(case.rows)}): {case.title}"]
    for run, objections in wrong:
        lines += [f"  {run.command}: {objection}" for objection in objections]
        lines += ["  $ " + " ".join(run.argv), json.dumps(run.output, indent=1), run.stderr,
                  "  questions: " + ", ".join(" ".join(q) for q in run.questions)]
        for name, sessions in run.sessions.items():
            lines += [f"  {name}: {s}" for s in sessions]
    return "\n".join(lines)
