"""A study: a task, a space and a strategy, checked as a whole before anything is trained."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from shoal.data import AnyDataset
from shoal.errors import StudyError
from shoal.manager.held import everywhere
from shoal.manager.native import Network
from shoal.manager.predictions import Function
from shoal.manager.record import StudyRecord
from shoal.manager.snapshot import State
from shoal.manager.supervision import Ending
from shoal.manager.transport import Alone, Ranks, Transport
from shoal.manager.worker import Worker
from shoal.merit import TIMES, Merit
from shoal.population import Population, files
from shoal.search import Search
from shoal.search.protocol import Plan
from shoal.space import Space
from shoal.study.cost import duration
from shoal.study.overranks import run_over
from shoal.study.progress import Progress, listener
from shoal.study.replay import Replay, replay
from shoal.study.result import Best, Result
from shoal.study.settings import Settings
from shoal.study.setup import Setup
from shoal.study.task import NetworkTask, Task, TrainableTask
from shoal.trainable import Trainable

Figure: TypeAlias = str | Merit | Callable[[Mapping[str, float]], float] | Mapping[str, Any]


class Study:
    """Searches a space of hyperparameters for a network.

    Hot hyperparameters are taken from the config by name (``lr momentum nesterov decay lr_decay decay_every``
    ``weight_decay beta1 beta2 epsilon batch_size augment_pad augment_flip``); those that it lacks take the optimiser's
    defaults. Everything else in it is for ``network``, or for the strategy. A plain value in the space is a constant.

    Args:
        network: Returns the `nn.Sequential` of a config. The same config must give the same network.
        train: Data to train on: of `shoal.data`, in a GPU's memory only if all is trained on that GPU.
        valid: Data that the metric is measured on.
        space: Name -> parameter or constant, or a `Space`.
        strategy: Such as ``search.PBT(...)``; by default `shoal.search.default`, with a budget of 30 trainings of 50
            epochs.
        loss: ``"cross_entropy"`` or ``"mse"``.
        optimizer: ``"sgd"``, ``"adam"``, ``"adamw"``, ``"rmsprop"`` or ``"adagrad"``.
        metric: What to rank by: ``"loss"``, ``"train_loss"``; with labels ``"accuracy"``; with float targets ``"mse"``,
            ``"correlation"`` or ``"r2"`` (`shoal.Population.evaluate`), and the same of the training data,
            ``"train_accuracy"`` and so on; a cost (`shoal.merit`), a function of the
            metrics, or a figure such as ``merit.Penalised("accuracy", 0.01)``. A list of these is ranked by
            non-dominated sorting: the result has their Pareto front.
        mode: ``"min"`` or ``"max"``, or a list of these; follows from the metric, unless that is yours.
        metrics: More metrics by name: functions of (n, outputs) predictions, as of `shoal.Population.predict`, and of
            the targets, (n,) labels or (n, outputs) values, both read-only, that return a number. Each is called
            wherever the validation data are evaluated, and with an untrained network before the study begins. To
            ``metric`` they are as any other, but that it needs a ``mode``.
        record: Metrics to be among a trial's although they are costly and ``metric`` does not name them, such as
            ``["train_accuracy", "seconds"]``. A function of the metrics finds those that are named here.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
        precision: Of a GPU's matrix products: ``"fp32"``, ``"tf32"``, ``"bf16"`` or ``"tf32x3"``, as of a `Population`.
        engine: Of a GPU: ``"auto"``, ``"resident"`` or ``"teams"``, likewise. It may change while a study goes on.
        data_order: ``"own"``: each trial shuffles by its id. ``"shared"``: all see the same order.
        seed: Of everything random, in [0, 2**32).
        directory: Where the study is kept, so that it can go on after it was stopped. None keeps nothing.
        rows: Trials in training at a time. By default, and at most, all of the plan; by default at most 64.
        threads: CPU threads, by default one for each core this process may use.
        record_every: Distance of a curve's points, in the strategy's unit. By default an epoch; in steps, reports only.
        snapshot_interval: Seconds between snapshots, at least; longer where they would take more than 5 % of the time.
            0 takes one after every round.
        form: Of a study over ranks. ``"replicated"``: all decide alike, in rounds that wait for the slowest, so that
            the same ``rows`` give the same journal. ``"supervised"``: the first decides, and no rank waits for another.
            By default the second under a strategy that is asynchronous, where there are several ranks. One process has
            the journal of replicated ranks if it is asked for; else its short trainings do not wait for long ones.

    Raises:
        ValueError: An argument breaks its rule, or a config of the space makes no network that fits the data.
        StudyError: The directory has another study.
    """

    def __init__(
        self,
        network: Network,
        train: AnyDataset,
        valid: AnyDataset,
        *,
        space: Space | Mapping[str, Any],
        strategy: Search | None = None,
        loss: str = "cross_entropy",
        optimizer: str = "sgd",
        metric: Figure | Sequence[Figure] = "loss",
        mode: str | Sequence[str | None] | None = None,
        metrics: Mapping[str, Function] | None = None,
        record: Sequence[str] = (),
        device: str = "auto",
        precision: str = "fp32",
        engine: str = "auto",
        data_order: str = "own",
        seed: int = 0,
        directory: str | os.PathLike[str] | None = None,
        rows: int | None = None,
        threads: int | None = None,
        record_every: int | None = None,
        snapshot_interval: float = 30.0,
        form: str | None = None,
    ) -> None:
        options = {
            **{"optimizer": optimizer, "loss": loss, "data_order": data_order},
            **{"device": device, "precision": precision, "engine": engine, "threads": threads},
        }
        task = NetworkTask(network, train, valid, options, metrics)
        settings = Settings(
            space=space,
            strategy=strategy,
            metric=metric,
            mode=mode,
            known=task.directions(),
            record=record,
            seed=seed,
            directory=directory,
            rows=rows,
            record_every=record_every,
            snapshot_interval=snapshot_interval,
            form=form,
        )
        self._set_up(task, settings)

    @classmethod
    def from_trainable(
        cls,
        factory: Callable[[], Trainable],
        *,
        space: Space | Mapping[str, Any],
        strategy: Search | None = None,
        metric: Figure | Sequence[Figure] = "score",
        mode: str | Sequence[str] = "min",
        seed: int = 0,
        directory: str | os.PathLike[str] | None = None,
        rows: int | None = None,
        record_every: int | None = None,
        snapshot_interval: float = 30.0,
        form: str | None = None,
    ) -> Study:
        """Return a study of a user's own training function: a class with `shoal.trainable.Trainable`'s methods.

        Args:
            factory: Makes a trainable; often its class.
            metric: Which of the metrics that ``train`` returns to rank by; or a function or figure of them, or a list,
                as above.
            mode: Whether its ``"min"`` or ``"max"`` is best; of a figure, that of its metric.
            rows: Trials that advance in turn, by default 1: trials are trained one after the other anyway.
            space: As above, and so are the others.
            strategy: As above.
            seed: As above.
            directory: As above.
            record_every: As above.
            snapshot_interval: As above.
            form: As above.
        """
        task = TrainableTask(factory)
        settings = Settings(
            space=space,
            strategy=strategy,
            metric=metric,
            mode=mode,
            known=None,
            record=(),
            seed=seed,
            directory=directory,
            rows=rows,
            record_every=record_every,
            snapshot_interval=snapshot_interval,
            form=form,
        )
        study = cls.__new__(cls)
        study._set_up(task, settings)
        return study

    def _set_up(self, task: Task, settings: Settings) -> None:
        self._task, self._settings, self._setup = task, settings, Setup(task, settings)

    @property
    def plan(self) -> Plan:
        """What the strategy will do at most."""
        return self._settings.plan

    def explain(self) -> str:
        """Return what a run would do and need, for people: the plan, the device, how many networks fit, how long.

        To know how long, some random configs are trained for about a second, and forgotten.
        """
        plan, rows, given = self.plan, self._setup.rows, len(self._settings.space.begin_with)
        lines = (
            *plan.lines,
            f"{plan.trials:,} trials, {rows:,} at a time; at most {plan.budget:,} {plan.unit} in all",
            *([f"before all others those of space.begin_with: {given:,}"] if given else []),
            *self._task.footprint(self._settings.space),
            *self._cost(rows),
        )
        return "\n".join(lines)

    def _cost(self, rows: int) -> tuple[str, ...]:
        plan = self.plan
        settings = self._settings
        cost = self._task.cost(settings.space, rows, plan.unit, settings.record_every, settings.needs)
        if cost is None:
            return ()
        budget, most = (plan.budget, "at most ") if plan.expected is None else (plan.expected, "")
        return (
            f"Takes {most}about {duration(budget * cost.seconds)} and {budget * cost.flop:.1e} FLOP"
            f" for {budget:,} {plan.unit}, judged by {cost.configs} random configs trained for a moment",
        )

    def run(self, progress: Progress = True, comm: Any = None) -> Result:
        """Run the study; one that was stopped goes on to the same result, and one that has ended only returns it.

        Ctrl-C and SIGTERM end the process after the current round, and the study is kept; a second one ends it at once.

        Args:
            progress: Whether to show a live table on a terminal's stderr, or else a line for each tenth of the budget
                or ten minutes; or a `shoal.manager.Listener`, or a function that is called after every round, with the
                record and what the round did. Of several ranks the first alone shows and calls.
            comm: An mpi4py communicator whose ranks train together. Each must have made this same study; each gets the
                result. All must see the directory. With an MPI that outlives ranks (ULFM), those that are left go on.

        Raises:
            StudyError: The directory cannot be used, or a user's trainable failed; what was done before it is kept.
                Or the ranks have made different studies.
        """
        if comm is not None:
            return run_over(comm, self._setup, progress, self._conclude)
        settings, setup = self._settings, self._setup
        worker = self._task.worker(
            setup.rows, settings.plan.unit, settings.seed, settings.needs, partial=settings.partial
        )
        manager = setup.manager(worker, setup.store, listener(progress))
        return self._conclude(Ending(manager.run(), manager.record, manager.front_states, []), worker, Alone())

    def _conclude(self, ending: Ending, worker: Worker, transport: Transport) -> Result:
        settings, first, record = self._settings, transport.rank == 0, ending.record
        if ending.signal is not None:
            done = f"{record.spent} of {settings.plan.budget} {settings.plan.unit}"
            if first:
                print(f"Stopped after {done}. Run it again to go on from {settings.directory}.", file=sys.stderr)
            transport.gather(None)  # an exit may end the other ranks: it has been said by now
            raise SystemExit(128 + ending.signal)
        states = everywhere(transport, ending.front) if isinstance(transport, Ranks) else ending.front
        models = self._models(record, worker, states)
        result = Result(record, models, settings.directory, self._replay, self._task.tested, ending.utilisation)
        if first and settings.directory is not None and result.front:
            self._save(result.front, states, settings.directory)
        return result

    def replay(self) -> Replay:
        """Train the best network that the directory's journal knows again: `Result.replay`, without running the study.

        Raises:
            StudyError: The study has no directory, or nothing has happened in it; or no trial reported a finite score.
        """
        if self._settings.directory is None:
            raise StudyError("directory: this study keeps no journal, so only its result can be replayed")
        return self._replay(StudyRecord.read(self._settings.directory))

    def _replay(self, record: StudyRecord) -> Replay:
        settings = self._settings
        needs = settings.needs.difference(TIMES)
        return replay(record, settings.space, self._task.worker(1, settings.plan.unit, settings.seed, needs))

    def _models(self, record: StudyRecord, worker: Worker, states: Sequence[State]) -> list[Any]:
        pairs = zip(record.front, states, strict=True)
        return [worker.model(leader.report.trial, leader.schedule[-1][1], state) for leader, state in pairs]

    def _save(self, front: Sequence[Best], states: Sequence[State], directory: Path) -> None:
        """Write the best, and of several objectives the whole front, the best first."""
        names = ["best"]
        if len(self._settings.objectives) > 1:
            names += [f"front-{place}" for place in range(1, len(front) + 1)]
        for name, best, state in zip(names, (front[0], *front), (states[0], *states), strict=False):
            path = directory / f"{name}.safetensors"
            if isinstance(best.model, Population):
                best.model.save(path)
            else:
                files.write(path, state, {"trial": best.id, "config": best.config})
