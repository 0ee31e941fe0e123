"""Where each rank trains: its share of its node, the cores that it may use, and a GPU of its own.

Cores are divided among the ranks that may use the same ones. A GPU is known by its UUID, for where a batch system shows
each rank another one, all of them are called ``cuda:0``. Ranks that see the same GPUs take them in their order.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from shoal.errors import StudyError
from shoal.manager.cudaaware import SETTING
from shoal.manager.journal import Event
from shoal.manager.store import differences
from shoal.manager.transport import Transport
from shoal.population import devices


class GPU(NamedTuple):
    """One, or an instance of one (MIG), that a rank sees."""

    name: str  # for this rank
    uuid: str


class View(NamedTuple):
    """What a rank sees of its node."""

    node: str
    cores: tuple[int, ...]
    gpus: tuple[GPU, ...]
    direct: bool = False  # MPI reaches the GPUs


@dataclass(frozen=True)
class Seat:
    """Where a rank trains."""

    node: str
    device: str
    threads: int
    uuid: str = ""  # of a GPU
    direct: bool = False  # states go from GPU to GPU; else through the host's memory


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
    return assigned(transport.gather(_view(transport)), device, threads)


def _view(transport: Transport) -> View:
    gpus = tuple(GPU(each.name, each.uuid) for each in devices() if each.name != "cpu")
    direct = bool(gpus) and transport.reaches_gpus()
    return View(transport.node, tuple(sorted(os.sched_getaffinity(0))), gpus, direct)


def assigned(views: Sequence[View], device: str, threads: int | None) -> list[Seat]:
    """Return the seats of ranks with these views."""
    gpus = _own_gpus(views) if device in ("auto", "cuda") else [_named(each, device) for each in views]
    direct = all(view.direct for view in views)  # one that is not sure is enough for trouble
    return [
        Seat(each.node, gpu.name, threads or max(1, len(each.cores) // _sharing(views, each)), gpu.uuid, direct)
        for each, gpu in zip(views, gpus, strict=True)
    ]


def _sharing(views: Iterable[View], mine: View) -> int:
    return sum(each.node == mine.node and each.cores == mine.cores for each in views)


def _named(view: View, device: str) -> GPU:
    return next((gpu for gpu in view.gpus if gpu.name == device), GPU(device, ""))


def _own_gpus(views: Sequence[View]) -> list[GPU]:
    """Return a GPU for each rank that sees any, never the same one twice; for others the processor.

    Whoever sees fewest chooses first. What two ranks see is mostly the same, or has nothing in common, or one sees a
    part of what the other does; then somebody is left without only where there are too few.
    """
    chosen: dict[int, GPU] = {}
    holders: dict[str, int] = {}
    for rank in sorted(range(len(views)), key=lambda rank: len(views[rank].gpus)):
        seen = views[rank].gpus
        free = [gpu for gpu in seen if gpu.uuid not in holders]
        if seen and not free:
            raise StudyError(_taken(rank, views[rank], holders))
        chosen[rank] = free[0] if free else GPU("cpu", "")  # "cuda" would have been refused before
        holders[chosen[rank].uuid] = rank
    return [chosen[rank] for rank in range(len(views))]


def _taken(rank: int, view: View, holders: Mapping[str, int]) -> str:
    seen = ", ".join(f"{gpu.name} ({_short(gpu.uuid)}) is rank {holders[gpu.uuid]}'s" for gpu in view.gpus)
    return (
        f"device: rank {rank} on {view.node} has no GPU of its own, {seen}; start one rank a GPU, or name a device that"
        f" they shall share, such as {view.gpus[0].name!r}"
    )


def chart(seats: Sequence[Seat], supervised: bool) -> str:
    """Return where the ranks are, a line for each node, and how states go between GPUs."""
    lines = []
    for node in dict.fromkeys(seat.node for seat in seats):
        here = [(rank, seat) for rank, seat in enumerate(seats) if seat.node == node]
        told = ", ".join(f"{rank} on {_place(seat)} with {_threads(seat.threads)}" for rank, seat in here)
        lines.append(f"{node}: rank {told}")
    if len(seats) > 1 and any(seat.uuid for seat in seats):
        lines.append(_way(seats[0].direct, supervised))
    return "\n".join(lines)


def _way(direct: bool, supervised: bool) -> str:
    if supervised:
        return "states go through the host's memory, beside training"
    if direct:
        return "states go from GPU to GPU: MPI is CUDA-aware"
    return f"states go through pinned memory of the host: MPI does not say that it is CUDA-aware ({SETTING}=1 does)"


def _place(seat: Seat) -> str:
    return f"{seat.device} ({_short(seat.uuid)})" if seat.uuid else seat.device


def _short(uuid: str) -> str:
    """Return so much of a UUID as CUDA_VISIBLE_DEVICES needs to tell the GPUs of a machine apart."""
    return uuid.partition("-")[0]


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
