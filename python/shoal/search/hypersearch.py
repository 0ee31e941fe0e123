"""HyperSearch: all that do badly start again from the best, in a neighbourhood of it that shrinks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.search.base import Search, one_unit
from shoal.search.breeding import reflected
from shoal.search.keyed import keyed
from shoal.search.protocol import Config, Plan, Report, Strategy
from shoal.search.ranking import rank
from shoal.search.rounds import Rounds
from shoal.space import Space, is_hot
from shoal.space.checks import fraction, whole


@dataclass(frozen=True)
class HyperSearch(Search):
    """HyperSearch: networks times sessions configs, at the cost of training the networks once.

    After each session the worse part of the networks inherits the best one's weights and structure; their hot
    hyperparameters (`shoal.space.is_hot`) are drawn anew around the best one's, uniformly on each parameter's scale
    within a width that shrinks by a factor each session. The best and the others go on unchanged. What the source
    leaves open: a draw beyond a bound is reflected; diverged networks always inherit.

    The criterion is the study's ``metric``: ``"loss"`` or ``"train_loss"``, ``"correlation"`` or
    ``"train_correlation"``, ``"r2"`` or ``"train_r2"``; a function of the metrics gives the mean of two.

    Args:
        networks: Number of networks, at least 2.
        sessions: Number of sessions, at least 1.
        epochs: Length of a session in epochs.
        steps: Length of a session in steps, instead of ``epochs``.
        replaced: Fraction of the networks that inherits, rounded down, but at least one.
        width: Of the first neighbourhood on either side, as a fraction of the scale.
        shrink: Factor of the width from session to session.
        least: The width shrinks no further.
    """

    networks: int
    sessions: int
    epochs: int | None = None
    steps: int | None = None
    replaced: float = 0.5
    width: float = 0.5
    shrink: float = 0.7
    least: float = 0.02

    def __post_init__(self) -> None:
        whole("networks", self.networks, least=2)
        whole("sessions", self.sessions, least=1)
        one_unit(epochs=self.epochs, steps=self.steps)
        for name in ("replaced", "width", "shrink", "least"):
            fraction(name, getattr(self, name))
        if self.replaced == 1:
            raise ValueError("replaced: must be below 1, for the best stays, got 1")

    def _bind(self, space: Space, seed: int) -> Strategy:
        return Sessions(self, space, seed)


class Sessions(Rounds):
    """Bound `HyperSearch`."""

    def __init__(self, search: HyperSearch, space: Space, seed: int) -> None:
        length, unit = one_unit(epochs=search.epochs, steps=search.steps)
        ends = range(length, search.sessions * length + 1, length)
        super().__init__(search.networks, ends, unit, space, seed)
        self._search = search
        self._searched = [name for name in space.parameters if is_hot(name)]
        self._worse = max(1, int(search.replaced * search.networks + 1e-9))

    def plan(self) -> Plan:
        """Return the plan."""
        search = self._search
        lines = (
            f"{search.networks} networks, {search.sessions} sessions of {self._ends[0]} {self.unit}",
            f"the worst {self._worse} start from the best; drawn around it: {', '.join(self._searched) or 'none'}",
        )
        return Plan(search.networks, search.networks * self._ends[-1], self.unit, lines)

    def _donors(self, reports: Sequence[Report]) -> dict[int, int]:
        ranked = rank(reports)
        stay = len(ranked) - self._worse  # so many, unless some of them have diverged
        heirs = [report for place, report in enumerate(ranked) if place > 0 and (place >= stay or report.diverged)]
        return {report.trial: ranked[0].trial for report in heirs}

    def _heir_config(self, heir: int, donor: int) -> Config:
        config = self._configs[donor]
        width = max(self._search.least, self._search.width * self._search.shrink ** (self._round - 1))
        rng = keyed(self._seed, "around", heir, self._round)
        near = {name: self._near(name, config, width, rng) for name in self._searched if name in config}
        return self._space.repair({**config, **near}, rng, self._searched)

    def _near(self, name: str, config: Config, width: float, rng: np.random.Generator) -> object:
        parameter = self._space.parameters[name]
        return parameter.from_unit(reflected(parameter.to_unit(config[name]) + rng.uniform(-width, width)))
