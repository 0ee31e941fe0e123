"""Every config gets the whole budget: what random and grid search have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from shoal.search.protocol import Config, Order, Plan, Report, Start
from shoal.search.tracker import Tracker, ended


class Full(Tracker):
    """Starts each trial once and trains it to the end.

    Args:
        plan: Number of trials, and their budget.
        propose: Config of a trial by its id.
    """

    def __init__(self, plan: Plan, propose: Callable[[int], Config]) -> None:
        super().__init__(plan.unit)
        self._plan = plan
        self._propose = propose
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
        return [Start(trial, self._propose(trial), length) for trial in range(first, self._next)]

    def _decide(self, report: Report) -> Iterable[Order]:
        return [ended(report)]
