"""The rules by which an heir's hyperparameters change."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.space.examples import parameters, values_of

from shoal.search import FactorRange, Factors, Resample
from shoal.search.explore import Explore, read_rule
from shoal.space import Bool, Choice, Float, Int, Ordinal

RULES = [Factors(0.8, 1.2), Factors(1.0), Factors(1e-9, 1e9, resample=0.5), FactorRange(0.9, 1.1, 0.2), Resample(0.3)]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("rule", RULES, ids=repr)
@settings(deadline=None)
@given(st.data(), st.integers(0, 2**32))
def test_a_rule_stays_inside_the_parameter(rule: Explore, data: st.DataObject, seed: int) -> None:
    parameter = data.draw(parameters)
    value = data.draw(values_of(parameter))
    moved = rule(parameter, value, rng(seed))
    assert parameter.check(moved) == moved
    assert type(moved) is type(parameter.check(moved))


def test_factors_are_equally_likely() -> None:
    moved = [Factors(0.5, 2)(Float(0, 100), 10.0, rng(seed)) for seed in range(400)]
    assert set(moved) == {5.0, 20.0}
    assert abs(moved.count(5.0) - 200) <= 40  # 4 standard deviations


def test_a_factor_range_is_uniform() -> None:
    moved = np.sort([FactorRange(0.9, 1.1)(Float(0, 100), 10.0, rng(seed)) for seed in range(400)])
    # Kolmogorov-Smirnov: 1.63 / sqrt(400) is passed once in 100 sets of seeds, and these are fixed.
    assert np.max(np.abs((moved - 9) / 2 - np.linspace(0, 1, 400))) <= 0.0815


@pytest.mark.parametrize("rule", [Resample(0.25), Factors(1.0, resample=0.25)], ids=repr)
def test_resample_draws_anew_with_its_probability(rule: Explore) -> None:
    moved = [rule(Float(0, 1), 0.5, rng(seed)) for seed in range(400)]
    assert abs(sum(value != 0.5 for value in moved) - 100) <= 35  # 4 standard deviations


def test_an_ordinal_moves_one_place_and_a_choice_is_drawn_anew() -> None:
    assert Factors(1.01)(Ordinal([1, 2, 4, 8]), 2, rng()) == 4
    assert Factors(0.99)(Ordinal([1, 2, 4, 8]), 2, rng()) == 1
    for parameter, value in ((Choice(["a", "b", "c"]), "a"), (Bool(), True)):
        assert {Factors(1.0)(parameter, value, rng(seed)) for seed in range(50)} == set(parameter.values)


def test_an_own_probability_wins_over_the_strategys() -> None:
    assert Factors(2, resample=0.0).settle(0.5) == Factors(2, resample=0.0)
    assert Factors(2).settle(0.5) == Factors(2, resample=0.5)
    assert FactorRange(1, 2, 0.0).settle(0.5) == FactorRange(1, 2, 0.0)
    assert FactorRange(1, 2).settle(0.5) == FactorRange(1, 2, 0.5)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_description_gives_the_rule_back(rule: Explore) -> None:
    assert read_rule(json.loads(json.dumps(rule.describe())), "explore.lr") == rule


@pytest.mark.parametrize("keep", [None, "keep"])
def test_no_change_has_two_names(keep: str | None) -> None:
    assert read_rule(keep, "explore.lr") is None


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (0.8, 'rule: must be a table with factors, range or resample, or "keep", got 0.8'),
        ({}, "factors: missing, as are range and resample"),
        ({"factor": [1]}, "factor: unknown key; expected factors, range, resample"),
        ({"factors": [1], "range": [1, 2]}, "range: unknown key; expected factors, resample"),
        ({"factors": 2}, "factors: must be a list of some numbers, got 2"),
        ({"factors": []}, "factors: must be at least one number, got none"),
        ({"factors": [0.8, -1]}, "factors: must be > 0, got -1"),
        ({"factors": ["0.8"]}, "factors: must be a finite number, got '0.8'"),
        ({"range": [1]}, r"range: must be a list of 2 numbers, got \[1\]"),
        ({"range": [1.2, 0.8]}, "range: must rise, got 1.2 to 0.8"),
        ({"range": [0, 1]}, "range: must be > 0, got 0"),
        ({"range": [1, 2], "resample": 2}, r"resample: must be in \[0, 1\], got 2"),
        ({"resample": -0.1}, r"resample: must be in \[0, 1\], got -0.1"),
        ({"resample": None}, "resample: must be a finite number, got None"),
    ],
)
def test_a_wrong_rule_is_named_with_its_place(table: Any, message: str) -> None:
    with pytest.raises(ValueError, match="^explore.lr." + message):
        read_rule(table, "explore.lr")


def test_a_small_integer_does_not_stall() -> None:
    assert Factors(1.2)(Int(1, 100, log=True), 1, rng()) == 2
    assert Factors(0.8)(Int(1, 100, log=True), 2, rng()) == 1
