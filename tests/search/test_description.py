"""Strategies from the tables of a study file; `test_conformance` has the round trip of each."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import numpy as np
import pytest

from shoal import search
from shoal.search import LTFB, PB2, PBT, FactorRange, Factors, Grid, Random, Resample


def test_a_table_is_read_with_defaults() -> None:
    assert search.from_description({"name": "Random", "trials": 3, "epochs": 2}) == Random(3, epochs=2)
    table = {
        "name": "PBT",
        "population": 8,
        "steps": 100,
        "interval": 10,
        "explore": {"lr": {"factors": [0.5, 2], "resample": 0.1}, "momentum": {"range": [0.9, 1.1]}, "width": "keep"},
    }
    rules = {"lr": Factors(0.5, 2, resample=0.1), "momentum": FactorRange(0.9, 1.1), "width": None}
    assert search.from_description(table) == PBT(8, steps=100, interval=10, explore=rules)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('exploit = "t-test"\nrecombine = true', PBT(8, epochs=9, interval_epochs=3, exploit="t-test", recombine=True)),
        ("synchronous = false", PBT(8, epochs=9, interval_epochs=3, synchronous=False)),
        ('name = "PB2"', PB2(8, epochs=9, interval_epochs=3)),
        (
            'name = "LTFB"\nhyperparameters = "explore"\nexplore.lr = {factors = [0.5, 2]}',
            LTFB(8, epochs=9, interval_epochs=3, hyperparameters="explore", explore={"lr": Factors(0.5, 2)}),
        ),
    ],
)
def test_populations_are_read_from_a_study_file(text: str, expected: search.Search) -> None:
    name = "" if "name" in text else 'name = "PBT"\n'
    table = tomllib.loads(f"{name}population = 8\nepochs = 9\ninterval_epochs = 3\n{text}")
    assert search.from_description(table) == expected


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("PBT", "strategy: must be a table, got 'PBT'"),
        ({}, "strategy.name: must be one of default, Random, .*Genetic.*, got None"),
        ({"name": "pbt"}, "strategy.name: must be one of default, Random, .*Genetic.*, got 'pbt'"),
        ({"name": ["PBT"]}, "strategy.name: must be one of default, Random, .*Genetic.*, got"),
        ({"name": "PBT", "steps": 10, "interval": 1}, "strategy.population: missing"),
        ({"name": "Random", "trial": 3}, "strategy.trial: unknown key; expected trials, epochs, steps"),
        ({"name": "Random", "trials": "3", "epochs": 1}, "strategy.trials: must be a whole number >= 1, got '3'"),
        (
            {"name": "PBT", "population": 2, "epochs": 2, "interval_epochs": 1, "explore": {"lr": {"range": [1]}}},
            "strategy.explore.lr.range: must be a list of 2 numbers",
        ),
    ],
)
def test_errors_name_their_place(table: Any, message: str) -> None:
    with pytest.raises(ValueError, match="^" + message):
        search.from_description(table)


def test_numpy_numbers_can_be_described() -> None:
    eighth = np.float32(0.125)
    rules = {"a": Factors(eighth, resample=eighth), "b": FactorRange(eighth, np.int8(2), eighth), "c": Resample(eighth)}
    searches = [
        PBT(
            np.int64(4), epochs=np.int32(4), interval_epochs=np.int8(1), quantile=eighth, explore=rules, resample=eighth
        ),
        Random(np.int64(3), steps=np.uint8(5)),
        Grid(epochs=np.int64(2), counts={"a": np.int64(2)}),
    ]
    for each in searches:
        assert search.from_description(json.loads(json.dumps(each.describe()))) == each


def test_the_place_can_be_a_files() -> None:
    with pytest.raises(ValueError, match=r"^study.toml: strategy.trials: missing"):
        search.from_description({"name": "Random", "epochs": 1}, "study.toml: strategy")
