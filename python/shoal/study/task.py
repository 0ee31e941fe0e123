"""What a study trains. A task tries it on a few configs before the study begins, describes it, and makes the worker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.data import AnyDataset, Dataset
from shoal.gpuarrays import DeviceView
from shoal.manager.costs import costs
from shoal.manager.native import NativeWorker, Network, hot_values
from shoal.manager.predictions import Function, PredictionMetrics
from shoal.manager.record import Metrics
from shoal.manager.worker import LocalWorker, TrainableWorker
from shoal.merit import COSTS, TIMES
from shoal.nn import Sequential
from shoal.population import Population, devices
from shoal.search.protocol import Config, Unit
from shoal.space import HOT, Space
from shoal.study.cost import Cost, measure
from shoal.trainable import Trainable

_PROBES = 16  # random configs, beside the two ends of the space,
_SEARCHED = 1_000  # and as many more of this many as have parameters that are active in none before
_MEASURED = 64  # configs at most


class Task(Protocol):
    """What a study trains."""

    @property
    def rows(self) -> int:
        """Trials trained at a time where the user does not say."""

    def directions(self) -> Mapping[str, str | None] | None:
        """Return the metrics and whether their "min" or "max" is best, None: ask the user.

        None where only training tells what they are.
        """

    def check(self, space: Space, reads: Callable[[str], bool]) -> dict[str, Any]:
        """Try what can be tried before training; return what identifies the task, for the journal.

        Args:
            space: Of the configs.
            reads: Whether the strategy reads a parameter of this name.
        """

    def footprint(self, space: Space) -> tuple[str, ...]:
        """Return what people may want to know of its memory before it starts, in lines."""

    def cost(self, space: Space, rows: int, unit: Unit, every: int | None, needs: Collection[str]) -> Cost | None:
        """Train some configs for a moment, ``rows`` at a time; None where that may take long."""

    @property
    def wishes(self) -> tuple[str, int | None]:
        """The device and the threads that the user asks for."""

    def worker(
        self,
        rows: int,
        unit: Unit,
        seed: int,
        needs: Collection[str],
        place: Mapping[str, Any] | None = None,
        partial: bool = False,
    ) -> LocalWorker:
        """Return a fresh worker.

        Args:
            rows: Trials that it trains at a time.
            unit: What progress counts.
            seed: Of all that is drawn.
            needs: Metrics that the study needs; costly ones are missing otherwise.
            place: Overrides device and threads.
            partial: It may return trials as they come, and the others later.
        """

    def tested(self, model: Any, data: AnyDataset) -> Metrics:
        """Return the metrics of a worker's model on data that the study has not seen."""

    def weight(self, unit: Unit) -> Callable[[Config], float] | None:
        """Return what tells the work of a unit of progress, compared to other configs; None: only training does."""


class NetworkTask:
    """Networks on data, trained as a population. ``options`` are the population's, ``metrics`` the user's."""

    rows = 64

    def __init__(
        self,
        network: Network,
        train: AnyDataset,
        valid: AnyDataset,
        options: Mapping[str, Any],
        metrics: Mapping[str, Function] | None = None,
    ) -> None:
        if not callable(network):
            raise ValueError(f"network: must be a function of a config that returns an nn.Sequential, got {network!r}")
        for name, data in (("train", train), ("valid", valid)):
            if not isinstance(data, AnyDataset):
                raise ValueError(f"{name}: must be a Dataset (see shoal.data), got {type(data).__name__}")
        for what in ("shape", "outputs", "classification"):
            if getattr(train, what) != getattr(valid, what):
                values = getattr(valid, what), getattr(train, what)
                raise ValueError(f"valid: {what} must be that of train, got {values[0]} and {values[1]}")
        if not _read_alike(train, valid):
            raise ValueError("valid: scale and shift must be those of train; shoal.data.standardise makes them alike")
        Population([], **options).train(train, steps=0)  # checks the options, and that the loss fits the data
        self._network, self._train, self._valid, self._options = network, train, valid, options
        self._metrics = self._checked(metrics or {})

    def _checked(self, metrics: Mapping[str, Function]) -> dict[str, Function]:
        if not isinstance(metrics, Mapping):
            raise ValueError(f"metrics: must map names to functions of predictions and targets, got {metrics!r}")
        taken = (*self._directions(), *COSTS, *TIMES)
        for name, function in metrics.items():
            if not isinstance(name, str) or not name or name in taken:
                raise ValueError(f"metrics: a name must be text, and not that of another metric, got {name!r}")
            if not callable(function):
                raise ValueError(f"metrics.{name}: must be a function of predictions and targets, got {function!r}")
        return dict(metrics)

    def directions(self) -> dict[str, str | None]:
        """Return the metrics of this kind of data; ``train_loss`` is the mean of the steps. None: ask the user."""
        return self._directions() | dict.fromkeys(self._metrics)

    def _directions(self) -> dict[str, str | None]:
        own = self._evaluated
        return {"loss": "min", "train_loss": "min", **own, **{f"train_{name}": mode for name, mode in own.items()}}

    @property
    def _evaluated(self) -> dict[str, str]:
        if self._train.classification:
            return {"accuracy": "max"}
        return {"mse": "min", "correlation": "max", "r2": "max"}

    def _on_train(self, needs: Collection[str]) -> list[str]:
        """Return what is evaluated on the training data too."""
        return [name for name in self._evaluated if f"train_{name}" in needs]

    def check(self, space: Space, reads: Callable[[str], bool]) -> dict[str, Any]:
        """Build the networks of some configs, the ends of the space among them, and show them the data."""
        probes = list(_probes(space))
        networks = [self._probe(config) for config in probes]
        switches = {parent for parameter in space.parameters.values() for parent in parameter.when}
        for name in space.values:
            known_use = name in switches or (name in HOT and name != "dropout") or reads(name)
            if not known_use and not self._reads(name, probes, networks):
                known = ", ".join(sorted(HOT - {"dropout"}))
                raise ValueError(f"space.{name}: makes no difference to network(config), and it is none of {known}")
        self._try_metrics(probes[0], networks[0])
        layers = [network.describe() for network in networks]
        return {
            **{name: value for name, value in self._options.items() if name != "threads"},
            **({"metrics": list(self._metrics)} if self._metrics else {}),
            "data": {"train": _describe(self._train), "valid": _describe(self._valid)},
            "network": {"lowest": layers[0], "highest": layers[1], "digest": _digest(json.dumps(layers).encode())},
        }

    def footprint(self, space: Space) -> tuple[str, ...]:
        """Return the device, the largest member that some configs make, and how many of it the device holds."""
        networks = [self._probe(config) for config in _probes(space)]
        sizes = [Population(n, input_shape=self._train.shape, **self._options).state(0).size for n in networks]
        device = next(each for each in devices() if each.name == Population([], **self._options).device)
        largest, fit = max(sizes), device.memory // max(sizes)
        return (
            f"On {device}",
            f"At most {largest / 1e3:,.0f} kB of weights and optimiser state a network; about {fit:,} fit into memory",
        )

    def cost(self, space: Space, rows: int, unit: Unit, every: int | None, needs: Collection[str]) -> Cost:
        """Measure as many random configs as would train at a time, but no more than 64."""
        rng = np.random.default_rng(0)
        configs = [space.sample(rng) for _ in range(min(rows, _MEASURED))]
        networks = [self._probe(config) for config in configs]
        population = Population(networks, input_shape=self._train.shape, **self._options)
        for row, (config, network) in enumerate(zip(configs, networks, strict=True)):
            # A learning rate of 0 takes as long as any other, and nobody diverges.
            population.set(row, **hot_values(config, network) | {"lr": 0.0})
        own = PredictionMetrics(self._metrics, self._valid)

        def look(rows: NDArray[np.int64]) -> None:
            population.evaluate(self._valid, rows)
            if self._on_train(needs):
                population.evaluate(self._train, rows)
            for row in rows:
                for call in own.calls(population, int(row)).values():
                    call()

        return measure(population, self._train, look, unit, every)

    def _try_metrics(self, config: Config, network: Sequential) -> None:
        """Compute the user's metrics of what an untrained network predicts."""
        population = Population(network, input_shape=self._train.shape, **self._options)
        for name, call in PredictionMetrics(self._metrics, self._valid).calls(population, 0).items():
            try:
                call()
            except Exception as error:
                what = f"{type(error).__name__}: {error}; of an untrained network with the config {config}"
                raise ValueError(f"metrics.{name}: {what}") from error

    def _reads(self, name: str, probes: list[Config], networks: list[Sequential]) -> bool:
        """Tell whether the network fails or changes where the name is left out of a config that has it, if any has."""
        having = [(config, network) for config, network in zip(probes, networks, strict=True) if name in config]
        for config, network in having:
            try:
                if self._network({other: value for other, value in config.items() if other != name}) != network:
                    return True
            except Exception:
                return True
        return not having

    def _probe(self, config: Config) -> Sequential:
        try:
            network = self._network(dict(config))
        except Exception as error:
            raise ValueError(f"network: {type(error).__name__}: {error}; with the config {config}") from error
        if not isinstance(network, Sequential):
            raise ValueError(f"network: must return an nn.Sequential, got {network!r} with the config {config}")
        try:
            population = Population(network, input_shape=self._train.shape, **self._options)
            population.set(0, **hot_values(config, network))
            population.train(self._train, steps=0)  # checks that they fit
        except ValueError as error:
            raise ValueError(f"{error}; with the config {config}") from error
        return network

    @property
    def wishes(self) -> tuple[str, int | None]:
        """Those of the options."""
        return self._options["device"], self._options["threads"]

    def worker(
        self,
        rows: int,
        unit: Unit,
        seed: int,
        needs: Collection[str],
        place: Mapping[str, Any] | None = None,
        partial: bool = False,
    ) -> NativeWorker:
        """Return a worker with an empty population, which does what is costly only if the study needs it."""
        return NativeWorker(
            self._network,
            self._train,
            self._valid,
            rows=rows,
            unit=unit,
            options={**self._options, **(place or {}), "seed": seed},
            times=[name for name in TIMES if name in needs],
            on_train=self._on_train(needs),
            metrics=self._metrics,
            partial=partial,
        )

    def tested(self, model: Population, data: AnyDataset) -> Metrics:
        """Return what is evaluated, and the user's metrics, of a population of one."""
        evaluated = {name: float(value[0]) for name, value in model.evaluate(data).items()}
        return evaluated | {
            name: call() for name, call in PredictionMetrics(self._metrics, data).calls(model, 0).items()
        }

    def weight(self, unit: Unit) -> Callable[[Config], float]:
        """Multiply-adds: of an epoch's samples, the same for all, or of a step's."""

        def multiply_adds(config: Config) -> float:
            network = self._network(dict(config))
            samples = 1 if unit == "epochs" else config.get("batch_size", 1)  # where one lacks it, usually all do
            return max(1, costs(network, self._train.shape).multiply_adds) * samples

        return multiply_adds


class TrainableTask:
    """A user's own trainables."""

    rows = 1

    def __init__(self, factory: Callable[[], Trainable]) -> None:
        if not callable(factory):
            raise ValueError(f"factory: must be a class or function that makes a Trainable, got {factory!r}")
        self._factory = factory

    def directions(self) -> None:
        """Only training tells what the metrics are."""

    def check(self, space: Space, reads: Callable[[str], bool]) -> dict[str, Any]:  # noqa: ARG002
        """Make one trainable and look at its methods; a user's set-up may be long, so no more is tried."""
        try:
            trainable = self._factory()
        except Exception as error:
            raise ValueError(f"factory: {type(error).__name__}: {error}") from error
        for name in ("setup", "train", "save", "load"):
            if not callable(getattr(trainable, name, None)):
                raise ValueError(f"factory: {type(trainable).__name__} has no method {name}() (see shoal.trainable)")
        return {"trainable": type(trainable).__qualname__}

    def footprint(self, space: Space) -> tuple[str, ...]:  # noqa: ARG002
        """Nothing is known of it."""
        return ()

    def cost(self, space: Space, rows: int, unit: Unit, every: int | None, needs: Collection[str]) -> None:
        """A user's training may be slow and may have effects: it is not tried."""

    wishes = "cpu", None

    def worker(
        self,
        rows: int,
        unit: Unit,  # noqa: ARG002
        seed: int,
        needs: Collection[str],  # noqa: ARG002
        place: Mapping[str, Any] | None = None,  # noqa: ARG002
        partial: bool = False,  # noqa: ARG002  one after the other, nobody waits for anybody
    ) -> TrainableWorker:
        """Return a worker without trials."""
        return TrainableWorker(self._factory, seed=seed, rows=rows)

    def tested(self, model: Trainable, data: AnyDataset) -> Metrics:  # noqa: ARG002
        """A trainable has data of its own."""
        raise ValueError(f"test: must be metrics by name in a study of trainables, got {data!r}")

    def weight(self, unit: Unit) -> None:
        """Nothing is known of them."""


def _probes(space: Space) -> Iterator[Config]:
    rng = np.random.default_rng(0)
    seen: set[str] = set()
    for end in (np.zeros, np.ones):
        yield space.repair(space.from_unit(end(len(space.parameters))), rng)
    for k in range(_SEARCHED):
        if k >= _PROBES and seen.issuperset(space.values):
            return
        config = space.sample(rng)
        if k < _PROBES or not seen.issuperset(config):
            seen.update(config)
            yield config


def _read_alike(train: AnyDataset, valid: AnyDataset) -> bool:
    """Tell whether a number means the same in both; one part as uint8 and the other as floats may well differ."""
    if not (isinstance(train, Dataset) and isinstance(valid, Dataset)) or train.x.dtype != valid.x.dtype:
        return True
    return np.array_equal(train.scale, valid.scale) and np.array_equal(train.shift, valid.shift)  # type: ignore[arg-type]


def _describe(data: AnyDataset) -> dict[str, Any]:
    arrays = {name: _in_host(getattr(data, name)) for name in ("x", "y", "scale", "shift")}
    parts = [part for name, array in arrays.items() if array is not None for part in (name.encode(), array.data)]
    about = {"name": data.name, "samples": len(data), "shape": list(data.shape), "outputs": data.outputs}
    return {**about, "digest": _digest(*parts)}


def _in_host(array: NDArray[Any] | DeviceView | None) -> NDArray[Any] | None:
    return array.to_host() if isinstance(array, DeviceView) else array


def _digest(*parts: bytes | memoryview) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
