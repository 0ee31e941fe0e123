"""A study's directory: its journal, its last two snapshots, and where to go on after the process has died.

A study goes on from its last snapshot that can be read. What the journal says after it is cut off: trained again, it
would say the same again.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shoal.errors import StudyError
from shoal.manager.journal import FILE, Event, Journal, Line, encode, read_journal
from shoal.manager.snapshot import Snapshot, State, write_parts

_SNAPSHOTS = "snapshot-*.safetensors"
_OWN = re.compile(r"snapshot-(\d+)(-\d+-of-\d+)?\.safetensors")  # others in the directory are the user's
_TORN = re.compile(r".+\.(safetensors|toml)\.\d+\.tmp")  # of a write that was killed: `files.put` names them so
_FREE = ("device", "engine", "plan")  # may change while a study goes on
_KEPT = 2  # the one before the last is there for a disk that lied
_SHARE = 0.05  # of the time may go into snapshots


class Store:
    """Keeps a study on the disk.

    Args:
        directory: Made when the study opens.
        header: The ``study`` event; the directory may hold this study and no other.
        interval: Seconds between snapshots, at least; more where they take long. 0 takes one whenever asked.

    Raises:
        StudyError: The directory has another study, or a journal that cannot be read.
    """

    def __init__(self, directory: Path, header: Event, interval: float) -> None:
        self.directory = directory
        self._path = directory / FILE
        self._header = header
        self._interval = interval
        self._number = 0
        self._journal: Journal  # while the store is open
        self._saved, self._cost = 0.0, 0.0  # the clock at the last snapshot, or at opening; its seconds
        self._read()

    def _read(self) -> list[Line]:
        lines = read_journal(self._path) if self._path.exists() else []
        if lines:
            check_same(lines[0].event, self._header, self._path)
        return lines

    @contextmanager
    def open(self) -> Iterator[tuple[list[Line], Snapshot]]:
        """Open for writing; yields the events to go on from, none for a new study, and their snapshot."""
        with self.locked() as lines:
            lines, snapshot = self.last_snapshot(lines, Snapshot.read)
            self.begin(lines)
            yield lines, snapshot

    @contextmanager
    def locked(self) -> Iterator[list[Line]]:
        """Open the journal for writing, for this process alone; yields all that it says."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._journal = Journal(self._path)
        try:
            yield self._read()
        finally:
            self._journal.close()

    def last_snapshot(
        self, lines: list[Line], read: Callable[[Sequence[Path]], Snapshot]
    ) -> tuple[list[Line], Snapshot]:
        """Return the last snapshot whose files ``read`` can read, and the lines up to it."""
        for i, (_, _, event) in reversed(list(enumerate(lines))):
            if event.get("event") == "snapshot":
                try:
                    snapshot = read([self.directory / name for name in _names(event)])
                except StudyError:
                    continue
                self._number = event["number"]
                return lines[: i + 1], snapshot
        self._number = 0
        return lines[:1], Snapshot()

    def begin(self, lines: list[Line]) -> None:
        """Forget what comes after these lines."""
        self._journal.cut(lines[-1].end if lines else 0)
        self._drop()
        for leftover in self.directory.glob("*.tmp"):
            if _TORN.fullmatch(leftover.name):
                leftover.unlink()
        self._saved, self._cost = time.monotonic(), 0.0

    @property
    def due(self) -> bool:
        """It is time for a snapshot."""
        wait = max(self._interval, self._cost / _SHARE) if self._interval else 0
        return time.monotonic() - self._saved >= wait

    @property
    def reached(self) -> float:
        """The seconds that the study had taken at the last snapshot in the journal; 0 without one."""
        events = [event for _, _, event in self._read() if event.get("event") == "snapshot"]
        return float(events[-1]["seconds"]) if events else 0.0

    def append(self, event: Event) -> None:
        """Note an event."""
        self._journal.append(event)

    def flush(self) -> None:
        """Write what was noted."""
        self._journal.flush()

    def save(self, snapshot: Snapshot, seconds: float) -> Event:
        """Write a snapshot and its event; return the event. ``seconds`` is what the study has taken so far."""
        begun = time.monotonic()
        self.write(snapshot.parts())
        return self.confirm(seconds, begun)

    def write(self, parts: Mapping[str, State], rank: int = 0, ranks: int = 1) -> None:
        """Write what one of several ranks has of the next snapshot.

        Raises:
            OSError: The disk does not take it.
        """
        self._number += 1
        write_parts(self.directory / _names(_where(self._number, ranks))[rank], parts)

    def confirm(self, seconds: float, begun: float, ranks: int = 1) -> Event:
        """Note the snapshot that all ranks have written since the clock was at ``begun``; return its event."""
        event = {"event": "snapshot", **_where(self._number, ranks), "seconds": seconds}
        self._journal.append(event)
        self._journal.sync()
        self._drop()
        self._saved = time.monotonic()
        self._cost = self._saved - begun
        return event

    def _drop(self) -> None:
        kept = range(self._number - _KEPT + 1, self._number + 1)
        for path in self.directory.glob(_SNAPSHOTS):
            own = _OWN.fullmatch(path.name)
            if own and int(own[1]) not in kept:
                path.unlink()


def check_same(found: Event, expected: Event, path: Path) -> None:
    """Compare two ``study`` events.

    Raises:
        StudyError: They differ in what decides the result; the message names it.
    """
    changes = list(differences(found, expected))
    if changes:
        raise StudyError(
            f"{path}: belongs to another study: {'; '.join(changes[:3])}. Take another directory, or remove this one"
        )


def differences(found: Event, expected: Event) -> Iterator[str]:
    """Yield what decides the result and differs between two ``study`` events, of which one or both were read."""
    found = {name: value for name, value in json.loads(encode(found)).items() if name not in _FREE}
    expected = {name: value for name, value in json.loads(encode(expected)).items() if name not in _FREE}
    return _differences(found, expected, "")


def _differences(found: Any, expected: Any, place: str) -> Iterator[str]:
    if isinstance(found, dict) and isinstance(expected, dict):
        for name in found | expected:
            yield from _differences(found.get(name), expected.get(name), f"{place}.{name}" if place else name)
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        for i, pair in enumerate(zip(found, expected, strict=True)):
            yield from _differences(*pair, f"{place}[{i}]")
    elif found != expected:
        yield f"{place} is {found!r} there and {expected!r} here"


def _where(number: int, ranks: int) -> Event:
    """Return what the journal says of where a snapshot is."""
    if ranks == 1:
        return {"number": number, "file": _SNAPSHOTS.replace("*", str(number))}
    return {"number": number, "file": _SNAPSHOTS.replace("*", f"{number}-*-of-{ranks}"), "parts": ranks}


def _names(event: Event) -> list[str]:
    return [event["file"].replace("*", str(part)) for part in range(1, event.get("parts", 1) + 1)]
