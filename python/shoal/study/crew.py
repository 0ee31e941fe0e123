"""The workers of a study over ranks: this rank's own, and the one that trains on all of them."""

from __future__ import annotations

from shoal.manager.follower import Follower
from shoal.manager.followers import Followers
from shoal.manager.ranked import RankedWorker
from shoal.manager.rankedstore import RankedStore
from shoal.manager.supervised import SupervisingWorker
from shoal.manager.transport import Transport
from shoal.manager.worker import LocalWorker
from shoal.population.room import room
from shoal.study.seats import Seat
from shoal.study.settings import Settings
from shoal.study.task import Task

_SPARE = 2  # times its even share of rows: a rank may get many trials that cost little


def ranked_worker(transport: Transport, task: Task, settings: Settings, seat: Seat) -> RankedWorker:
    """Return the worker that trains on all ranks, which all have the same manager."""
    own, blocks = _own_worker(transport, task, settings, seat, partial=False), room(seat.device, seat.direct)
    return RankedWorker(own, transport, _rows(transport, task, settings), task.weight(settings.plan.unit), blocks)


def follower(transport: Transport, task: Task, settings: Settings, seat: Seat, store: RankedStore | None) -> Follower:
    """Return this rank of a supervised study."""
    return Follower(_own_worker(transport, task, settings, seat, partial=True), transport, store)


def supervising_worker(followers: Followers, transport: Transport, task: Task, settings: Settings) -> SupervisingWorker:
    """Return the worker that trains on all ranks, of which this one has the manager."""
    return SupervisingWorker(followers, _rows(transport, task, settings), task.weight(settings.plan.unit))


def _rows(transport: Transport, task: Task, settings: Settings) -> int:
    """Return how many trials train at a time; where the user does not say, each rank has one at least."""
    return min(settings.rows or max(task.rows, transport.size), settings.plan.trials)


def _own_worker(transport: Transport, task: Task, settings: Settings, seat: Seat, partial: bool) -> LocalWorker:
    rows, place = _rows(transport, task, settings), {"device": seat.device, "threads": seat.threads}
    own = min(rows, _SPARE * -(-rows // transport.size))
    return task.worker(own, settings.plan.unit, settings.seed, settings.needs, place, partial)
