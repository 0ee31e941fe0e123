"""The store of a supervised study: rank 0 says when all ranks write a snapshot. Trainings go on meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shoal.manager.follower import Follower
from shoal.manager.followers import Followers
from shoal.manager.journal import Event, Line
from shoal.manager.kept import States, places_of
from shoal.manager.rankedstore import RankedStore
from shoal.manager.snapshot import Snapshot
from shoal.manager.store import Store


class SupervisedStore:
    """A `RankedStore` on rank 0; the other ranks do their part as they are told.

    Args:
        store: All ranks'.
        own: Rank 0's, behind it.
        states: The worker's.
        followers: The ranks.
    """

    def __init__(self, store: RankedStore, own: Store, states: States, followers: Followers) -> None:
        self._store, self._own, self._states, self._followers = store, own, states, followers
        self.append, self.flush = own.append, own.flush

    @contextmanager
    def open(self) -> Iterator[tuple[list[Line], Snapshot]]:
        """Open for writing; yields the events to go on from, and the snapshot, whose states stay where they are."""
        with self._store.open() as (lines, snapshot):
            yield lines, self._states.take(snapshot)

    @property
    def due(self) -> bool:
        """It is time for a snapshot."""
        return self._own.due

    def save(self, snapshot: Snapshot, seconds: float) -> Event:
        """Write a snapshot while trainings go on."""
        places = places_of(snapshot)
        self._followers.agree()  # so that all ranks will come
        self._followers.others(Follower.save, places, seconds)
        return self._store.save(self._followers.own.snapshot(places), seconds)
