"""Going on without ranks that are lost, where MPI can: those that are left do again what all have begun."""

from __future__ import annotations

import gc
import os
import platform
import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from shoal.manager.transport import RankLost, Transport

_T = TypeVar("_T")


def outlive(transport: Transport, attempt: Callable[[Transport], _T], tell: Callable[[str, int], None]) -> _T:
    """Return what an attempt returns during which no rank was lost; then the transport is closed.

    Args:
        transport: Between all ranks.
        attempt: Made with the ranks that are left. What it raises but `RankLost`, it must raise on all ranks alike.
        tell: Is told, on the first rank that is left, who is lost and how many are left.
    """
    while True:
        processes: list[str] = []
        outcome: list[_T] = []
        with suppress(RankLost):
            processes = transport.gather(_process(os.getpid()))
            outcome.append(attempt(transport))
        left = transport.survivors(fine=bool(outcome))
        if left is None:
            transport.close()
            return outcome[0]
        if not left.lost:
            raise RuntimeError("MPI has called ranks lost, but all are here")
        _end(processes[rank] for rank in left.lost if processes)
        if left.rank == 0:
            tell(_names(left.lost, transport.size), left.size)
        transport = left
        gc.collect()  # what has failed may still hold a device's memory


def _end(processes: Iterable[str]) -> None:
    """Kill processes of this machine that do not answer: they must not wake up and go on by themselves."""
    for process in processes:
        pid = int(process.split()[0])
        if _process(pid) == process:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _process(pid: int) -> str:
    """Return a name that no other process has or will have: that of its machine, and when it was started."""
    try:
        # The name of the program may have spaces and parentheses; the 22nd field is ticks since the machine's start.
        begun = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return f"{pid} {begun} {Path('/proc/self/ns/pid').readlink()} {platform.node()}"
    except OSError:
        return f"{pid} ended"


def _names(lost: Sequence[int], size: int) -> str:
    """Return such as ``ranks 1, 2 of 4 are lost``."""
    who = "rank" if len(lost) == 1 else "ranks"
    return f"{who} {', '.join(map(str, lost))} of {size} {'is' if len(lost) == 1 else 'are'} lost"
