"""The journal of a study: one JSON object a line, only ever appended to.

A process can die in the middle of a write, so the last line may be torn: it is dropped, on reading and on going on.
Anything else that cannot be read is damage, and is an error that names the line. JSON knows no NaN: numbers that are
not finite become null. The events themselves are described in ``record.py``.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

from shoal.errors import StudyError
from shoal.population.files import named

Event = dict[str, Any]

FILE = "journal.jsonl"
_PATIENCE = 2.0  # seconds: a process that was just killed may not have let go yet
_JSON = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


class Line(NamedTuple):
    """One event, and where it stands in the file."""

    number: int  # from 1
    end: int  # bytes up to and with its newline
    event: Event


def encode(event: Event) -> str:
    """Return the event as one line of JSON, numbers that are not finite as null."""
    try:
        return _JSON.encode(event)
    except ValueError:
        return _JSON.encode(_without_nan(event))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def journal_path(path: str | Path) -> Path:
    """Return the journal of a study's directory; a file is taken to be the journal itself."""
    path = Path(path)
    return path / FILE if path.is_dir() else path


def read_journal(path: str | Path) -> list[Line]:
    """Read a journal, or the journal of a study's directory.

    Raises:
        StudyError: There is no such file, or a line before the last is not a JSON object.
    """
    path = journal_path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StudyError(f"{path}: cannot be read as a study's journal: {error.strerror}") from None
    lines: list[Line] = []
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1
        event = _decode(data[start:end])  # end is 0 without a newline: torn, and the slice is empty
        if event is None:
            if 0 < end < len(data):
                raise StudyError(f"{path}, line {len(lines) + 1}: not a JSON object: {data[start:end][:60]!r}")
            break
        lines.append(Line(len(lines) + 1, end, event))
        start = end
    return lines


def _decode(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:  # UnicodeDecodeError and JSONDecodeError are both
        return None
    return event if isinstance(event, dict) else None


class Journal:
    """The writer. Events are gathered, ``flush`` hands them to the system, ``sync`` to the disk.

    Args:
        path: The file; made when missing.

    Raises:
        StudyError: Another process has this journal open, or it cannot be locked.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        end = time.monotonic() + _PATIENCE
        while not self._lock():
            if time.monotonic() > end:
                self._file.close()
                raise StudyError(f"{path.parent}: another process is running this study")
            time.sleep(0.05)
        self._pending: list[str] = []

    def _lock(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system lets go of it when a process dies
        except BlockingIOError:
            return False
        except OSError as error:  # of a file system without locks
            self._file.close()
            raise StudyError(f"{self._file.name}: cannot be locked, so its study could run twice: {error}") from None
        return True

    def cut(self, end: int) -> None:
        """Drop what the file has beyond its first ``end`` bytes, also on the disk."""
        self._file.truncate(end)
        os.fsync(self._file.fileno())  # or an old event could come back and speak of a new snapshot

    def append(self, event: Event) -> None:
        """Add an event to those that the next ``flush`` writes."""
        self._pending.append(encode(event))

    def flush(self) -> None:
        """Write what was gathered, in one call: after it, the events outlive the process."""
        if self._pending:
            with named(self._file.name):
                self._file.write(("\n".join(self._pending) + "\n").encode())
                self._file.flush()
            self._pending.clear()

    def sync(self) -> None:
        """Flush, and wait for the disk: after it, the events outlive the machine."""
        self.flush()
        with named(self._file.name):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; events that were not flushed are gone."""
        with named(self._file.name):
            self._file.close()
