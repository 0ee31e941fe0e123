"""The order of several objectives, held against its definitions."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.search.protocol import Report, rank_key
from shoal.search.ranking import Standings, crowding, dominates, extended, fronts, rank

Values = list[tuple[float, ...]]
few = st.integers(0, 4).map(float)  # so that there are ties
many = st.floats(-1e6, 1e6)
objectives = st.integers(1, 4).flatmap(lambda m: st.lists(st.one_of(*(st.tuples(*[x] * m) for x in (few, many)))))


def beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and any(a < b for a, b in zip(one, other, strict=True))


def peeled(values: Values) -> list[set[int]]:
    """The definition: those that nobody left dominates are a front, and are taken away."""
    left, found = set(range(len(values))), []
    while left:
        front = {i for i in left if not any(beats(values[j], values[i]) for j in left)}
        found.append(front)
        left -= front
    return found


@settings(max_examples=300, deadline=None)
@given(objectives)
def test_fronts_are_what_is_left_undominated(values: Values) -> None:
    table = np.array(values, dtype=float) if values else np.empty((0, 2))
    assert [set(front) for front in fronts(table)] == peeled(values)


def test_a_front_by_hand() -> None:
    values = [(1, 5), (2, 3), (4, 1), (2, 4), (5, 5), (1, 6), (2, 3)]
    assert [sorted(front) for front in fronts(np.array(values, float))] == [[0, 1, 2, 6], [3, 5], [4]]


def test_crowding_by_hand() -> None:
    """Deb et al. 2002, section III-B: the sides of the cuboid between the neighbours, in units of the front's."""
    values = np.array([(0, 10), (1, 6), (4, 5), (10, 0)], float)
    assert crowding(values, np.arange(4)).tolist() == [math.inf, 0.4 + 0.5, 0.9 + 0.6, math.inf]
    assert crowding(np.array([(1.0, 2.0)] * 3), np.arange(3)).tolist() == [0, 0, 0]


def test_reports_by_hand() -> None:
    ranked = [
        several(2, 0, 10), several(7, 10, 0),  # the ends, by id
        several(9, 4, 5), several(1, 1, 6),  # the less crowded first
        several(0, 5, 6), several(3, 5, 6),  # the next front: equal, by id
        Report(4, 1, math.nan), Report(5, 1, math.inf),
    ]  # fmt: skip
    assert rank(random.Random(0).sample(ranked, len(ranked))) == ranked


def several(trial: int, *values: float) -> Report:
    return Report(trial, 1, values[0], {}, tuple(float(value) for value in values))


@st.composite
def reports(draw: st.DrawFn) -> list[Report]:
    made = [several(trial, *values) for trial, values in enumerate(draw(objectives))]
    dead = [Report(len(made) + i, 1, math.nan) for i in range(draw(st.integers(0, 3)))]
    return draw(st.permutations(made + dead))


@settings(deadline=None)
@given(reports(), st.randoms())
def test_the_order_does_not_depend_on_arrival(given: list[Report], chance: random.Random) -> None:
    ranked = rank(given)
    assert rank(chance.sample(given, len(given))) == ranked
    assert sorted(ranked, key=rank_key) == sorted(given, key=rank_key)
    assert [report.diverged for report in ranked] == sorted(report.diverged for report in given)
    for place, report in enumerate(ranked):
        assert not any(dominates(later, report) for later in ranked[place:] if not later.diverged)


@settings(deadline=None)
@given(reports())
def test_of_one_objective_it_is_the_order_of_scores(given: list[Report]) -> None:
    single = [Report(report.trial, 1, report.score) for report in given]
    assert rank(single) == sorted(single, key=rank_key)


@settings(deadline=None)
@given(reports(), st.randoms())
def test_a_front_that_grows_is_the_front_of_all(given: list[Report], chance: random.Random) -> None:
    alive = [report for report in given if not report.diverged]
    want = [
        report
        for report in alive
        if not any(dominates(other, report) for other in alive)
        and not any(other.objectives == report.objectives and other.trial < report.trial for other in alive)
    ]
    front: list[Report] = []
    for report in chance.sample(given, len(given)):
        front = extended(front, report)
    assert front == sorted(want, key=rank_key)


@settings(deadline=None)
@given(st.lists(few))
def test_the_front_of_one_objective_is_the_best(scores: list[float]) -> None:
    front: list[Report] = []
    single = [Report(trial, 1, score) for trial, score in enumerate(scores)]
    for report in single:
        front = extended(front, report)
    assert front == sorted(single, key=rank_key)[:1]


scores = st.sampled_from([-1.0, 0.0, 0.5, 0.5, math.inf, math.nan])
changes = st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.tuples(scores, scores))), max_size=30)


@settings(max_examples=300, deadline=None)
@given(changes, st.booleans())
def test_standings_are_the_last_reports_in_order(
    changes: list[tuple[int, tuple[float, float] | None]], several: bool
) -> None:
    standings, last = Standings(), dict[int, Report]()
    for trial, values in changes:
        if values is None:
            standings.drop(trial)
            last.pop(trial, None)
        else:
            finite = all(map(math.isfinite, values))
            report = Report(trial, 1, values[0], objectives=values if several and finite else ())
            if several and not finite:
                report = Report(trial, 1, math.inf)
            standings.put(report)
            last[trial] = report
        assert standings.ranked == rank(list(last.values()))
        assert [standings.place(report) for report in standings.ranked] == list(range(len(last)))
