"""Ctrl-C and the polite kill, held back until a manager is at a point where it can stop."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Generic, TypeVar

T = TypeVar("T")


@contextmanager
def interrupts(quiet: bool = False) -> Iterator[list[int]]:
    """Gather SIGINT and SIGTERM in the list that is yielded. The second of a kind acts as usual: at once.

    A signal that the process was started to ignore stays ignored, as SIGINT is in a shell's background job. One that
    code in C handles, such as a program that has Python in it, is left to that code. Where it is not ``quiet``, stderr
    says what comes.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # Python lets no other thread handle signals
        yield caught
        return

    def note(number: int, _: FrameType | None) -> None:
        caught.append(number)
        if not quiet:
            print("Stopping after this round; once more stops at once, and the round is lost.", file=sys.stderr)
        signal.signal(number, previous[number])

    others = (signal.SIG_IGN, None)  # None: a handler of C code, that Python could not put back
    heard = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) not in others]
    previous = {int(number): signal.signal(number, note) for number in heard}
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class Aside(Generic[T]):
    """A call in a thread of its own. Python handles signals in the main thread, and it speaks to other ranks."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._results: list[T] = []
        self._errors: list[BaseException] = []

        def run() -> None:
            try:
                self._results.append(call())
            except BaseException as error:
                self._errors.append(error)

        self._thread = threading.Thread(target=run, daemon=True)  # it does not outlive an interrupt of the process
        self._thread.start()

    @property
    def done(self) -> bool:
        """The call has returned, or failed."""
        return not self._thread.is_alive()

    def wait(self, seconds: float) -> None:
        """Wait for the end of the call, but not longer than this."""
        self._thread.join(seconds)

    def result(self) -> T:
        """Wait for what the call returns; what it raised is raised here. Signals are handled meanwhile."""
        while not self.done:
            self.wait(0.1)
        if self._errors:
            raise self._errors[0]
        return self._results[0]


def aside(call: Callable[[], T]) -> T:
    """Return what ``call`` returns, and handle signals while it runs.

    Python handles them in the main thread and between its own steps, so never inside a call of the core.
    """
    return Aside(call).result()
