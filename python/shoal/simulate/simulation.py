"""A strategy, W workers and a table of curves: events in virtual time."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shoal.search import Search
from shoal.search.protocol import Inherit, Order, Report, Resume, Set, Start
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
    shop = _Shop(table, snap, whole("workers", workers, least=1))
    while not bound.finished:
        if budget is None or shop.result.spent < budget:
            shop.take(bound.ask(shop.free))
            shop.start()
        if not shop.training:
            break
        shop.take(bound.tell(shop.report()))
    return shop.result


class _Shop:
    """The workers, and the trials that train or wait for one of them."""

    def __init__(self, table: Table, snap: Snap, workers: int) -> None:
        self.result = Simulation(workers)
        self.training: list[tuple[float, int, int, int]] = []  # time of the report, number, trial, until
        self._table, self._rows = table, _Rows(table, snap)
        self._queue: deque[Start | Resume] = deque()  # told to train, but no worker is free
        self._progress: dict[int, int] = {}
        self._clock, self._started = 0.0, 0

    @property
    def free(self) -> int:
        """Workers for whom nobody waits."""
        return max(0, self.result.workers - len(self.training) - len(self._queue))

    def take(self, orders: Sequence[Order]) -> None:
        """Queue what is to be trained."""
        for order in orders:
            if isinstance(order, Inherit | Set):
                raise ValueError("strategy: changes trials on their way, and a table has no weights")
            if isinstance(order, Start | Resume):
                self._queue.append(order)

    def start(self) -> None:
        """Give trials to free workers."""
        while self._queue and len(self.training) < self.result.workers:
            order = self._queue.popleft()
            if isinstance(order, Start):
                self.result.rows[order.trial], self._progress[order.trial] = self._rows.row(order.config), 0
            if order.until > self._table.length:
                raise ValueError(f"strategy: trains to {order.until} epochs, the table has {self._table.length}")
            seconds = float(self._table.seconds[self.result.rows[order.trial]])
            cost = (order.until - self._progress[order.trial]) * seconds
            heapq.heappush(self.training, (self._clock + cost, self._started, order.trial, order.until))
            self.result.busy += cost
            self._started += 1

    def report(self) -> Report:
        """Go on to the next report."""
        self._clock, _, trial, until = heapq.heappop(self.training)
        score = float(self._table.scores[self.result.rows[trial], until - 1])
        self.result.epochs.append(self.result.spent + until - self._progress[trial])
        self.result.times.append(self._clock)
        self.result.scores.append(score)
        self._progress[trial] = until
        return Report(trial, until, score, {"loss": score})


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
