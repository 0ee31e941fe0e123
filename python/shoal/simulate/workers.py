"""A strategy, W workers and a table of curves: events in virtual time."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence

from shoal.search import Search
from shoal.search.protocol import Inherit, Order, Report, Resume, Set, Start
from shoal.simulate.rows import Rows, Snap
from shoal.simulate.simulation import Simulation
from shoal.simulate.table import Table
from shoal.space.checks import whole


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
    result = Simulation(type(strategy).__name__, whole("workers", workers, least=1), table.best)
    crew = _Crew(table, snap, result)
    while not bound.finished:
        if budget is None or result.spent < budget:
            crew.take(bound.ask(crew.free))
            crew.start()
        if not crew.training:
            break
        crew.take(bound.tell(crew.report()))
    return result


class _Crew:
    """The workers, the trials that they train, and those that wait for one."""

    def __init__(self, table: Table, snap: Snap, result: Simulation) -> None:
        self.training: list[tuple[float, int, int, int, float]] = []  # end, number, trial, until, beginning
        self._length, self._result, self._rows = table.length, result, Rows(table, snap)
        self._scores, self._seconds = table.scores.tolist(), table.seconds.tolist()  # plain floats are quicker
        self._queue: deque[Start | Resume] = deque()  # told to train, but no worker is free
        self._progress: dict[int, int] = {}
        self._clock, self._started = 0.0, 0

    @property
    def free(self) -> int:
        """Workers for whom nobody waits."""
        return max(0, self._result.workers - len(self.training) - len(self._queue))

    def take(self, orders: Sequence[Order]) -> None:
        """Queue what is to be trained."""
        for order in orders:
            if isinstance(order, Inherit | Set):
                raise ValueError("strategy: changes trials on their way, and a table has no weights")
            if isinstance(order, Start | Resume):
                self._queue.append(order)

    def start(self) -> None:
        """Give trials to free workers."""
        while self._queue and len(self.training) < self._result.workers:
            order = self._queue.popleft()
            trial, until = order.trial, order.until
            if until > self._length:
                raise ValueError(f"strategy: trains to {until} epochs, the table has {self._length}")
            if isinstance(order, Start):
                self._result.rows[trial], self._progress[trial] = self._rows.row(order.config), 0
            cost = (until - self._progress[trial]) * self._seconds[self._result.rows[trial]]
            heapq.heappush(self.training, (self._clock + cost, self._started, trial, until, self._clock))
            self._started += 1

    def report(self) -> Report:
        """Go on to the next report."""
        self._clock, _, trial, until, begun = heapq.heappop(self.training)
        score = self._scores[self._result.rows[trial]][until - 1]
        self._result.add(trial, begun, self._clock, self._progress[trial], until, score)
        self._progress[trial] = until
        return Report(trial, until, score, {"loss": score})
