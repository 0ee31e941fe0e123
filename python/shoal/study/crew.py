"""A study over ranks: where each of them trains, and the worker and the store that all share.

A seat is a rank's share of its node: the cores that it may use, divided among the ranks that may use the same ones, and
a GPU of its own where the study takes one. Ranks that see the same GPUs take them in their order.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from shoal.errors import StudyError
from shoal.manager.follower import Follower
from shoal.manager.followers import Followers
from shoal.manager.journal import Event
from shoal.manager.ranked import RankedWorker
from shoal.manager.rankedstore import RankedStore
from shoal.manager.store import differences
from shoal.manager.supervised import SupervisingWorker
from shoal.manager.transport import Transport
from shoal.manager.worker import LocalWorker
from shoal.population import devices
from shoal.study.settings import Settings
from shoal.study.task import Task

_SPARE = 2  # times its even share of rows: a rank may get many trials that cost little


class View(NamedTuple):
    """What a rank sees of its node."""

    node: str
    cores: tuple[int, ...]
    visible: str  # which GPUs a batch system lets it see
    gpus: tuple[str, ...]


@dataclass(frozen=True)
class Seat:
    """Where a rank trains."""

    node: str
    device: str
    threads: int


def seats(transport: Transport, header: Event, device: str, threads: int | None) -> list[Seat]:
    """Return the seat of each rank.

    Args:
        transport: Between them.
        header: The ``study`` event, of this rank.
        device: That the study asks for.
        threads: Of each rank; by default its share of the cores.

    Raises:
        StudyError: Two ranks have different studies or versions, or would share a GPU that the study does not name.
    """
    differ = "; ".join(list(differences(header, transport.broadcast(header)))[:3])
    for rank, said in enumerate(transport.gather(differ)):
        if said:
            raise StudyError(f"rank {rank} has another study than rank 0: {said}")
    return assigned(transport.gather(_view(transport.node)), device, threads)


def _view(node: str) -> View:
    gpus = tuple(each.name for each in devices() if each.name != "cpu")
    return View(node, tuple(sorted(os.sched_getaffinity(0))), os.environ.get("CUDA_VISIBLE_DEVICES", ""), gpus)


def assigned(views: Sequence[View], device: str, threads: int | None) -> list[Seat]:
    """Return the seats of ranks with these views."""
    return [
        Seat(each.node, _device(views, rank, device), threads or max(1, len(each.cores) // _sharing(views, each)))
        for rank, each in enumerate(views)
    ]


def _sharing(views: Iterable[View], mine: View) -> int:
    return sum(each.node == mine.node and each.cores == mine.cores for each in views)


def _device(views: Sequence[View], rank: int, device: str) -> str:
    mine = views[rank]
    if device not in ("auto", "cuda"):
        return device
    if not mine.gpus:
        return "cpu"  # "cuda" would have been refused before
    place = sum(each.node == mine.node and each.visible == mine.visible for each in views[:rank])
    if place >= len(mine.gpus):
        raise StudyError(
            f"device: {mine.node} has {len(mine.gpus)} GPUs for more ranks than that; start one rank a GPU, or name a"
            f" device that they shall share, such as {mine.gpus[0]!r}"
        )
    return mine.gpus[place]


def chart(seats: Sequence[Seat]) -> str:
    """Return where the ranks are, a line for each node."""
    lines = []
    for node in dict.fromkeys(seat.node for seat in seats):
        here = [(rank, seat) for rank, seat in enumerate(seats) if seat.node == node]
        told = ", ".join(f"{rank} on {seat.device} with {_threads(seat.threads)}" for rank, seat in here)
        lines.append(f"{node}: rank {told}")
    return "\n".join(lines)


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def ranked_worker(transport: Transport, task: Task, settings: Settings, seat: Seat) -> RankedWorker:
    """Return the worker that trains on all ranks, which all have the same manager."""
    own = _own_worker(transport, task, settings, seat, partial=False)
    return RankedWorker(own, transport, _rows(transport, task, settings), task.weight(settings.plan.unit))


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
