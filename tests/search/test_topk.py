"""One look, then the top."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.search.bowl import regrets
from tests.search.simulator import Problem, simulate

from shoal.search import Random, TopK
from shoal.space import Float, Space

SPACE = Space({"lr": Float(0, 1)})


def test_its_budget_is_one_look_each_and_the_rest_of_the_best() -> None:
    plan = TopK(81, keep=5, epochs=9).bind(SPACE).plan()
    assert (plan.trials, plan.budget) == (81, 81 + 5 * 8)
    assert plan.lines == ("81 to 1, 5 to 9 epochs",)
    assert TopK(10, keep=10, steps=500, look=20).bind(SPACE).plan().budget == 10 * 500


@given(
    looks=st.lists(st.sampled_from([0.1, 0.2, 0.3, math.nan, -math.inf]), min_size=6, max_size=20),
    keep=st.integers(1, 6),
    rows=st.integers(1, 7),
    arrival=st.integers(),
)
def test_the_best_at_the_look_go_on(looks: list[float], keep: int, rows: int, arrival: int) -> None:
    search = TopK(len(looks), keep, steps=90, look=7)
    score = Problem(lambda trial, progress: looks[trial] if progress == 7 else 0.5)
    result = simulate(search.bind(SPACE), SPACE, score, rows=rows, arrival=arrival)
    alive = [trial for trial, look in enumerate(looks) if math.isfinite(look)]
    best = sorted(alive, key=lambda trial: (looks[trial], trial))[:keep]
    assert {trial for trial, kept in result.trials.items() if kept.progress == 90} == set(best)
    assert result.spent == 7 * len(looks) + 83 * len(best)


def test_it_is_better_than_chance_at_equal_budget() -> None:
    chance, budget = regrets(Random(20, epochs=10), seeds=10, rows=8)
    kept, spent = regrets(TopK(110, keep=10, epochs=10), seeds=10, rows=8)
    assert spent == budget
    assert kept < 0.7 * chance


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trials": 0}, "trials: must be a whole number >= 1, got 0"),
        ({"keep": 0}, "keep: must be a whole number >= 1, got 0"),
        ({"keep": 9}, "keep: must be at most trials = 8, got 9"),
        ({"look": 5}, "look: must be below epochs = 5, got 5"),
        ({"look": 0.5}, "look: must be a whole number >= 1, got 0.5"),
        ({"epochs": None, "steps": 100}, "look: must be given with steps"),
        ({"epochs": None}, "epochs and steps: one of them must be given, got neither"),
        ({"sampler": "best"}, "sampler: must be one of random, grid, sobol"),
    ],
)
def test_impossible_plans_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TopK(**({"trials": 8, "keep": 2, "epochs": 5} | arguments))
