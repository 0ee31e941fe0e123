"""What the ranks of a supervised study say to each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from shoal.errors import StudyError
from shoal.manager.record import Metrics


class Place(NamedTuple):
    """Where a state is kept."""

    rank: int
    key: int


Places: TypeAlias = dict[str, Place]  # of the states of a `Snapshot`, by its parts

Call: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]  # of a method of `Follower`


@dataclass(frozen=True)
class Orders:
    """To a rank: what to do, one after the other."""

    calls: list[Call]


@dataclass(frozen=True)
class Parcel:
    """To a rank: a state, whose arrays are attached."""

    key: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Dismissal:
    """To a rank: the study has failed."""

    error: StudyError


@dataclass(frozen=True)
class Trained:
    """To rank 0: the trials that are where they were to go, and the seconds that the training took."""

    metrics: dict[int, Metrics]
    seconds: float


@dataclass(frozen=True)
class Ready:
    """To rank 0: all that was told before is done."""


@dataclass(frozen=True)
class Caught:
    """To rank 0: a signal."""

    number: int
