"""Ctrl-C and the polite kill, held back until a manager is at a point where it can stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """Gather SIGINT and SIGTERM in the list that is yielded. The second of a kind acts as usual: at once."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # Python lets no other thread handle signals
        yield caught
        return

    def note(number: int, _: FrameType | None) -> None:
        caught.append(number)
        signal.signal(number, previous[number])

    previous = {int(number): signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
