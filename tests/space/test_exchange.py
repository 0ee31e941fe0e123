"""Spaces to ConfigSpace and to Optuna, and back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.space.examples import configs_of, constrained_spaces, spaces

from shoal.space import Bool, Choice, Float, Int, Ordinal, Parameter, Space

cs = pytest.importorskip("ConfigSpace")
optuna = pytest.importorskip("optuna")
SPACE = Space(
    {
        "lr": Float(1e-4, 0.1, log=True),
        "optimizer": Choice(["sgd", "adam"]),
        "momentum": Float(0, 0.99, when={"optimizer": ["sgd"], "layers": [1, 2]}),
        "layers": Int(1, 5),
        "width": Int(8, 512, log=True),
        "batch_size": Ordinal([16, 32, 64]),
        "nesterov": Bool(when={"optimizer": ["sgd"]}),
        "filters": Choice([(8,), (8, 16)]),
        "weight_decay": 1e-4,
    },
    forbidden=[{"layers": [3, 4, 5], "filters": [(8, 16)]}, {"batch_size": [32]}],
)


def test_what_configspace_is_told() -> None:
    written = SPACE.to_configspace("mine")
    assert written.name == "mine"
    assert written["lr"] == cs.UniformFloatHyperparameter("lr", 1e-4, 0.1, log=True)
    assert written["batch_size"].sequence == (16, 32, 64)
    assert str(written.conditions[0]) == "(momentum | optimizer in {'sgd'} && momentum | layers in {1, 2})"
    back = Space.from_configspace(written)
    assert back == Space(SPACE.values, back.forbidden)
    assert sorted(map(str, back.forbidden)) == sorted(map(str, SPACE.forbidden))


def test_both_accept_the_same_configs() -> None:
    written = SPACE.to_configspace()
    written.seed(0)
    for config in written.sample_configuration(100):
        SPACE.check(dict(config))
    rng = np.random.default_rng(0)
    for _ in range(100):
        cs.Configuration(written, SPACE.sample(rng))  # raises where it is not one


@given(constrained_spaces())
def test_a_space_survives_configspace(space: Space) -> None:
    values = {
        name: Float(0.125, 2, each.log, when=each.when) if isinstance(each, Float) else each  # it rounds bounds
        for name, each in space.values.items()
    }
    expected = _with_bools(Space(values, space.forbidden))
    back = Space.from_configspace(expected.to_configspace())
    assert back.values == expected.values
    assert all(clause in expected.forbidden for clause in back.forbidden)  # its order is its own
    assert all(clause in back.forbidden for clause in expected.forbidden)


@pytest.mark.parametrize(("low", "high"), [(1e-14, 1), (0, 0.12345678901234), (0, 1e300)])
def test_configspace_would_round(low: float, high: float) -> None:
    with pytest.raises(ValueError, match=r"^x: must have bounds of 13 decimals, to which ConfigSpace rounds, got \("):
        Space({"x": Float(low, high)}).to_configspace()


def _with_bools(space: Space) -> Space:
    """A choice of False and True comes back as what it is."""
    values = {
        name: Bool(when=each.when) if type(each) is Choice and set(each.values) == {False, True} else each
        for name, each in space.values.items()
    }
    return Space(values, space.forbidden)


@given(spaces, st.data())
def test_a_space_survives_optuna(space: Space, data: st.DataObject) -> None:
    lists = [
        value for each in space.values.values() for value in getattr(each, "values", (each,)) if type(value) is tuple
    ]
    if lists:
        with pytest.raises(ValueError, match="must have no lists among its values, for Optuna has none"):
            space.to_optuna()
        return
    distributions = space.to_optuna()
    back = Space.from_optuna(distributions)
    config = data.draw(configs_of(space))
    assert back.check(config) == config
    assert all(distributions[name]._contains(distributions[name].to_internal_repr(config[name])) for name in config)
    assert Space.from_optuna(back.to_optuna()) == back
    for name, value in space.values.items():
        if isinstance(value, Float | Int | Bool) or not isinstance(value, Parameter):
            assert back.values[name] == value


def test_what_optuna_says() -> None:
    distributions = {
        "lr": optuna.distributions.FloatDistribution(1e-4, 0.1, log=True),
        "width": optuna.distributions.IntDistribution(8, 512, log=True),
        "kind": optuna.distributions.CategoricalDistribution(["a", None, 2]),
        "flag": optuna.distributions.CategoricalDistribution([False, True]),
        "depth": optuna.distributions.IntDistribution(3, 3),
    }
    values = {
        "lr": Float(1e-4, 0.1, log=True),
        "width": Int(8, 512, log=True),
        "kind": Choice(["a", None, 2]),
        "flag": Bool(),
        "depth": 3,
    }
    assert Space.from_optuna(distributions) == Space(values)
    ordered = Space({"batch_size": Ordinal([16, 32])})
    assert ordered.to_optuna() == {"batch_size": optuna.distributions.CategoricalDistribution([16, 32])}


def _cs(*items: Any) -> Any:
    space = cs.ConfigurationSpace()
    space.add(cs.OrdinalHyperparameter("size", [1, 2, 3]), cs.Categorical("kind", ["a", "b"]), cs.Float("x", (0, 1)))
    for item in items:
        space.add(item(space) if callable(item) else item)
    return space


def test_a_constant_with_a_condition_is_a_choice_and_one_parent_is_met_twice() -> None:
    given = _cs(
        cs.Constant("k", 7),
        lambda s: cs.AndConjunction(cs.InCondition(s["k"], s["size"], [1, 2]), cs.InCondition(s["k"], s["size"], [2])),
        lambda s: cs.ForbiddenEqualsClause(s["kind"], "b"),
    )
    size, kind = Ordinal([1, 2, 3]), Choice(["a", "b"])
    assert Space.from_configspace(given) == Space(
        {"size": size, "kind": kind, "x": Float(0, 1), "k": Choice([7], when={"size": [2]})}, [{"kind": ["b"]}]
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Space.from_configspace({}), "configspace: must be a ConfigurationSpace, got {}"),
        (
            lambda: Space.from_configspace(_cs(cs.NormalFloatHyperparameter("n", 0, 1, lower=-1, upper=1))),
            "n: must be uniform, ordinal or a constant, got n, Type: NormalFloat",
        ),
        (
            lambda: Space.from_configspace(_cs(cs.BetaIntegerHyperparameter("n", 2, 2, lower=0, upper=5))),
            "n: must be uniform, ordinal or a constant, got n, Type: BetaInteger",
        ),
        (
            lambda: Space.from_configspace(_cs(cs.Categorical("n", ["a", "b"], weights=[1, 2]))),
            "n: must be uniform, ordinal or a constant, got n, Type: Categorical, .*Probabilities",
        ),
        (
            lambda: Space.from_configspace(_cs(lambda s: cs.GreaterThanCondition(s["x"], s["size"], 1))),
            r"configspace: must have conditions and clauses of in, equals and and, got x \| size > 1",
        ),
        (
            lambda: Space.from_configspace(_cs(lambda s: cs.ForbiddenGreaterThanClause(s["size"], 2))),
            "configspace: must have conditions and clauses of in, equals and and, got Forbidden: size > 2",
        ),
        (
            lambda: Space.from_configspace(
                _cs(
                    lambda s: cs.OrConjunction(
                        cs.EqualsCondition(s["x"], s["size"], 1), cs.EqualsCondition(s["x"], s["kind"], "a")
                    )
                )
            ),
            "configspace: must have conditions and clauses of in, equals and and, got .*x . size == 1 ",
        ),
        (
            lambda: Space.from_configspace(_cs(lambda s: cs.ForbiddenEqualsClause(s["x"], 0.25))),
            r"space.forbidden\[0\].x: must be a parameter whose values can be listed, got a float",
        ),
        (lambda: Space.from_optuna([1]), r"distributions: must map names to Optuna's distributions, got \[1\]"),
        (lambda: Space.from_optuna({"n": 3}), "n: must be a distribution of Optuna, got 3"),
        (
            lambda: Space.from_optuna({"n": optuna.distributions.FloatDistribution(0, 1, step=0.25)}),
            "n: must have no step, got FloatDistribution",
        ),
        (
            lambda: Space.from_optuna({"n": optuna.distributions.IntDistribution(0, 8, step=2)}),
            "n: must have no step, got IntDistribution",
        ),
        (lambda: SPACE.to_optuna(), "forbidden: must be empty, for Optuna has no such thing, got "),
        (
            lambda: Space(SPACE.values).to_optuna(),
            "momentum: must have no condition, for Optuna's distributions have none, got {'optimizer': ",
        ),
        (lambda: Space({"f": Choice([(8,)])}).to_optuna(), r"f: must have no lists among its values, .* got \(8,\)"),
    ],
)
def test_what_cannot_be_expressed_is_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message):
        make()


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("ConfigSpace", lambda: SPACE.to_configspace()),
        ("ConfigSpace", lambda: Space.from_configspace(None)),
        ("optuna", lambda: Space({}).to_optuna()),
        ("optuna", lambda: Space.from_optuna({})),
    ],
)
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, package: str, call: Callable[[], Any]) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=f"^{package.lower()}: needs .*, which is not installed: pip install "):
        call()
