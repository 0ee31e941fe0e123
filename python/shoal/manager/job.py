"""A command that an MPI launcher has started many times: one study, one voice, one end.

However a process ends, all of them do: a clean error that all have met alike is said once, by rank 0; whoever fails
alone says so and ends the others, which would wait for it for ever. Where ranks can be lost, the first that is left has
the voice.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shoal.errors import ShoalError, StudyError
from shoal.manager.mortal import ranks, speaks, survives
from shoal.manager.transport import Transport, asked, finish, launched, world

_PATIENCE = 1.0  # seconds that a rank that has failed waits for the others to fail alike


@contextmanager
def job() -> Iterator[Any | None]:
    """Yield the communicator of all processes that were launched with this one; None if there is no other.

    Raises:
        StudyError: On rank 0: MPI cannot be used.
        SystemExit: On other ranks, if all have failed alike; what rank 0 has raised is raised there.
    """
    comm = _world(*(launched() or (0, None)))
    if comm is None:
        yield None
        return
    transport = ranks(comm)
    try:
        yield comm
    except BaseException as error:
        _end(transport, comm, error)
        raise
    transport.leave(0)


def _world(rank: int, size: int | None) -> Any | None:
    if size is None and not asked():
        return None
    try:
        comm = world(size)
    except StudyError as error:
        if rank > 0:
            sys.exit(_code(error))
        raise
    return comm if comm.size > 1 else None


def _end(transport: Transport, comm: Any, error: BaseException) -> None:
    if not transport.alike(_PATIENCE):
        # A ValueError that no other rank has met is no bad input.
        _say(error, (ShoalError, MemoryError), f"rank {transport.rank}:")
        transport.abort(_code(error))
    if survives() and speaks(comm):
        _say(error, (ValueError, ShoalError, MemoryError))
    transport.leave(_code(error))
    finish()
    if transport.rank > 0:
        sys.exit(_code(error))


def _say(error: BaseException, plain: tuple[type[BaseException], ...], *who: str) -> None:
    """Say what has happened, but where it is plain from the message, with a traceback."""
    if isinstance(error, plain):
        print(*who, str(error) or "out of memory", file=sys.stderr)
    elif not isinstance(error, SystemExit):
        print(*who, "".join(traceback.format_exception(error)), file=sys.stderr)


def _code(error: BaseException) -> int:
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return error.code
    return 2 if isinstance(error, ValueError | ShoalError | MemoryError | OSError) else 1
