"""Children of three parents: two give hyperparameters, one gives weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shoal.search.protocol import Config, Report
from shoal.search.ranking import ranking
from shoal.space import Ordered, Parameter, Space

SPREAD = 0.1  # standard deviation of a mutation, of the unit interval


@dataclass(frozen=True)
class Individual:
    """A config and what it came to."""

    trial: int
    config: Config
    report: Report


def ranked(individuals: Sequence[Individual]) -> list[Individual]:
    """Return them, best first."""
    return [individuals[place] for place in ranking([each.report for each in individuals])]


def tournament(pool: Sequence[Individual], rng: np.random.Generator) -> Individual:
    """Return the better of two different ones, drawn uniformly; ``pool`` has its best first."""
    if len(pool) == 1:
        return pool[0]
    return pool[min(int(place) for place in rng.choice(len(pool), 2, replace=False))]


def two_parents(pool: Sequence[Individual], rng: np.random.Generator) -> tuple[Individual, Individual]:
    """Return the winners of two tournaments, different ones where there are two."""
    first = tournament(pool, rng)
    others = [each for each in pool if each is not first]
    return first, tournament(others, rng) if others else first


def crossover(space: Space, first: Config, second: Config, rate: float, rng: np.random.Generator) -> Config:
    """Return the first's config with each parameter that the second has taken from it with the probability ``rate``.

    It may need `Space.repair`.
    """
    return {**first, **{name: second[name] for name in space.parameters if rng.random() < rate and name in second}}


def mutate(parameter: Parameter, value: Any, rng: np.random.Generator) -> Any:
    """Return another value: near by on the scale for numbers and ordinals, any other one for choices.

    A number moves by a Gaussian of `SPREAD` on the unit scale, reflected at the bounds; a whole number or an ordinal
    that this leaves where it is, to its neighbour.
    """
    if not isinstance(parameter, Ordered):
        others = [other for other in parameter.grid() if other != value]
        return others[int(rng.integers(len(others)))] if others else value
    step = rng.normal(0, SPREAD)
    moved = parameter.from_unit(reflected(parameter.to_unit(value) + step))
    return moved if moved != value else parameter.scaled(value, 1 + math.copysign(1e-15, step))  # one place, the least


def reflected(position: float) -> float:
    """Return a position inside [0, 1] that a path from inside reaches if the ends throw it back."""
    position = abs(position) % 2
    return 2 - position if position > 1 else position


def bred(
    space: Space,
    first: Config,
    second: Config,
    crossover_rate: float,
    mutation_rate: float,
    rng: np.random.Generator,
) -> Config:
    """Return a child: a crossover of two configs, each parameter of which is mutated with a probability.

    It may need `Space.repair`.
    """
    config = crossover(space, first, second, crossover_rate, rng)
    for name, parameter in space.parameters.items():
        if rng.random() < mutation_rate and name in config:
            config[name] = mutate(parameter, config[name], rng)
    return config
