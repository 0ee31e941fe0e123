"""What a manager asks of whoever trains, and the worker that trains a user's own trainables.

A worker keeps the state of every trial that was started and not stopped. ``rows`` of them can be trained at a time;
where the others wait is the worker's own business. Nothing that a worker returns may depend on how many rows it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from shoal.errors import StudyError
from shoal.manager.record import Layers, Metrics
from shoal.manager.snapshot import State
from shoal.population.room import Room, host
from shoal.search.protocol import Config
from shoal.trainable import Trainable

_T = TypeVar("_T")


class Worker(Protocol):
    """Trains trials."""

    @property
    def rows(self) -> int:
        """How many trials ``train`` takes at a time."""

    def start(self, trial: int, config: Config) -> None:
        """Make a fresh trial."""

    def restore(self, trial: int, config: Config, state: State) -> None:
        """Make a trial that goes on from a state; an empty one is that of a fresh trial."""

    def inherit(self, moves: Sequence[tuple[int, int, Config]], origins: Mapping[int, State]) -> dict[int, Layers]:
        """Replace, for each (heir, donor, config), the heir's state by the donor's. All donors are read first.

        Args:
            moves: Who inherits from whom.
            origins: What donors in training began with: it is inherited, not what they are by now.

        Returns:
            What became of the layers of each heir whose structure is not its donor's; no others are named.
        """

    def set(self, trial: int, config: Config) -> None:
        """Change what is hot in a trial's config."""

    def stop(self, trial: int) -> None:
        """Forget a trial."""

    def train(self, targets: Mapping[int, int]) -> dict[int, Metrics]:
        """Train each trial to its absolute progress and return its metrics there, which are empty if it has diverged.

        A worker may return before all are there, with one trial at least: the others stay in flight and come from a
        later call. Nothing else is asked of them until then, but their states: of any place on their way, as they lead
        to the same.
        """

    def pause(self) -> dict[int, Metrics]:
        """Let nothing train when this returns; return as ``train`` whoever has come to its target meanwhile."""

    def state(self, trial: int) -> State:
        """Return a copy of all that ``restore`` needs."""

    def model(self, trial: int, config: Config, state: State) -> Any:
        """Return a state as what the user knows it as."""


class LocalWorker(Worker, Protocol):
    """Trains trials, and takes over states of trials that are elsewhere."""

    def state(self, trial: int, room: Room = host) -> State:
        """Return a copy of all that ``restore`` needs.

        Args:
            trial: Whose.
            room: Gives memory for what may be large, where that can lie elsewhere than in the host's.
        """

    def adopt(self, heir: int, config: Config, donor: int, donor_config: Config, state: State) -> Layers | None:
        """Replace the heir's state by one of a donor that need not be here; return what ``inherit`` says of the heir.

        Args:
            heir: Who is here.
            config: The heir's from now on.
            donor: Whose state it is.
            donor_config: Its config.
            state: Is not changed.
        """

    def layers(self, heir: int, config: Config, donor: int, donor_config: Config) -> Layers | None:
        """Return what ``adopt`` would return. It may be asked while trials train, and neither trial need be here."""


class TrainableWorker:
    """Trains a user's trainables, one after the other.

    Args:
        factory: Makes a trainable; often its class.
        seed: The study's.
        rows: Trials that advance in turn. One is right unless the strategy shall see several grow together.
    """

    def __init__(self, factory: Callable[[], Trainable], *, seed: int, rows: int = 1) -> None:
        self._factory, self._seed, self._rows = factory, seed, rows
        self._trials: dict[int, tuple[Config, Trainable]] = {}

    @property
    def rows(self) -> int:
        """How many trials advance in turn."""
        return self._rows

    def start(self, trial: int, config: Config) -> None:
        """Make a trainable and set it up."""
        self._trials[trial] = config, self._make(trial, config)

    def restore(self, trial: int, config: Config, state: State) -> None:
        """Make a trainable, set it up and let it load."""
        self._trials[trial] = config, self.model(trial, config, state)

    def inherit(self, moves: Sequence[tuple[int, int, Config]], origins: Mapping[int, State]) -> dict[int, Layers]:
        """Replace each heir by a trainable with its config that has loaded the donor's state; it alone knows layers."""
        states = [origins[donor] if donor in origins else self.state(donor) for _, donor, _ in moves]
        for (heir, _, config), state in zip(moves, states, strict=True):
            self.restore(heir, config, state)
        return {}

    def adopt(self, heir: int, config: Config, donor: int, donor_config: Config, state: State) -> None:  # noqa: ARG002
        """Replace the heir by a trainable with its config that has loaded the state."""
        self.restore(heir, config, state)

    def layers(self, heir: int, config: Config, donor: int, donor_config: Config) -> None:
        """A trainable alone knows its layers."""

    def set(self, trial: int, config: Config) -> None:
        """Replace a trainable by one with this config that has loaded its state."""
        self.restore(trial, config, self.state(trial))

    def stop(self, trial: int) -> None:
        """Let go of a trainable."""
        del self._trials[trial]

    def train(self, targets: Mapping[int, int]) -> dict[int, Metrics]:
        """Train one after the other."""
        return {trial: self._train(trial, until) for trial, until in targets.items()}

    def pause(self) -> dict[int, Metrics]:
        """Nothing trains between calls."""
        return {}

    def state(self, trial: int, room: Room = host) -> State:  # noqa: ARG002  a user's arrays are the host's
        """Return copies of what it saves."""
        config, trainable = self._trials[trial]
        return blame(trial, config, "save()", lambda: _own(trainable.save()))

    def model(self, trial: int, config: Config, state: State) -> Trainable:
        """Return a trainable that has loaded this state, if there is something in it."""
        trainable = self._make(trial, config)
        if state:
            blame(trial, config, "load()", lambda: trainable.load(_own(state)))
        return trainable

    def _make(self, trial: int, config: Config) -> Trainable:
        trainable = blame(trial, config, "the factory", self._factory)
        blame(trial, config, "setup()", lambda: trainable.setup(dict(config), self._seed, trial))
        return trainable

    def _train(self, trial: int, until: int) -> Metrics:
        config, trainable = self._trials[trial]
        return blame(trial, config, f"train(until={until})", lambda: _metrics(trainable.train(until)))


def _metrics(returned: Any) -> Metrics:
    if not isinstance(returned, Mapping) or not returned:
        raise TypeError(f"must return a dict of metrics, got {returned!r}")
    return {str(name): float(value) for name, value in returned.items()}


def _own(state: Mapping[str, Any]) -> State:
    """Return copies as arrays that a snapshot can hold."""
    copies: State = {}
    for name, given in state.items():
        array = np.frombuffer(given, np.uint8) if isinstance(given, bytes) else given
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            kind = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else repr(array)
            raise TypeError(f"{name}: must be a NumPy array of numbers or booleans, or bytes, got {kind}")
        if not isinstance(name, str):
            raise TypeError(f"{name!r}: names of arrays must be text")
        copies[name] = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    return copies


def blame(trial: int, config: Config, what: str, call: Callable[[], _T]) -> _T:
    """Call what a user wrote; its error becomes one that says which trial it was, doing what, with which config."""
    try:
        return call()
    except Exception as error:
        raise StudyError(f"trial {trial}, {what}: {type(error).__name__}: {error}; its config: {config}") from error
