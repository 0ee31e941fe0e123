"""Trials over ranks under one manager: rank 0 decides, and trains as well; the others train what they are told.

Nobody waits for another's training. A rank that has trained some of its trials to their targets says so; the manager
tells the strategy, and the rank goes on with others in their place, told in one message. Weights cross where a trial
has to: an heir's come from its donor's rank, and a trial that goes on while its rank trains others goes on elsewhere.

Results depend on who is quicker, as do those of asynchronous strategies in the order of their reports. What a trial
trains to does not: its curve is the same wherever and beside whomever it trains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shoal.manager.balance import placed
from shoal.manager.follower import Follower
from shoal.manager.followers import Followers
from shoal.manager.kept import Kept, States, kept
from shoal.manager.paces import Cost
from shoal.manager.record import Layers, Metrics
from shoal.manager.snapshot import State
from shoal.manager.timesheet import Timesheet
from shoal.search.protocol import Config


class SupervisingWorker:
    """Trains trials on all ranks. On rank 0 only; the others `serve`.

    Args:
        followers: The ranks.
        rows: How many trials are trained at a time, on all ranks together.
        cost: What training a config costs, compared to others; > 0. None: nobody knows, and all count alike.

    Attributes:
        states: Where they are kept.
        timesheet: How long each rank has trained.
    """

    def __init__(self, followers: Followers, rows: int, cost: Cost | None) -> None:
        self._followers, self._worker, self._rows, self._cost = followers, followers.own.worker, rows, cost
        self._configs: dict[int, Config] = {}  # by trial
        self._costs: dict[int, float] = {}
        self._homes: dict[int, int] = {}  # the ranks of trials that have been trained; others are nowhere,
        self._adrift: dict[int, Kept] = {}  # or nowhere but in a state
        self._flying: list[dict[int, int]] = [{} for _ in range(followers.size)]  # by home: targets of trials in flight
        self._waiting: dict[int, int] = {}  # targets of trials that no rank trains yet
        self._resting = set(range(followers.size))  # ranks; others train
        self._loads = np.full(followers.size, np.inf)  # what the latter train costs
        self.states = States(followers)
        self.timesheet = Timesheet(followers.size)

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
        self._adrift[trial] = kept(state)

    def inherit(self, moves: Sequence[tuple[int, int, Config]], origins: Mapping[int, State]) -> dict[int, Layers]:
        """Let donors' ranks send states to heirs' ranks. Nobody waits: which layers fit follows from the configs."""
        donors = {donor for _, donor, _ in moves}
        states = {donor: kept(origins[donor]) if donor in origins else self.state(donor) for donor in donors}
        configs = {donor: self._configs[donor] for donor in donors}  # a donor may be an heir as well
        changed: dict[int, Layers] = {}
        for heir, donor, config in moves:
            rank = self._settle(heir, states[donor].place.rank)
            key = self.states.bring(states[donor], rank)
            layers = self._worker.layers(heir, config, donor, configs[donor])
            if layers is not None:
                changed[heir] = layers
            self._followers.tell(rank, Follower.adopt, heir, config, donor, configs[donor], key)
            self._configure(heir, config)
        return changed

    def set(self, trial: int, config: Config) -> None:
        """Change what is hot in a trial's config."""
        self._configure(trial, config)
        if self._homes.get(trial) in self._resting:
            self._followers.tell(self._homes[trial], Follower.set, trial, config)
        elif trial in self._homes:
            self._adrift[trial] = self._uproot(trial)

    def stop(self, trial: int) -> None:
        """Forget a trial."""
        if trial in self._homes:
            self._followers.tell(self._homes.pop(trial), Follower.stop, trial)
        self._adrift.pop(trial, None)
        del self._configs[trial], self._costs[trial]

    def train(self, targets: Mapping[int, int]) -> dict[int, Metrics]:
        """Let ranks that rest go on, with these trials too, and return those that come first."""
        self._assign(targets)
        self.states.forget()
        return self._trained()

    def pause(self) -> dict[int, Metrics]:
        """Wait until all ranks rest. States of trials in flight are then of where these have come."""
        metrics: dict[int, Metrics] = {}
        while len(self._resting) < self._followers.size:
            metrics |= self._trained()
        for rank, flying in enumerate(self._flying):
            if flying:
                self._followers.tell(rank, Follower.noted, list(flying))
        return metrics

    def state(self, trial: int) -> Kept:
        """Let a trial's rank keep its state."""
        if trial in self._adrift:
            return self._adrift[trial]
        return self.states.keep(trial, self._homes.get(trial))

    def model(self, trial: int, config: Config, state: State) -> Any:
        """Return a state that is here as what the user knows it as."""
        return self._worker.model(trial, config, state)

    def _configure(self, trial: int, config: Config) -> None:
        self._configs[trial], self._costs[trial] = config, 1.0 if self._cost is None else self._cost(config)

    def _trained(self) -> dict[int, Metrics]:
        """Wait for the next rank that has trained."""
        rank, trained = self._followers.trained()
        self._resting.add(rank)
        self._loads[rank] = np.inf
        for trial in trained.metrics:
            del self._flying[rank][trial]
        self._followers.tell(rank, Follower.noted, list(trained.metrics))
        self.timesheet.add(rank, trained.seconds)
        return trained.metrics

    def _assign(self, targets: Mapping[int, int]) -> None:
        """Give trials to ranks that rest: one that has come back, at least, for then only is something decided.

        So that loads stay even, also where there is nothing new to begin, trials in flight there may go on elsewhere,
        and some may wait for the rank that trains least. Of those that train it is the only one that is considered, so
        that this does not grow with the ranks.
        """
        ranks = sorted(self._resting)
        flying = {trial: target for rank in ranks for trial, target in self._flying[rank].items()}
        due = flying | self._waiting | dict(targets)
        loads = [0.0] * len(ranks)
        least = int(self._loads.argmin())
        if least not in self._resting:
            ranks.append(least)
            loads.append(float(self._loads[least]))
        homes = {trial: ranks.index(self._homes[trial]) for trial in due if self._homes.get(trial) in self._resting}
        places = placed({trial: self._costs[trial] for trial in due}, homes, loads)
        self._waiting = {trial: due[trial] for trial, place in places.items() if ranks[place] not in self._resting}
        for trial in self._waiting.keys() & flying.keys():
            self._adrift[trial] = self._uproot(trial)
        for trial, place in places.items():
            if trial not in self._waiting:
                self._move(trial, ranks[place])
        for place, rank in enumerate(ranks):
            if rank in self._resting:
                self._train(rank, {trial: target for trial, target in due.items() if places[trial] == place})

    def _train(self, rank: int, targets: dict[int, int]) -> None:
        """Let a rank train these trials, some of which may be in flight there."""
        new = {trial: target for trial, target in targets.items() if trial not in self._flying[rank]}
        self._flying[rank] = targets
        if targets:
            self._followers.tell(rank, Follower.train, new)
            self._resting.remove(rank)
            self._loads[rank] = sum(self._costs[trial] for trial in targets)

    def _move(self, trial: int, rank: int) -> None:
        """Bring a trial to a rank, or start it there."""
        home = self._homes.get(trial)
        if home == rank:
            return
        if home is not None or trial in self._adrift:
            key = self.states.bring(self._uproot(trial), rank)
            self._followers.tell(rank, Follower.restore, trial, self._configs[trial], key)
        else:
            self._followers.tell(rank, Follower.start, trial, self._configs[trial])
        self._homes[trial] = rank

    def _settle(self, heir: int, donor_rank: int) -> int:
        """Return a rank that does not train and has the heir, which is about to lose its state: best where it was."""
        home = self._homes.get(heir)
        if home in self._resting:
            return home
        if home is not None:
            self._followers.tell(home, Follower.stop, heir)
        self._adrift.pop(heir, None)
        self._homes[heir] = donor_rank if donor_rank in self._resting else min(self._resting)
        self._followers.tell(self._homes[heir], Follower.start, heir, self._configs[heir])
        return self._homes[heir]

    def _uproot(self, trial: int) -> Kept:
        """Take a trial away from its rank; return its state, which is in flight that of where it has come."""
        if trial in self._adrift:
            return self._adrift.pop(trial)
        home = self._homes.pop(trial)
        if trial in self._flying[home]:
            self._followers.tell(home, Follower.noted, [trial])
        state = self.states.keep(trial, home)
        self._followers.tell(home, Follower.stop, trial)
        return state
