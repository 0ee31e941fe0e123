"""Where configs come from: one axis of a search, the other being how the budget is spent on them.

A `Sampler` is a description, checked at once; ``bind`` makes of it what a scheduler asks. Random, grid and Sobol depend
on the trial's number alone; a model learns from the reports it is told of.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Protocol

from shoal.search.keyed import keyed
from shoal.search.protocol import Config, Report
from shoal.space import Space
from shoal.space.checks import boolean, jsonable, whole

_MOST = 1_000  # points of a sequence for each that must be allowed


class Proposals(Protocol):
    """A bound sampler."""

    def propose(self, trial: int) -> Config:
        """Return the config of a new trial; trials are asked for one by one, in the order of their numbers."""

    def observe(self, report: Report, *, last: bool) -> None:
        """Take a report of a trial that it proposed; ``last``: the trial has ended."""


@dataclass(frozen=True)
class Sampler(ABC):
    """Base of the descriptions.

    Attributes:
        several: Whether it may serve a study of several objectives: it learns nothing, or from all of them.
    """

    several: ClassVar[bool] = True

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
        return self.space.initial(trial, keyed(self.seed, "sample", trial))


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
        """Return the number of different configs that the space allows."""
        return self._configs(space).size

    def bind(self, space: Space, seed: int, trials: int) -> Proposals:  # noqa: ARG002  nothing is drawn
        """Return the grid, of which ``trials`` may be no more than there are."""
        if space.begin_with:
            raise ValueError("space.begin_with: must be empty for a grid, which tries its own configs, all of them")
        grid = self._configs(space)
        if trials > grid.size:
            raise ValueError(f"trials: must be at most the grid's {grid.size} configs, got {trials}")
        return grid

    def _configs(self, space: Space) -> _Grid | _Listed:
        axes = space.grid(self.counts)
        if not space.constrained:
            return _Grid(space, axes)
        configs = space.combinations(axes)
        if not configs:
            raise ValueError("space.forbidden: leaves nothing of the grid")
        return _Listed(configs)


@dataclass
class _Listed(_Fixed):
    configs: Sequence[Config]

    @property
    def size(self) -> int:
        return len(self.configs)

    def propose(self, trial: int) -> Config:
        return dict(self.configs[trial])


@dataclass
class _Grid(_Fixed):
    """All combinations, too many to list perhaps."""

    space: Space
    axes: Mapping[str, Sequence[Any]]

    @property
    def size(self) -> int:
        return math.prod(len(axis) for axis in self.axes.values())

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

    Points that are forbidden combinations are left out; the sequence goes on until there are enough others.

    Args:
        scramble: Randomise it by the study's seed (Owen 1998); else the first config is the lowest corner of the space.
    """

    scramble: bool = True

    def __post_init__(self) -> None:
        boolean("scramble", self.scramble)

    def bind(self, space: Space, seed: int, trials: int) -> Proposals:
        """Return the configs of the points; powers of two are drawn, which is where the sequence is balanced."""
        from scipy.stats import qmc

        dimensions = max(1, len(space.parameters))
        sequence = qmc.Sobol(dimensions, scramble=self.scramble, rng=keyed(seed, "sobol"))
        power = math.ceil(math.log2(max(1, trials)))
        configs = [*space.begin_with]
        while len(configs) < trials:
            if sequence.num_generated > _MOST * trials:
                raise ValueError(f"space.forbidden: leaves fewer than {trials} of {sequence.num_generated:,} points")
            points = sequence.random_base2(power)[:, : len(space.parameters)]
            configs += [config for config in map(space.from_unit, points) if space.allows(config)]
            power = sequence.num_generated.bit_length() - 1  # as many again
        return _Listed(configs)
