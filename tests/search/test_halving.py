"""Successive halving and Hyperband against the tables of their sources."""

from __future__ import annotations

from typing import Any

import pytest
from tests.search.simulator import Problem, simulate

from shoal.search import Hyperband, SuccessiveHalving
from shoal.search.halving import Bracket
from shoal.space import Float, Space

SPACE = Space({"lr": Float(0, 1)})


def table(brackets: list[Bracket]) -> list[list[tuple[int, int]]]:
    return [list(zip(each.sizes, each.ends, strict=True)) for each in brackets]


@pytest.mark.parametrize(
    ("search", "rungs"),
    [
        (SuccessiveHalving(27, max_epochs=27), "27 to 1, 9 to 3, 3 to 9, 1 to 27"),
        (SuccessiveHalving(256, max_epochs=256, eta=4), "256 to 1, 64 to 4, 16 to 16, 4 to 64, 1 to 256"),
        (SuccessiveHalving(10, max_epochs=50, min_epochs=4), "10 to 4, 3 to 12, 1 to 36, 1 to 50"),
        (SuccessiveHalving(5, max_steps=3, min_steps=3), "5 to 3"),
    ],
)
def test_the_rungs(search: SuccessiveHalving, rungs: str) -> None:
    plan = search.bind(SPACE).plan()
    assert plan.lines == (f"{rungs} {plan.unit}",)


def test_hyperbands_table_for_81_and_3() -> None:
    """Table 1 of Li et al. 2018: the columns of n_i and r_i."""
    assert table(Hyperband(max_epochs=81).brackets()) == [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]


@pytest.mark.parametrize(("most", "eta", "brackets"), [(243, 3, 6), (1000, 10, 4), (125, 5, 4), (80, 3, 4)])
def test_whole_numbers_lose_no_bracket(most: int, eta: int, brackets: int) -> None:
    rounds = Hyperband(max_epochs=most, eta=eta).brackets()
    assert len(rounds) == brackets
    assert all(bracket.ends[-1] == most for bracket in rounds)
    assert len(Hyperband(max_epochs=most, eta=eta, rounds=2).bind(SPACE).plan().lines) == 2 * brackets


def test_the_best_go_on_and_only_the_new_is_trained() -> None:
    quality = {trial: (7 * trial) % 27 for trial in range(27)}  # a permutation: the score is the same at each rung
    strategy = SuccessiveHalving(27, max_epochs=27).bind(SPACE)
    result = simulate(strategy, SPACE, Problem(lambda trial, _: quality[trial]), rows=4, arrival=1)
    reached = {quality[number]: trial.progress for number, trial in result.trials.items()}
    assert [reached[place] for place in range(27)] == [27, 9, 9, *[3] * 6, *[1] * 18]
    assert result.spent == strategy.plan().budget == 27 + 9 * 2 + 3 * 6 + 18
    assert strategy.best == next(trial for trial, place in quality.items() if place == 0)
    assert result.trials[strategy.best].stopped == "completed"


def test_a_rung_of_dead_networks_ends_its_bracket() -> None:
    strategy = Hyperband(max_epochs=9).bind(SPACE)
    result = simulate(strategy, SPACE, Problem(lambda trial, _: float("nan") if trial < 9 else 1.0), rows=3)
    assert [result.trials[trial].progress for trial in range(9)] == [1] * 9
    assert max(result.trials[trial].progress for trial in range(9, 14)) == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trials": 0, "max_epochs": 9}, "trials: must be a whole number >= 1, got 0"),
        ({"trials": 9}, "max_epochs and max_steps: one of them must be given, got neither"),
        ({"trials": 9, "max_epochs": 9, "max_steps": 9}, "one of them must be given, got both"),
        ({"trials": 9, "max_epochs": 3, "min_epochs": 4}, "min_epochs: must be at most max_epochs = 3, got 4"),
        ({"trials": 9, "max_epochs": 3, "min_steps": 1}, "min_steps: must be given with max_steps"),
        ({"trials": 9, "max_epochs": 9, "eta": 1}, "eta: must be a whole number >= 2, got 1"),
        ({"trials": 9, "max_epochs": 9, "sampler": "best"}, "sampler: must be one of random, grid, sobol"),
        (
            {"trials": 9, "max_epochs": 9, "sampler": {"name": "sobol", "points": 3}},
            "sampler.points: unknown key; expected scramble",
        ),
    ],
)
def test_impossible_plans_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SuccessiveHalving(**arguments)
