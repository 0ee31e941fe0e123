"""Who breeds in steady-state genetic search, and what comes of it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.search.bowl import SPACE, regrets

from shoal.search import ASHA, Full, GeneticSampler, Random
from shoal.search.breeding import Individual, bred, two_parents
from shoal.search.keyed import keyed
from shoal.search.protocol import Report, rank_key

SCORES = st.sampled_from([0.0, 0.25, 0.5, 0.75, math.nan, math.inf])


def who_breeds(reports: list[Report], population: int) -> list[int]:
    """The docstring, word for word: the greatest progress with so many finite scores, and its best."""
    finite = [report for report in reports if math.isfinite(report.score)]
    for progress in sorted({report.progress for report in finite}, reverse=True):
        there = [report for report in finite if report.progress == progress]
        if len(there) >= population:
            return [report.trial for report in sorted(there, key=rank_key)[:population]]
    return []


@given(scores=st.lists(st.lists(SCORES, max_size=3), min_size=12, max_size=12), order=st.randoms())
def test_parents_are_the_best_at_the_greatest_progress_that_enough_have_reached(
    scores: list[list[float]], order: Any
) -> None:
    sampler = GeneticSampler(population=3, mutation_rate=0.3)
    bound = sampler.bind(SPACE, 7, 13)
    configs = [bound.propose(trial) for trial in range(12)]
    reports = [Report(trial, 3**rung, score) for trial, curve in enumerate(scores) for rung, score in enumerate(curve)]
    order.shuffle(reports)
    for report in reports:
        bound.observe(report, last=False)
        bound.observe(report, last=True)  # a scheduler may tell of the same report twice
    parents = [
        Individual(trial, configs[trial], Report(trial, 1, rank)) for rank, trial in enumerate(who_breeds(reports, 3))
    ]
    child = bound.propose(12)
    if not parents:
        assert child == SPACE.sample(keyed(7, "sample", 12))
        return
    rng = keyed(7, "breed", 12)
    first, second = two_parents(parents, rng)
    expected = bred(SPACE, first.config, second.config, 0.33, 0.3, rng)
    differing = [name for name in SPACE.parameters if child[name] != expected[name]]
    assert len(differing) == (expected in configs)


def test_clones_are_rare_even_without_mutation() -> None:
    bound = GeneticSampler(population=2, crossover_rate=0.0, mutation_rate=0.0).bind(SPACE, 0, 50)
    configs = []
    for trial in range(50):
        configs.append(bound.propose(trial))
        bound.observe(Report(trial, 1, trial), last=True)
    assert len({tuple(config.values()) for config in configs}) > 40  # of two parents that never change


def test_it_begins_as_random_search_does() -> None:
    first = Full(9, epochs=1, sampler="genetic").bind(SPACE, seed=3).ask(9)
    assert first == Random(9, epochs=1).bind(SPACE, seed=3).ask(9)


def test_it_is_better_than_chance() -> None:
    chance, _ = regrets(Random(100, epochs=3), seeds=8, rows=4)
    evolved, _ = regrets(Full(100, epochs=3, sampler="genetic"), seeds=8, rows=4)
    assert evolved < 0.6 * chance


@pytest.mark.parametrize("mode", ["promotion", "stopping"])
def test_it_is_better_than_chance_where_most_trials_stop_early(mode: str) -> None:
    """Good configs are trained for longer, so chance is given more of them."""
    chance, budget = regrets(ASHA(250, max_epochs=9, mode=mode), seeds=8, rows=4)
    evolved, spent = regrets(ASHA(100, max_epochs=9, mode=mode, sampler=GeneticSampler(10)), seeds=8, rows=4)
    assert spent < budget
    assert evolved < 0.8 * chance


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"population": 1}, "population: must be a whole number >= 2, got 1"),
        ({"crossover_rate": 2}, r"crossover_rate: must be in \[0, 1\], got 2"),
        ({"mutation_rate": -0.1}, r"mutation_rate: must be in \[0, 1\], got -0.1"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GeneticSampler(**arguments)
    with pytest.raises(ValueError, match=r"sampler\." + message):
        Full(3, epochs=1, sampler={"name": "genetic", **arguments})
