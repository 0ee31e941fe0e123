"""One rank of a supervised study: it carries out what rank 0 tells it, and says which of its trials are trained.

The thread that speaks to other ranks looks for messages, at most two milliseconds apart while something trains. What
the worker does, which may be a user's code, runs beside it, and the core lets go of Python's lock while it trains: so a
rank that trains still hears, and hands over states. Only what changes trials has to wait for the end of a training, so
rank 0 tells that to ranks that do not train.

A training ends when the first trials are where they were to go; the others stay in flight, and go on when rank 0 has
answered, which it does at once: then those that came first have been replaced, and no row is idle in the next training.

A trial's state is the one at the last point that rank 0 knows of: before a training copies are made, of every trial
here, and they serve until rank 0 has taken note of what came out, through all trainings that a trial is in flight. So
states can be had at any time: by heirs elsewhere, whose donors may be in training, by trials that go on elsewhere, and
by snapshots, which therefore wait for nobody.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar

from shoal.errors import StudyError
from shoal.manager.held import Held, held
from shoal.manager.interrupts import Aside
from shoal.manager.messages import Call, Dismissal, Orders, Parcel, Place, Places, Ready, Trained
from shoal.manager.rankedstore import RankedStore
from shoal.manager.snapshot import Snapshot, State
from shoal.manager.transport import Message, Transport, located
from shoal.manager.waiting import until
from shoal.manager.worker import LocalWorker
from shoal.search.protocol import Config

_T = TypeVar("_T")


class Follower:
    """A rank. Its public methods up to ``leave`` are what rank 0 may tell it to do; false means: not yet.

    Args:
        worker: This rank's; it takes more trials than it has rows, and may return some while the others stay in flight.
        transport: Between the ranks.
        store: Of the study, if it is kept.
    """

    def __init__(self, worker: LocalWorker, transport: Transport, store: RankedStore | None) -> None:
        self.worker, self._transport, self._store = worker, transport, store
        self._calls: deque[Call] = deque()
        self._states: dict[int, State | None] = {}  # of the trials here; None: not copied yet
        self._kept: dict[int, State] = {}  # by key
        self._leaving: list[int] = []  # trials that were stopped while others train
        self._training: Aside[Trained] | None = None
        self._doing: Aside[Any] | None = None  # what was told last, where that is up to the worker
        self._failed = False
        self.left = False

    def start(self, trial: int, config: Config) -> bool:
        """Make a fresh trial."""
        if self._beside(lambda: self.worker.start(trial, config)) is None:
            return False
        self._states[trial] = {}
        return True

    def restore(self, trial: int, config: Config, key: int) -> bool:
        """Make a trial that goes on from a state that is kept here."""
        if self._beside(lambda: self.worker.restore(trial, config, self._kept[key])) is None:
            return False
        self._states[trial] = self._kept[key]
        return True

    def adopt(self, heir: int, config: Config, donor: int, donor_config: Config, key: int) -> bool:
        """Replace a trial's state by one that is kept here."""
        self._states[heir] = None
        adopted = self._beside(lambda: self.worker.adopt(heir, config, donor, donor_config, self._kept[key]))
        return adopted is not None

    def set(self, trial: int, config: Config) -> bool:
        """Change what is hot in a trial's config."""
        self._states[trial] = None
        return self._beside(lambda: self.worker.set(trial, config)) is not None

    def stop(self, trial: int) -> None:
        """Forget a trial."""
        del self._states[trial]
        self._leaving.append(trial)
        if self._training is None:
            self._forget_trials()

    def keep(self, trial: int, key: int) -> bool:
        """Keep a trial's state."""
        if not self._copied([trial]):
            return False
        self._kept[key] = self._states[trial] or {}
        return True

    def forget(self, key: int) -> None:
        """Let go of a state."""
        self._kept.pop(key, None)

    def send(self, key: int, rank: int) -> None:
        """Send a state to a rank that shall keep it too."""
        state = self._kept[key]
        self._transport.post(rank, Parcel(key, tuple(state)), list(state.values()))

    def arrived(self, key: int) -> bool:
        """Go on when a state that was sent to this rank is here."""
        return key in self._kept

    def train(self, targets: dict[int, int]) -> bool:
        """Begin to train those in flight, and these trials too, to their targets; no training may be under way."""
        if not self._copied(self._states):
            return False
        self._training = Aside(lambda: self._trained(targets))
        return True

    def noted(self, trials: Collection[int]) -> None:
        """From now on these trials' states are those that the last training led to."""
        self._states |= dict.fromkeys(trials)

    def answer(self) -> None:
        """Say that all until here is done."""
        self._transport.post(0, Ready())

    def save(self, places: Places, seconds: float) -> None:
        """Join in writing a snapshot."""
        assert self._store is not None
        self._store.save(self.snapshot(places), seconds)

    def leave(self) -> None:
        """Go on to the end of the study."""
        self.left = True

    def take(self, snapshot: Snapshot) -> Places:
        """Keep what is here of the snapshot that the study goes on from; all ranks give its states the same keys."""
        places: Places = {}
        for key, (part, state) in enumerate(snapshot.parts().items()):
            places[part] = Place(held(state).rank, key)
            if places[part].rank == self._transport.rank:
                self._kept[key] = state
        return places

    def snapshot(self, places: Places) -> Snapshot:
        """Return the snapshot of these states as all ranks have it: whole where they are kept, else empty."""
        return Snapshot.of({part: self._held(place) for part, place in places.items()})

    def hear(self, message: Message) -> None:
        """Take note of orders, or of a state."""
        match message.value:
            case Orders(calls):
                self._calls.extend(calls)
            case Parcel(key, names):
                self._kept[key] = dict(zip(names, message.arrays, strict=True))
            case Dismissal(error):
                raise error

    def step(self) -> bool:
        """Do what can be done now; return whether there was anything."""
        done = False
        try:
            while self._calls and self._next():
                done = True
            if self._training is not None and self._training.done:  # last: it may fail, but all wait for a ``save``
                done = True
                self._report()
        except StudyError as error:  # of a user's code
            self._failed = True
            self._transport.post(0, located(self._transport, error))
        if self._failed:  # rank 0 will end the study
            self._calls.clear()
        return done

    @property
    def busy(self) -> bool:
        """Whether something runs beside the thread that listens."""
        return self._training is not None or self._doing is not None

    def nap(self, seconds: float) -> None:
        """Sleep, but not beyond the end of what runs beside."""
        beside = self._doing or self._training
        if beside is None or beside.done:
            time.sleep(seconds)
        else:
            beside.wait(seconds)

    def rest(self) -> None:
        """Wait for the end of what was begun, whatever it comes to."""
        until(lambda: all(each is None or each.done for each in (self._training, self._doing)), lambda: False)

    def _next(self) -> bool:
        call, given, named = self._calls[0]
        if call(self, *given, **named) is False:
            return False
        self._calls.popleft()
        return True

    def _trained(self, targets: dict[int, int]) -> Trained:
        begun = time.perf_counter()
        metrics = self.worker.train(targets)
        return Trained(metrics, time.perf_counter() - begun)

    def _report(self) -> None:
        training, self._training = self._training, None
        assert training is not None
        trained = training.result()
        self._forget_trials()
        self._transport.post(0, trained)

    def _forget_trials(self) -> None:
        while self._leaving:
            self.worker.stop(self._leaving.pop())

    def _copied(self, trials: Iterable[int]) -> bool:
        """Copy the states of these trials that have changed."""
        changed = [trial for trial in trials if self._states[trial] is None]
        if not changed:
            return True
        copying = self._beside(lambda: {trial: self.worker.state(trial) for trial in changed})
        if copying is None:
            return False
        self._states |= copying.result()
        return True

    def _beside(self, call: Callable[[], _T]) -> Aside[_T] | None:
        """Let the worker do something; return the call when it is over. None: this has to be asked again.

        Until then nothing that was told later begins. It may be a user's code and take its time, for which others would
        have to wait, if it were done in this thread.
        """
        if self._doing is None:
            self._doing = Aside(call)
        if not self._doing.done:
            return None
        doing, self._doing = self._doing, None
        doing.result()  # raises what it has raised
        return doing

    def _held(self, place: Place) -> Held:
        return Held(place.rank, self._kept.get(place.key, {}) if place.rank == self._transport.rank else {})
