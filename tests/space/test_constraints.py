"""Conditions and forbidden combinations."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.space.examples import configs_of, constrained_spaces, values_of

from shoal.space import Bool, Choice, Float, Int, Ordinal, Space

SPACE = Space(
    {
        "momentum": Float(0, 0.99, when={"optimizer": ["sgd"]}),  # before its parent
        "optimizer": Choice(["sgd", "adam", "adagrad"]),
        "nesterov": Bool(when={"optimizer": ["sgd"], "layers": [1, 2]}),
        "layers": Int(1, 3),
        "delay": Ordinal([10, 20], when={"nesterov": [True]}),  # a chain
        "epochs": 5,
    },
    forbidden=[{"layers": [3], "optimizer": ["adam", "adagrad"]}, {"delay": [20], "layers": [2]}],
)
FULL = {"momentum": 0.5, "optimizer": "sgd", "nesterov": True, "layers": 1, "delay": 20, "epochs": 5}


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@given(constrained_spaces(), st.data())
def test_a_config_survives_the_unit_cube_exactly(space: Space, data: st.DataObject) -> None:
    config = data.draw(configs_of(space))
    if not space.allows(config):
        with pytest.raises(ValueError, match="the combination is forbidden"):
            space.check(config)
        return
    assert space.check(config) == config
    cube = space.to_unit(config)
    assert [position for name, position in zip(space.parameters, cube, strict=True) if name not in config] == [
        0.5 for name in space.parameters if name not in config
    ]
    back = space.from_unit(cube)
    assert list(back) == list(config)
    floats = [name for name, value in space.parameters.items() if isinstance(value, Float)]
    assert {name: value for name, value in back.items() if name not in floats} == {
        name: value for name, value in config.items() if name not in floats
    }


@given(constrained_spaces(), st.integers(0, 2**32))
def test_samples_are_allowed(space: Space, seed: int) -> None:
    config = space.sample(np.random.default_rng(seed))
    assert space.check(config) == config


@given(constrained_spaces(), st.data())
def test_any_values_are_repaired(space: Space, data: st.DataObject) -> None:
    values = {name: data.draw(values_of(each)) for name, each in space.parameters.items() if data.draw(st.booleans())}
    config = space.repair(values, rng())
    assert space.check(config) == config
    assert config == space.repair(values, rng())
    kept = space.compose(lambda name, _: values.get(name, rng))  # rng: nothing that is a value
    if rng not in kept.values() and space.allows(kept):
        assert config == kept


@given(constrained_spaces(), st.integers(0, 2**32))
def test_nothing_is_drawn_where_nothing_is_wrong(space: Space, seed: int) -> None:
    generator = np.random.default_rng(seed)
    config = space.sample(generator)
    state = generator.bit_generator.state
    assert space.repair(config, generator) == config
    assert generator.bit_generator.state == state


@given(constrained_spaces(), st.integers(0, 2**32))
def test_a_perturbed_config_is_allowed(space: Space, seed: int) -> None:
    generator = np.random.default_rng(seed)
    config = space.sample(generator)
    rules = dict.fromkeys(space.parameters, lambda parameter, value, rng: parameter.sample(rng))
    moved = space.perturb(config, rules, generator)
    assert space.check(moved) == moved


def test_what_a_condition_means() -> None:
    assert SPACE.check(FULL) == FULL
    assert list(SPACE.check(FULL)) == list(SPACE.values)
    assert SPACE.check({"optimizer": "adam", "layers": 2}) == {"optimizer": "adam", "layers": 2, "epochs": 5}
    assert SPACE.to_unit({"optimizer": "adam", "layers": 2}).tolist() == [0.5, 0.5, 0.5, 0.5, 0.5]
    assert SPACE.to_unit({"optimizer": "adam", "layers": 1})[[0, 2, 4]].tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("change", "without", "message"),
    [
        ({"optimizer": "adam"}, [], r"momentum: must be left out unless optimizer in \['sgd'\], got 0.5"),
        ({"layers": 3}, [], r"nesterov: must be left out unless optimizer in \['sgd'\] and layers in \[1, 2\], got T"),
        ({"nesterov": False}, [], r"delay: must be left out unless nesterov in \[True\], got 20"),
        ({}, ["momentum"], "momentum: missing"),
        ({}, ["delay"], "delay: missing"),
        ({}, ["optimizer"], "optimizer: missing"),
        ({"layers": 2}, [], "delay, layers: the combination is forbidden, got 20, 2"),
        (
            {"layers": 3, "optimizer": "adam"},
            ["momentum", "nesterov", "delay"],
            "layers, optimizer: the combination is forbidden, got 3, 'adam'",
        ),
    ],
)
def test_a_config_that_breaks_a_constraint_is_named(change: dict[str, Any], without: list[str], message: str) -> None:
    config = {name: value for name, value in (FULL | change).items() if name not in without}
    with pytest.raises(ValueError, match="^" + message):
        SPACE.check(config)


def test_repair_leaves_out_and_draws() -> None:
    assert SPACE.repair(FULL | {"optimizer": "adam"}, rng()) == {"optimizer": "adam", "layers": 1, "epochs": 5}
    drawn = [SPACE.repair({"optimizer": "sgd", "layers": 3}, np.random.default_rng(k))["momentum"] for k in range(50)]
    assert len(set(drawn)) == 50


def test_only_what_is_free_is_drawn_anew() -> None:
    broken = FULL | {"layers": 2}
    assert SPACE.repair(broken, rng(), ["delay"]) == broken | {"delay": 10}
    assert (
        SPACE.repair(broken, rng(), ["layers"])["delay"] == 20 or SPACE.repair(broken, rng(), ["layers"])["layers"] == 3
    )
    with pytest.raises(ValueError, match=r"^space.forbidden: leaves nothing near the config {'momentum': 0.5"):
        SPACE.repair(broken, rng(), ["momentum"])


def test_a_parameter_without_another_value_is_made_inactive() -> None:
    space = Space({"a": Bool(), "b": Choice([1], when={"a": [True]})}, forbidden=[{"b": [1]}])
    assert space.repair({"a": True, "b": 1}, rng()) == {"a": False}


def test_what_is_not_forbidden_stays_uniform() -> None:
    space = Space({"a": Int(1, 3), "b": Int(1, 3)}, forbidden=[{"a": [2], "b": [1, 3]}])
    generator = rng()
    pairs = [tuple(space.sample(generator).values()) for _ in range(14_000)]
    counts = [pairs.count(pair) for pair in set(pairs)]
    assert len(counts) == 7
    assert max(abs(count - 2000) for count in counts) < 5 * 2000**0.5


@given(constrained_spaces())
def test_combinations_are_all_that_differ_and_are_allowed(space: Space) -> None:
    axes = {name: [each.from_unit(0.0), each.from_unit(1.0)] for name, each in space.parameters.items()}
    expected = []
    for values in itertools.product(*axes.values()):
        full = dict(zip(axes, values, strict=True))
        config = space.compose(lambda name, _: full[name])  # noqa: B023  called at once
        if space.allows(config) and config not in expected:
            expected.append(config)
    distinct = {name: axis if axis[0] != axis[1] else axis[:1] for name, axis in axes.items()}
    found = space.combinations(distinct)
    assert len(found) == len(expected)
    assert all(space.check(config) == config for config in found)
    assert all(config in expected for config in found)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Float(0, 1, when=["a"]), r"when: must map parameters to lists of their values, got \['a'\]"),
        (lambda: Space({"a": Bool(when={"b": [1]})}), "space.a.when.b: no such parameter; the space has a"),
        (lambda: Space({"a": Bool(when={"b": [1]}), "b": 1}), "space.a.when.b: no such parameter; the space has a"),
        (
            lambda: Space({"a": Bool(when={"b": [0.5]}), "b": Float(0, 1)}),
            "space.a.when.b: must be a parameter whose values can be listed, got a float",
        ),
        (
            lambda: Space({"a": Bool(when={"b": ["sdg"]}), "b": Choice(["sgd", "adam"])}),
            r"space.a.when.b: must be one of \['sgd', 'adam'\], got 'sdg'",
        ),
        (lambda: Space({"a": Bool(when={"b": [4]}), "b": Int(1, 3)}), r"space.a.when.b: must be in \[1, 3\], got 4"),
        (lambda: Space({"a": Bool(when={"a": [True]})}), "space.a.when: must not lead back to a, got a -> a"),
        (
            lambda: Space(
                {"a": Bool(when={"b": [True]}), "b": Bool(when={"c": [True]}), "c": Bool(when={"a": [True]})}
            ),
            "space.a.when: must not lead back to a, got a -> b -> c -> a",
        ),
        (lambda: Space({"forbidden": 1}), r"space.forbidden: must not be a name in it; say Space\(values, forbidden="),
        (lambda: Space({"begin_with": 1}), r"space.begin_with: must not be a name in it; say Space"),
        (lambda: Space({"a": Bool()}, begin_with={"a": True}), "space.begin_with: must be a list of configs, got {'a'"),
        (lambda: Space({"a": Bool()}, begin_with=[1]), r"space.begin_with\[0\]: must map names to values, got 1"),
        (lambda: Space({"a": Bool()}, begin_with=[{"a": True}, {}]), r"space.begin_with\[1\].a: missing"),
        (
            lambda: Space({"a": Int(1, 2), "b": Bool()}, [{"a": [2]}], [{"a": 2, "b": True}]),
            r"space.begin_with\[0\].a: the combination is forbidden, got 2",
        ),
        (lambda: Space({"a": Bool()}, {"a": [True]}), "space.forbidden: must be a list of combinations, got {'a'"),
        (lambda: Space({"a": Bool()}, [{}]), r"space.forbidden\[0\]: must name a parameter, got {}"),
        (
            lambda: Space({"a": Bool()}, [1]),
            r"space.forbidden\[0\]: must map parameters to lists of their values, got 1",
        ),
        (lambda: Space({"a": Bool()}, [{"a": True}]), r"space.forbidden\[0\].a: must be a list of at least one value"),
        (lambda: Space({"a": Bool()}, [{"b": [1]}]), r"space.forbidden\[0\].b: no such parameter; the space has a"),
        (
            lambda: Space({"a": Int(1, 2)}, [{"a": [1]}, {"a": [3]}]),
            r"space.forbidden\[1\].a: must be in \[1, 2\], got 3",
        ),
        (
            lambda: Space({"a": Float(0, 1)}, [{"a": [0.5]}]),
            r"space.forbidden\[0\].a: must be a parameter whose values can be listed, got a float",
        ),
        (
            lambda: Space({"a": Int(1, 2), "b": Bool()}, [{"a": [1]}, {"a": [2], "b": [False]}, {"b": [True]}]),
            "space.forbidden: leaves none of 1,000 random configs",
        ),
    ],
)
def test_a_wrong_constraint_is_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message):
        make()
