"""Population based bandits: what the bandit explores, what it learns from, and that learning helps."""

from __future__ import annotations

import itertools
import math
import statistics
from typing import Any

import pytest
from tests.search.simulator import simulate
from tests.search.test_pbt import Drift, play

from shoal.search import PB2, PBT, Factors, Random
from shoal.search.heirs import Birth
from shoal.search.pb2 import WINDOW, Bandit
from shoal.search.protocol import Inherit, Start, Strategy
from shoal.space import Bool, Choice, Config, Float, Int, Ordinal, Space

SPACE = Space(
    {"lr": Float(1e-4, 1, log=True), "decay_every": Int(1, 50), "batch_size": Ordinal([8, 16, 32]), "width": Int(2, 9)}
)


def bandit(space: Space, seed: int = 0) -> Bandit:
    explorer = PB2(2, steps=10, interval=1).explorer(space, seed)
    assert isinstance(explorer, Bandit)
    return explorer


def heirs(strategy: Strategy, *rounds: list[float]) -> list[Inherit]:
    return [order for order in play(strategy, *rounds) if isinstance(order, Inherit)]


def test_until_changes_are_known_it_explores_as_pbt() -> None:
    scores = [0.0, 1.0, 2.0, 3.0]
    how: dict[str, Any] = {"population": 4, "steps": 9, "interval": 1}
    assert heirs(PB2(**how).bind(SPACE), scores) == heirs(PBT(**how).bind(SPACE), scores)
    assert heirs(PB2(**how).bind(SPACE), scores, scores) != heirs(PBT(**how).bind(SPACE), scores, scores)


def test_choices_keep_the_rule_of_pbt_and_the_structure_comes_with_the_weights() -> None:
    rounds = [[0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0]]
    how: dict[str, Any] = {"population": 4, "steps": 9, "interval": 1}
    (ours,), (theirs,) = heirs(PB2(**how).bind(SPACE), *rounds), heirs(PBT(**how).bind(SPACE), *rounds)
    assert {name: ours.config[name] for name in ("batch_size", "width")} == {
        name: theirs.config[name] for name in ("batch_size", "width")
    }
    assert ours.config["lr"] != theirs.config["lr"]


def test_it_goes_where_scores_have_fallen_most() -> None:
    space = Space({"lr": Float(0, 1), "decay_every": Int(0, 100)})
    explorer = bandit(space)
    for k in range(40):
        lr, every = k / 39, (37 * k) % 101
        explorer.learn({"lr": lr, "decay_every": every}, 1 + k // 8, -math.exp(-20 * (lr - 0.7) ** 2))
    config = explorer.explore({"lr": 0.1, "decay_every": 3}, Birth(0, 1, 5, []))
    assert abs(config["lr"] - 0.7) < 0.1
    assert space.check(config) == config


def test_what_is_pending_drives_heirs_apart() -> None:
    """Where all is alike, only the unknown is worth a try, and what another one tries is known."""
    explorer = bandit(Space({"lr": Float(0, 1)}))
    for _ in range(12):
        explorer.learn({"lr": 0.4}, 1, -1.0)
    found: list[Config] = []
    for heir in range(4):
        found.append(explorer.explore({"lr": 0.4}, Birth(heir, 1, 1, found)))
    places = sorted([0.4, *(config["lr"] for config in found)])
    assert min(b - a for a, b in itertools.pairwise(places)) > 0.05


def test_it_leaves_what_has_diverged() -> None:
    explorer = bandit(Space({"lr": Float(0, 1)}))
    for k in range(20):
        lr = k / 19
        explorer.learn({"lr": lr}, 1, math.inf if lr > 0.5 else -lr)
    assert explorer.explore({"lr": 0.9}, Birth(0, 1, 1, []))["lr"] < 0.6


def test_nothing_but_divergence_is_no_data() -> None:
    explorer, fresh = bandit(Space({"lr": Float(0, 1)})), bandit(Space({"lr": Float(0, 1)}))
    explorer.learn({"lr": 0.5}, 1, math.inf)
    birth = Birth(0, 1, 1, [])
    assert explorer.explore({"lr": 0.5}, birth) == fresh.explore({"lr": 0.5}, birth)


@pytest.mark.parametrize("huge", [1e9, 1e300])
def test_one_huge_change_does_not_hide_the_others(huge: float) -> None:
    explorer = bandit(Space({"lr": Float(0, 1)}))
    for k in range(40):
        lr = k / 39
        explorer.learn({"lr": lr}, 1 + k // 8, huge if k == 39 else -math.exp(-20 * (lr - 0.3) ** 2))
    assert abs(explorer.explore({"lr": 0.9}, Birth(0, 1, 5, []))["lr"] - 0.3) < 0.1


def test_only_the_last_intervals_count() -> None:
    first, second = bandit(Space({"lr": Float(0, 1)})), bandit(Space({"lr": Float(0, 1)}))
    for k in range(5):
        first.learn({"lr": 0.9}, 1, -9.0 * k)
        second.learn({"lr": 0.1}, 1, 5.0 * k)
    for each in (first, second):
        for k in range(WINDOW):
            each.learn({"lr": (k % 10) / 10}, 2, math.sin(k))
    birth = Birth(0, 1, 2, [])
    assert first.explore({"lr": 0.5}, birth) == second.explore({"lr": 0.5}, birth)


def test_the_plan_says_what_the_bandit_explores() -> None:
    assert PB2(4, steps=9, interval=1).bind(SPACE).plan().lines[-1] == "by the bandit: lr, decay_every"


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (Space({"nesterov": Bool()}), "explore: must name a float or a whole number, for nesterov is none"),
        (Space({"alpha": Float(0, 1)}), "explore: must name a parameter, for none of alpha is explored"),
    ],
)
def test_without_a_number_there_is_nothing_for_a_bandit(space: Space, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PB2(4, steps=9, interval=1).bind(space)


def test_a_rule_makes_any_number_explored() -> None:
    strategy = PB2(4, steps=9, interval=1, explore={"alpha": Factors(2)}).bind(Space({"alpha": Float(0, 1)}))
    assert strategy.plan().lines[-1] == "by the bandit: alpha"
    assert all(isinstance(order, Start) for order in strategy.ask(4))


@pytest.mark.parametrize("synchronous", [True, False])
def test_four_members_beat_random_search_at_the_same_budget(synchronous: bool) -> None:
    space = Space({"lr": Float(1e-4, 10, log=True), "activation": Choice(["relu", "tanh"])})

    def best(search: PB2 | Random, seed: int) -> float:
        strategy = search.bind(space, seed=seed)
        assert strategy.plan().budget == 4 * Drift.steps
        return min(report.score for report in simulate(strategy, space, Drift(), rows=4).reports)

    pb2 = PB2(4, steps=Drift.steps, interval=30, synchronous=synchronous)
    gains = [best(Random(4, steps=Drift.steps), seed) - best(pb2, seed) for seed in range(8)]
    assert statistics.mean(gains) > (0.3 if synchronous else 0.05)
