"""Tournament training: pairs, what losers take, and that losers cannot hold the population back."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.search.simulator import simulate
from tests.search.test_pbt import Drift, inheritance, play

from shoal.search import LTFB, Factors, Random
from shoal.search.keyed import keyed
from shoal.search.protocol import Config, Inherit, Report, Start
from shoal.space import Choice, Float, Int, Space

SPACE = Space({"lr": Float(1e-4, 1, log=True), "width": Int(8, 64), "alpha": Float(0, 1)})
NAN = math.nan


def starts(search: LTFB, seed: int = 0) -> dict[int, Config]:
    orders = search.bind(SPACE, seed=seed).ask(search.population)
    return {order.trial: order.config for order in orders if isinstance(order, Start)}


@pytest.mark.parametrize("population", [2, 3, 8, 9])
def test_each_pair_has_one_winner_and_the_odd_one_trains_on(population: int) -> None:
    met = set()
    for seed in range(20):
        strategy = LTFB(population, steps=2, interval=1).bind(SPACE, seed=seed)
        heirs = inheritance(play(strategy, [float(trial) for trial in range(population)]))
        assert len(heirs) == population // 2
        assert len(heirs.keys() | set(heirs.values())) == 2 * (population // 2)
        assert all(donor < heir for heir, donor in heirs.items())
        met.add(tuple(sorted(heirs.items())))
    assert len(met) >= min(20, population - 1) // 2


def test_pairs_come_from_a_shuffle_that_anyone_can_repeat() -> None:
    """No report is needed to know who meets whom: seed and round are enough."""
    order = [int(place) for place in keyed(7, "pairs", 1).permutation(6)]
    pairs = {frozenset(order[k : k + 2]) for k in (0, 2, 4)}
    for scores in ([5.0, 4.0, 3.0, 2.0, 1.0, 0.0], [0.0, 9.0, 1.0, 8.0, 2.0, 7.0]):
        heirs = inheritance(play(LTFB(6, steps=2, interval=1).bind(SPACE, seed=7), scores))
        assert {frozenset(pair) for pair in heirs.items()} == pairs


def test_pairs_change_from_round_to_round() -> None:
    scores = [float(trial) for trial in range(8)]
    strategy = LTFB(8, steps=3, interval=1).bind(SPACE)
    first = inheritance(play(strategy, scores))
    second = [strategy.tell(Report(trial, 2, score)) for trial, score in enumerate(scores)][-1]
    assert inheritance(second) != first


@pytest.mark.parametrize(
    ("hyperparameters", "explore", "own"),
    [("keep", {}, {"lr"}), ("keep", {"alpha": Factors(2)}, {"lr", "alpha"}), ("take", {}, set())],
)
def test_the_loser_keeps_its_own_or_takes_the_winners(
    hyperparameters: str, explore: dict[str, Any], own: set[str]
) -> None:
    search = LTFB(2, steps=2, interval=1, hyperparameters=hyperparameters, explore=explore)
    before = starts(search)
    (heir,) = (order for order in play(search.bind(SPACE), [0.0, 1.0]) if isinstance(order, Inherit))
    assert heir.config == {name: before[1 if name in own else 0][name] for name in SPACE.parameters}


def test_the_loser_may_explore_from_the_winners() -> None:
    search = LTFB(2, steps=2, interval=1, hyperparameters="explore", explore={"lr": Factors(0.5, resample=0.0)})
    before = starts(search)
    (heir,) = (order for order in play(search.bind(SPACE), [0.0, 1.0]) if isinstance(order, Inherit))
    assert heir.config == {**before[0], "lr": max(1e-4, before[0]["lr"] / 2)}


@pytest.mark.parametrize("seed", range(10))
def test_the_diverged_take_everything_from_an_opponent_or_else_from_a_winner(seed: int) -> None:
    search = LTFB(7, steps=2, interval=1)
    before = starts(search, seed)
    orders = play(search.bind(SPACE, seed=seed), [NAN, math.inf, 1.0, NAN, 2.0, -math.inf, NAN])
    heirs = {order.trial: order for order in orders if isinstance(order, Inherit)}
    assert {0, 1, 3, 5, 6} <= heirs.keys()
    for trial in (0, 1, 3, 5, 6):
        assert heirs[trial].why == "diverged"
        assert heirs[trial].config == before[heirs[trial].donor]
    assert {order.donor for order in heirs.values()} <= {2, 4} - heirs.keys()


def test_of_equals_the_lower_id_wins() -> None:
    assert all(d < h for h, d in inheritance(play(LTFB(6, steps=2, interval=1).bind(SPACE), [0.5] * 6)).items())


def test_the_plan_says_what_losers_do() -> None:
    plan = LTFB(8, epochs=20, interval_epochs=3).bind(SPACE).plan()
    assert (plan.trials, plan.budget, plan.unit) == (8, 160, "epochs")
    assert plan.lines == (
        "8 members, 7 rounds of 3 epochs to 20",
        "pairs at random: the loser takes the winner's weights, and keeps its own lr",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"population": 1}, "population: must be a whole number >= 2, got 1"),
        ({"hyperparameters": "swap"}, "hyperparameters: must be one of keep, take, explore, got 'swap'"),
        ({"interval": 31}, "interval: must be at most steps = 30, got 31"),
        ({"explore": ["lr"]}, r"explore: must map parameters to rules, got \['lr'\]"),
        ({"resample": -1}, r"resample: must be in \[0, 1\], got -1"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message):
        LTFB(**({"population": 4, "steps": 30, "interval": 10} | arguments))


@pytest.mark.parametrize("hyperparameters", ["keep", "explore"])
@pytest.mark.parametrize("seed", range(5))
def test_it_beats_random_search_at_the_same_budget(hyperparameters: str, seed: int) -> None:
    """Whose lr is right at the time wins: so with fixed lr as well the weights are trained with a schedule."""
    space = Space({"lr": Float(1e-4, 10, log=True), "activation": Choice(["relu", "tanh"])})

    def best(search: LTFB | Random) -> float:
        strategy = search.bind(space, seed=seed)
        assert strategy.plan().budget == 16 * Drift.steps
        return min(report.score for report in simulate(strategy, space, Drift(), rows=16).reports)

    ours = best(LTFB(16, steps=Drift.steps, interval=20, hyperparameters=hyperparameters))
    assert ours < best(Random(16, steps=Drift.steps)) - 0.1
