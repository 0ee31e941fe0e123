"""Members resident on one device, each with its own network, hyperparameters and random streams."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal import nn, rules
from shoal.data import AnyDataset
from shoal.population import arguments, files, hot, native
from shoal.population.arguments import Rows
from shoal.population.room import Block, Room, host

Floats: TypeAlias = NDArray[np.float32]
Counts: TypeAlias = NDArray[np.int64]

_FORMAT = 1  # of saved populations; another version may lay a member's block out differently


class Population:
    """Networks that train side by side.

    What becomes of a member depends on (seed, its id, network, hyperparameters, data, steps) alone, bit for bit on one
    instruction set, or one kind of GPU at one precision: not on threads, on other members, or on where its training was
    cut into pieces.
    A population is for one Python thread at a time: while one trains it, another's call is an error.

    Args:
        network: One network for all members, or a list with one for each.
        members: P, the number of members, >= 0. By default the length of the list, or 1.
        optimizer: ``"sgd"``, ``"adam"``, ``"adamw"``, ``"rmsprop"`` or ``"adagrad"``.
        loss: ``"cross_entropy"`` (softmax against labels) or ``"mse"`` (against float targets).
        hyperparameters: Values by name: one for all members, or P of them. All optimisers have ``lr decay lr_decay
            decay_every weight_decay batch_size dropout``; sgd also ``momentum nesterov``; adam and adamw ``beta1 beta2
            epsilon``; rmsprop ``momentum beta2 epsilon``; adagrad ``epsilon``. ``dropout`` is one rate for all dropout
            layers of a member, or a sequence with one for each (so P such sequences); by default the network's own.
        seed: Of everything random, in [0, 2**32).
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ... or ``"auto"``: a GPU where there is one.
        precision: What a GPU's tensor cores round the factors of all matrix products to (dense layers and convolutions,
            forward and backward): ``"tf32"`` (10 bits of fraction) or ``"bf16"`` (7). ``"tf32x3"`` splits each factor
            in two of tf32, which keeps about 21. Sums, weights and all else stay fp32. ``"fp32"``, the default, uses no
            tensor cores. The CPU has fp32 alone.
        engine: Where a GPU keeps members while they train: ``"resident"``: each in the shared memory of one of its
            processors; ``"teams"``: in its memory and caches, several processors to a member if members are few.
            ``"auto"`` chooses by the size and number of the members. The weights are the same, bit for bit.
        ids: P keys of the members' random streams, in [0, 2**32), by default 0, 1, 2, ... Members with the same id,
            network and hyperparameters are the same.
        data_order: ``"own"``: each member shuffles by its id. ``"shared"``: all see the same order.
        input_shape: Shape of one sample. By default that of the first data met; until then there are no weights.
        threads: CPU threads, by default one for each core this process may use.

    Raises:
        ValueError: An argument breaks its rule, or a network does not fit ``input_shape``; or a member, the engine.
        DeviceError: There is no such device, or it or its driver is too old.
        MemoryError: The members do not fit into memory; it says how many do.
    """

    def __init__(
        self,
        network: nn.Sequential | Sequence[nn.Sequential],
        members: int | None = None,
        *,
        optimizer: str = "sgd",
        loss: str = "cross_entropy",
        hyperparameters: Mapping[str, Any] | None = None,
        seed: int = 0,
        device: str = "auto",
        precision: str = "fp32",
        engine: str = "auto",
        ids: Sequence[int] | None = None,
        data_order: str = "own",
        input_shape: Sequence[int] | None = None,
        threads: int | None = None,
    ) -> None:
        self._device = arguments.device(device)
        self._precision = arguments.precision(precision, self._device)
        self._engine = arguments.engine(engine, self._device)
        self._networks = arguments.networks(network, members)
        self._optimizer = rules.choice(optimizer, "optimizer", hot.OPTIMIZERS)
        self._loss = rules.choice(loss, "loss", native.LOSSES)
        self._data_order = rules.choice(data_order, "data_order", native.DATA_ORDERS)
        self._seed = rules.integer(seed, "seed", high=2**32 - 1)
        self._threads = 0 if threads is None else rules.integer(threads, "threads", low=1, high=1024)
        self._ids = arguments.ids(ids, self.members)
        split = hot.per_member({} if hyperparameters is None else hyperparameters, self.members, self._optimizer)
        self._values = [self._complete(p, self._networks[p], values) for p, values in enumerate(split)]
        self._shape: tuple[int, ...] = ()
        self._normalisation: tuple[Floats | None, Floats | None] = (None, None)  # scale, shift of the data trained on
        self._core: native.Population | None = None
        if input_shape is not None:
            self._build(arguments.shape(input_shape))

    def _complete(self, row: int, network: nn.Sequential, given: Mapping[str, Any]) -> hot.Values:
        return hot.defaults(self._optimizer, network) | hot.check(given, network, f"member {row}")

    def _build(self, shape: tuple[int, ...]) -> native.Population:
        core = native.population(
            shape,
            self._optimizer,
            self._loss,
            seed=self._seed,
            threads=self._threads,
            data_order=self._data_order,
            device=self._device,
            precision=self._precision,
            engine=self._engine,
        )
        members = [
            (native.network(network), native.hyperparameters(values), key)
            for network, values, key in zip(self._networks, self._values, self._ids, strict=True)
        ]
        with _needing("members", self._device, "fewer or smaller networks"):
            core.add(members)
        self._core, self._shape = core, shape
        return core

    def _built(self) -> native.Population:
        if self._core is None:
            raise ValueError("this population has no weights yet: give it an input_shape, or train it first")
        return self._core

    def _built_for(self, shape: tuple[int, ...], name: str) -> native.Population:
        if self._core is None:
            return self._build(shape)
        if shape != self._shape:
            raise ValueError(f"{name}: a sample has shape {shape}, this population was made for {self._shape}")
        return self._core

    def __repr__(self) -> str:
        kind = "member" if self.members == 1 else "members"
        samples = f", samples of {self._shape}" if self._shape else ""
        return f"Population({self.members} {kind} on {self._device}, {self._optimizer}, {self._loss}{samples})"

    @property
    def members(self) -> int:
        """P, the number of members."""
        return len(self._networks)

    @property
    def device(self) -> str:
        """The name of the device it is on, such as ``"cpu"``."""
        return self._device

    @property
    def networks(self) -> tuple[nn.Sequential, ...]:
        """The members' networks."""
        return tuple(self._networks)

    @property
    def ids(self) -> tuple[int, ...]:
        """The keys of the members' random streams."""
        return tuple(self._ids)

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """Shape of one sample; None until the population has met data."""
        return self._shape or None

    @property
    def steps(self) -> Counts:
        """(P,) optimiser steps taken."""
        return np.array([counters.step for counters in self._counters()], np.int64)

    @property
    def epochs(self) -> Counts:
        """(P,) full passes over the data."""
        return np.array([counters.epoch for counters in self._counters()], np.int64)

    @property
    def diverged(self) -> NDArray[np.bool_]:
        """(P,) whether the loss became NaN or infinite: such a member trains no more until ``copy`` or ``reset``."""
        return np.array([counters.diverged for counters in self._counters()], np.bool_)

    def _counters(self) -> list[native.Counters]:
        core = self._core
        return [native.Counters() if core is None else core.counters(p) for p in range(self.members)]

    def train(
        self,
        data: AnyDataset,
        steps: ArrayLike | None = None,
        *,
        epochs: ArrayLike | None = None,
        record: int | None = None,
    ) -> NDArray[np.float64]:
        """Train all members.

        Args:
            data: What to train on; it is read where it lies.
            steps: How many batches: one number, or (P,) of them. 0 leaves a member alone.
            epochs: Instead of ``steps``, how many passes over the data at each member's own batch size; the rest of a
                pass already begun counts as one. The last batch of a pass may be short.
            record: Give a curve, with one point for this many steps.

        Returns:
            (P,) mean training loss over the steps taken, NaN where there were none. With ``record`` (P, T) mean losses
            of each ``record`` steps, T = ceil(largest number of steps / record).

        Raises:
            ValueError: An argument breaks its rule, or the data do not fit the networks or the loss.
        """
        core = self._fitting(data)
        if (steps is None) == (epochs is None):
            raise ValueError(f"train: give steps or epochs, not both; got steps={steps!r}, epochs={epochs!r}")
        counts = arguments.counts(steps, "steps", self.members) if epochs is None else self.steps_of(epochs, data)
        longest = max(int(counts.max(initial=0)), 1)
        every = longest if record is None else rules.integer(record, "record", low=1)
        with _needing("train", self._device, "smaller batches, networks or data"):
            curves = core.fit(native.dataset(data), counts, every)
        self._normalisation = (data.scale, data.shift)
        if record is not None:
            return curves
        return curves[:, 0] if curves.shape[1] else np.full(self.members, np.nan)

    def steps_of(self, epochs: ArrayLike, data: AnyDataset) -> Counts:
        """Return the (P,) steps that ``train`` takes for so many passes over the data: one number, or (P,) of them."""
        counts = arguments.counts(epochs, "epochs", self.members)
        core, until = self._built(), counts + self.epochs
        steps = [core.steps_to_epoch(p, len(data), int(until[p])) if counts[p] else 0 for p in range(self.members)]
        return np.array(steps, np.int64)

    def _fitting(self, data: AnyDataset) -> native.Population:
        arguments.check_goal(data, self._loss)
        core = self._built_for(data.shape, data.name)
        for p in range(self.members):
            arguments.check_outputs(core.outputs(p), data, p)
        return core

    def evaluate(self, data: AnyDataset, members: Rows | None = None) -> dict[str, Floats]:
        """Return the mean loss and what else tells how good the members are, with dropout off.

        For cross_entropy that is the accuracy in [0, 1]. For mse it is, of outputs y and targets t over all samples,
        several outputs being taken as one series:

        - ``"mse"``: the mean of (y - t)², which is the loss
        - ``"correlation"``: Pearson's, in [-1, 1]; 0 where y or t is constant
        - ``"r2"``: 1 - sum (y - t)² / sum (t - mean t)²; where t is constant 1 if y equals it, else 0

        Args:
            data: What to evaluate on.
            members: The M rows to evaluate, by default all.

        Returns:
            ``{"loss": (M,), "accuracy": (M,)}``, or ``{"loss": (M,), "mse": (M,), ...}``, in the order of ``members``.

        Raises:
            ValueError: There is no such member, or the data do not fit the networks or the loss.
        """
        rows = list(range(self.members)) if members is None else arguments.rows(members, self.members)
        scores = self._fitting(data).evaluate(native.dataset(data), rows)
        return scores if data.classification else {"loss": scores["loss"], "mse": scores["loss"].copy(), **scores}

    def predict(self, x: AnyDataset | ArrayLike, member: int = 0) -> Floats:
        """Return one member's outputs, (n, outputs): probabilities for cross_entropy, values for mse.

        Args:
            x: A data set, or (n, *shape) numbers as they are in one: the normalisation of the data last trained on is
                applied to them. Anything but uint8 is read as float32. An array in the population's GPU (of CuPy,
                PyTorch, JAX) is read where it is; it must be uint8 or float32, and C-contiguous.
            member: Its row.

        Raises:
            ValueError: There is no such member, or ``x`` does not have the shape of the input or is not finite.
        """
        row = arguments.row(member, self.members)
        if isinstance(x, AnyDataset):
            return self._built_for(x.shape, x.name).predict(native.inputs(x.x, x.scale, x.shift), row)
        array = arguments.inputs(x)
        core = self._built_for(array.shape[1:], "x")
        return core.predict(native.inputs(array, *self._normalisation), row)

    def copy(self, source: Rows, target: Rows, *, hyperparameters: bool = False) -> None:
        """Give target[i] the weights, optimiser state and counters of source[i]; it keeps its id.

        All sources are read before any target is written.

        Args:
            source: The rows to copy.
            target: The rows to overwrite.
            hyperparameters: Whether these are copied too; else a target keeps its own.

        Raises:
            ValueError: There is no such member, a target appears twice, or the two differ in structure.
        """
        core, given = self._built(), rules.boolean(hyperparameters, "hyperparameters")
        sources, targets = arguments.rows(source, self.members), arguments.rows(target, self.members)
        core.copy(sources, targets)
        if given:
            core.cross_hyperparameters(targets, sources, sources, 0.0)
            self._read_hyperparameters(targets)

    def inherit(self, source: int, target: int) -> dict[str, bool]:
        """Give ``target`` what fits of ``source``, whose network may be another; it keeps its hyperparameters and id.

        It takes over the counters, and each layer whose parameters all have the same shapes as those of the layer of
        the same name in ``source``, whole: weights, optimiser state, running statistics. A name is the kind and the
        place among that kind, counted from the input, as in ``parameters``; so a change leaves the layers before it as
        they were. All other layers are as in a new member of its id, with no optimiser state. As the counters go on,
        Adam does not correct the bias of these: by its usual betas the first steps are up to 6.6 times as long.

        Returns:
            Layer -> whether it was taken over, ``{"conv1": True, "dense1": False}``, in the order of its layers.

        Raises:
            ValueError: There is no such member.
        """
        rows = [arguments.row(member, self.members) for member in (source, target)]
        return self._built().inherit(*rows)

    def crossover(self, heirs: Rows, first: Rows, second: Rows, rate: float = 0.5) -> None:
        """Mix two parents: heirs[i] takes each weight from second[i] with probability ``rate``, else from first[i].

        A weight brings its optimiser state along; the counters are the first parent's. An heir keeps its
        hyperparameters and id. What is drawn depends on the seed, the heir's id and its steps so far alone, and is the
        same on a GPU. All parents are read before any heir is written.

        Raises:
            ValueError: There is no such member, an heir appears twice, a parent has diverged or differs in structure
                from the heir, or ``rate`` is not in [0, 1].
        """
        one, two = arguments.rows(first, self.members), arguments.rows(second, self.members)
        self._built().crossover(arguments.rows(heirs, self.members), one, two, rate)

    def mutate(self, members: Rows, scale: float) -> None:
        """Add Gaussian noise to weights and biases.

        Its standard deviation is ``scale`` times the root mean square of the weights of their layer: 0.1 disturbs every
        layer by a tenth, whatever the size of its weights. Optimiser state and a normalisation's running statistics
        stay. What is drawn depends on the seed, the member's id and its steps so far alone, and is the same on a GPU.

        Raises:
            ValueError: There is no such member, one appears twice, or ``scale`` is negative or not finite.
        """
        self._built().mutate(arguments.rows(members, self.members), scale)

    def cross_hyperparameters(self, heirs: Rows, first: Rows, second: Rows, rate: float = 0.5) -> None:
        """Mix two parents' hyperparameters: heirs[i] takes each from second[i] with ``rate``, else from first[i].

        Weights, counters and ids stay. The draws are others than those of `crossover`, so hyperparameters come from two
        parents and weights from these or a third. ``dropout`` is one hyperparameter, whatever the number of layers.
        What is drawn depends on the seed, the heir's id and its steps so far alone. All parents are read before any
        heir is written.

        Args:
            heirs: The rows to change.
            first: As many rows.
            second: As many rows.
            rate: Probability of the second's, in [0, 1].

        Raises:
            ValueError: There is no such member, an heir appears twice, ``rate`` is not in [0, 1], or the heir has
                another number of dropout layers; nothing is changed then.
        """
        rows = arguments.rows(heirs, self.members)
        one, two = arguments.rows(first, self.members), arguments.rows(second, self.members)
        self._built().cross_hyperparameters(rows, one, two, rate)
        self._read_hyperparameters(rows)

    def perturb(
        self,
        members: Rows,
        bounds: Mapping[str, Sequence[float]],
        *,
        factors: Sequence[float] = (0.8, 1.2),
        resample: float = 0.0,
        log: Collection[str] = (),
    ) -> None:
        """Explore hyperparameters as population based training does (Jaderberg et al. 2017, arXiv:1711.09846).

        Each one named is drawn anew within its bounds with the probability ``resample``, else multiplied by one of the
        factors; then it is clipped to the bounds. What the source leaves open: whole numbers are rounded to the
        nearest, and a factor other than 1 moves them by at least one; 0 stays 0 unless it is drawn anew; the dropout
        rates of a member share their draws. What is drawn depends on the seed, the member's id and its steps so far
        alone, so members are perturbed once between two trainings.

        Args:
            members: The rows to change.
            bounds: Name -> (low, high), inclusive: ``{"lr": (1e-4, 1), "batch_size": (16, 256)}``.
            factors: One or more numbers above 0, each equally likely.
            resample: In [0, 1].
            log: The names that are drawn anew uniformly in the logarithm.

        Raises:
            ValueError: There is no such member or name, one appears twice, or an argument breaks its rule; nothing is
                changed then.
        """
        rows, core = arguments.rows(members, self.members), self._built()
        ranges = hot.ranges(bounds, log, self._optimizer)
        for name, low, high, _ in ranges:
            for row, end in product(rows, (low, high)):
                hot.check({name: end}, self._networks[row], f"bounds of member {row}")
        core.perturb(rows, ranges, list(factors), resample)
        self._read_hyperparameters(rows)

    def _read_hyperparameters(self, rows: Sequence[int]) -> None:
        for row in rows:
            self._values[row] = native.values(self._built().hyperparameters(row), self._values[row])

    def set(self, members: Rows, **values: Any) -> None:
        """Change hyperparameters between steps: ``pop.set(7, lr=0.01)``, ``pop.set([1, 2], lr=[0.1, 0.2])``.

        Raises:
            ValueError: There is no such member or name, or a value breaks its rule; nothing is changed then.
        """
        rows = arguments.rows(members, self.members)
        one = not isinstance(members, Sequence | np.ndarray)
        given = {name: [value] for name, value in values.items()} if one else values
        split = hot.per_member(given, len(rows), self._optimizer)
        checked = [hot.check(mine, self._networks[p], f"member {p}") for p, mine in zip(rows, split, strict=True)]
        for p, mine in zip(rows, checked, strict=True):
            values = self._values[p] | mine
            if self._core is not None:
                self._core.set(p, native.hyperparameters(values))
            self._values[p] = values

    def reset(
        self,
        member: int,
        network: nn.Sequential | None = None,
        id: int | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
    ) -> None:
        """Put a fresh member into a row. Views of the old one stay valid, but it trains no more.

        Args:
            member: The row.
            network: By default the old member's.
            id: By default the old member's: with the same network it starts from the same weights.
            hyperparameters: By name; what is not named is as in a new population.

        Raises:
            ValueError: An argument breaks its rule, or the network does not fit the data; the old member stays then.
        """
        p = arguments.row(member, self.members)
        (layers,) = arguments.networks(self._networks[p] if network is None else network, 1)
        (key,) = arguments.ids([self._ids[p] if id is None else id], 1)
        given = {} if hyperparameters is None else hyperparameters
        hot.check_names(given, self._optimizer)
        values = self._complete(p, layers, given)
        if self._core is not None:
            with _named(p), _needing(f"member {p}", self._device, "a smaller network"):
                self._core.reset(p, native.network(layers), native.hyperparameters(values), key)
        self._networks[p], self._values[p], self._ids[p] = layers, values, key

    def hyperparameters(self, member: int) -> dict[str, Any]:
        """Return the values a member trains with; ``dropout`` is a tuple with one rate per dropout layer."""
        return dict(self._values[arguments.row(member, self.members)])

    def parameters(self, member: int) -> dict[str, Floats]:
        """Return the weights: ``"dense1.weight"`` (outputs, inputs), ``"dense1.bias"`` (outputs,), ...

        They are views, or copies if a GPU has them.
        """
        return self._built().parameters(arguments.row(member, self.members))

    def device_parameters(self, member: int) -> dict[str, native.DeviceArray]:
        """Return views of the weights in the GPU's memory, for CuPy and PyTorch to take without a copy.

        Rows are padded to multiples of 16 floats, and JAX takes arrays without gaps only. It gets a copy on the same
        GPU, ``jax.dlpack.from_dlpack(view.compact())``; ``view.assign(array)`` copies an array of any library back.

        Raises:
            ValueError: The population is on the CPU.
        """
        return self._built().device_parameters(arguments.row(member, self.members))

    def state(self, member: int) -> NDArray[np.uint8]:
        """Return the member's whole block: counters, weights, optimiser state. A view, or a copy if a GPU has it."""
        return self._built().state(arguments.row(member, self.members))

    def copy_state(self, member: int, room: Room = host) -> Block:
        """Return a copy of the member's whole block.

        Args:
            member: A row.
            room: Returns memory for so many bytes: an array, or, if a GPU has the member, a
                ``DeviceArray`` in its memory, for CuPy, PyTorch and JAX and for an MPI that is CUDA-aware.
        """
        core, row = self._built(), arguments.row(member, self.members)
        block = room(core.state_bytes(row))
        core.read_state(row, block)
        return block

    def load_state(
        self, member: int, state: bytes | bytearray | memoryview | NDArray[np.uint8] | native.DeviceArray
    ) -> None:
        """Overwrite a member's block by that of a member of the same structure; it trains on exactly from there.

        Raises:
            ValueError: The size differs, or the counters in it cannot be right, or it is in a GPU's memory and the
                population is not; the member stays as it was.
        """
        core, row = self._built(), arguments.row(member, self.members)
        place = f"state of member {row}"
        block = state if isinstance(state, native.DeviceArray) else arguments.octets(state, place)
        try:
            core.load_state(row, block)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file with everything needed to train on exactly; a kill leaves the old file or the new.

        Raises:
            ValueError: The population has no weights yet.
            OSError: The file cannot be written.
        """
        files.write(path, *self._saved())

    def __reduce__(self) -> tuple[Any, ...]:
        """Let `copy` and `pickle` take all that ``save`` would, and how and where it trains.

        Raises:
            ValueError: The population has no weights yet.
        """
        place = {"device": self._device, "precision": self._precision, "engine": self._engine}
        return type(self)._restore, (*self._saved(), place | {"threads": self._threads or None})

    def _saved(self) -> tuple[files.Tensors, dict[str, Any]]:
        core = self._built()
        tensors: files.Tensors = {f"member{p}": core.state(p) for p in range(self.members)}
        for name, factors in zip(("scale", "shift"), self._normalisation, strict=True):
            if factors is not None:
                tensors[name] = factors
        description = {
            "population": _FORMAT,
            "input_shape": self._shape,
            "optimizer": self._optimizer,
            "loss": self._loss,
            "seed": self._seed,
            "data_order": self._data_order,
            "ids": self._ids,
            "networks": [network.describe() for network in self._networks],
            "hyperparameters": self._values,
        }
        return tensors, description

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        device: str = "auto",
        precision: str = "fp32",
        engine: str = "auto",
        threads: int | None = None,
    ) -> Population:
        """Return the population that ``save`` wrote. How and where it trains is not part of it.

        Raises:
            ValueError: The file is truncated, damaged, or holds something else.
            OSError: It cannot be read.
        """
        tensors, saved = files.read(path)
        try:
            if saved["population"] != _FORMAT:
                raise ValueError(f"saved as format {saved['population']}, this version of shoal reads {_FORMAT}")
            place = {"device": device, "precision": precision, "engine": engine, "threads": threads}
            return cls._restore(tensors, saved, place)
        except KeyError as error:
            raise ValueError(f"{path}: not a saved population, it has no entry {error}") from None
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def _restore(cls, tensors: files.Tensors, saved: dict[str, Any], place: dict[str, Any]) -> Population:
        population = cls(
            [nn.Sequential.from_description(layers) for layers in saved["networks"]],
            ids=saved["ids"],
            **place,
            **{name: saved[name] for name in ("optimizer", "loss", "seed", "data_order")},
        )
        for p, values in zip(range(population.members), saved["hyperparameters"], strict=True):
            population.set(p, **values)
        shape = arguments.shape(saved["input_shape"])
        population._build(shape)
        scale, shift = (arguments.factors(tensors.get(name), name, shape) for name in ("scale", "shift"))
        population._normalisation = (scale, shift)
        for p in range(population.members):
            population.load_state(p, tensors[f"member{p}"])
        return population


@contextmanager
def _named(member: int) -> Iterator[None]:
    # The core says which layer breaks which rule; it does not know whose network it was given.
    try:
        yield
    except ValueError as error:
        raise ValueError(f"member {member}: {error}") from None


@contextmanager
def _needing(what: str, device: str, remedy: str) -> Iterator[None]:
    # The core says how much it has asked for; it knows neither for what nor what would help.
    try:
        yield
    except MemoryError as error:
        there = next(each.memory for each in native.devices() if each.name == device)
        raise MemoryError(f"{what}: {error}, {device} has {there}: take {remedy}") from None
