"""How much of the time each rank of a study trains.

A rank's utilisation is the share of the wall time, since its worker was made, in which it trained or evaluated. The
rest is waiting for slower ranks, bringing states, deciding, and writing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Protocol


class Timesheet:
    """What each rank has done in this run.

    Args:
        ranks: How many there are.

    Attributes:
        busy: Seconds that each rank has trained, (ranks,).
    """

    def __init__(self, ranks: int) -> None:
        self.busy = [0.0] * ranks
        self._since = time.monotonic()

    def add(self, rank: int, seconds: float) -> None:
        """Note that a rank has trained."""
        self.busy[rank] += seconds

    @property
    def utilisation(self) -> list[float]:
        """The share of the time until now in which each rank has trained, (ranks,)."""
        wall = time.monotonic() - self._since
        return [seconds / wall if wall else 0.0 for seconds in self.busy]


class Crew(Protocol):
    """The ranks that train a study, for those who watch."""

    timesheet: Timesheet

    @property
    def homes(self) -> Mapping[int, int]:
        """The rank of each trial that has been trained, or brought back, and not been stopped."""


def in_words(utilisation: Sequence[float]) -> str:
    """Return what people want to know of many ranks: their mean, and the one that trained least."""
    mean, least = sum(utilisation) / len(utilisation), min(utilisation)
    if len(utilisation) == 1:
        return f"1 rank trained {mean:.1%} of the time"
    which = utilisation.index(least)
    return f"{len(utilisation)} ranks trained {mean:.1%} of the time, the least rank {which} with {least:.1%}"
