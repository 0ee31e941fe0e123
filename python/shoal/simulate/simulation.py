"""A strategy, W workers and a table of curves: events in virtual time."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shoal.search import Search
from shoal.search.protocol import Inherit, Order, Pause, Report, Set, Start, Stop
from shoal.simulate.table import Floats, Table
from shoal.space.checks import whole

Snap = Literal["nearest", "unused"]


@dataclass
class Simulation:
    """What happened.

    Attributes:
        times: Of the reports, in the seconds of the table.
        epochs: Spent by all trials together up to each report.
        scores: Of the reports.
        rows: Row of the table of each trial.
        busy: Seconds that workers trained.
        workers: How many there were.
    """

    workers: int
    times: list[float] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    rows: dict[int, int] = field(default_factory=dict)
    busy: float = 0.0

    @property
    def seconds(self) -> float:
        """Until the last report."""
        return self.times[-1] if self.times else 0.0

    @property
    def spent(self) -> int:
        """Epochs of all trials together."""
        return self.epochs[-1] if self.epochs else 0

    @property
    def utilisation(self) -> float:
        """Share of the workers' time in which they trained."""
        return self.busy / (self.workers * self.seconds) if self.seconds else 0.0

    def trajectory(self, by: Literal["seconds", "epochs"] = "epochs") -> tuple[Floats, Floats]:
        """Return at which times, or after how many epochs, there was a report, and the best score up to then."""
        scores = np.array([score if np.isfinite(score) else np.inf for score in self.scores])
        return np.array(self.epochs if by == "epochs" else self.times, float), np.minimum.accumulate(scores)

    def best_after(self, epochs: float) -> float:
        """Return the best score that was known once so many epochs were spent; infinite before the first."""
        spent, best = self.trajectory()
        known = int(np.searchsorted(spent, epochs, side="right"))
        return float(best[known - 1]) if known else float("inf")


def run(
    strategy: Search,
    table: Table,
    *,
    workers: int = 1,
    seed: int = 0,
    budget: int | None = None,
    snap: Snap = "nearest",
) -> Simulation:
    """Let a strategy search a table; a worker trains one trial at a time, epochs cost what the table says.

    Args:
        strategy: In epochs, of at most the table's length.
        table: The curves.
        workers: How many trials train at a time.
        seed: The strategy's.
        budget: Epochs after which no trial is started or resumed; by default as many as the strategy wants.
        snap: A config becomes the nearest recorded one in the unit cube: ``"nearest"``, so that several trials may be
            one row and each is charged; or ``"unused"``: the nearest that no trial of this run has had.

    Raises:
        ValueError: The strategy counts steps, trains longer than the curves, or gives trials another's weights, of
            which a table knows nothing.
    """
    bound = strategy.bind(table.space, seed=seed)
    if bound.unit != "epochs":
        raise ValueError("strategy: must count epochs, as the table does")
    rows = _Rows(table, snap)
    result = Simulation(whole("workers", workers, least=1))
    queue: list[Order] = []  # told to train, but no worker is free
    training: list[tuple[float, int, int, int]] = []  # time of the report, order of the start, trial, until
    progress: dict[int, int] = {}
    clock, started = 0.0, 0

    def take(orders: list[Order]) -> None:
        for order in orders:
            if isinstance(order, Inherit | Set):
                name = type(strategy).__name__
                raise ValueError(f"strategy: {name} changes trials on their way, and a table has no weights")
            if not isinstance(order, Stop | Pause):
                queue.append(order)

    while not bound.finished:
        if budget is None or result.spent < budget:
            take(bound.ask(max(0, workers - len(training) - len(queue))))
            while queue and len(training) < workers:
                order = queue.pop(0)
                assert not isinstance(order, Stop | Pause)
                if isinstance(order, Start):
                    result.rows[order.trial], progress[order.trial] = rows.row(order.config), 0
                if order.until > table.length:
                    raise ValueError(f"strategy: trains to {order.until} epochs, the table has {table.length}")
                cost = (order.until - progress[order.trial]) * float(table.seconds[result.rows[order.trial]])
                heapq.heappush(training, (clock + cost, started, order.trial, order.until))
                result.busy += cost
                started += 1
        if not training:
            break
        clock, _, trial, until = heapq.heappop(training)
        score = float(table.scores[result.rows[trial], until - 1])
        result.times.append(clock)
        result.epochs.append(result.spent + until - progress[trial])
        result.scores.append(score)
        progress[trial] = until
        take(bound.tell(Report(trial, until, score, {"loss": score})))
    return result


class _Rows:
    """Which row of the table a config becomes."""

    def __init__(self, table: Table, snap: Snap) -> None:
        from scipy.spatial import cKDTree

        if snap not in ("nearest", "unused"):
            raise ValueError(f"snap: must be one of nearest, unused, got {snap!r}")
        self._space, self._tree, self._size = table.space, cKDTree(table.positions), len(table)
        self._used: set[int] | None = set() if snap == "unused" else None

    def row(self, config: dict[str, object]) -> int:
        position = self._space.to_unit(config)
        if self._used is None:
            return int(self._tree.query(position)[1])
        if len(self._used) == self._size:
            raise ValueError(f"snap: all {self._size} rows of the table are used")
        count = 1
        while True:
            near: NDArray[np.int64] = np.atleast_1d(self._tree.query(position, k=min(count, self._size))[1])
            free = [int(row) for row in near if int(row) not in self._used]
            if free:
                self._used.add(free[0])
                return free[0]
            count *= 4
