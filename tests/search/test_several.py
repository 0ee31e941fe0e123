"""The contract again, for the strategies that rank by several objectives."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.search.simulator import Problem, Run, simulate
from tests.search.test_conformance import SEARCHES, SPACE, asynchronous, noise

from shoal import search
from shoal.search import ASHA, OptunaSampler, Search, SuccessiveHalving
from shoal.search.protocol import Report, Resume, Strategy, rank_key
from shoal.search.ranking import rank

ABLE = {
    name: each
    for name, each in SEARCHES.items()
    if each.several and not isinstance(getattr(each, "sampler", None), OptunaSampler)
}
every_search = pytest.mark.parametrize("which", ABLE.values(), ids=ABLE)


def run(which: Search, *scores: object, seed: int = 0, **how: int) -> tuple[Strategy, Run]:
    strategy = which.bind(SPACE, seed=seed)
    return strategy, simulate(strategy, SPACE, Problem(*scores), **how)  # type: ignore[arg-type]


def test_only_single_scores_can_be_matched_or_modelled() -> None:
    assert {name for name in SEARCHES if name not in ABLE} == {
        "asha-tpe",
        "dehb",
        "dehb-steps",
        "pb2",
        "pb2-async",
        "median",
        "median-steps",
        "lcm",
        "lcm-learns",
        "lcm-lengths",
    }


@every_search
@pytest.mark.parametrize("rows", [1, 3, 100])
@pytest.mark.parametrize("dead", [0.0, 0.3, 1.0])
def test_it_keeps_the_contract_and_can_be_replayed(which: Search, rows: int, dead: float) -> None:
    strategy, result = run(which, noise(1, levels=5), noise(2, dead=dead), rows=rows)
    assert result.spent <= strategy.plan().budget
    finite = [report for report in result.reports if not report.diverged]
    assert strategy.best == (min(finite, key=rank_key).trial if finite else None)
    again = search.from_description(json.loads(json.dumps(which.describe()))).bind(SPACE)
    for call, answer in zip(result.calls, result.answers, strict=True):
        assert (again.ask(call) if isinstance(call, int) else again.tell(call)) == answer


@pytest.mark.parametrize(
    "which",
    [each for each in ABLE.values() if not asynchronous(each)],
    ids=[name for name, each in ABLE.items() if not asynchronous(each)],
)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99), rows=st.integers(1, 12), arrival=st.integers())
def test_rows_and_arrival_do_not_matter(which: Search, seed: int, rows: int, arrival: int) -> None:
    scores = noise(seed, levels=3), noise(seed + 1, dead=0.2, levels=3)
    _, result = run(which, *scores, rows=100)
    _, shuffled = run(which, *scores, rows=rows, arrival=arrival)
    assert shuffled.histories == result.histories


@every_search
@pytest.mark.parametrize("levels", [2, 10**6])
def test_the_same_objective_twice_is_that_objective(which: Search, levels: int) -> None:
    score = noise(3, dead=0.2, levels=levels)
    _, alone = run(which, score, rows=4)
    _, twice = run(which, score, score, rows=4)
    assert twice.answers == alone.answers


@pytest.mark.parametrize(
    "which", [SuccessiveHalving(6, max_epochs=3), ASHA(6, max_epochs=3), ASHA(6, max_epochs=3, mode="stopping")]
)
def test_the_front_goes_on(which: Search) -> None:
    """Of trials 0, 2 and 5, which nobody dominates, two are the ends."""
    first, second = (0, 1, 2, 3, 4, 5), (5, 5, 1, 6, 7, 0)
    _, result = run(which, lambda trial, _: first[trial], lambda trial, _: second[trial], rows=1)
    promoted = {trial for trial, orders in result.histories.items() if any(isinstance(o, Resume) for o in orders)}
    assert promoted == {0, 5} if which.describe().get("mode") != "stopping" else promoted >= {0, 5}


def test_asha_ranks_a_rung_once_for_all_reports_of_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def counted(reports: Sequence[Report]) -> list[Report]:
        sizes.append(len(reports))
        return rank(reports)

    monkeypatch.setattr("shoal.search.asha.rank", counted)
    strategy = ASHA(30, max_epochs=3).bind(SPACE)
    strategy.ask(30)
    for trial in range(20):
        strategy.tell(Report(trial, 1, trial, objectives=(trial, -trial)))
    assert sizes == []
    assert [order.trial for order in strategy.ask(9)] == [0, 19, 1, 2, 3, 4]
    assert sizes == [20]


def test_one_objective_that_is_not_finite_is_a_death() -> None:
    _, result = run(
        SuccessiveHalving(4, max_epochs=3), lambda trial, _: trial, lambda trial, _: (math.nan, 1, 2, 3)[trial]
    )
    assert result.trials[0].stopped == "diverged"
    assert result.trials[1].stopped == "completed"
