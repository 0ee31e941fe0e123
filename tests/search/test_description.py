"""Strategies from the tables of a study file; `test_conformance` has the round trip of each."""

from __future__ import annotations

from typing import Any

import pytest

from shoal import search
from shoal.search import PBT, FactorRange, Factors, Random


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
    ("table", "message"),
    [
        ("PBT", "strategy: must be a table, got 'PBT'"),
        ({}, "strategy.name: must be one of Random, Grid, PBT, got None"),
        ({"name": "pbt"}, "strategy.name: must be one of Random, Grid, PBT, got 'pbt'"),
        ({"name": ["PBT"]}, "strategy.name: must be one of Random, Grid, PBT, got"),
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


def test_the_place_can_be_a_files() -> None:
    with pytest.raises(ValueError, match=r"^study.toml: strategy.trials: missing"):
        search.from_description({"name": "Random", "epochs": 1}, "study.toml: strategy")
