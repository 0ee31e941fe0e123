"""What the judge's runs have found, one by one in a file, so that a judge that was stopped goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple


class Job(NamedTuple):
    """One run."""

    curves: Path
    table: int
    name: str
    budget: int
    rule: str
    seed: int

    @property
    def key(self) -> tuple[str | int, ...]:
        """What a run depends on; curves go by the name of their file."""
        return (self.curves.name, *self[1:])


class Kept:
    """Regrets of runs.

    Args:
        path: The file, which is made if it is missing; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        whole, _, torn = path.read_text().rpartition("\n") if path is not None and path.exists() else ("", "", "")
        self._found = {tuple(key): regret for *key, regret in map(json.loads, whole.splitlines())}
        if path is not None and torn:  # its last line was being written
            path.write_text(f"{whole}\n" if whole else "")

    def __contains__(self, job: Job) -> bool:
        return job.key in self._found

    def __getitem__(self, job: Job) -> float:
        return self._found[job.key]

    def add(self, job: Job, regret: float) -> None:
        """Keep what a run has found."""
        self._found[job.key] = regret
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps([*job.key, regret]) + "\n")
