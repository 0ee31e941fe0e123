"""Where the states of a supervised study are kept, as rank 0 knows it.

What the manager has of a state is an empty object with the key that ranks keep it by. Once nobody refers to the object,
they are told to forget the state.
"""

from __future__ import annotations

from weakref import finalize

from shoal.manager.follower import Follower
from shoal.manager.followers import Followers
from shoal.manager.messages import Place, Places
from shoal.manager.snapshot import Snapshot, State


class Kept(State):
    """A state that ranks keep for as long as this object is there.

    Attributes:
        place: Where it was kept first.
        ranks: All that keep it.
    """

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place, self.ranks = place, {place.rank}


class States:
    """The states that ranks keep.

    Args:
        followers: The ranks.
    """

    def __init__(self, followers: Followers) -> None:
        self._followers = followers
        self._next = 0  # key: above all that ever were
        self._gone: list[tuple[int, set[int]]] = []  # keys of states that nobody here refers to, and who keeps them

    def keep(self, trial: int, rank: int | None) -> Kept:
        """Let a trial's rank keep the state that it has there; that of a trial that is nowhere is empty."""
        state = self._kept(Place(rank or 0, self._next))
        if rank is not None:
            self._followers.tell(rank, Follower.keep, trial, state.place.key)
        return state

    def bring(self, state: Kept, rank: int) -> int:
        """Have a state kept by a rank too; return its key."""
        key = state.place.key
        if rank not in state.ranks:
            state.ranks.add(rank)
            self._followers.tell(state.place.rank, Follower.send, key, rank)
            self._followers.tell(rank, Follower.arrived, key)
        return key

    def take(self, snapshot: Snapshot) -> Snapshot:
        """Keep the states of the snapshot that the study goes on from, each where it is, as all ranks do."""
        places = self._followers.own.take(snapshot)
        return Snapshot.of({part: self._kept(place) for part, place in places.items()})

    def forget(self) -> None:
        """Let ranks forget what nobody here refers to any more."""
        while self._gone:
            key, ranks = self._gone.pop()
            for rank in ranks:
                self._followers.tell(rank, Follower.forget, key)

    def _kept(self, place: Place) -> Kept:
        self._next = max(self._next, place.key + 1)
        state = Kept(place)
        finalize(state, self._gone.append, (place.key, state.ranks))
        return state


def kept(state: State) -> Kept:
    """Return a state as what it is on rank 0: all of them come from `States`."""
    assert isinstance(state, Kept)
    return state


def places_of(snapshot: Snapshot) -> Places:
    """Return where the states of a snapshot are kept."""
    return {part: kept(state).place for part, state in snapshot.parts().items()}
