"""Differential evolution, and DEHB against a transcription of its loop for one trial at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.search.bowl import SPACE, regrets
from tests.search.simulator import Problem, simulate
from tests.search.test_conformance import noise

from shoal.search import DEHB, Hyperband, Random
from shoal.search.differential import Subpopulation, crossed, mutant
from shoal.search.keyed import keyed
from shoal.search.protocol import Report, Resume, Start
from shoal.space import Config, Space

POINTS = st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=3, max_size=5)


@given(points=POINTS, factor=st.floats(0, 1), seed=st.integers(0, 99))
def test_a_mutant_is_one_parent_and_a_part_of_the_difference_of_two(
    points: list[list[float]], factor: float, seed: int
) -> None:
    made = mutant([np.array(point) for point in points], factor, np.random.default_rng(seed))
    candidates = []
    for a, b, c in itertools.permutations(points, 3):
        candidates.append([x + factor * (y - z) for x, y, z in zip(a, b, c, strict=True)])
    assert any(
        all(got == want or not 0 <= want <= 1 for got, want in zip(made, candidate, strict=True))
        for candidate in candidates
    )
    assert np.all((made >= 0) & (made <= 1))


def test_a_mutant_by_hand() -> None:
    """Three parents, so six mutants; F = 0.5. What is beyond the square is drawn anew: 1.1 and -0.1 here."""
    parents = [np.array([0.2, 0.9]), np.array([0.6, 0.5]), np.array([0.4, 0.1])]
    made: dict[float, set[float]] = {}
    for seed in range(300):
        x, y = np.round(mutant(parents, 0.5, np.random.default_rng(seed)), 9).tolist()
        made.setdefault(x, set()).add(y)
    assert {x: ys for x, ys in made.items() if len(ys) == 1} == {0.1: {0.7}, 0.5: {0.9}, 0.7: {0.1}, 0.2: {0.3}}
    assert {x for x, ys in made.items() if len(ys) > 20} == {0.3, 0.6}


def test_crossover_takes_half_and_at_least_one_from_the_mutant() -> None:
    rng = np.random.default_rng(0)
    target, other = np.zeros(4), np.ones(4)
    children = np.array([crossed(target, other, 0.5, rng) for _ in range(4000)])
    assert np.all(children.sum(axis=1) >= 1)
    # One of four surely, half of the rest: (1 + 3 / 2) / 4.
    np.testing.assert_allclose(children.mean(axis=0), 0.625, atol=0.03)
    assert all(crossed(target, other, 0.0, rng).sum() == 1 for _ in range(20))
    assert crossed(np.zeros(0), np.zeros(0), 0.5, rng).shape == (0,)


def test_a_slot_keeps_the_better_and_gives_way_to_an_equal() -> None:
    slots = Subpopulation(2)
    points = [np.array([float(trial)]) for trial in range(6)]
    for trial, score in enumerate([math.nan, 0.5, 0.7, 0.5, -math.inf, 0.1]):
        slots.select(0, points[trial], Report(trial, 1, score))
        held = slots[0]
        assert (None if held is None else held.report.trial) == [None, 1, 1, 3, 3, 5][trial]
    slots.select(1, points[0], Report(9, 1, 0.0))
    assert [each.report.trial for each in slots.ranked()] == [9, 5]
    assert [slots.next_slot() for _ in range(5)] == [0, 1, 0, 1, 0]


def test_the_plan_by_hand() -> None:
    """Hyperband's table for 27 and 3, and what its later rounds cost from scratch."""
    first = 27 * 1 + 9 * 2 + 3 * 6 + 1 * 18, 12 * 3 + 4 * 6 + 1 * 18, 6 * 9 + 2 * 18, 4 * 27
    later = 27 * 1 + 9 * 3 + 3 * 9 + 1 * 27, 12 * 3 + 4 * 9 + 1 * 27, 6 * 9 + 2 * 27, 4 * 27
    plan = DEHB(max_epochs=27, rounds=3).bind(SPACE).plan()
    assert plan.budget == sum(first) + 2 * sum(later) == 357 + 2 * 423
    assert plan.trials == (27 + 12 + 6 + 4) + 2 * (40 + 17 + 8 + 4)
    assert plan.lines[:2] == ("27 to 1, 9 to 3, 3 to 9, 1 to 27 epochs", "12 to 3, 4 to 9, 1 to 27 epochs")
    once = DEHB(max_epochs=27, rounds=1).bind(SPACE).plan()
    assert once == replace(Hyperband(max_epochs=27).bind(SPACE).plan(), initial=27)


def transcription(score: Callable[[int, int], float], rounds: int, seed: int) -> list[tuple[int, Config, int]]:
    """One trial after the other, budgets 1, 3 and 9, eta 3: returns (trial, config, until) of all that was started."""
    table = [([9, 3, 1], [1, 3, 9]), ([5, 1], [3, 9]), ([3], [9])]
    population: dict[int, list[Any]] = {1: [None] * 9, 3: [None] * 5, 9: [None] * 3}
    turn = {1: 0, 3: 0, 9: 0}
    started: list[tuple[int, Config, int]] = []

    def take_slot(budget: int) -> int:
        turn[budget] += 1
        return (turn[budget] - 1) % len(population[budget])

    def best(budget: int) -> list[Any]:
        return sorted((each for each in population[budget] if each), key=lambda each: each[:2])

    def evolve(trial: int, budget: int, slot: int, below: int | None, n: int) -> np.ndarray:
        drawn = keyed(seed, "sample", trial).random(5)
        target = population[budget][slot]
        if target is None and below is None:
            return drawn
        rng = keyed(seed, "evolve", trial)
        pool = [each for each in best(budget) if each is not target] if below is None else best(below)[:n]
        if len(pool) < 3:
            known = [each for each in (target, *pool) if each]
            others = [each for b in (9, 3, 1) for each in best(b) if not any(each is one for one in known)]
            pool += [others[i] for i in rng.permutation(len(others))][: 3 - len(pool)]
        if len(pool) < 3:
            return drawn
        x1, x2, x3 = (pool[i][2] for i in rng.choice(len(pool), 3, replace=False))
        v = x1 + 0.5 * (x2 - x3)
        anew = rng.random(5)
        v = np.array([anew[j] if not 0 <= v[j] <= 1 else v[j] for j in range(5)])
        x = drawn if target is None else target[2]
        chances, surely = rng.random(5), rng.integers(5)
        return np.array([v[j] if chances[j] < 0.5 or j == surely else x[j] for j in range(5)])

    def evaluate(trial: int, budget: int, slot: int, x: np.ndarray) -> tuple[float, int, np.ndarray]:
        y = score(trial, budget)
        held = population[budget][slot]
        if math.isfinite(y) and (held is None or y <= held[0]):
            population[budget][slot] = (y, trial, x)
        return (y if math.isfinite(y) else math.inf, trial, x)

    for r in range(rounds):
        for sizes, budgets in table:
            rung: list[tuple[float, int, np.ndarray]] = []
            for k, (n, budget) in enumerate(zip(sizes, budgets, strict=True)):
                if r == 0 and k > 0:  # promoted
                    better = [each for each in sorted(rung, key=lambda each: each[:2])[:n] if each[0] < math.inf]
                    slots = [take_slot(budget) for _ in better]
                    rung = [evaluate(each[1], budget, slot, each[2]) for each, slot in zip(better, slots, strict=True)]
                    continue
                rung = []
                for _ in range(n):
                    trial, slot = len(started), take_slot(budget)
                    x = evolve(trial, budget, slot, budgets[k - 1] if k else None, n)
                    started.append((trial, SPACE.from_unit(x), budget))
                    rung.append(evaluate(trial, budget, slot, x))
    return started


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 999),
    dead=st.sampled_from([0.0, 0.0, 0.2, 0.7, 1.0]),
    levels=st.sampled_from([1, 3, 1000]),
    rounds=st.integers(1, 4),
)
def test_one_trial_at_a_time_against_a_transcription(seed: int, dead: float, levels: int, rounds: int) -> None:
    score = noise(seed, dead=dead, levels=levels)
    result = simulate(DEHB(max_epochs=9, rounds=rounds).bind(SPACE, seed), SPACE, Problem(score), rows=1)
    starts = [order for answer in result.answers for order in answer if isinstance(order, Start)]
    assert [(start.trial, start.config, start.until) for start in starts] == transcription(score, rounds, seed)


@pytest.mark.parametrize(("rows", "same"), [(1, 27), (27, 49), (999, 49)])
def test_it_begins_as_hyperband_does(rows: int, same: int) -> None:
    """The first bracket is Hyperband's; so are the others that start before anything is known."""
    score = noise(8)
    runs = [
        simulate(each.bind(SPACE, seed=2), SPACE, Problem(score), rows=rows)
        for each in (DEHB(max_epochs=27), Hyperband(max_epochs=27))
    ]
    evolved, halved = ({trial: run.trials[trial].orders for trial in range(same)} for run in runs)
    assert evolved == halved


def test_later_rounds_start_from_scratch_and_spend_exactly_the_plan() -> None:
    strategy = DEHB(max_epochs=27, rounds=2).bind(SPACE)
    result = simulate(strategy, SPACE, Problem(noise(4)), rows=7)
    assert result.spent == strategy.plan().budget
    resumed = {trial for trial, kept in result.trials.items() if any(isinstance(o, Resume) for o in kept.orders)}
    assert max(resumed) < 49
    ends = [result.trials[trial].progress for trial in range(49, 118)]
    assert {end: ends.count(end) for end in (1, 3, 9, 27)} == {1: 27, 3: 9 + 12, 9: 3 + 4 + 6, 27: 1 + 1 + 2 + 4}


def test_it_is_better_than_hyperband_and_chance_at_no_more_budget() -> None:
    search = DEHB(max_epochs=27, rounds=3)
    evolved, spent = regrets(search, seeds=8, rows=8)
    halved, halved_spent = regrets(Hyperband(max_epochs=27, rounds=4), seeds=8, rows=8)
    chance, chance_spent = regrets(Random(45, epochs=27), seeds=8, rows=8)
    assert spent < min(halved_spent, chance_spent)
    assert evolved < 0.6 * halved
    assert evolved < 0.4 * chance


def test_a_space_of_constants_is_searched_too() -> None:
    space = Space({"lr": 0.1})
    strategy = DEHB(max_epochs=3).bind(space)
    result = simulate(strategy, space, Problem(noise(1)), rows=2)
    assert len(result.trials) == strategy.plan().trials


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_epochs": None}, "max_epochs and max_steps: one of them must be given, got neither"),
        ({"min_epochs": 10}, "min_epochs: must be at most max_epochs = 9, got 10"),
        ({"eta": 1}, "eta: must be a whole number >= 2, got 1"),
        ({"rounds": 0}, "rounds: must be a whole number >= 1, got 0"),
        ({"mutation_factor": 2}, r"mutation_factor: must be in \[0, 1\], got 2"),
        ({"crossover_rate": -1}, r"crossover_rate: must be in \[0, 1\], got -1"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DEHB(**({"max_epochs": 9} | arguments))
