"""Reads a study file, checks all of it, and keeps a copy with the study."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoal import rules, search
from shoal.data import Dataset, load
from shoal.data.splits import Parts
from shoal.errors import StudyError
from shoal.population import files
from shoal.space import Space
from shoal.study import Study
from shoal.studyfile.functions import read_function
from shoal.studyfile.network import read_network
from shoal.studyfile.tables import known, place, required

FILE = "study.toml"
REQUIRED = ("data", "network", "space")
TABLES = (*REQUIRED, "strategy", "metrics")
SETTINGS = (
    *("loss", "optimizer", "metric", "mode", "record", "seed", "device", "precision", "engine", "data_order"),
    *("directory", "rows", "threads", "record_every", "snapshot_interval", "form"),
)


@dataclass(frozen=True)
class StudyFile:
    """A study file that was read and checked.

    Attributes:
        text: What it says.
        study: The study.
        test: The part of the data that the study does not see.
        directory: Where the study is kept.
    """

    text: str
    study: Study
    test: Dataset
    directory: Path

    @classmethod
    def read(cls, path: Path, directory: Path | None = None, threads: int | None = None) -> StudyFile:
        """Read a file.

        Args:
            path: The file.
            directory: Where to keep the study; by default where the file says, else ``runs/`` and the file's name.
            threads: CPU threads; by default as the file says.

        Raises:
            StudyError: It cannot be read, or something in it breaks a rule.
        """
        with place(str(path)):
            text = _text(path)
            table = tomllib.loads(text)  # its error is a ValueError that names line and column
            known(table, [*SETTINGS, *TABLES])
            settings = {name: value for name, value in table.items() if name not in TABLES}
            if threads is not None:
                settings["threads"] = threads
            kept = Path("runs") / path.stem if directory is None else directory
            settings["directory"] = settings.get("directory", kept) if directory is None else directory
            tables = {name: required(table, name, dict, "a table") for name in TABLES if name in {*REQUIRED, *table}}
            study, test = _build(tables, settings)
        return cls(text, study, test, Path(settings["directory"]))

    def keep(self) -> None:
        """Copy the file into the study's directory, where ``shoal resume`` finds it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        files.put(self.directory / FILE, self.text.encode())


def read_strategy(path: Path) -> search.Search:
    """Return the strategy of a study file; what else stands in it is not looked at.

    Raises:
        StudyError: The file or its strategy cannot be read.
    """
    with place(str(path)):
        table = required(tomllib.loads(_text(path)), "strategy", dict, "a table")
        return search.from_description(table)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise StudyError(f"cannot be read: {error.strerror}") from None


def _build(tables: Mapping[str, dict[str, Any]], settings: Mapping[str, Any]) -> tuple[Study, Dataset]:
    space = Space.from_description(tables["space"])
    strategy = search.from_description(tables.get("strategy", {"name": "default"}))
    seed = rules.integer(settings.get("seed", 0), "seed", high=2**32 - 1)
    train, valid, test = _load(tables["data"], seed)
    with place("network", "."):
        network = read_network(tables["network"], list(space.values), train.outputs)
    with place("metrics", "."):
        given = tables.get("metrics", {})
        metrics = {name: read_function(given, name, "predictions and targets") for name in given}
    return Study(network, train, valid, space=space, strategy=strategy, metrics=metrics, **settings), test


def _load(table: Mapping[str, Any], seed: int) -> Parts:
    with place("data", "."):
        known(table, ["name", "validation", "directory"])
        name = required(table, "name", str, "the name of a data set or a path")
    with place("data"):
        return load(name, table.get("validation"), seed, table.get("directory"))
