"""The store of a study over ranks: rank 0 keeps the journal, and each rank writes and reads states of its own.

All ranks must see the same directory. A snapshot is one only when every rank's file is on the disk: then rank 0 notes
it. As a snapshot names its ranks' files, any number of ranks can go on from it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar, cast

from shoal.errors import StudyError
from shoal.manager.held import Held, held
from shoal.manager.journal import Event, Line
from shoal.manager.snapshot import Snapshot, State, list_parts, read_parts
from shoal.manager.store import Store
from shoal.manager.transport import Transport

_T = TypeVar("_T")


class RankedStore:
    """A `Store` for all ranks, which make the same calls.

    Args:
        store: This rank's.
        transport: Between the ranks.
    """

    def __init__(self, store: Store, transport: Transport) -> None:
        self._store, self._transport = store, transport
        self._first = transport.rank == 0

    @contextmanager
    def open(self) -> Iterator[tuple[list[Line], Snapshot]]:
        """Open for writing; yields the events to go on from, and the snapshot, whose states are spread over ranks."""
        with ExitStack() as stack:
            lines = self._by_first(lambda: stack.enter_context(self._store.locked()))
            lines, snapshot = self._store.last_snapshot(lines, self._read)
            self._by_first(lambda: self._store.begin(lines))
            yield lines, snapshot

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
        """Write what this rank has; when this returns, anywhere, all ranks' files and their event are on the disk."""
        begun, (rank, size) = time.monotonic(), (self._transport.rank, self._transport.size)
        mine = {part: state for part, state in snapshot.parts().items() if held(state).rank == rank}
        self._by_all(lambda: self._store.write(mine, rank, size))
        return self._by_first(lambda: self._store.confirm(seconds, begun, size))

    def _read(self, paths: Sequence[Path]) -> Snapshot:
        """Read a share of the states on each rank, from whichever files have them."""
        contents = self._by_first(lambda: [(path, part) for path in paths for part in list_parts(path)])
        size = self._transport.size
        homes = {part: place * size // len(contents) for place, (_, part) in enumerate(contents)}
        mine: dict[Path, list[str]] = {}
        for path, part in contents:
            if homes[part] == self._transport.rank:
                mine.setdefault(path, []).append(part)
        states = self._by_all(lambda: _read(mine))
        return Snapshot.of({part: Held(rank, states.get(part, {})) for part, rank in homes.items()})

    def _by_first(self, call: Callable[[], _T]) -> _T:
        """Return on every rank what this returns on rank 0, or raise its error."""
        outcome = self._transport.broadcast(self._try(call) if self._first else None)
        if isinstance(outcome, StudyError):
            raise outcome
        return cast(_T, outcome)

    def _by_all(self, call: Callable[[], _T]) -> _T:
        """Return what this returns here, or raise the first rank's error on all."""
        outcome = self._try(call)
        for failed in self._transport.gather(outcome if isinstance(outcome, StudyError) else None):
            if failed is not None:
                raise failed
        return cast(_T, outcome)

    def _try(self, call: Callable[[], _T]) -> _T | StudyError:
        try:
            return call()
        except StudyError as error:
            return error
        except OSError as error:
            where = f"rank {self._transport.rank} on {self._transport.node}"
            return StudyError(f"{where}: {error}; all ranks must share {self._store.directory}")


def _read(wanted: Mapping[Path, Sequence[str]]) -> dict[str, State]:
    return {part: state for path, parts in wanted.items() for part, state in read_parts(path, parts).items()}
