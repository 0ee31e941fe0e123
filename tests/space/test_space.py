"""Spaces: the map to the unit cube and back, perturbation, checks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.space.examples import configs_of, floats, ints, lists, parameters, spaces, values_of

from shoal.space import Bool, Choice, Float, Int, Ordered, Ordinal, Parameter, Space, is_hot

POSITIONS = st.sampled_from([0.0, 1.0, math.nextafter(1, 0)]) | st.floats(0, 1)


@given(st.data())
def test_counted_values_survive_the_unit_interval_exactly(data: st.DataObject) -> None:
    parameter = data.draw(ints | st.builds(Choice, lists) | st.builds(Ordinal, lists) | st.just(Bool()))
    value = data.draw(values_of(parameter))
    position = parameter.to_unit(value)
    assert 0 <= position <= 1
    assert parameter.from_unit(position) == value


@given(st.data())
def test_a_float_survives_the_unit_interval_to_rounding(data: st.DataObject) -> None:
    parameter = data.draw(floats)
    value = data.draw(values_of(parameter))
    back = parameter.from_unit(parameter.to_unit(value))
    # Some roundings of 1e-16 of the interval: of the larger bound, or of a logarithm of up to 2 * 345.
    scale = abs(value) * 690 if parameter.log else max(abs(parameter.low), abs(parameter.high))
    assert abs(back - value) <= 1e-15 * scale
    assert parameter.from_unit(0) == parameter.low
    assert parameter.from_unit(1) == parameter.high
    assert parameter.to_unit(parameter.low) == 0
    assert parameter.to_unit(parameter.high) == 1


@pytest.mark.parametrize("low", [1.0, math.nextafter(2, 0), 1e300, 1e-300])
@pytest.mark.parametrize("log", [False, True])
def test_bounds_may_be_neighbours(low: float, log: bool) -> None:
    parameter = Float(low, math.nextafter(low, math.inf), log)
    assert parameter.to_unit(parameter.low) == 0
    assert parameter.to_unit(parameter.high) == 1


@given(parameters, POSITIONS)
def test_every_position_has_a_value(parameter: Parameter, position: float) -> None:
    value = parameter.from_unit(position)
    assert parameter.check(value) == value
    assert type(parameter.check(value)) is type(value)


@given(ints, POSITIONS, POSITIONS)
def test_whole_numbers_rise_with_the_position(parameter: Int, a: float, b: float) -> None:
    assert parameter.from_unit(min(a, b)) <= parameter.from_unit(max(a, b))


def test_scales_are_uniform() -> None:
    positions = (np.arange(100_000) + 0.5) / 100_000
    assert Float(1, 100, log=True).from_unit(0.5) == pytest.approx(10)
    assert Float(1, 100).from_unit(0.5) == 50.5
    counts = np.bincount([Int(1, 4).from_unit(position) for position in positions])
    assert counts.tolist() == [0, 25_000, 25_000, 25_000, 25_000]
    shares = np.bincount([Int(1, 4, log=True).from_unit(position) for position in positions])[1:] / 100_000
    np.testing.assert_allclose(shares, np.log([1.5 / 0.5, 2.5 / 1.5, 3.5 / 2.5, 4.5 / 3.5]) / np.log(9), atol=1e-5)


@given(st.data(), st.floats(1e-6, 1e6))
def test_a_factor_moves_inside_the_bounds(data: st.DataObject, factor: float) -> None:
    parameter = data.draw(floats | ints | st.builds(Ordinal, lists))
    value = data.draw(values_of(parameter))
    moved = parameter.scaled(value, factor)
    assert parameter.check(moved) == moved
    if isinstance(parameter, Int):
        assert type(moved) is int
        assert (moved == value) is (factor == 1)
    if isinstance(parameter, Float):
        assert moved == min(max(value * factor, parameter.low), parameter.high)
    if isinstance(parameter, Ordinal) and len(parameter.values) > 1 and factor != 1:
        assert abs(parameter.values.index(moved) - parameter.values.index(value)) == 1


@pytest.mark.parametrize(
    ("parameter", "value", "factor", "moved"),
    [
        (Int(1, 100), 1, 1.2, 2),
        (Int(1, 100), 2, 0.8, 1),
        (Int(1, 100), 50, 1.2, 60),
        (Int(1, 100), 90, 1.2, 100),
        (Int(1, 100), 100, 1.2, 99),
        (Int(1, 100), 1, 0.8, 2),
        (Int(-9, 9), -1, 1.2, -2),
        (Int(-9, 9), -1, 0.8, 0),
        (Int(-9, 9), 0, 1.2, 1),
        (Int(-9, 9), 0, 0.8, -1),
        (Float(0, 1), 0.5, 1.2, 0.6),
        (Float(0, 1), 0.9, 1.2, 1.0),
        (Float(0.1, 1, log=True), 0.11, 0.5, 0.1),
        (Ordinal(["s", "m", "l"]), "m", 1.2, "l"),
        (Ordinal(["s", "m", "l"]), "m", 0.8, "s"),
        (Ordinal(["s", "m", "l"]), "l", 1.2, "m"),
        (Ordinal(["only"]), "only", 1.2, "only"),
    ],
)
def test_a_move(parameter: Ordered, value: Any, factor: float, moved: Any) -> None:
    assert parameter.scaled(value, factor) == moved


@given(st.data())
def test_a_config_survives_the_unit_cube(data: st.DataObject) -> None:
    space = data.draw(spaces)
    config = space.check(data.draw(configs_of(space)))
    cube = space.to_unit(config)
    assert cube.shape == (len(space.parameters),)
    back = space.from_unit(cube)
    assert list(back) == list(space.values)
    assert {name: value for name, value in back.items() if not isinstance(space.values[name], Float)} == {
        name: value for name, value in config.items() if not isinstance(space.values[name], Float)
    }


@given(spaces, st.integers(0, 2**32))
def test_samples_lie_in_the_space_and_follow_the_generator(space: Space, seed: int) -> None:
    config = space.sample(np.random.default_rng(seed))
    assert space.check(config) == config
    assert space.sample(np.random.default_rng(seed)) == config


def test_perturb_changes_what_has_a_rule() -> None:
    space = Space({"a": Float(0, 1), "b": Float(0, 1), "c": 0.5})
    config = {"a": 0.5, "b": 0.5, "c": 0.5}
    halve = {"b": lambda parameter, value, rng: parameter.check(value / 2)}
    assert space.perturb(config, halve, np.random.default_rng(0)) == {"a": 0.5, "b": 0.25, "c": 0.5}
    assert config == {"a": 0.5, "b": 0.5, "c": 0.5}


def test_numpy_values_become_plain() -> None:
    space = Space({"lr": Float(np.float32(0.5), np.int64(2)), "n": Choice(list(np.arange(3))), "k": np.float64(0.1)})
    config = space.check({"lr": np.float32(1.5), "n": np.int16(2)})
    assert config == {"lr": 1.5, "n": 2, "k": 0.1}
    assert [type(value) for value in config.values()] == [float, int, float]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Float(0, 1, log=True), "low: must be > 0 on a log scale, got 0"),
        (lambda: Float(1, 1), "high: must be above low = 1, got 1"),
        (lambda: Float(2, 1), "high: must be above low = 2, got 1"),
        (lambda: Float(math.nan, 1), "low: must be a finite number, got nan"),
        (lambda: Float(0, math.inf), "high: must be a finite number, got inf"),
        (lambda: Float(-1e308, 1e308), "high: high - low must be finite"),
        (lambda: Float(1e-300, 1e300, log=True), r"high: high / low must be finite, got 1e-300 to 1e\+300"),
        (lambda: Float("0", 1), "low: must be a finite number, got '0'"),
        (lambda: Float(False, 1), "low: must be a finite number, got False"),
        (lambda: Float(0, 10**400), "high: must be a finite number, got 1000"),
        (lambda: Float(0, 1, log=1), "log: must be true or false, got 1"),
        (lambda: Int(0, 5, log=True), "low: must be > 0 on a log scale, got 0"),
        (lambda: Int(1.0, 5), "low: must be a whole number, got 1.0"),
        (lambda: Int(1, 2**41), r"high: must lie within \+-2\*\*40, got 2199023255552"),
        (lambda: Int(5, 5), "high: must be above low = 5, got 5"),
        (lambda: Choice([]), r"choice: must be a list of at least one value, got \[\]"),
        (lambda: Choice("relu"), "choice: must be a list of at least one value, got 'relu'"),
        (lambda: Choice([1, 2, 1]), "choice: values must differ, got 1 twice"),
        (lambda: Choice([1, True]), "choice: values must differ, got True twice"),
        (lambda: Choice([math.nan]), "choice: must be text, a finite number, .* got nan"),
        (lambda: Choice([{"a": 1}]), "choice: must be text, a finite number, .* got {'a': 1}"),
        (lambda: Ordinal([]), "ordinal: must be a list of at least one value"),
        (lambda: Bool([True]), "bool: takes no values"),
        (lambda: Space([1]), r"space: must map names to parameters and constants, got \[1\]"),
        (lambda: Space({1: 2}), "space: names must be text, got 1"),
        (lambda: Space({"": 2}), "space: names must be text, got ''"),
        (lambda: Space({"lr": {"low": 1}}), "space.lr: must be text, a finite number, .* got {'low': 1}"),
        (lambda: Space({"lr": math.inf}), "space.lr: must be text, a finite number, .* got inf"),
    ],
)
def test_a_wrong_parameter_is_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message):
        make()


SPACE = Space({"lr": Float(0.1, 1), "width": Int(1, 4), "act": Choice(["relu", "tanh"]), "decay": 0.5})
CONFIG = {"lr": 0.5, "width": 2, "act": "relu", "decay": 0.5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 2}, r"lr: must be in \[0.1, 1.0\], got 2.0"),
        ({"lr": "1"}, "lr: must be a finite number, got '1'"),
        ({"width": 2.5}, "width: must be a whole number, got 2.5"),
        ({"width": 5}, r"width: must be in \[1, 4\], got 5"),
        ({"act": "gelu"}, r"act: must be one of \['relu', 'tanh'\], got 'gelu'"),
        ({"act": {}}, r"act: must be one of \['relu', 'tanh'\], got {}"),
        ({"decay": 0.6}, "decay: must be the constant 0.5, got 0.6"),
        ({"depth": 1}, "depth: unknown; the space has lr, width, act, decay"),
    ],
)
def test_a_wrong_config_is_named(change: dict[str, Any], message: str) -> None:
    assert SPACE.check(CONFIG) == CONFIG
    with pytest.raises(ValueError, match="^" + message):
        SPACE.check(CONFIG | change)


def test_a_config_needs_its_parameters_and_gets_its_constants() -> None:
    assert SPACE.check({"act": "tanh", "width": 1, "lr": 1}) == {"lr": 1.0, "width": 1, "act": "tanh", "decay": 0.5}
    with pytest.raises(ValueError, match=r"^width: missing"):
        SPACE.check({"lr": 0.5, "act": "relu"})


@pytest.mark.parametrize("positions", [[0.5], [0.5, 0.5, 1.5], [0.5, math.nan, 0.5], [-1e-9, 0, 0]])
def test_wrong_positions_are_refused(positions: list[float]) -> None:
    with pytest.raises(ValueError, match=r"^positions: must"):
        SPACE.from_unit(positions)


def test_hot_names() -> None:
    assert is_hot("lr")
    assert is_hot("dropout")
    assert is_hot("dropout_2")
    assert is_hot("augment_pad")
    assert is_hot("augment_flip")
    assert not is_hot("width")
