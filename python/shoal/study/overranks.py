"""How a study runs over ranks: all decide alike, or the first decides and the others do what it says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from shoal.manager.followers import Followers
from shoal.manager.mortal import ranks
from shoal.manager.rankedstore import RankedStore
from shoal.manager.store import Store
from shoal.manager.supervisedstore import SupervisedStore
from shoal.manager.supervision import Ending, serve, supervise
from shoal.manager.survival import outlive
from shoal.manager.transport import Transport
from shoal.manager.worker import Worker
from shoal.study.crew import follower, ranked_worker, supervising_worker
from shoal.study.progress import Progress, listener
from shoal.study.result import Result
from shoal.study.seats import Seat, chart, seats
from shoal.study.setup import Setup


def run_over(
    comm: Any, setup: Setup, progress: Progress, conclude: Callable[[Ending, Worker, Transport], Result]
) -> Result:
    """Run a study on the ranks of an mpi4py communicator; each calls this. Without those that are lost, it goes on.

    Args:
        comm: Between all ranks.
        setup: The study, the same on all.
        progress: What the first rank shows or calls.
        conclude: Makes the result of a run that has ended, or exits where a signal has ended it: on all ranks.
    """

    def attempt(transport: Transport) -> Result | SystemExit:
        run = _supervised if setup.settings.supervised(transport.size) else _replicated
        seat, store, shown = _settle(transport, setup, progress)
        try:
            ending, worker = run(transport, setup, seat, store, shown)
            return conclude(ending, worker, transport)
        except SystemExit as stopped:  # as all ranks are, which shall agree on it
            return stopped

    # After an error the transport stays: to free it takes all ranks, and others may never come.
    outcome = outlive(ranks(comm), attempt, lambda lost, left: _tell_loss(lost, left, setup.store))
    if isinstance(outcome, SystemExit):
        raise outcome
    return outcome


def _tell_loss(lost: str, left: int, store: Store | None) -> None:
    if store is None:
        then = f"{left} {'begins' if left == 1 else 'begin'} again: nothing is kept"
    else:
        then = f"{left} {'goes' if left == 1 else 'go'} on from the snapshot at {store.reached:.1f} s"
    print(f"{lost}; {then}", file=sys.stderr)


def _settle(transport: Transport, setup: Setup, progress: Progress) -> tuple[Seat, RankedStore | None, Progress]:
    """Return where this rank trains, its part of the store, and what it shows."""
    places = seats(transport, setup.header, *setup.task.wishes)
    if transport.rank > 0:
        progress = False
    if progress is not False:
        print(chart(places, setup.settings.supervised(transport.size)), file=sys.stderr)
    store = None if setup.store is None else RankedStore(setup.store, transport)
    return places[transport.rank], store, progress


def _replicated(
    transport: Transport, setup: Setup, seat: Seat, store: RankedStore | None, progress: Progress
) -> tuple[Ending, Worker]:
    worker, quiet = ranked_worker(transport, setup.task, setup.settings, seat), transport.rank > 0
    manager = setup.manager(worker, store, listener(progress, worker), transport.gather, quiet)
    return Ending(manager.run(), manager.record, manager.front_states, worker.timesheet.utilisation), worker


def _supervised(
    transport: Transport, setup: Setup, seat: Seat, store: RankedStore | None, progress: Progress
) -> tuple[Ending, Worker]:
    mine = follower(transport, setup.task, setup.settings, seat, store)
    if transport.rank > 0:
        return serve(mine, store, transport), mine.worker
    followers = Followers(mine, transport)
    worker = supervising_worker(followers, transport, setup.task, setup.settings)
    kept = (
        None if store is None or setup.store is None else SupervisedStore(store, setup.store, worker.states, followers)
    )
    manager = setup.manager(worker, kept, listener(progress, worker), followers.signals)
    return supervise(manager, worker.timesheet, followers, transport), worker
