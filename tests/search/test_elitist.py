"""Whom elitist genetic search breeds from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.search.bowl import SPACE, regrets
from tests.search.simulator import Problem, simulate

from shoal.search import Elitist, Random
from shoal.search.breeding import bred
from shoal.search.keyed import keyed
from shoal.search.protocol import Report, Start
from shoal.space import Choice, Config, Float, Space

SCORES = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.4, math.nan, math.inf])


def parents_of(generations: list[list[tuple[Config, float, int]]], most: int, newcomer: Config) -> list[Config]:
    """As the study says it: top of the last, top of all time, one random; duplicates count once."""

    def top(entities: list[tuple[Config, float, int]]) -> list[Config]:
        alive = [entity for entity in entities if math.isfinite(entity[1])]
        return [config for config, _, _ in sorted(alive, key=lambda entity: (entity[1], entity[2]))[:most]]

    chosen = [*top(generations[-1]), *top([entity for each in generations for entity in each]), newcomer]
    distinct: list[Config] = []
    for config in chosen:
        if config not in distinct:
            distinct.append(config)
    return distinct


@settings(deadline=None)
@given(
    space=st.sampled_from([SPACE, Space({"kind": Choice(["a", "b"]), "size": Choice([1, 2])})]),
    scores=st.lists(st.lists(SCORES, min_size=5, max_size=5), min_size=1, max_size=4),
    order=st.randoms(),
)
def test_parents_against_a_transcription(space: Space, scores: list[list[float]], order: Any) -> None:
    strategy = Elitist(5, 5, epochs=2, parents=3, mutation_rate=0.2).bind(space, seed=11)
    history: list[list[tuple[Config, float, int]]] = []
    for told in scores:
        starts = [order for order in strategy.ask(9) if isinstance(order, Start)]
        history.append([(start.config, score, start.trial) for start, score in zip(starts, told, strict=True)])
        reports = [Report(number, 2, score) for _, score, number in history[-1]]
        order.shuffle(reports)
        for report in reports:
            strategy.tell(report)
    (child,), trial = strategy.ask(1), 5 * len(scores)
    assert isinstance(child, Start)
    if not any(math.isfinite(score) for each in history for _, score, _ in each):
        assert child.config == space.sample(keyed(11, "sample", trial))
        return
    pool = parents_of(history, 3, space.sample(keyed(11, "newcomer", len(scores))))
    rng = keyed(11, "breed", trial)
    first, second = rng.choice(len(pool), 2, replace=len(pool) == 1)
    assert child.config == bred(space, pool[first], pool[second], 0.5, 0.2, rng)


def test_a_worked_example() -> None:
    """Four trials with scores 3, 1, 4, 2, then 9, 9, 9, 0: at last trials 7, 4 and 1, 7 are best, and one is new."""
    space = Space({"x": Float(0, 1), "y": Float(0, 1)})
    strategy = Elitist(4, 200, epochs=1, parents=2, mutation_rate=0).bind(space)
    scores = {0: 3.0, 1: 1.0, 2: 4.0, 3: 2.0, 4: 8.0, 5: 9.0, 6: 9.0, 7: 0.0}
    x = {}
    for _ in range(2):
        for start in strategy.ask(4):
            assert isinstance(start, Start)
            x[start.trial] = start.config["x"]
            strategy.tell(Report(start.trial, 1, scores[start.trial]))
    newcomer = space.sample(keyed(0, "newcomer", 2))["x"]
    children = [start.config["x"] for start in strategy.ask(4) if isinstance(start, Start)]
    assert len(children) == 4
    assert set(children) <= {x[7], x[4], x[1], newcomer}


def test_children_take_half_from_either_parent() -> None:
    """Two parents, the one survivor and the newcomer: each trait is one's or the other's."""
    space = Space({f"x{i}": Float(0, 1) for i in range(300)})
    strategy = Elitist(20, 2, epochs=1, parents=1, mutation_rate=0).bind(space)
    survivor: Config = {}
    for start in strategy.ask(20):
        assert isinstance(start, Start)
        survivor = survivor or start.config
        strategy.tell(Report(start.trial, 1, 0.5 if start.trial == 0 else math.nan))
    children = [start.config for start in strategy.ask(20) if isinstance(start, Start)]
    shares = [np.mean([child[name] == survivor[name] for name in space.parameters]) for child in children]
    assert len(children) == 20
    assert all(0.35 < share < 0.65 for share in shares)


def test_everyone_is_trained_from_scratch_to_the_end() -> None:
    strategy = Elitist(6, 4, steps=30, parents=3).bind(SPACE)
    result = simulate(strategy, SPACE, Problem(lambda trial, _: (7 * trial) % 5), rows=4)
    assert len(result.trials) == strategy.plan().trials == 24
    assert all(trial.progress == 30 and len(trial.orders) == 2 for trial in result.trials.values())


def test_it_is_better_than_chance() -> None:
    chance, budget = regrets(Random(200, epochs=2), seeds=8, rows=20)
    evolved, spent = regrets(Elitist(20, 10, epochs=2), seeds=8, rows=20)
    assert spent == budget
    assert evolved < 0.5 * chance


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"population": 1}, "population: must be a whole number >= 2, got 1"),
        ({"generations": 0}, "generations: must be a whole number >= 1, got 0"),
        ({"parents": 0}, "parents: must be a whole number >= 1, got 0"),
        ({"parents": 21}, "parents: must be at most the population of 20, got 21"),
        ({"mutation_rate": 5}, r"mutation_rate: must be in \[0, 1\], got 5"),
        ({"steps": 3}, "epochs and steps: one of them must be given, got both"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Elitist(**({"population": 20, "generations": 2, "epochs": 1} | arguments))
