"""The store of a study over ranks: rank 0 alone reads and writes; snapshots' states are gathered there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from shoal.errors import StudyError
from shoal.manager.held import Held, deliver, held
from shoal.manager.journal import Event, Line
from shoal.manager.snapshot import Snapshot, State
from shoal.manager.store import Store
from shoal.manager.transport import Transport


class RankedStore:
    """A `Store` for all ranks, which make the same calls.

    Args:
        store: Used on rank 0 only.
        transport: Between the ranks.
    """

    def __init__(self, store: Store, transport: Transport) -> None:
        self._store, self._transport = store, transport
        self._first = transport.rank == 0

    @contextmanager
    def open(self) -> Iterator[tuple[list[Line], Snapshot]]:
        """Open for writing; yields the events to go on from, and the snapshot, whose states are on rank 0."""
        with ExitStack() as stack:
            lines: list[Line] = []
            snapshot, error = Snapshot(), None
            if self._first:
                try:
                    lines, snapshot = stack.enter_context(self._store.open())
                except StudyError as failure:
                    error = failure
            lines, error = self._transport.broadcast((lines, error))
            if error is not None:
                raise error
            yield lines, self._everybody(snapshot)

    def _everybody(self, snapshot: Snapshot) -> Snapshot:
        """Return rank 0's snapshot, elsewhere with empty states."""
        parts = list(snapshot.states), len(snapshot.front), list(snapshot.origins)
        trials, front, origins = self._transport.broadcast(parts)
        return Snapshot(
            {trial: Held(0, snapshot.states.get(trial, {})) for trial in trials},
            [Held(0, snapshot.front[place] if self._first else {}) for place in range(front)],
            {trial: Held(0, snapshot.origins.get(trial, {})) for trial in origins},
        )

    @property
    def due(self) -> bool:
        """It is time for a snapshot, by the clock of rank 0."""
        return self._transport.broadcast(self._first and self._store.due)

    def append(self, event: Event) -> None:
        """Note an event."""
        if self._first:
            self._store.append(event)

    def flush(self) -> None:
        """Write what was noted."""
        if self._first:
            self._store.flush()

    def save(self, snapshot: Snapshot, seconds: float) -> Event:
        """Bring all states to rank 0 and write them there; when this returns, anywhere, they are on the disk."""
        gathered = self._gathered(snapshot)
        return self._transport.broadcast(self._store.save(gathered, seconds) if self._first else {})

    def _gathered(self, snapshot: Snapshot) -> Snapshot:
        parts = [*snapshot.states.values(), *snapshot.front, *snapshot.origins.values()]
        states: Iterator[State] = iter(deliver(self._transport, [(held(part), 0) for part in parts]))
        return Snapshot(
            {trial: next(states) for trial in snapshot.states},
            [next(states) for _ in snapshot.front],
            {trial: next(states) for trial in snapshot.origins},
        )
