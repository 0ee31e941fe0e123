"""Trials over ranks: each rank has a worker of its own, and each trial is with one of them.

Every rank runs the same manager and the same strategy on the same reports, so that all know what happens next and
nobody sends orders. What crosses between ranks is metrics, which all gather, and states: those of donors, on their way
to heirs elsewhere, and those of trials that move to where there is less to do.

Ranks that decide differently would wait for each other for ever, or train different studies. So before they meet they
compare digests of all that they were told so far.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from shoal.errors import StudyError
from shoal.manager.balance import placed
from shoal.manager.held import Held, deliver, held
from shoal.manager.paces import Cost, Paces
from shoal.manager.record import Layers, Metrics
from shoal.manager.snapshot import State
from shoal.manager.timesheet import Timesheet
from shoal.manager.transport import Transport, located
from shoal.manager.worker import LocalWorker
from shoal.population.room import Room, host
from shoal.search.protocol import Config

_T = TypeVar("_T")


class RankedWorker:
    """Trains trials on all ranks. Every rank makes the same calls.

    Args:
        worker: This rank's.
        transport: Between the ranks.
        rows: How many trials are trained at a time, on all ranks together.
        cost: What training a config costs, compared to others; > 0, and the same on every rank. None: nobody knows.
        room: Gives memory for blocks that leave this rank or come to it.

    Attributes:
        timesheet: How long each rank has trained, known on every rank.
    """

    def __init__(
        self,
        worker: LocalWorker,
        transport: Transport,
        rows: int,
        cost: Cost | None,
        room: Room = host,
    ) -> None:
        self._worker, self._transport, self._rows, self._room = worker, transport, rows, room
        self._configs: dict[int, Config] = {}  # by trial
        self._paces = Paces(transport.size, cost)
        self._homes: dict[int, int] = {}  # the ranks of the trials that have been trained or restored
        self._adrift: set[int] = set()  # restored and not trained yet: as well off on any other rank
        self._told = hashlib.blake2b(digest_size=8)
        self.timesheet = Timesheet(transport.size)

    @property
    def rows(self) -> int:
        """How many trials are trained at a time, on all ranks together."""
        return self._rows

    @property
    def homes(self) -> Mapping[int, int]:
        """The rank of each trial that has been trained or restored, and not been stopped."""
        return self._homes

    def start(self, trial: int, config: Config) -> None:
        """Note a fresh trial; it comes to a rank when it is trained."""
        self._hear("start", trial)
        self._configure(trial, config)

    def restore(self, trial: int, config: Config, state: State) -> None:
        """Make a trial that goes on from a state, on the rank that has it until it is trained."""
        self._adrift.add(trial)
        self._configure(trial, config)
        self._homes[trial] = held(state).rank
        if self._is_here(trial):
            self._worker.restore(trial, config, state)

    def inherit(self, moves: Sequence[tuple[int, int, Config]], origins: Mapping[int, State]) -> dict[int, Layers]:
        """Bring donors' states to their heirs' ranks. A fresh heir joins its donor."""
        self._hear("inherit", moves)
        self._compare()
        states = {donor: held(origins[donor]) if donor in origins else self._leaving(donor) for _, donor, _ in moves}
        for heir, donor, _ in moves:
            if heir not in self._homes:
                self._settle(heir, states[donor].rank)
        ways = list(dict.fromkeys((donor, self._homes[heir]) for heir, donor, _ in moves))
        brought = dict(zip(ways, self._deliver([(states[donor], to) for donor, to in ways]), strict=True))
        configs = {donor: self._configs[donor] for donor in states}  # a donor may be an heir as well
        for heir, _, config in moves:
            self._configure(heir, config)

        def adopt() -> dict[int, Layers | None]:
            here = [move for move in moves if self._is_here(move[0])]
            return {
                heir: self._worker.adopt(heir, config, donor, configs[donor], brought[donor, self._transport.rank])
                for heir, donor, config in here
            }

        return {heir: layers for part in self._all(adopt) for heir, layers in part.items() if layers is not None}

    def set(self, trial: int, config: Config) -> None:
        """Change what is hot in a trial's config."""
        self._hear("set", trial)
        self._configure(trial, config)
        if self._is_here(trial):
            self._worker.set(trial, config)

    def stop(self, trial: int) -> None:
        """Forget a trial."""
        self._hear("stop", trial)
        if self._is_here(trial):
            self._worker.stop(trial)
        self._homes.pop(trial, None)
        self._adrift.discard(trial)
        self._paces.forget(trial)
        del self._configs[trial]

    def train(self, targets: Mapping[int, int]) -> dict[int, Metrics]:
        """Spread the trials over the ranks, and train."""
        self._hear("train", *targets.items())
        self._compare()
        homes = {trial: self._homes[trial] for trial in targets if trial in self._homes and trial not in self._adrift}
        loads = [0.0] * self._transport.size
        ranks = placed(self._paces.costs(targets), homes, loads, self._paces.paces)
        moving = [trial for trial, rank in ranks.items() if self._homes.get(trial, rank) != rank]
        states = self._deliver([(self._leaving(trial), ranks[trial]) for trial in moving])
        self._adrift -= targets.keys()
        mine = [(trial, until) for trial, until in targets.items() if ranks[trial] == self._transport.rank]
        rows = self._worker.rows

        def train() -> list[tuple[float, dict[int, Metrics]]]:
            self._spread(ranks, dict(zip(moving, states, strict=True)))
            return [self._timed(dict(mine[first : first + rows])) for first in range(0, len(mine), rows)]

        outcomes = self._all(train)
        for rank, parts in enumerate(outcomes):
            self.timesheet.add(rank, sum(seconds for seconds, _ in parts))
        self._paces.note(outcomes)
        return {trial: metrics for parts in outcomes for _, part in parts for trial, metrics in part.items()}

    def pause(self) -> dict[int, Metrics]:
        """Nothing trains between calls."""
        return {}

    def state(self, trial: int) -> Held:
        """Return a copy of a trial's state, on its rank."""
        return self._copy(trial, host)

    def model(self, trial: int, config: Config, state: State) -> Any:
        """Return a state that is here as what the user knows it as."""
        return self._worker.model(trial, config, state)

    def _timed(self, targets: Mapping[int, int]) -> tuple[float, dict[int, Metrics]]:
        begun = time.perf_counter()
        metrics = self._worker.train(targets)
        return time.perf_counter() - begun, metrics

    def _leaving(self, trial: int) -> Held:
        """Return a copy of a trial's state, on its rank, that is to go elsewhere at once."""
        return self._copy(trial, self._room)

    def _copy(self, trial: int, room: Room) -> Held:
        return Held(self._homes.get(trial, 0), self._worker.state(trial, room) if self._is_here(trial) else {})

    def _deliver(self, moves: Sequence[tuple[Held, int]]) -> list[State]:
        return deliver(self._transport, moves, self._room)

    def _hear(self, *words: object) -> None:
        self._told.update(repr(words).encode())

    def _compare(self) -> None:
        digests = self._transport.gather(self._told.hexdigest())
        others = [rank for rank, digest in enumerate(digests) if digest != digests[0]]
        if others:
            raise StudyError(
                f"rank {others[0]} has decided otherwise than rank 0: a sampler or a metric of your own must return the"
                " same on every rank, so it may neither draw without the study's seed nor look at a clock"
            )

    def _configure(self, trial: int, config: Config) -> None:
        self._hear(sorted(config.items()))
        self._configs[trial] = config
        self._paces.configure(trial, config)

    def _is_here(self, trial: int) -> bool:
        return self._homes.get(trial) == self._transport.rank

    def _settle(self, trial: int, rank: int) -> None:
        self._homes[trial] = rank
        if self._is_here(trial):
            self._worker.start(trial, self._configs[trial])

    def _spread(self, ranks: Mapping[int, int], states: Mapping[int, State]) -> None:
        """Start trials that were nowhere, and move those whose states have come to another rank."""
        for trial, rank in ranks.items():
            if trial not in self._homes:
                self._settle(trial, rank)
            elif trial in states:
                if self._is_here(trial):
                    self._worker.stop(trial)
                self._homes[trial] = rank
                if self._is_here(trial):
                    self._worker.restore(trial, self._configs[trial], states[trial])

    def _all(self, call: Callable[[], _T]) -> list[_T]:
        """Return what each rank's call returns; the error of one is raised on all, so that nobody waits."""
        try:
            outcome: _T | StudyError = call()
        except StudyError as error:
            outcome = located(self._transport, error)
        outcomes = self._transport.gather(outcome)
        if isinstance(outcome, StudyError):
            raise outcome  # itself, for it knows its cause
        results = []
        for each in outcomes:
            if isinstance(each, StudyError):
                raise each
            results.append(each)
        return results
