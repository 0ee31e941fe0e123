"""Where configs come from: one axis of a search, the other being how the budget is spent on them.

A `Sampler` is a description, checked at once; ``bind`` makes of it what a scheduler asks. Random, grid and Sobol depend
on the trial's number alone; a model learns from the reports it is told of.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from shoal.search.keyed import keyed
from shoal.search.protocol import Config, Report
from shoal.space import Space
from shoal.space.checks import boolean, jsonable, whole


class Proposals(Protocol):
    """A bound sampler."""

    def propose(self, trial: int) -> Config:
        """Return the config of a new trial; trials are asked for one by one, in the order of their numbers."""

    def observe(self, report: Report, *, last: bool) -> None:
        """Take a report of a trial that it proposed; ``last``: the trial has ended."""


@dataclass(frozen=True)
class Sampler(ABC):
    """Base of the descriptions."""

    @abstractmethod
    def bind(self, space: Space, seed: int, trials: int) -> Proposals:
        """Return the proposals of ``trials`` configs; ValueError where the sampler does not fit the space."""

    def describe(self) -> dict[str, Any]:
        """Return the table that `read_sampler` reads back."""
        values = {field.name: jsonable(getattr(self, field.name)) for field in fields(self)}
        return {"name": type(self).__name__} | {name: value for name, value in values.items() if value is not None}


class _Fixed:
    """Proposals that learn nothing."""

    def observe(self, report: Report, *, last: bool) -> None:
        """Reports change nothing."""


@dataclass(frozen=True)
class RandomSampler(Sampler):
    """Each config is drawn by itself, uniformly on each parameter's scale, keyed by the trial's number."""

    def bind(self, space: Space, seed: int, trials: int) -> Proposals:  # noqa: ARG002
        """Return the draws."""
        return _RandomConfigs(space, seed)


@dataclass
class _RandomConfigs(_Fixed):
    space: Space
    seed: int

    def propose(self, trial: int) -> Config:
        return self.space.sample(keyed(self.seed, "sample", trial))


@dataclass(frozen=True)
class GridSampler(Sampler):
    """Every combination of the values on a grid, as `shoal.search.Grid` makes it.

    Args:
        counts: Parameter name -> number of values, at least 2.
    """

    counts: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.counts, Mapping):
            raise ValueError(f"counts: must map parameters to numbers of values, got {self.counts!r}")
        counts = {name: whole(f"counts.{name}", count, least=2) for name, count in self.counts.items()}
        object.__setattr__(self, "counts", counts)

    def size(self, space: Space) -> int:
        """Return the number of combinations."""
        return math.prod(len(axis) for axis in space.grid(self.counts).values())

    def bind(self, space: Space, seed: int, trials: int) -> Proposals:  # noqa: ARG002  nothing is drawn
        """Return the grid, of which ``trials`` may be no more than there are."""
        grid = _GridConfigs(space, space.grid(self.counts))
        if trials > self.size(space):
            raise ValueError(f"trials: must be at most the grid's {self.size(space)} configs, got {trials}")
        return grid


@dataclass
class _GridConfigs(_Fixed):
    space: Space
    axes: Mapping[str, Sequence[Any]]

    def propose(self, trial: int) -> Config:
        """A trial's number is in mixed radix, the first parameter its slowest digit."""
        chosen = {}
        for name, axis in reversed(list(self.axes.items())):
            trial, place = divmod(trial, len(axis))
            chosen[name] = axis[place]
        return {**self.space.values, **chosen}


@dataclass(frozen=True)
class SobolSampler(Sampler):
    """A Sobol sequence in the unit cube (Sobol 1967; `scipy.stats.qmc`), which fills it more evenly than chance.

    Args:
        scramble: Randomise it by the study's seed (Owen 1998); else the first config is the lowest corner of the space.
    """

    scramble: bool = True

    def __post_init__(self) -> None:
        boolean("scramble", self.scramble)

    def bind(self, space: Space, seed: int, trials: int) -> Proposals:
        """Return the points; a power of two of them is drawn, which is where the sequence is balanced."""
        from scipy.stats import qmc

        dimensions = max(1, len(space.parameters))
        sequence = qmc.Sobol(dimensions, scramble=self.scramble, rng=keyed(seed, "sobol"))
        return _SobolConfigs(space, sequence.random_base2(max(0, math.ceil(math.log2(max(1, trials))))))


@dataclass
class _SobolConfigs(_Fixed):
    space: Space
    points: Any

    def propose(self, trial: int) -> Config:
        return self.space.from_unit(self.points[trial][: len(self.space.parameters)])
