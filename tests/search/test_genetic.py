"""Breeding, and whom generations keep, breed and move."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.search.simulator import Problem, simulate

from shoal.search import Genetic, HyperSearch
from shoal.search.breeding import Individual, crossover, mutate, reflected, tournament, two_parents
from shoal.search.protocol import Inherit, Report, Resume, Start
from shoal.space import Bool, Choice, Float, Int, Ordinal, Space

SPACE = Space({"lr": Float(1e-4, 1, log=True), "width": Int(1, 64), "batch_size": Ordinal([8, 16, 32]), "on": Bool()})


@pytest.mark.parametrize("parameter", [Float(0, 1), Int(3, 9), Int(1, 10**6, log=True), Ordinal([1, 5, 7]), Bool()])
def test_a_mutation_is_another_value_inside(parameter: Any) -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        value = parameter.sample(rng)
        changed = mutate(parameter, value, rng)
        assert parameter.check(changed) == changed
        assert changed != value
    assert mutate(Choice(["only"]), "only", rng) == "only"


def test_a_float_moves_by_a_tenth_of_its_scale() -> None:
    rng = np.random.default_rng(2)
    moves = [SPACE.parameters["lr"].to_unit(mutate(SPACE.parameters["lr"], 1e-2, rng)) - 0.5 for _ in range(2000)]
    assert np.mean(moves) == pytest.approx(0, abs=0.01)
    assert np.std(moves) == pytest.approx(0.1, rel=0.1)


def test_a_whole_number_of_few_values_moves_to_a_neighbour() -> None:
    """Here a tenth of the scale is half a place, so two places are three standard deviations."""
    rng = np.random.default_rng(5)
    moves = np.array([mutate(Int(1, 5), 3, rng) for _ in range(2000)]) - 3
    assert np.mean(moves == 1) == pytest.approx(0.5, abs=0.05)
    assert np.mean(moves == -1) == pytest.approx(0.5, abs=0.05)


def test_reflection() -> None:
    assert [round(reflected(p), 9) for p in (0.3, -0.2, 1.1, 2.3, -1.4)] == [0.3, 0.2, 0.9, 0.3, 0.6]


def test_parents_are_different_winners() -> None:
    pool = [Individual(trial, {}, Report(trial, 1, trial)) for trial in range(5)]
    rng = np.random.default_rng(3)
    wins = np.bincount([tournament(pool, rng).trial for _ in range(5000)], minlength=5) / 5000
    np.testing.assert_allclose(wins, [0.4, 0.3, 0.2, 0.1, 0], atol=0.03)  # of the pairs that hold it, its place decides
    for _ in range(100):
        first, second = two_parents(pool, rng)
        assert first is not second
    assert two_parents(pool[:1], rng) == (pool[0], pool[0])


def test_crossover_takes_a_third_from_the_second() -> None:
    first, second = (dict.fromkeys(SPACE.parameters, value) for value in (0, 1))
    rng = np.random.default_rng(4)
    taken = np.mean([list(crossover(SPACE, first, second, 0.33, rng).values()) for _ in range(3000)])
    assert taken == pytest.approx(0.33, abs=0.02)


def test_children_come_from_scratch_and_elites_are_not_trained_again() -> None:
    search = Genetic(6, 3, epochs=4, demes=2, elites=1, migration_interval=9)
    strategy = search.bind(SPACE)
    result = simulate(strategy, SPACE, Problem(lambda trial, _: (trial * 7) % 11), rows=6)
    assert len(result.trials) == 6 + 2 * 4
    assert all(trial.progress == 4 for trial in result.trials.values())
    assert all(isinstance(trial.orders[0], Start) for trial in result.trials.values())
    assert strategy.plan().budget == 14 * 4


def test_with_weights_elites_train_on_and_only_hot_values_change() -> None:
    search = Genetic(8, 3, epochs=2, inherit_weights=True, mutation_rate=1.0)
    result = simulate(search.bind(SPACE, seed=1), SPACE, Problem(lambda trial, _: trial), rows=8)
    assert [type(order) for order in result.trials[0].orders[:3]] == [Start, Resume, Resume]
    widths = {number: trial.orders[0].config["width"] for number, trial in result.trials.items()}  # type: ignore[union-attr]
    for trial in range(1, 8):
        order = result.trials[trial].orders[1]
        assert isinstance(order, Inherit)
        assert order.config["width"] == widths[order.donor]
        assert order.until == 4


STRUCTURES = Space({"lr": Float(1e-4, 1, log=True), "width": Ordinal([8, 16]), "deep": Bool()})


def bred(**changes: Any) -> list[tuple[Inherit, dict[int, Any]]]:
    """Every inheritance of studies whose structure is bred, with the configs of all members just before."""
    search, found = Genetic(10, 6, epochs=1, inherit_weights=True, breed_structure=True, **changes), []
    for seed in range(3):
        result = simulate(search.bind(STRUCTURES, seed=seed), STRUCTURES, Problem(lambda trial, _: trial), rows=10)
        configs: dict[int, Any] = {}
        for answer in result.answers:
            moves = [order for order in answer if isinstance(order, Inherit)]
            found += [(order, dict(configs)) for order in moves]
            configs |= {order.trial: order.config for order in answer if isinstance(order, Start | Inherit)}
    return found


def structure(config: Any) -> tuple[Any, ...]:
    return config["width"], config["deep"]


def test_structure_is_bred_and_weights_come_from_a_member_of_the_same_structure_where_there_is_one() -> None:
    alike = [
        (structure(configs[order.donor]) == structure(order.config), structure(order.config) in map(structure, others))
        for order, configs in bred(mutation_rate=0.3)
        for others in [configs.values()]
    ]
    assert set(alike) == {(True, True), (False, False)}
    assert not any(order.donor == 9 for order, _ in bred()), "weights come from a tournament's winner"


def test_without_mates_of_its_structure_a_child_has_any_winners_weights() -> None:
    space = Space({"width": Float(0, 1)})
    search = Genetic(6, 2, epochs=1, elites=0, inherit_weights=True, breed_structure=True, mutation_rate=1.0)
    result = simulate(search.bind(space), space, Problem(lambda trial, _: trial), rows=6)
    donors = [trial.orders[1].donor for trial in result.trials.values()]  # type: ignore[union-attr]
    assert len(set(donors)) > 1
    assert 5 not in donors


def test_the_plan_says_whether_structure_is_bred() -> None:
    for on in (True, False):
        lines = Genetic(6, 2, epochs=1, inherit_weights=True, breed_structure=on).bind(SPACE).plan().lines
        assert ("mutation 0.05, structure too; elites" in lines[-1]) is on


def test_the_best_move_to_the_next_deme() -> None:
    """Deme 0 is good, deme 1 bad: after a migration a child of deme 1 can have a parent from deme 0."""
    space = Space({"lr": Float(0, 1), "width": Int(0, 1000)})
    search = Genetic(8, 2, epochs=1, demes=2, elites=0, inherit_weights=True, mutation_rate=0, migration_interval=1)
    result = simulate(search.bind(space), space, Problem(lambda trial, _: trial), rows=8)
    donors = {trial: result.trials[trial].orders[1].donor for trial in range(8)}  # type: ignore[union-attr]
    assert {donors[trial] for trial in range(4)} <= {
        0,
        1,
        2,
        4,
    }  # trial 3, the worst, made place for the best of deme 1
    assert {donors[trial] for trial in range(4, 8)} <= {0, 4, 5, 6}
    assert 0 in {donors[trial] for trial in range(4, 8)}


def test_a_migrant_that_is_an_elite_goes_on_in_both_demes() -> None:
    """Trial 0 is the best of all; it takes the place of 7 in the other deme, and as the elite there that of 4."""
    search = Genetic(8, 2, epochs=1, demes=2, elites=1, inherit_weights=True, migration_interval=1)
    strategy = search.bind(SPACE)
    first, *_ = strategy.ask(8)
    assert isinstance(first, Start)
    *_, orders = [strategy.tell(Report(trial, 1, trial)) for trial in range(8)]
    moves = {order.trial: order for order in orders}
    assert moves[0] == Resume(0, 2, "elite")
    assert moves[7] == Inherit(7, 0, first.config, 2, "migrated")
    assert {moves[trial].why for trial in range(1, 7)} == {"bred"}


def test_a_deme_that_died_ousts_nobody() -> None:
    """Trials 0 and 1 die; so the children of the other deme still have two parents, 2 and 3."""
    space = Space({"lr": Float(0, 1)})
    rates = {"crossover_rate": 1.0, "mutation_rate": 0.0, "migration_interval": 1}
    strategy = Genetic(4, 2, epochs=1, demes=2, elites=0, inherit_weights=True, **rates).bind(space)
    starts = [order for order in strategy.ask(4) if isinstance(order, Start)]
    *_, orders = [strategy.tell(Report(trial, 1, math.nan if trial < 2 else trial)) for trial in range(4)]
    children = [order for order in orders if isinstance(order, Inherit) and order.trial > 1]
    assert [child.config["lr"] for child in children] == [starts[3].config["lr"]] * 2


def test_hypersearch_starts_the_worse_half_from_the_best() -> None:
    search = HyperSearch(6, 3, epochs=2, width=0.1)
    space = Space({"lr": Float(0, 1), "width": Int(1, 9)})
    result = simulate(search.bind(space, seed=5), space, Problem(lambda trial, _: trial), rows=6)
    best = result.trials[0].config
    for trial in (1, 2):
        assert [type(order) for order in result.trials[trial].orders[:3]] == [Start, Resume, Resume]
    for trial in (3, 4, 5):
        first, second = result.trials[trial].orders[1:3]
        assert isinstance(first, Inherit)
        assert isinstance(second, Inherit)
        assert (first.donor, second.donor) == (0, 0)
        assert first.config["width"] == best["width"]
        assert 0 < abs(first.config["lr"] - best["lr"]) <= 0.1
        assert abs(second.config["lr"] - best["lr"]) <= 0.07 + 1e-9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"population": 1}, "population: must be a whole number >= 2, got 1"),
        ({"demes": 4}, "demes: must divide the population of 6 into parts of >= 2, got 4"),
        ({"demes": 6}, "demes: must divide the population of 6 into parts of >= 2, got 6"),
        ({"elites": 6}, "elites: must be fewer than a deme's 6 members, got 6"),
        ({"mutation_rate": 1.5}, "mutation_rate: must be in"),
        ({"breed_structure": 1}, "breed_structure: must be true or false, got 1"),
        ({"breed_structure": True}, "breed_structure: must go with inherit_weights"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Genetic(**({"population": 6, "generations": 2, "epochs": 1} | arguments))
