"""Every strategy on a space with conditions and forbidden combinations; `simulate` checks each config."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.search.simulator import Problem, Run, simulate
from tests.search.test_conformance import every_search, noise
from tests.space.examples import constrained_spaces

from shoal import simulate as simulation
from shoal.search import Full, Genetic, Grid, OptunaSampler, Random, Search
from shoal.search.breeding import crossover, mutate
from shoal.search.protocol import Inherit, Start
from shoal.space import Bool, Choice, Float, Int, Ordinal, Space

SPACE = Space(
    {
        "lr": Float(1e-4, 0.2, log=True),
        "momentum": Float(0, 0.99),
        "batch_size": Ordinal([16, 32, 64]),
        "width": Int(4, 12, log=True),
        "nesterov": Bool(),
        "decay": Float(1e-3, 1, log=True, when={"nesterov": [True]}),
        "activation": Choice(["relu", "leaky"]),
        "slope": Float(0.01, 0.3, log=True, when={"activation": ["leaky"]}),
        "epochs": 3,
    },
    forbidden=[{"batch_size": [16], "nesterov": [False]}, {"width": [10, 11, 12], "activation": ["leaky"]}],
)


def configs(run: Run) -> list[dict[str, Any]]:
    orders = [order for trial in run.trials.values() for order in trial.orders]
    return [order.config for order in orders if isinstance(order, Start | Inherit)]


@every_search
def test_no_strategy_leaves_the_space(which: Search) -> None:
    if isinstance(which, Grid):
        which = Grid(steps=3, counts={"lr": 2, "momentum": 2, "width": 3, "decay": 2, "slope": 2})
    result = simulate(which.bind(SPACE, seed=1), SPACE, Problem(noise(1, dead=0.1)))
    again = simulate(which.bind(SPACE, seed=1), SPACE, Problem(noise(1, dead=0.1)))
    assert result.answers == again.answers
    assert all(("slope" in config) == (config["activation"] == "leaky") for config in configs(result))


def test_an_heir_keeps_the_structure_of_its_weights() -> None:
    """Only hot parameters are drawn anew where the bred ones do not go with the structure."""
    space = Space(
        {
            "batch_size": Ordinal([16, 32]),
            "nesterov": Bool(),
            "width": Int(1, 4),
            "depth": Int(1, 3, when={"width": [1, 2]}),
        },
        forbidden=[{"width": [1, 2], "batch_size": [16]}, {"depth": [3], "nesterov": [True]}],
    )
    search = Genetic(10, 6, epochs=1, inherit_weights=True, mutation_rate=0.5)
    result = simulate(search.bind(space, seed=2), space, Problem(noise(3)))
    structure: dict[int, Any] = {}
    for orders in result.answers:
        before = dict(structure)
        for order in orders:
            if isinstance(order, Start | Inherit):
                structure[order.trial] = order.config["width"], order.config.get("depth")
            if isinstance(order, Inherit):
                assert structure[order.trial] == before[order.donor]
    assert any(isinstance(order, Inherit) for orders in result.answers for order in orders)


def test_a_grid_counts_different_configs_that_are_allowed() -> None:
    space = Space(
        {"a": Choice(["x", "y", "z"]), "b": Float(0, 1, when={"a": ["x"]}), "c": Int(1, 3)},
        forbidden=[{"a": ["y"], "c": [1, 2]}],
    )
    strategy = Grid(epochs=2, counts={"b": 4}).bind(space)
    plan = strategy.plan()
    assert plan.trials == 4 * 3 + 1 + 3
    assert plan.lines[-1] == "3 x 4 x 3, active and allowed: 16 configs, 2 epochs each"
    found = [order.config for order in strategy.ask(99) if isinstance(order, Start)]
    assert found[:4] == [{"a": "x", "b": 0.0, "c": c} for c in (1, 2, 3)] + [{"a": "x", "b": 1 / 3, "c": 1}]
    assert found[12:] == [{"a": "y", "c": 3}, *({"a": "z", "c": c} for c in (1, 2, 3))]
    with pytest.raises(ValueError, match=r"^space.forbidden: leaves nothing of the grid"):
        Grid(epochs=1, counts={"a": 2}).bind(Space({"a": Int(1, 3)}, forbidden=[{"a": [1, 3]}]))


def test_sobol_goes_on_until_there_are_enough() -> None:
    strategy = Full(32, epochs=1, sampler="sobol").bind(SPACE, seed=3)
    plain = Full(256, epochs=1, sampler="sobol").bind(Space(SPACE.values), seed=3)
    found, all_of_them = ([o.config for o in each.ask(256) if isinstance(o, Start)] for each in (strategy, plain))
    assert found == [config for config in all_of_them if SPACE.allows(config)][:32]


def test_a_space_that_is_nearly_all_forbidden_is_an_error() -> None:
    parameters = {"a": Int(1, 100_000)}
    only = Space(parameters).sample(np.random.default_rng(0))["a"]  # the space's own trial finds it, nothing else does
    space = Space(parameters, forbidden=[{"a": [a for a in range(1, 100_001) if a != only]}])
    with pytest.raises(ValueError, match=r"^space.forbidden: leaves none of 10,000 random configs"):
        Random(1, epochs=1).bind(space).ask(1)
    with pytest.raises(ValueError, match=r"^space.forbidden: leaves fewer than 4 of 4,096 points"):
        Full(4, epochs=1, sampler="sobol").bind(space)


@pytest.mark.parametrize("kind", ["tpe", "nsgaii"])
def test_optuna_is_told_what_was_tried(kind: str) -> None:
    """The proposals of its trials, as it keeps them, are the configs that were trained."""
    strategy = Full(40, epochs=1, sampler=OptunaSampler(kind)).bind(SPACE, seed=5)
    result = simulate(strategy, SPACE, Problem(noise(2)))
    proposals = strategy._proposals  # type: ignore[attr-defined]
    told = [trial for trial in proposals._study.trials if trial.state.name == "COMPLETE"]
    failed = [trial for trial in proposals._study.trials if trial.state.name == "FAIL"]
    assert len(told) == 40
    assert failed  # forbidden ones, as chance has it
    widths = sorted(trial.params["width"] for trial in told)
    assert widths == sorted(config["width"] for config in configs(result))
    assert all(set(trial.params) <= set(SPACE.parameters) for trial in told)
    assert sum("slope" in trial.params for trial in told) == sum("slope" in config for config in configs(result))


@given(constrained_spaces(), st.integers(0, 2**32))
def test_bred_configs_are_repaired(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    child = crossover(space, space.sample(rng), space.sample(rng), 0.5, rng)
    for name, parameter in space.parameters.items():
        if name in child:
            child[name] = mutate(parameter, child[name], rng)
    repaired = space.repair(child, rng)
    assert space.check(repaired) == repaired


def test_a_recorded_table_has_a_row_for_every_config() -> None:
    rng = np.random.default_rng(0)
    rows = [SPACE.sample(rng) for _ in range(50)]
    table = simulation.Table.of(SPACE, rows, rng.random((50, 4)))
    result = simulation.run(Random(30, epochs=4), table, workers=3)
    assert len(result.rows) == 30
    recorded = simulation.run(Full(50, epochs=4), table, snap="unused")
    assert sorted(recorded.rows.values()) == list(range(50))
