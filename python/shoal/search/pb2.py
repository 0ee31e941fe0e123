"""Population based bandits: PBT whose exploration learns what has helped, and until when."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from shoal.search.breeding import reflected
from shoal.search.explore import Explore
from shoal.search.gp import Model
from shoal.search.heirs import Birth, Explorer, Perturb
from shoal.search.keyed import keyed
from shoal.search.pbt import PBT
from shoal.search.protocol import Config
from shoal.space import Float, Int, Parameter, Space

WINDOW = 100  # intervals that are remembered, the last ones
CANDIDATES = 500  # of each of two rounds: all over the cube, then around the best
NEAR = 0.05  # standard deviation of the second round


@dataclass(frozen=True)
class PB2(PBT):
    """Population based bandits (Parker-Holder et al. 2020, arXiv:2002.02518): PBT for small populations.

    Selection is PBT's, all arguments too. But the numbers that are explored, floats and whole ones, go where a Gaussian
    process expects most: it is given every interval's config, time, and change of the score, forgets with time, and the
    upper confidence bound ``mean + sqrt(beta) * deviation`` of the improvement is maximised over the unit cube. What
    other members train with at that time counts as if its outcome were known to be the mean, so heirs spread out. What
    the paper leaves open, and here it is so:

    - Choices, bools and ordinals change by PBT's rules, as do all parameters until there are two reports of one member
      to compare; the extension for choices (PB2-Mix) is not here.
    - Only the last 100 intervals count, so a decision takes a fraction of a second.
    - ``beta = 0.2 log(0.4 n)``, at least 0, of n intervals: the constants of the authors' program. Their program gives
      the model the score before the interval as well, the paper does not, and neither does this.
    - The bound is maximised over 500 draws all over the cube and 500 near the best of these. A whole number's value is
      the one that owns the position.
    - Time is the progress of the weights in intervals. The kernel's length, scale, noise, and forgetting (at most 0.5)
      are fitted anew whenever something was learned, by their marginal likelihood.
    - A change for the worse counts as at most three times as far from the median as the best is: one loss that explodes
      would make all others look alike. A diverged interval counts as the worst that remains.
    """

    several: ClassVar[bool] = False  # the model is of one score

    def explorer(self, space: Space, seed: int) -> Explorer:
        """Return the bandit."""
        ends, _ = self.rounds()
        return Bandit(space, self.rules(space), seed, ends[0])

    def rules(self, space: Space) -> dict[str, Explore]:
        """Return the rule of each parameter of ``space`` that is explored; a number must be among them."""
        rules = super().rules(space)
        if not numbers(space, rules):
            raise ValueError(f"explore: must name a float or a whole number, for {', '.join(rules)} is none")
        return rules

    def _how(self, space: Space) -> Iterator[str]:
        yield from super()._how(space)
        yield f"by the bandit: {', '.join(numbers(space, self.rules(space)))}"


def numbers(space: Space, rules: Mapping[str, Explore]) -> dict[str, Parameter]:
    """Return the parameters with a rule that a bandit can explore."""
    return {name: each for name, each in space.parameters.items() if name in rules and isinstance(each, Float | Int)}


def fenced(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N,) improvements for a model to learn from: finite, in some unit, none extremely bad."""
    finite = y[np.isfinite(y)]
    median, best = np.median(finite), finite.max()
    values = np.where(np.isfinite(y), y, finite.min())
    values = np.maximum(values, median - 3 * (best - median))
    return np.asarray(values / (np.abs(values).max() or 1.0))  # so that squares cannot overflow


class Bandit(Perturb):
    """Explores numbers by a Gaussian process bandit.

    Args:
        space: Of the configs.
        rules: Of all that is explored; for numbers they serve until something is known.
        seed: Of the draws.
        interval: The unit of time.
    """

    def __init__(self, space: Space, rules: Mapping[str, Explore], seed: int, interval: int) -> None:
        super().__init__(space, rules, seed)
        self._numbers = numbers(space, rules)
        self._interval = interval
        self._seen: list[tuple[list[float], float, float]] = []  # position, time, improvement
        self._count = 0
        self._model: Model | None = None

    def learn(self, config: Config, progress: int, change: float) -> None:
        """Remember an interval."""
        self._count += 1
        self._seen = [*self._seen, (self._position(config), progress / self._interval - 1, -change)][-WINDOW:]
        self._model = None

    def explore(self, config: Config, birth: Birth) -> Config:
        """Return the config with its numbers where the upper confidence bound is largest."""
        config = super().explore(config, birth)
        if not any(math.isfinite(improvement) for _, _, improvement in self._seen):
            return config
        best = zip(self._numbers, self._highest(birth).tolist(), strict=True)
        chosen = {name: self._numbers[name].from_unit(at) for name, at in best if name in config}
        rng = keyed(self._seed, "repair", birth.heir, birth.number)
        return self._space.repair({**config, **chosen}, rng, self._rules)

    def _highest(self, birth: Birth) -> NDArray[np.float64]:
        model, time = self._fit(), birth.progress / self._interval
        others = np.array([self._position(config) for config in birth.others]).reshape(-1, len(self._numbers))
        root = math.sqrt(max(0.0, 0.2 * math.log(0.4 * len(self._seen))))
        rng = keyed(self._seed, "bandit", birth.heir, birth.number)

        def highest(points: NDArray[np.float64]) -> NDArray[np.float64]:
            bound = model.mean(points, time) + root * model.deviation(points, time, others)
            return np.asarray(points[int(np.argmax(bound))])

        first = highest(rng.random((CANDIDATES, len(self._numbers))))
        near = first + NEAR * rng.standard_normal((CANDIDATES, len(self._numbers)))
        return highest(np.vstack([first, np.vectorize(reflected)(near)]))

    def _fit(self) -> Model:
        if self._model is None:
            x, t, y = (np.array(column, np.float64) for column in zip(*self._seen, strict=True))
            self._model = Model(x, t, fenced(y), keyed(self._seed, "fit", self._count))
        return self._model

    def _position(self, config: Config) -> list[float]:
        numbers = self._numbers.items()
        return [each.to_unit(config[name]) if name in config else 0.5 for name, each in numbers]  # as `Space.to_unit`
