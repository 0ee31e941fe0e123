"""What a manager asks of whoever keeps its study."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from shoal.manager.journal import Event, Line
from shoal.manager.snapshot import Snapshot


class Keeper(Protocol):
    """Keeps events, and the states that they led to."""

    def open(self) -> AbstractContextManager[tuple[list[Line], Snapshot]]:
        """Open for writing; yields the events to go on from, none for a new study, and their snapshot."""

    @property
    def due(self) -> bool:
        """It is time for a snapshot."""

    def append(self, event: Event) -> None:
        """Note an event."""

    def flush(self) -> None:
        """Write what was noted."""

    def save(self, snapshot: Snapshot, seconds: float) -> Event:
        """Write a snapshot and its event; return the event. ``seconds`` is what the study has taken so far."""
