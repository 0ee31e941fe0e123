"""Grid search: every combination of the values on a grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shoal.search.base import Search, one_unit
from shoal.search.full import FullTraining
from shoal.search.protocol import Plan, Strategy
from shoal.search.sampler import GridSampler
from shoal.space import Space
from shoal.space.checks import whole


@dataclass(frozen=True)
class Grid(Search):
    """Full factorial search over a grid.

    A trial's id is a number in mixed radix whose digits are places on the parameters' axes; the first parameter is the
    slowest digit. Choices, ordinals and bools use all their values. An `Int` uses all of its values, or as many as
    counted; a `Float` must be counted. Counted values are evenly spaced on the parameter's scale, bounds included, and
    whole numbers that round to the same value are one. The size is in the plan, before anything runs. With conditions
    and forbidden combinations the different configs that remain are numbered in this order.

    Args:
        epochs: Length of a trial in epochs.
        steps: Length of a trial in steps, instead of ``epochs``.
        counts: Parameter name -> number of values, at least 2.
    """

    epochs: int | None = None
    steps: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        one_unit(epochs=self.epochs, steps=self.steps)
        if not isinstance(self.counts, Mapping):
            raise ValueError(f"counts: must map parameters to numbers of values, got {self.counts!r}")
        counts = {name: whole(f"counts.{name}", count, least=2) for name, count in self.counts.items()}
        object.__setattr__(self, "counts", counts)

    def _bind(self, space: Space, seed: int) -> Strategy:
        length, unit = one_unit(epochs=self.epochs, steps=self.steps)
        axes = space.grid(self.counts)
        sampler = GridSampler(self.counts)
        size = sampler.size(space)
        product = " x ".join(str(len(axis)) for axis in axes.values()) or "1"
        left = f", active and allowed: {size} configs" if space.constrained else f" = {size} configs"
        lines = (
            *(f"{name}: {len(axis)} values" for name, axis in axes.items()),
            f"{product}{left}, {length} {unit} each",
        )
        return FullTraining(Plan(size, size * length, unit, lines), sampler.bind(space, seed, size))
