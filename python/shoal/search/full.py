"""Every config gets the whole budget: what random and grid search have in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from shoal.search.base import Search, one_unit
from shoal.search.protocol import Order, Plan, Report, Start, Strategy
from shoal.search.sampler import Proposals, RandomSampler
from shoal.search.samplers import SamplerLike, read_sampler
from shoal.search.tracker import Tracker, ended
from shoal.space import Space
from shoal.space.checks import whole


@dataclass(frozen=True)
class Full(Search):
    """Every trial is trained to the end, whatever its config comes from.

    Args:
        trials: Number of configs, at least 1.
        epochs: Length of a trial in epochs.
        steps: Length of a trial in steps, instead of ``epochs``.
        sampler: Where configs come from: a `shoal.search.Sampler`, its name, or an object with ``ask`` and ``tell``.
    """

    trials: int
    epochs: int | None = None
    steps: int | None = None
    sampler: SamplerLike = field(default_factory=RandomSampler)

    def __post_init__(self) -> None:
        whole("trials", self.trials, least=1)
        one_unit(epochs=self.epochs, steps=self.steps)
        object.__setattr__(self, "sampler", read_sampler(self.sampler))

    def _bind(self, space: Space, seed: int) -> Strategy:
        length, unit = one_unit(epochs=self.epochs, steps=self.steps)
        plan = Plan(self.trials, self.trials * length, unit, (f"{self.trials} configs, {length} {unit} each",))
        return FullTraining(plan, read_sampler(self.sampler).bind(space, seed, self.trials))


class FullTraining(Tracker):
    """Starts each trial once and trains it to the end.

    Args:
        plan: Number of trials, and their budget.
        proposals: Their configs.
    """

    asynchronous = True

    def __init__(self, plan: Plan, proposals: Proposals) -> None:
        super().__init__(plan.unit)
        self._plan = plan
        self._proposals = proposals
        self._next = 0

    def plan(self) -> Plan:
        """Return the plan."""
        return self._plan

    @property
    def _exhausted(self) -> bool:
        return self._next == self._plan.trials

    def _fill(self, free_rows: int) -> Iterable[Order]:
        first, self._next = self._next, min(self._next + free_rows, self._plan.trials)
        length = self._plan.budget // self._plan.trials
        return [Start(trial, self._proposals.propose(trial), length) for trial in range(first, self._next)]

    def _decide(self, report: Report) -> Iterable[Order]:
        self._proposals.observe(report, last=True)
        return [ended(report)]
