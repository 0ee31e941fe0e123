"""States over ranks: one rank has the arrays, the others an empty state that says which rank that is.

All ranks see all moves, so nobody has to ask for a state: its owner describes it, in one gathering for all states of a
move, and sends its arrays straight into the receiver's. A member's block goes from GPU to GPU where MPI can do that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from shoal.gpuarrays import on_gpu
from shoal.manager.snapshot import State
from shoal.manager.transport import Array, Transport
from shoal.population.room import Room, host


class Held(State):
    """A state that one rank has: there its arrays are in it, elsewhere nothing is."""

    def __init__(self, rank: int, arrays: Mapping[str, Array]) -> None:
        super().__init__(arrays)
        self.rank = rank


def deliver(transport: Transport, moves: Sequence[tuple[Held, int]], room: Room = host) -> list[State]:
    """Bring each state to a rank.

    Args:
        transport: Between the ranks.
        moves: States and where they go to; all ranks name the same.
        room: Gives memory for the blocks of bytes that come to this rank.

    Returns:
        The states in order, elsewhere empty.
    """
    far = [(state, to) for state, to in moves if state.rank != to]
    if not far:  # as all ranks see
        return [state for state, _ in moves]
    leaving = [(state, to) for state, to in far if state.rank == transport.rank]
    shapes = transport.gather([[(name, a.dtype.str, a.shape) for name, a in state.items()] for state, _ in leaving])
    described = [iter(each) for each in shapes]
    arrived: dict[tuple[int, int], State] = {}
    sends, receives = [], []
    for state, to in far:
        entries = next(described[state.rank])
        if transport.rank == to:
            place = {name: _place(np.dtype(dtype), shape, room) for name, dtype, shape in entries}
            arrived[id(state), to] = place
            receives += [(state.rank, array) for array in place.values()]
        elif transport.rank == state.rank:
            sends += [(to, array if on_gpu(array) else np.ascontiguousarray(array)) for array in state.values()]
    transport.exchange(sends, receives)
    return [state if state.rank == to else arrived.get((id(state), to), {}) for state, to in moves]


def _place(dtype: np.dtype[Any], shape: tuple[int, ...], room: Room) -> Array:
    is_block = dtype == np.uint8 and len(shape) == 1
    return cast("Array", room(shape[0])) if is_block else np.empty(shape, dtype)


def everywhere(transport: Transport, states: Sequence[State]) -> list[State]:
    """Return these states, whole, on every rank."""
    return [transport.broadcast(dict(state), held(state).rank) for state in states]


def held(state: State) -> Held:
    """Return a state as what it is over ranks: all of them come from a `RankedWorker` or a `RankedStore`."""
    assert isinstance(state, Held)
    return state
