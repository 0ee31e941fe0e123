"""Spaces to tables and back."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from tests.space.examples import constrained_spaces, spaces

from shoal.space import Bool, Choice, Float, Int, Ordinal, Space

TOML = """
lr = {low = 1e-4, high = 0.2, log = true}
momentum = {low = 0, high = 0.99, type = "float"}
width = {low = 16, high = 128, type = "int", log = true}
batch_size = {ordinal = [32, 64]}
activation = {choice = ["relu", "tanh"]}
layers = {choice = [[64], [64, 32]]}
nesterov = {bool = true, when = {momentum_kind = ["heavy", "light"], batch_size = [32]}}
momentum_kind = {choice = ["heavy", "light", "none"]}
decay = 0.5

[[forbidden]]
width = [127, 128]
activation = ["relu"]

[[begin_with]]
lr = 0.1
momentum = 0
width = 64
batch_size = 64
activation = "tanh"
layers = [64, 32]
momentum_kind = "none"
"""


@given(spaces | constrained_spaces())
def test_a_description_survives_json(space: Space) -> None:
    described = json.loads(json.dumps(space.describe(), allow_nan=False))
    back = Space.from_description(described)
    assert back == space
    assert list(back.values) == list(space.values)
    assert back.describe() == described


def test_a_study_file_is_read() -> None:
    assert Space.from_description(tomllib.loads(TOML)) == Space(
        {
            "lr": Float(1e-4, 0.2, log=True),
            "momentum": Float(0, 0.99),
            "width": Int(16, 128, log=True),
            "batch_size": Ordinal([32, 64]),
            "activation": Choice(["relu", "tanh"]),
            "layers": Choice([(64,), (64, 32)]),
            "nesterov": Bool(when={"momentum_kind": ["heavy", "light"], "batch_size": [32]}),
            "momentum_kind": Choice(["heavy", "light", "none"]),
            "decay": 0.5,
        },
        forbidden=[{"width": [127, 128], "activation": ["relu"]}],
        begin_with=[
            {
                **{"lr": 0.1, "momentum": 0.0, "width": 64, "batch_size": 64, "activation": "tanh"},
                **{"layers": (64, 32), "momentum_kind": "none", "decay": 0.5},
            }
        ],
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"low": 0, "high": 1, "log": True}, "low: must be > 0 on a log scale, got 0"),
        ({"low": 1e-3}, "high: missing"),
        ({}, "low: missing"),
        ({"low": 0, "high": 1, "lgo": True}, "lgo: unknown key; expected low, high, log, type"),
        ({"low": 0, "high": 1, "type": "integer"}, 'type: must be "float" or "int", got \'integer\''),
        ({"low": 0.5, "high": 1, "type": "int"}, "low: must be a whole number, got 0.5"),
        ({"choice": [1], "log": True}, "log: unknown key; expected choice"),
        ({"choice": 1}, "choice: must be a list of at least one value, got 1"),
        ({"ordinal": []}, "ordinal: must be a list of at least one value"),
        ({"bool": False}, "bool: must be true, got False"),
        ({"bool": True, "when": "sgd"}, "when: must map parameters to lists of their values, got 'sgd'"),
        ({"low": 0, "high": 1, "when": {"a": 1}}, "when.a: must be a list of at least one value, got 1"),
        ({"choice": [1], "when": {"a": []}}, r"when.a: must be a list of at least one value, got \[\]"),
        ({"choice": [1], "when": {"b": [1]}}, "when.b: no such parameter; the space has lr"),
    ],
)
def test_errors_name_their_place(table: Any, message: str) -> None:
    with pytest.raises(ValueError, match="^space.lr." + message):
        Space.from_description({"lr": table})


def test_a_constant_and_the_place_are_checked_too() -> None:
    with pytest.raises(ValueError, match=r"^study.toml: space: must be a table, got 3"):
        Space.from_description(3, "study.toml: space")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^study.toml: space.lr: must be text"):
        Space.from_description({"lr": float("nan")}, "study.toml: space")
