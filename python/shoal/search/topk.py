"""One look, then the top: the baseline that any other early stopping has to beat."""

from __future__ import annotations

from dataclasses import dataclass, field

from shoal.search.base import Search, one_unit
from shoal.search.halving import Bracket, Halving
from shoal.search.protocol import Strategy
from shoal.search.sampler import RandomSampler
from shoal.search.samplers import SamplerLike, read_sampler
from shoal.space import Space
from shoal.space.checks import whole


@dataclass(frozen=True)
class TopK(Search):
    """All trials are trained for a short time, then the best ``keep`` of them to the end.

    The trials that go on train only what is new. All wait for the last of the look. Diverged trials never go on, so
    fewer than ``keep`` may.

    Args:
        trials: Number of configs, at least 1.
        keep: How many are trained to the end, at most ``trials``.
        epochs: What the best trials are trained for, in epochs.
        steps: As ``epochs``, in steps.
        look: What every trial is trained for, below that and in the same unit; by default 1 epoch. In steps it must be
            given.
        sampler: Where configs come from: a `shoal.search.Sampler`, its name, or an object with ``ask`` and ``tell``.
    """

    trials: int
    keep: int
    epochs: int | None = None
    steps: int | None = None
    look: int | None = None
    sampler: SamplerLike = field(default_factory=RandomSampler)

    def __post_init__(self) -> None:
        whole("trials", self.trials, least=1)
        if whole("keep", self.keep, least=1) > self.trials:
            raise ValueError(f"keep: must be at most trials = {self.trials}, got {self.keep}")
        self.bracket()
        object.__setattr__(self, "sampler", read_sampler(self.sampler))

    def bracket(self) -> Bracket:
        """Return its two rungs."""
        length, unit = one_unit(epochs=self.epochs, steps=self.steps)
        if unit == "steps" and self.look is None:
            raise ValueError("look: must be given with steps")
        look = 1 if self.look is None else whole("look", self.look, least=1)
        if look >= length:
            raise ValueError(f"look: must be below {unit} = {length}, got {look}")
        return Bracket((look, length), (self.trials, self.keep))

    def _bind(self, space: Space, seed: int) -> Strategy:
        _, unit = one_unit(epochs=self.epochs, steps=self.steps)
        return Halving([self.bracket()], unit, read_sampler(self.sampler).bind(space, seed, self.trials))
