"""Recorded learning curves: what many configs of one space came to, epoch by epoch."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shoal.errors import DataError
from shoal.manager.record import StudyRecord
from shoal.space import Config, Float, Int, Space

Floats = NDArray[np.float64]

DIGITS = Path(__file__).with_name("digits.npz")


@dataclass(frozen=True, eq=False)
class Table:
    """Learning curves of n configs over T epochs.

    A file is an ``npz`` with ``space`` (the JSON text of `Space.describe`), ``positions``, ``scores`` and, if there are
    any, ``seconds``.

    Args:
        space: The space of the configs.
        positions: (n, d) places of the configs in the unit cube, in the order of the space's parameters.
        scores: (n, T) scores after 1 to T epochs; lower is better, not finite is diverged.
        seconds: (n,) cost of an epoch; by default 1.
        name: For people.
    """

    space: Space
    positions: Floats
    scores: Floats
    seconds: Floats
    name: str = "table"

    def __post_init__(self) -> None:
        n, d = self.positions.shape if self.positions.ndim == 2 else (0, 0)
        if n == 0 or d != len(self.space.parameters):
            raise ValueError(f"positions: must be (n, {len(self.space.parameters)}), got {self.positions.shape}")
        if not ((self.positions >= 0) & (self.positions <= 1)).all():
            raise ValueError("positions: must lie in [0, 1]")
        if self.scores.ndim != 2 or len(self.scores) != n or self.scores.shape[1] == 0:
            raise ValueError(f"scores: must be ({n}, T), got {self.scores.shape}")
        if self.seconds.shape != (n,) or not (self.seconds > 0).all():
            raise ValueError(f"seconds: must be {n} numbers above 0")

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def length(self) -> int:
        """T, the epochs of each curve."""
        return int(self.scores.shape[1])

    @property
    def best(self) -> float:
        """The best finite score of all curves; infinite where there is none."""
        return float(np.min(self.scores, where=np.isfinite(self.scores), initial=np.inf))

    @classmethod
    def of(
        cls,
        space: Space,
        configs: Sequence[Config],
        scores: Sequence[Sequence[float]] | Floats,
        seconds: Sequence[float] | Floats | None = None,
        name: str = "table",
    ) -> Table:
        """Return the table of these configs."""
        positions = np.array([space.to_unit(config) for config in configs], float).reshape(len(configs), -1)
        costs = np.ones(len(configs)) if seconds is None else np.asarray(seconds, float)
        return cls(space, positions, np.asarray(scores, float), costs, name)

    @classmethod
    def of_study(
        cls, record: StudyRecord, seconds: Sequence[float] | Floats | None = None, name: str = "table"
    ) -> Table:
        """Return the table of a study in which every trial trained alike long, such as ``search.Full`` makes.

        Args:
            record: Of a study in epochs with a curve point for each, as it is by default: ``result.record``, or
                ``shoal.manager.StudyRecord.read(directory)``. Of several objectives the first counts.
            seconds: As in `of`, by the trials' ids.
            name: For people.

        Raises:
            ValueError: A trial has no point at some epoch although it had not diverged, or had several configs.
        """
        trials = [record.trials[id] for id in sorted(record.trials)]
        length = max((trial.progress for trial in trials), default=0)
        scores = np.full((len(trials), length), np.nan)
        objective = record.objectives[0]
        for row, trial in zip(scores, trials, strict=True):
            for progress, metrics in trial.curve:
                row[progress - 1] = metrics[objective.label] * (-1 if objective.rises else 1)
            if len(trial.changes) > 1 or (len(trial.curve) < length and not trial.diverged):
                raise ValueError(f"record: trial {trial.id} was not trained to {length} epochs with one config")
        space = Space.from_description(record.header["space"])
        return cls.of(space, [space.check(trial.config) for trial in trials], scores, seconds, name)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file that `load` reads."""
        np.savez_compressed(
            path,
            space=np.array(json.dumps(self.space.describe())),
            positions=self.positions,
            scores=self.scores,
            seconds=self.seconds,
            name=np.array(self.name),
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Table:
        """Read a file; ``"digits"`` is the one that comes with shoal.

        That one has the validation loss of 256 dense networks on scikit-learn's digits over 27 epochs, their learning
        rate, momentum, batch size and number of units spread evenly; a second is one of a processor core
        (``bench/record_digits.py``).

        Raises:
            DataError: It cannot be read, or holds something else.
        """
        source = DIGITS if path == "digits" else path
        try:
            zipfile.ZipFile(source).close()  # np.load would take any other file for a pickle, and say so
            with np.load(source, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            scores = arrays["scores"].astype(float)
            return cls(
                Space.from_description(json.loads(str(arrays["space"]))),
                arrays["positions"].astype(float),
                scores,
                arrays.get("seconds", np.ones(len(scores))).astype(float),
                str(arrays.get("name", "table")),
            )
        except KeyError as error:
            raise DataError(f"{os.fspath(path)}: not a table of learning curves, it has no {error}") from None
        except (OSError, EOFError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{os.fspath(path)}: {error}") from error


#: LCBench's space (Zimmer, Lindauer and Hutter 2021).
LCBENCH = Space(
    {
        "batch_size": Int(16, 512, log=True),
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "momentum": Float(0.1, 0.99),
        "weight_decay": Float(1e-5, 1e-1),
        "num_layers": Int(1, 5),
        "max_units": Int(64, 1024, log=True),
        "max_dropout": Float(0, 1),
    }
)


def read_lcbench(path: str | os.PathLike[str]) -> list[Table]:
    """Read an extract of LCBench: ``hp`` (names), ``X`` (n, 7), ``datasets`` and ``Y`` (data sets, n, 1 + T).

    The first column of ``Y`` is the untrained network's. There is one table for each data set; an epoch costs 1.
    """
    with np.load(path, allow_pickle=False) as file:
        names, x, datasets, y = (file[name] for name in ("hp", "X", "datasets", "Y"))
    configs = []
    for row in x:
        values = dict(zip(map(str, names), row.tolist(), strict=True))
        for name, parameter in LCBENCH.parameters.items():
            assert isinstance(parameter, Float | Int)
            kind = int if isinstance(parameter, Int) else float
            values[name] = min(max(kind(round(values[name], 12)), parameter.low), parameter.high)
        configs.append(LCBENCH.check(values))
    return [Table.of(LCBENCH, configs, scores[:, 1:], name=str(name)) for name, scores in zip(datasets, y, strict=True)]
