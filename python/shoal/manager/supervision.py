"""A supervised study from its beginning to its end: what rank 0 does, and what the others do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from shoal.errors import StudyError
from shoal.manager.follower import Follower
from shoal.manager.followers import Followers
from shoal.manager.interrupts import interrupts
from shoal.manager.kept import places_of
from shoal.manager.manager import Manager
from shoal.manager.messages import Caught, Places
from shoal.manager.rankedstore import RankedStore
from shoal.manager.record import StudyRecord
from shoal.manager.snapshot import Snapshot, State
from shoal.manager.timesheet import Timesheet
from shoal.manager.transport import RankLost, Transport
from shoal.manager.waiting import until


@dataclass(frozen=True)
class Ending:
    """How a run has ended, on every rank.

    Attributes:
        signal: That has stopped it.
        record: All that has happened.
        front: The states of the record's front; over ranks each is on one of them.
        utilisation: The share of the time in which each rank trained; empty without ranks.
    """

    signal: int | None
    record: StudyRecord
    front: Sequence[State]
    utilisation: Sequence[float]


def supervise(manager: Manager, timesheet: Timesheet, followers: Followers, transport: Transport) -> Ending:
    """Run a manager on rank 0, and send the others to the end.

    Raises:
        StudyError: Here and on all other ranks.
    """
    with _departing(followers.own, transport):
        try:
            signal = manager.run()
            front = places_of(Snapshot(front=manager.front_states))
            followers.agree()
        except StudyError as error:
            followers.dismiss(error)
            raise
    followers.others(Follower.leave)
    return _end(followers.own, transport, (signal, manager.record, front, timesheet.utilisation))


def serve(follower: Follower, store: RankedStore | None, transport: Transport) -> Ending:
    """Do what rank 0 says, until the study ends.

    Raises:
        StudyError: Here and on all other ranks.
    """
    with _departing(follower, transport):
        if store is None:  # nothing can be saved, so a signal acts at once
            _obey(follower, transport, [])
        else:
            with store.open() as (_, snapshot), interrupts(quiet=True) as caught:
                follower.take(snapshot)
                _obey(follower, transport, caught)
    return _end(follower, transport, None)


def _end(
    follower: Follower, transport: Transport, known: tuple[int | None, StudyRecord, Places, list[float]] | None
) -> Ending:
    """Return the end, of which rank 0 knows all but where states are not its own."""
    said = transport.broadcast(known)
    assert said is not None
    signal, record, front, utilisation = said
    return Ending(signal, record, follower.snapshot(front).front, utilisation)


def _obey(follower: Follower, transport: Transport, caught: Sequence[int]) -> None:
    told = 0

    def look() -> bool:
        nonlocal told
        for number in caught[told:]:
            transport.post(0, Caught(number))
            told += 1
        done = follower.step()
        message = transport.poll()
        if message is not None:
            follower.hear(message)
        return done or message is not None

    until(lambda: follower.left, look, busy=lambda: follower.busy, nap=follower.nap)


@contextmanager
def _departing(follower: Follower, transport: Transport) -> Iterator[None]:
    """Leave what has failed once nothing trains any more, which has threads and memory, whatever it comes to.

    Ranks leave a study that has failed all together: who leaves alone is taken for one that has died.
    """
    try:
        yield
    except StudyError:
        follower.rest()
        transport.gather(None)  # if a rank is lost now, those that are left go on, and fail alike
        raise
    except RankLost:
        follower.rest()
        raise
