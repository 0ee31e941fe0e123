"""Snapshots: the states of all living trials and of the front, in one file that appears whole or not at all.

Its arrays are named ``<trial>/<name>``, ``front<place>/<name>`` and ``origin-<trial>/<name>``. The parts are
also listed, as a state may hold no array.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from shoal.errors import StudyError
from shoal.population import files

State: TypeAlias = dict[str, np.ndarray[Any, Any]]

_ORIGIN = "origin-"


@dataclass(frozen=True)
class Snapshot:
    """What a journal does not tell: trained weights."""

    states: dict[int, State] = field(default_factory=dict)  # by trial
    front: list[State] = field(default_factory=list)  # as the record's; with one objective, that of the best alone
    origins: dict[int, State] = field(default_factory=dict)  # by trial: what a training began with that is under way

    def write(self, path: Path) -> None:
        """Write the file."""
        parts = {str(trial): state for trial, state in self.states.items()}
        parts |= {f"{_ORIGIN}{trial}": state for trial, state in self.origins.items()}
        parts |= {f"front{place}": state for place, state in enumerate(self.front)}
        arrays = {f"{part}/{name}": array for part, state in parts.items() for name, array in state.items()}
        files.write(path, arrays, {"parts": list(parts)})

    @classmethod
    def read(cls, path: Path) -> Snapshot:
        """Read the file.

        Raises:
            StudyError: It is missing, truncated or not a snapshot.
        """
        try:
            arrays, description = files.read(path)
            parts: dict[str, State] = {part: {} for part in description["parts"]}
            for key, array in arrays.items():
                part, _, name = key.partition("/")
                parts[part][name] = array
            front = [parts.pop(part) for part in description["parts"] if part.startswith("front")]
            origins = {int(part[len(_ORIGIN) :]): parts.pop(part) for part in list(parts) if part.startswith(_ORIGIN)}
            return cls({int(trial): state for trial, state in parts.items()}, front, origins)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise StudyError(f"{path}: not a snapshot that can be read: {error}") from None
