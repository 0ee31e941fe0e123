"""Trials over ranks under one manager: rank 0 decides, and trains as well; the others train what they are told.

Nobody waits for another's training. A rank that has trained some of its trials to their targets says so; the manager
tells the strategy, and the rank goes on with others in their place, told in one message. Weights cross where a trial
has to: an heir's come from its donor's rank, and a trial that goes on while its rank trains others goes on elsewhere.

Results depend on who is quicker, as do those of asynchronous strategies in the order of their reports. What a trial
trains to does not: its curve is the same wherever and beside whomever it trains.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec
from weakref import WeakValueDictionary

from shoal.errors import StudyError
from shoal.manager.balance import placed
from shoal.manager.follower import Follower
from shoal.manager.messages import Call, Caught, Dismissal, Orders, Parcel, Place, Places, Ready, Trained
from shoal.manager.record import Layers, Metrics
from shoal.manager.snapshot import Snapshot, State
from shoal.manager.timesheet import Timesheet
from shoal.manager.transport import Message, Transport
from shoal.manager.waiting import until
from shoal.search.protocol import Config

_P = ParamSpec("_P")


class Kept(State):
    """A state that a rank keeps for as long as this object is there."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place


class SupervisingWorker:
    """Trains trials on all ranks. On rank 0 only; the others `serve`.

    Args:
        follower: Rank 0 itself.
        transport: Between the ranks.
        rows: How many trials are trained at a time, on all ranks together.
        cost: What training a config costs, compared to others; > 0.

    Attributes:
        timesheet: How long each rank has trained.
    """

    def __init__(self, follower: Follower, transport: Transport, rows: int, cost: Callable[[Config], float]) -> None:
        self._follower, self._transport, self._rows, self._cost = follower, transport, rows, cost
        self._configs: dict[int, Config] = {}  # by trial
        self._costs: dict[int, float] = {}
        self._homes: dict[int, int] = {}  # the ranks of trials that have been trained; others are nowhere,
        self._adrift: dict[int, Kept] = {}  # or nowhere but in a state
        self._flying: set[int] = set()  # trials that are on their way to their targets, each at its home
        self._training: set[int] = set()  # ranks; others rest
        self._keys = itertools.count()
        self._alive: WeakValueDictionary[int, Kept] = WeakValueDictionary()  # by key
        self._copies: dict[int, set[int]] = {}  # the ranks that keep each state
        self._calls: list[list[Call]] = [[] for _ in range(transport.size)]  # that no rank has been told yet
        self._heard: deque[Message] = deque()  # of trainings, and errors
        self._ready = 0  # ranks
        self._caught: list[int] = []  # signals of other ranks
        self.timesheet = Timesheet(transport.size)

    @property
    def rows(self) -> int:
        """How many trials are trained at a time, on all ranks together."""
        return self._rows

    @property
    def homes(self) -> Mapping[int, int]:
        """The rank of each trial that is with one."""
        return self._homes

    def start(self, trial: int, config: Config) -> None:
        """Note a fresh trial; it comes to a rank when it is trained."""
        self._configure(trial, config)

    def restore(self, trial: int, config: Config, state: State) -> None:
        """Note a trial that goes on from a state; it comes to a rank when it is trained."""
        self._configure(trial, config)
        self._adrift[trial] = _kept(state)

    def inherit(self, moves: Sequence[tuple[int, int, Config]], origins: Mapping[int, State]) -> dict[int, Layers]:
        """Let donors' ranks send states to heirs' ranks. Nobody waits: which layers fit follows from the configs."""
        donors = {donor for _, donor, _ in moves}
        states = {donor: _kept(origins[donor]) if donor in origins else self.state(donor) for donor in donors}
        configs = {donor: self._configs[donor] for donor in donors}  # a donor may be an heir as well
        changed: dict[int, Layers] = {}
        for heir, donor, config in moves:
            rank = self._settle(heir, states[donor].place.rank)
            key = self._bring(states[donor], rank)
            layers = self._follower.worker.layers(heir, config, donor, configs[donor])
            if layers is not None:
                changed[heir] = layers
            self._tell(rank, Follower.adopt, heir, config, donor, configs[donor], key)
            self._configure(heir, config)
        return changed

    def set(self, trial: int, config: Config) -> None:
        """Change what is hot in a trial's config."""
        self._configure(trial, config)
        if self._homes.get(trial) in self._training:
            self._adrift[trial] = self._uproot(trial)
        elif trial in self._homes:
            self._tell(self._homes[trial], Follower.set, trial, config)

    def stop(self, trial: int) -> None:
        """Forget a trial."""
        if trial in self._homes:
            self._tell(self._homes.pop(trial), Follower.stop, trial)
        self._adrift.pop(trial, None)
        del self._configs[trial], self._costs[trial]

    def train(self, targets: Mapping[int, int]) -> dict[int, Metrics]:
        """Let ranks that rest go on, with these trials too, and return those that come first."""
        self._assign(targets)
        self._flush()
        until(lambda: bool(self._heard), self._listen)
        rank, value, _ = self._heard.popleft()
        if not isinstance(value, Trained):
            raise value
        self._training.remove(rank)
        self._flying -= value.metrics.keys()
        self._tell(rank, Follower.noted, list(value.metrics))
        self.timesheet.add(rank, value.seconds)
        return value.metrics

    def state(self, trial: int) -> Kept:
        """Let a trial's rank keep its state."""
        if trial in self._adrift:
            return self._adrift[trial]
        state = self._keep(Place(self._homes.get(trial, 0), next(self._keys)))
        if trial in self._homes:
            self._tell(state.place.rank, Follower.keep, trial, state.place.key)
        return state  # that of a trial that is nowhere is empty

    def model(self, trial: int, config: Config, state: State) -> Any:
        """Return a state that is here as what the user knows it as."""
        return self._follower.worker.model(trial, config, state)

    def signals(self, caught: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Return those that this rank has caught, and those that others have."""
        self._listen()
        return [caught, tuple(self._caught)]

    def take(self, snapshot: Snapshot) -> Snapshot:
        """Keep the states of the snapshot that the study goes on from, each where it is."""
        places = self._follower.take(snapshot)
        self._keys = itertools.count(len(places))
        return Snapshot.of({part: self._keep(place) for part, place in places.items()})

    def agree(self) -> None:
        """Wait until all ranks have done what they were told, beside training. An error of one is raised."""
        self._ready = 0
        for rank in range(self._transport.size):
            self._tell(rank, Follower.answer)
        self._flush()
        until(lambda: self._ready == self._transport.size or self._failed, self._listen)
        if self._failed:
            raise next(message.value for message in self._heard if isinstance(message.value, StudyError))

    def others(self, call: Callable[Concatenate[Follower, _P], Any], *given: _P.args, **named: _P.kwargs) -> None:
        """Let all other ranks do this now."""
        for rank in range(1, self._transport.size):
            self._tell(rank, call, *given, **named)
        self._flush()

    def dismiss(self, error: StudyError) -> None:
        """Tell all others that the study has failed."""
        for rank in range(1, self._transport.size):
            self._transport.post(rank, Dismissal(error))

    @property
    def _failed(self) -> bool:
        return any(isinstance(message.value, StudyError) for message in self._heard)

    def _configure(self, trial: int, config: Config) -> None:
        self._configs[trial], self._costs[trial] = config, self._cost(config)

    def _tell(
        self, rank: int, call: Callable[Concatenate[Follower, _P], Any], *given: _P.args, **named: _P.kwargs
    ) -> None:
        self._calls[rank].append((call, given, named))

    def _flush(self) -> None:
        """Send each rank its orders; what nobody here refers to any more need not be kept."""
        for key in self._copies.keys() - self._alive.keys():
            for rank in self._copies.pop(key):
                self._tell(rank, Follower.forget, key)
        for rank, calls in enumerate(self._calls):
            if calls:
                self._transport.post(rank, Orders(calls.copy()))
                calls.clear()

    def _listen(self) -> bool:
        """Do this rank's own part, and look for a message."""
        done = self._follower.step()
        message = self._transport.poll()
        if message is None:
            return done
        match message.value:
            case Orders() | Parcel():
                self._follower.hear(message)
            case Ready():
                self._ready += 1
            case Caught(number):
                self._caught.append(number)
            case _:
                self._heard.append(message)
        return True

    # Where trials and states are

    def _idle(self) -> list[int]:
        """Return the ranks that do not train: one that has come back, at least, for then only is something decided."""
        return [rank for rank in range(self._transport.size) if rank not in self._training]

    def _assign(self, targets: Mapping[int, int]) -> None:
        idle = self._idle()
        homes = {trial: idle.index(self._homes[trial]) for trial in targets if self._homes.get(trial) in idle}
        loads = [sum(self._costs[trial] for trial in self._flying if self._homes[trial] == rank) for rank in idle]
        places = placed({trial: self._costs[trial] for trial in targets}, homes, loads)
        for place, rank in enumerate(idle):
            mine = {trial: target for trial, target in targets.items() if places[trial] == place}
            for trial in mine:
                self._move(trial, rank)
            if mine or loads[place]:
                self._tell(rank, Follower.train, mine)
                self._training.add(rank)
        self._flying |= targets.keys()

    def _move(self, trial: int, rank: int) -> None:
        """Bring a trial to a rank, or start it there."""
        if self._homes.get(trial) == rank:
            return
        if trial in self._homes or trial in self._adrift:
            key = self._bring(self._uproot(trial), rank)
            self._tell(rank, Follower.restore, trial, self._configs[trial], key)
        else:
            self._tell(rank, Follower.start, trial, self._configs[trial])
        self._homes[trial] = rank

    def _settle(self, heir: int, donor_rank: int) -> int:
        """Return a rank that does not train and has the heir, which is about to lose its state: best where it was."""
        idle = self._idle()
        if (home := self._homes.get(heir)) in idle:
            return home
        if home is not None:
            self._tell(home, Follower.stop, heir)
        self._adrift.pop(heir, None)
        self._homes[heir] = donor_rank if donor_rank in idle else idle[0]
        self._tell(self._homes[heir], Follower.start, heir, self._configs[heir])
        return self._homes[heir]

    def _uproot(self, trial: int) -> Kept:
        """Take a trial away from its rank; return its state."""
        if trial in self._adrift:
            return self._adrift.pop(trial)
        state = self.state(trial)
        self._tell(self._homes.pop(trial), Follower.stop, trial)
        return state

    def _keep(self, place: Place) -> Kept:
        self._alive[place.key] = state = Kept(place)
        self._copies[place.key] = {place.rank}
        return state

    def _bring(self, state: Kept, rank: int) -> int:
        """Have a state kept by a rank too; return its key."""
        place = state.place
        if rank not in self._copies[place.key]:
            self._copies[place.key].add(rank)
            self._tell(place.rank, Follower.send, place.key, rank)
            self._tell(rank, Follower.arrived, place.key)
        return place.key


def places_of(snapshot: Snapshot) -> Places:
    """Return where the states of a snapshot are kept."""
    return {part: _kept(state).place for part, state in snapshot.parts().items()}


def _kept(state: State) -> Kept:
    assert isinstance(state, Kept)  # all states come from a `SupervisingWorker`
    return state
