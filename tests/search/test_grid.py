"""Grid search: order, size, and what has no grid."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.search import Grid
from shoal.search.protocol import Start
from shoal.space import Bool, Choice, Config, Float, Int, Ordinal, Space


def configs(search: Grid, space: Space) -> list[Config]:
    return [order.config for order in search.bind(space).ask(10**6) if isinstance(order, Start)]


def test_the_first_parameter_is_the_slowest() -> None:
    space = Space({"a": Ordinal([1, 2]), "constant": 7, "b": Choice(["x", "y", "z"]), "c": Bool()})
    assert configs(Grid(epochs=1), space) == [
        {"a": a, "constant": 7, "b": b, "c": c} for a in (1, 2) for b in "xyz" for c in (False, True)
    ]


def test_counted_values_are_spaced_on_their_scale() -> None:
    space = Space({"lr": Float(1e-4, 1, log=True), "rate": Float(0, 1), "width": Int(1, 10), "depth": Int(1, 3)})
    axes = space.grid({"lr": 3, "rate": 5, "width": 4})
    assert axes["lr"] == [1e-4, pytest.approx(1e-2, rel=1e-15), 1]
    assert axes["rate"] == [0, 0.25, 0.5, 0.75, 1]
    assert axes["width"] == [1, 4, 7, 10]
    assert list(axes["depth"]) == [1, 2, 3]


def test_whole_numbers_that_round_to_the_same_are_one() -> None:
    assert Int(1, 10, log=True).grid(8) == [1, 2, 3, 4, 5, 7, 10]  # 1.39 is 1, 1.93 and 2.68 are 2 and 3
    assert Int(1, 2).grid(5) == [1, 2]


def test_the_size_is_planned() -> None:
    space = Space({"lr": Float(1e-3, 1), "width": Int(8, 10), "activation": Choice(["relu", "tanh"]), "decay": 0.1})
    plan = Grid(steps=200, counts={"lr": 5}).bind(space).plan()
    assert (plan.trials, plan.budget, plan.unit) == (30, 6000, "steps")
    assert plan.lines == (
        "lr: 5 values",
        "width: 3 values",
        "activation: 2 values",
        "5 x 3 x 2 = 30 configs, 200 steps each",
    )


def test_a_space_of_constants_has_one_config() -> None:
    assert configs(Grid(epochs=1), Space({"lr": 0.1})) == [{"lr": 0.1}]


def test_a_large_grid_is_not_written_out() -> None:
    space = Space({name: Int(1, 2**40) for name in "abcdef"})
    strategy = Grid(epochs=1).bind(space)
    assert strategy.plan().trials == 2**240
    assert [order.config["f"] for order in strategy.ask(3) if isinstance(order, Start)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "counts.lr: missing; a continuous parameter needs one"),
        ({"lr": 1}, "counts.lr: must be a whole number >= 2, got 1"),
        ({"lr": 2.5}, "counts.lr: must be a whole number >= 2, got 2.5"),
        ({"lr": 2, "batch_size": 2}, "counts.batch_size: must be left out, all 3 values are used, got 2"),
        ({"lr": 2, "momentum": 2}, "counts.momentum: no such parameter; the space has lr, batch_size"),
        ({"lr": 2, "decay": 2}, "counts.decay: no such parameter"),
        (5, "counts: must map parameters to numbers of values, got 5"),
    ],
)
def test_wrong_counts_are_named(counts: Any, message: str) -> None:
    space = Space({"lr": Float(1e-3, 1, log=True), "batch_size": Choice([16, 32, 64]), "decay": 0.1})
    with pytest.raises(ValueError, match="^" + message):
        Grid(epochs=1, counts=counts).bind(space)


@pytest.mark.parametrize("durations", [{}, {"epochs": 1, "steps": 1}])
def test_one_duration_is_given(durations: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="epochs and steps: one of them must be given"):
        Grid(**durations)


def test_a_grid_begins_with_nothing_else() -> None:
    with pytest.raises(ValueError, match=r"^space.begin_with: must be empty for a grid, which tries its own configs"):
        Grid(epochs=1).bind(Space({"lr": Choice([1, 2])}, begin_with=[{"lr": 2}]))
