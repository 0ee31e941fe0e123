"""Snapshots: the states of all living trials and of the front, in files that appear whole or not at all.

One process writes one file, and of several ranks each writes one, with the states that it has. Arrays are named
``<trial>/<name>``, ``front<place>/<name>`` and ``origin-<trial>/<name>``: what comes before the slash is a part. A file
also lists its parts, as a state may hold no array.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from shoal.errors import StudyError
from shoal.population import files

# On its way from rank to rank a member's block may be a `DeviceArray`, which `np.asarray` copies to the host.
State: TypeAlias = dict[str, np.ndarray[Any, Any]]

_FRONT, _ORIGIN = "front", "origin-"


@dataclass(frozen=True)
class Snapshot:
    """What a journal does not tell: trained weights."""

    states: dict[int, State] = field(default_factory=dict)  # by trial
    front: list[State] = field(default_factory=list)  # as the record's; with one objective, that of the best alone
    origins: dict[int, State] = field(default_factory=dict)  # by trial: what a training began with that is under way

    def parts(self) -> dict[str, State]:
        """Return all states by what files call them."""
        parts = {str(trial): state for trial, state in self.states.items()}
        parts |= {f"{_ORIGIN}{trial}": state for trial, state in self.origins.items()}
        return parts | {f"{_FRONT}{place}": state for place, state in enumerate(self.front)}

    @classmethod
    def of(cls, parts: Mapping[str, State]) -> Snapshot:
        """Return the snapshot that has these parts.

        Raises:
            ValueError: It can have no such parts.
        """
        front = {int(part[len(_FRONT) :]): state for part, state in parts.items() if part.startswith(_FRONT)}
        origins = {int(part[len(_ORIGIN) :]): state for part, state in parts.items() if part.startswith(_ORIGIN)}
        states = {int(part): state for part, state in parts.items() if not part.startswith((_FRONT, _ORIGIN))}
        return cls(states, [front[place] for place in sorted(front)], origins)

    @classmethod
    def read(cls, paths: Sequence[Path]) -> Snapshot:
        """Read all files of a snapshot.

        Raises:
            StudyError: One is missing, truncated or not a snapshot.
        """
        return cls.of({part: state for path in paths for part, state in read_parts(path, list_parts(path)).items()})


def write_parts(path: Path, parts: Mapping[str, State]) -> None:
    """Write one file.

    Raises:
        OSError: The disk does not take it.
    """
    arrays = {f"{part}/{name}": array for part, state in parts.items() for name, array in state.items()}
    files.write(path, arrays, {"parts": list(parts)})


def list_parts(path: Path) -> list[str]:
    """Return what a file has, and read no array of it.

    Raises:
        StudyError: It is missing, truncated or not a snapshot's.
    """
    try:
        _, description = files.read(path, lambda _: False)
        parts = [str(part) for part in description["parts"]]
        Snapshot.of({part: {} for part in parts})
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise StudyError(f"{path}: not a snapshot that can be read: {error}") from None
    return parts


def read_parts(path: Path, parts: Collection[str]) -> dict[str, State]:
    """Return some parts of a file.

    Raises:
        StudyError: It is missing or truncated.
    """
    found: dict[str, State] = {part: {} for part in parts}
    try:
        arrays, _ = files.read(path, lambda key: key.partition("/")[0] in found)
    except (OSError, ValueError) as error:
        raise StudyError(f"{path}: not a snapshot that can be read: {error}") from None
    for key, array in arrays.items():
        part, _, name = key.partition("/")
        found[part][name] = array
    return found
