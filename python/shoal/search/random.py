"""Random search: the yardstick of every other strategy."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.search.base import Search, one_unit
from shoal.search.full import FullTraining
from shoal.search.protocol import Plan, Strategy
from shoal.search.sampler import RandomSampler
from shoal.space import Space
from shoal.space.checks import whole


@dataclass(frozen=True)
class Random(Search):
    """Random search (Bergstra and Bengio 2012, "Random Search for Hyper-Parameter Optimization").

    Every trial draws its config independently, uniformly on each parameter's scale, and trains to the end. The draw is
    keyed by the trial's id, so the number of free rows and the order of reports change nothing, and a longer search
    with the same seed begins with the same configs.

    Args:
        trials: Number of configs, at least 1.
        epochs: Length of a trial in epochs.
        steps: Length of a trial in steps, instead of ``epochs``.
    """

    trials: int
    epochs: int | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        whole("trials", self.trials, least=1)
        one_unit(epochs=self.epochs, steps=self.steps)

    def _bind(self, space: Space, seed: int) -> Strategy:
        length, unit = one_unit(epochs=self.epochs, steps=self.steps)
        lines = (f"{self.trials} random configs, {length} {unit} each",)
        plan = Plan(self.trials, self.trials * length, unit, lines)
        return FullTraining(plan, RandomSampler().bind(space, seed, self.trials))
