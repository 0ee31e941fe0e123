"""What synchronous and asynchronous population based training share: who inherits, and with which config."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shoal.search.breeding import Individual, crossover, two_parents
from shoal.search.exploit import SCORES, selection
from shoal.search.explore import Explore
from shoal.search.keyed import keyed
from shoal.search.protocol import Config, Report
from shoal.space import Space

CROSSOVER = 0.33  # probability that a recombined parameter is the second parent's, as in `shoal.search.Genetic`


@dataclass(frozen=True)
class Birth:
    """An heir's change of config.

    Attributes:
        heir: The trial.
        number: How many intervals it has trained: with ``heir`` the key of all its draws.
        progress: From where its new weights train on.
        others: Configs that train at the same time, to be gone through once.
    """

    heir: int
    number: int
    progress: int
    others: Iterable[Config]


class Explorer(Protocol):
    """Changes configs, and may learn from what came of them."""

    def learn(self, config: Config, progress: int, change: float) -> None:
        """Take note of what an interval up to ``progress`` has changed the score by; infinite where it diverged."""

    def explore(self, config: Config, birth: Birth) -> Config:
        """Return the config, as the space allows it, that an heir makes of what it has inherited."""


class Perturb:
    """Explores each parameter by its rule."""

    def __init__(self, space: Space, rules: Mapping[str, Explore], seed: int) -> None:
        self._space, self._rules, self._seed = space, rules, seed

    def learn(self, config: Config, progress: int, change: float) -> None:
        """Learn nothing."""

    def explore(self, config: Config, birth: Birth) -> Config:
        """Return the config with every parameter that has a rule changed by it."""
        return self._space.perturb(config, self._rules, keyed(self._seed, "explore", birth.heir, birth.number))


class Heirs:
    """Selects donors and makes heirs' configs. Scores are remembered along the lineage of the weights.

    Args:
        space: Of the configs.
        seed: Of the draws.
        explorer: Makes the last change to a config.
        exploit: A name of `shoal.search.exploit.NAMES`.
        quantile: Of ``truncation``.
        recombined: Parameters that come from two parents; none if all come from the donor.
    """

    def __init__(
        self, space: Space, seed: int, explorer: Explorer, *, exploit: str, quantile: float, recombined: Iterable[str]
    ) -> None:
        self._space, self._seed, self._explorer = space, seed, explorer
        self._scores: dict[int, tuple[float, ...]] = {}
        self._exploit = selection(exploit, quantile, self._scores)
        self._recombined = list(recombined)

    def learn(self, report: Report, config: Config) -> None:
        """Take a report of a trial that has trained with a config."""
        past = self._scores.get(report.trial, ())
        self._scores[report.trial] = (*past, report.score)[-SCORES:]
        if past:
            change = math.inf if report.diverged else report.score - past[-1]
            self._explorer.learn(config, report.progress, change)

    def donor(self, place: int, number: int, ranked: Sequence[Report]) -> int | None:
        """Return the place of whom a member inherits from after its interval ``number``, None where it goes on."""

        def draw(count: int) -> int:
            return int(keyed(self._seed, "exploit", ranked[place].trial, number).random() * count)

        return self._exploit(place, ranked, draw)

    def inherit(self, donor: Individual, pool: Iterable[Individual], birth: Birth) -> Config:
        """Return the heir's config; its weights and their past are the donor's.

        Args:
            donor: Gives the weights, and all that is not recombined.
            pool: Whoever may give the rest, best first, finite ones only.
            birth: The heir's.
        """
        self._scores[birth.heir] = self._scores[donor.trial]
        return self._explorer.explore(self._recombine(donor.config, pool, birth), birth)

    def _recombine(self, config: Config, pool: Iterable[Individual], birth: Birth) -> Config:
        if not self._recombined:
            return config
        rng = keyed(self._seed, "recombine", birth.heir, birth.number)
        first, second = two_parents(list(pool), rng)
        child = crossover(self._space, first.config, second.config, CROSSOVER, rng)
        return {**config, **{name: child[name] for name in self._recombined if name in child}}
