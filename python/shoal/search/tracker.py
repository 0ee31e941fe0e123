"""What every bound strategy keeps: which trial trains until when, and the best report."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from shoal.search.protocol import Order, Pause, Plan, RankKey, Report, Stop, Unit, rank_key
from shoal.space.checks import whole

_WITHOUT_ROW = (Stop, Pause)  # once, for a union takes as long to make as the rest of a question takes


class Tracker(ABC):
    """Base of the bound strategies. It checks every report and remembers every order; a subclass only decides.

    Attributes:
        asynchronous: It decides by the reports that have come so far, not by all of a round.
    """

    asynchronous: bool = False

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._until: dict[int, int] = {}  # of the trials in training
        self._best: RankKey | None = None

    @property
    def unit(self) -> Unit:
        """What ``progress`` and ``until`` count."""
        return self._unit

    @property
    def donors_train(self) -> bool:
        """An `Inherit` may name a donor in training."""
        return False

    @property
    def finished(self) -> bool:
        """Nothing is training and nothing will be started."""
        return not self._until and self._exhausted

    @property
    def best(self) -> int | None:
        """Trial of the best finite report ever told; None before the first."""
        return None if self._best is None else self._best[-1]

    def ask(self, free_rows: int) -> list[Order]:
        """Return up to ``free_rows`` orders that each take a row, and stops; fewer means: wait for reports."""
        return self._remember(self._fill(whole("free_rows", free_rows, least=0)))

    def tell(self, report: Report) -> list[Order]:
        """Take a report and return the orders that follow from it.

        Raises:
            ValueError: If the trial is not in training, or has not reported at its ``until``. Nothing has changed then.
        """
        until = self._until.get(report.trial)
        if until is None:
            raise ValueError(f"report: trial {report.trial} is not in training")
        if report.progress != until:
            raise ValueError(f"report: trial {report.trial} must report at {until} {self.unit}, got {report.progress}")
        del self._until[report.trial]
        key = rank_key(report)
        if not report.diverged and (self._best is None or key < self._best):
            self._best = key
        return self._remember(self._decide(report))

    @abstractmethod
    def plan(self) -> Plan:
        """Return the plan; the same before, during and after the run."""

    @property
    @abstractmethod
    def _exhausted(self) -> bool:
        """No order will come but for trials in training."""

    @abstractmethod
    def _fill(self, free_rows: int) -> Iterable[Order]:
        """Return orders for free rows."""

    @abstractmethod
    def _decide(self, report: Report) -> Iterable[Order]:
        """Return what follows from a valid report."""

    def _remember(self, orders: Iterable[Order]) -> list[Order]:
        orders = list(orders)
        for order in orders:
            if not isinstance(order, _WITHOUT_ROW):
                self._until[order.trial] = order.until
        return orders


def ended(report: Report) -> Stop:
    """Return the order that ends a trial with its last report."""
    return Stop(report.trial, "diverged" if report.diverged else "completed")
