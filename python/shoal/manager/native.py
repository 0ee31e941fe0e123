"""The worker that trains networks: one resident population, its rows lent to trials for as long as they are trained.

A trial without a row is parked: its state waits in host memory. Rows are filled before every round, so the population
never runs empty while there is work (continuous batching). Rows leave no trace in a trial: its random streams are
keyed by its id.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from shoal.data import AnyDataset
from shoal.manager.costs import Costs, costs
from shoal.manager.interrupts import aside
from shoal.manager.predictions import Function, PredictionMetrics
from shoal.manager.quantum import quantum
from shoal.manager.record import Layers, Metrics
from shoal.manager.snapshot import State
from shoal.manager.worker import blame
from shoal.nn import Sequential
from shoal.population import Population
from shoal.population.room import Room, host
from shoal.search.protocol import Config, Unit
from shoal.space import HOT

Network: TypeAlias = Callable[[Config], Sequential]
Move: TypeAlias = tuple[int, int, Config]  # heir, donor, and the heir's config from now on


def hot_values(config: Config, network: Sequential) -> dict[str, Any]:
    """Return a config's hyperparameters as a member takes them. Dropout rates are those of the config's network."""
    values = {name: value for name, value in config.items() if name in HOT and name != "dropout"}
    return values | ({"dropout": network.dropout_rates} if network.dropout_rates else {})


@dataclass
class _Member:
    """A trial here: in a row, or parked with its state; a fresh one has neither."""

    trial: int
    config: Config
    network: Sequential
    costs: Costs
    row: int | None = None
    parked: NDArray[np.uint8] | None = None
    seconds: float = 0.0  # that its weights were trained
    loss: float = 0.0  # mean training loss of
    steps: int = 0  # those that it has taken on the way to its target

    def add(self, loss: float, steps: int) -> None:
        """Take so many steps, of this mean loss, into the mean."""
        self.steps += steps
        self.loss += (loss - self.loss) * (steps / self.steps) if steps else 0.0


class NativeWorker:
    """Trains trials as members of a population.

    Args:
        network: Makes the network of a config.
        train: Data to train on.
        valid: Data to evaluate on.
        rows: Members trained at a time.
        unit: What progress counts.
        options: Of the population: optimizer, loss, seed, device, precision, engine, threads.
        times: Which of ``"seconds"`` and ``"inference_seconds"`` are among the metrics. The first are a trial's share
            of the time that training took, inherited with the weights: a round's time is divided in proportion to the
            multiply-adds of the samples trained on. The second are what predicting the validation data takes, for one
            sample, the shortest of three times, measured once for each structure.
        on_train: Which of what `Population.evaluate` tells are told of the training data too, as ``"train_accuracy"``
            and the like: of the plain samples, neither augmented nor dropped out, with the weights of the report.
        metrics: More of them by name, each a function of predictions and targets, here of the validation data.
        partial: Return those trials first that have less to do, and the others later.
    """

    def __init__(
        self,
        network: Network,
        train: AnyDataset,
        valid: AnyDataset,
        *,
        rows: int,
        unit: Unit,
        options: Mapping[str, Any],
        times: Collection[str] = (),
        on_train: Collection[str] = (),
        metrics: Mapping[str, Function] | None = None,
        partial: bool = False,
    ) -> None:
        self._network, self._train, self._valid = network, train, valid
        self._rows, self._unit, self._options = rows, unit, options
        self._times, self._on_train, self._partial = times, on_train, partial
        self._metrics = PredictionMetrics(metrics or {}, valid)
        self._targets: dict[int, int] = {}  # of the trials in flight
        self._inference: dict[Any, float] = {}  # seconds a sample, by structure
        self._members: dict[int, _Member] = {}  # by trial
        self._population: Population | None = None

    @property
    def rows(self) -> int:
        """How many members are trained at a time."""
        return self._rows

    def start(self, trial: int, config: Config) -> None:
        """Make a fresh member; it gets a row when it is trained."""
        self._members[trial] = self._member(trial, config)

    def restore(self, trial: int, config: Config, state: State) -> None:
        """Make a member that goes on from a state."""
        member = self._members[trial] = self._member(trial, config)
        member.parked, member.seconds = state.get("member"), float(state.get("seconds", 0.0))
        member.loss, member.steps = float(state.get("loss", 0.0)), int(state.get("steps", 0))

    def inherit(self, moves: Sequence[Move], origins: Mapping[int, State]) -> dict[int, Layers]:
        """Replace each heir's state by its donor's, or by what fits of it where its config makes another structure.

        Where both have rows and one structure, states are copied on the device, all of them together.
        """
        made = {heir: self._make(heir, config) for heir, _, config in moves}
        direct, others = list[Move](), list[Move]()
        for move in moves:
            heir, donor, _ = move
            resident = donor not in origins and self._both_resident(heir, donor, made[heir])
            (direct if resident else others).append(move)
        states = [origins[donor] if donor in origins else self.state(donor) for _, donor, _ in others]
        networks = [self._members[donor].network for _, donor, _ in others]
        self._copy(direct, made)
        changed: dict[int, Layers] = {}
        for (heir, _, config), network, state in zip(others, networks, states, strict=True):
            layers = self._adopt(heir, config, made[heir], network, state)
            if layers is not None:
                changed[heir] = layers
        return changed

    def _both_resident(self, heir: int, donor: int, own: Sequential) -> bool:
        """Whether both have rows, and one structure that the heir's next network has too."""
        members = [self._members[trial] for trial in (heir, donor)]
        structures = {own.structure, *(member.network.structure for member in members)}
        return len(structures) == 1 and None not in [member.row for member in members]

    def _copy(self, moves: Sequence[Move], made: Mapping[int, Sequential]) -> None:
        """Overwrite heirs by their donors, all in rows and of one structure each, in one call."""
        if not moves:
            return
        heirs, donors = zip(*((self._members[heir], self._members[donor]) for heir, donor, _ in moves), strict=True)
        seconds = [donor.seconds for donor in donors]  # before any changes: a donor may be an heir
        sources, targets = ([m.row for m in members if m.row is not None] for members in (donors, heirs))
        self._resident().copy(sources, targets)
        for (_, _, config), heir, spent in zip(moves, heirs, seconds, strict=True):
            self._change(heir, config, made[heir.trial])
            heir.seconds = spent
            self._forget_way(heir.trial)

    def adopt(self, heir: int, config: Config, donor: int, donor_config: Config, state: State) -> Layers | None:
        """Replace the heir's state by this one, or by what fits of it."""
        return self._adopt(heir, config, self._make(heir, config), self._make(donor, donor_config), state)

    def layers(self, heir: int, config: Config, donor: int, donor_config: Config) -> Layers | None:
        """Return which layers of the heir are the donor's, if it has another structure."""
        own, network = self._make(heir, config), self._make(donor, donor_config)
        if own.structure == network.structure:
            return None
        return blame(heir, config, "its network", lambda: self._pair(heir, network, own)).inherit(0, 1)

    def _adopt(self, heir: int, config: Config, own: Sequential, network: Sequential, state: State) -> Layers | None:
        """Replace the heir's state by one of this network; its own is to be the other."""
        member, block, layers = self._members[heir], state["member"], None
        if own.structure != network.structure:
            pair = blame(heir, config, "its network", lambda: self._pair(heir, network, own))
            pair.load_state(0, np.asarray(block))
            layers = pair.inherit(0, 1)
            block = pair.state(1)
        if own.structure != member.network.structure:
            member.row = None  # given one again, it is set up anew: what is in this one need not be parked
        self._change(member, config, own)
        self._load(member, block)
        member.seconds = float(state.get("seconds", 0.0))
        self._forget_way(heir)
        return layers

    def set(self, trial: int, config: Config) -> None:
        """Change the hot hyperparameters of a member; the config must make a network of the same structure."""
        member, network = self._members[trial], self._make(trial, config)
        if network.structure != member.network.structure:
            raise ValueError(
                f"trial {trial} changes its config, so the layers must stay: {member.network} became {network} "
                f"with {config}"
            )
        self._change(member, config, network)

    def _change(self, member: _Member, config: Config, network: Sequential) -> None:
        hot, old = hot_values(config, network), hot_values(member.config, member.network)
        if member.row is not None and network.structure == member.network.structure and hot.keys() >= old.keys():
            self._resident().set(member.row, **hot)
        elif member.row is not None:
            self._park(member)  # given a row again, it is set up with this config, and defaults for what that lacks
        member.config, member.network, member.costs = config, network, costs(network, self._train.shape)

    def _pair(self, heir: int, *networks: Sequential) -> Population:
        """Return a donor's network and its heir's, in which what fits can be inherited."""
        alone = {"device": "cpu", "precision": "fp32", "engine": "auto", "threads": 1}
        options = {**self._options, **alone, "input_shape": self._train.shape}
        return Population(networks, ids=[heir] * 2, **options)

    def _load(self, member: _Member, block: NDArray[np.uint8]) -> None:
        if member.row is None:
            member.parked = np.asarray(block)  # it may wait for long: not in a GPU's memory
        else:
            self._resident().load_state(member.row, block)

    def stop(self, trial: int) -> None:
        """Forget a member; its row is free."""
        self._targets.pop(trial, None)
        del self._members[trial]

    def train(self, targets: Mapping[int, int]) -> dict[int, Metrics]:
        """Train members towards their targets; evaluate those that have come there and have not diverged.

        There may be more than rows: the last that were given wait, in flight.
        """
        self._targets |= targets
        rows = self._place(self._targets)
        left = self._left(rows)
        steps = quantum(left, {trial: self._step_cost(trial) for trial in left}) if self._partial else left
        self._advance(rows, steps)
        diverged = self._resident().diverged
        back = [trial for trial, row in rows.items() if diverged[row] or steps[trial] == left[trial]]
        return self._arrived({trial: rows[trial] for trial in back})

    def pause(self) -> dict[int, Metrics]:
        """Nothing trains between calls."""
        return {}

    def _left(self, rows: Mapping[int, int]) -> dict[int, int]:
        """Return how many steps each trial has to its target."""
        population = self._resident()
        done = population.epochs if self._unit == "epochs" else population.steps
        left = np.zeros(self._rows, np.int64)
        for trial, row in rows.items():
            left[row] = self._targets[trial] - done[row]
        if self._unit == "epochs":
            left = population.steps_of(left, self._train)
        return {trial: int(left[row]) for trial, row in rows.items()}

    def _advance(self, rows: Mapping[int, int], steps: Mapping[int, int]) -> None:
        """Train the trials in these rows for so many steps."""
        population = self._resident()
        counts = np.zeros(self._rows, np.int64)
        for trial, row in rows.items():
            counts[row] = steps[trial]
        before, begun = population.steps, time.perf_counter()
        losses = aside(lambda: population.train(self._train, counts))
        seconds, taken = time.perf_counter() - begun, population.steps - before
        for trial, row in rows.items():
            self._members[trial].add(losses[row], int(taken[row]))
        self._charge(seconds, {trial: int(taken[row]) for trial, row in rows.items()})

    def _step_cost(self, trial: int) -> int:
        """Return the multiply-adds of a batch's way forward."""
        member = self._members[trial]
        assert member.row is not None
        batch = int(self._resident().hyperparameters(member.row)["batch_size"])
        return max(1, member.costs.multiply_adds) * batch

    def _arrived(self, rows: Mapping[int, int]) -> dict[int, Metrics]:
        """Return the metrics of trials that are where they were to go."""
        population = self._resident()
        diverged = population.diverged
        healthy = {trial: row for trial, row in rows.items() if not diverged[row]}
        values = self._evaluate(list(healthy.values()))
        taken = {"steps": population.steps, "epochs": population.epochs}
        metrics: dict[int, Metrics] = {trial: {} for trial in rows}
        for i, (trial, row) in enumerate(healthy.items()):
            member = self._members[trial]
            metrics[trial] = {
                "train_loss": float(np.float32(member.loss)),
                **{name: float(value[i]) for name, value in values.items()},
                **self._own_metrics(member, row),
                **{name: float(value) for name, value in vars(member.costs).items()},
                **{name: float(value[row]) for name, value in taken.items()},
                **self._clocked(member, row),
            }
        for trial in rows:
            self._forget_way(trial)
        return metrics

    def _evaluate(self, rows: list[int]) -> dict[str, NDArray[np.float32]]:
        """Return the metrics of members on the validation data, and those asked for on the training data."""
        population = self._resident()
        values = aside(lambda: population.evaluate(self._valid, rows))
        seen = aside(lambda: population.evaluate(self._train, rows)) if self._on_train else {}
        return values | {f"train_{name}": seen[name] for name in self._on_train}

    def _own_metrics(self, member: _Member, row: int) -> Metrics:
        found = self._metrics.calls(self._resident(), row)
        return {name: blame(member.trial, member.config, f"metric {name}", call) for name, call in found.items()}

    def _forget_way(self, trial: int) -> None:
        """The next training of a trial has its own target and mean loss."""
        self._targets.pop(trial, None)
        self._members[trial].loss, self._members[trial].steps = 0.0, 0

    def _charge(self, seconds: float, steps: Mapping[int, int]) -> None:
        """Divide the time of a round among the trials that took these steps in it."""
        if "seconds" not in self._times:
            return
        work = {trial: self._step_cost(trial) * count for trial, count in steps.items()}
        total = max(1, sum(work.values()))
        for trial, share in work.items():
            self._members[trial].seconds += seconds * share / total

    def _clocked(self, member: _Member, row: int) -> Metrics:
        """Return the times that were asked for."""
        times: Metrics = {}
        if "seconds" in self._times:
            times["seconds"] = member.seconds
        if "inference_seconds" in self._times:
            structure = member.network.structure
            if structure not in self._inference:
                self._inference[structure] = min(self._predict(row) for _ in range(3)) / len(self._valid)
            times["inference_seconds"] = self._inference[structure]
        return times

    def _predict(self, row: int) -> float:
        begun = time.perf_counter()
        self._resident().predict(self._valid, row)
        return time.perf_counter() - begun

    def state(self, trial: int, room: Room = host) -> State:
        """Return a copy of a member's block, and what else it is; a fresh one has no block yet."""
        member = self._members[trial]
        more = {"seconds": np.array(member.seconds)} if "seconds" in self._times else {}
        if member.steps:  # it is on its way
            more |= {"loss": np.array(member.loss), "steps": np.array(member.steps)}
        if member.row is not None:
            return {"member": cast("Any", self._resident().copy_state(member.row, room)), **more}
        return {} if member.parked is None else {"member": np.array(member.parked), **more}

    def model(self, trial: int, config: Config, state: State) -> Population:
        """Return a state as a population of one."""
        network = self._make(trial, config)
        population = Population(network, ids=[trial], input_shape=self._train.shape, **self._options)
        population.set(0, **hot_values(config, network))
        population.load_state(0, state["member"])
        population.train(self._train, steps=0)  # it takes over the data's normalisation, nothing else
        return population

    def _member(self, trial: int, config: Config) -> _Member:
        network = self._make(trial, config)
        return _Member(trial, config, network, costs(network, self._train.shape))

    def _make(self, trial: int, config: Config) -> Sequential:
        return blame(trial, config, "network(config)", lambda: self._network(dict(config)))

    def _resident(self) -> Population:
        if self._population is None:
            network = next(iter(self._members.values())).network  # any: a row is reset before it is used
            self._population = Population([network] * self._rows, input_shape=self._train.shape, **self._options)
        return self._population

    def _place(self, trials: Iterable[int]) -> dict[int, int]:
        """Return a row for each of these trials; others are parked where that needs it."""
        members = [self._members[trial] for trial in trials]
        busy = {member.row for member in members}
        taken = {member.row: member for member in self._members.values() if member.row is not None}
        spare = sorted(set(range(self._rows)) - busy, key=lambda row: (row in taken, row))
        for member, row in zip((member for member in members if member.row is None), spare, strict=False):
            if row in taken:
                self._park(taken[row])
            self._settle(member, row)
        return {member.trial: member.row for member in members if member.row is not None}

    def _park(self, member: _Member) -> None:
        member.parked = self.state(member.trial)["member"]
        member.row = None

    def _settle(self, member: _Member, row: int) -> None:
        population = self._resident()
        trial, config, network = member.trial, member.config, member.network
        hot = hot_values(config, network)
        blame(trial, config, "its network", lambda: population.reset(row, network, id=trial, hyperparameters=hot))
        if member.parked is not None:
            population.load_state(row, member.parked)
        member.row, member.parked = row, None
