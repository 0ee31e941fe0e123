"""How ranks, the processes that run one study together, speak to each other. Only this file knows MPI.

Plain values are small; weights travel as buffers, from their owner straight into the receiver's array. Most calls are
collective: every rank makes the same ones in the same order. Any rank may at any time ``post`` to another, ``poll`` for
what was posted to it, and ``abort``. One thread of a process, the same throughout, makes all calls.
"""

from __future__ import annotations

import os
import platform
import sys
import time
import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, Protocol, TypeAlias, TypeVar

import numpy as np

from shoal.errors import StudyError
from shoal.gpuarrays import on_gpu
from shoal.manager.cudaaware import cuda_aware

_T = TypeVar("_T")
Array: TypeAlias = np.ndarray[Any, Any]

# What launchers tell each process: how many it has started, and which of them this one is.
_LAUNCHERS = (
    ("PMI_SIZE", "PMI_RANK"),  # MPICH, Intel MPI
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),  # Open MPI
    ("MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"),  # MVAPICH
)
_EXCHANGED, _POSTED, _ATTACHED = range(3)  # tags of messages
_SRUN = ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID")  # it also starts what has nothing to do with each other


class RankLost(Exception):  # noqa: N818  it is no error of anybody here
    """A rank has died, or another one has noticed that: the transport is of no more use but for ``survivors``."""


class Message(NamedTuple):
    """What a rank has posted."""

    rank: int  # that has posted it
    value: Any
    arrays: list[Array]


class Transport(Protocol):
    """Some ranks, and this one among them.

    Attributes:
        rank: This one, from 0.
        size: How many there are.
        node: The name of the machine it runs on.
        lost: Ranks of what it was made from that are no more, as that counts them.
    """

    rank: int
    size: int
    node: str
    lost: Sequence[int]

    def gather(self, value: _T) -> list[_T]:
        """Return the value of each rank, in their order, on every rank."""

    def broadcast(self, value: _T, root: int = 0) -> _T:
        """Return root's value on every rank."""

    def exchange(self, sends: Sequence[tuple[int, Array]], receives: Sequence[tuple[int, Array]]) -> None:
        """Send arrays to ranks and fill arrays from ranks, all at the same time.

        They may be in a GPU's memory, if ``reaches_gpus``; what has filled it is over, then.

        Args:
            sends: (to, array), C-contiguous; unchanged.
            receives: (from, array), C-contiguous, of the size that comes. What comes from one rank comes in its order.
        """

    def reaches_gpus(self) -> bool:
        """Tell whether ``exchange`` takes arrays in a GPU's memory."""

    def post(self, rank: int, value: Any, arrays: Sequence[Array] = ()) -> None:
        """Send a small value and arrays to a rank that polls, and return at once; nobody may change the arrays ever."""

    def poll(self) -> Message | None:
        """Return a message that has come, whole, or None. Those of one rank come in the order of posting."""

    def alike(self, seconds: float) -> bool:
        """Wait until all ranks are here; false if that takes longer. No call may follow that."""

    def survivors(self, fine: bool) -> Transport | None:
        """Agree on the end of what was done together.

        Args:
            fine: No rank was lost, as far as this one knows. If not, all others are called out of their calls.

        Returns:
            None, if all are fine. Else the transport between those that are left, to be used instead of this one.
        """

    def abort(self, code: int) -> NoReturn:
        """End all ranks at once."""

    def leave(self, code: int) -> None:
        """End this process, where ranks can be lost: MPI's own end may wait for those for ever."""

    def close(self) -> None:
        """Give back what the transport holds; it cannot be used any more."""


class Alone:
    """The one rank of a study in one process."""

    rank, size = 0, 1
    lost: Sequence[int] = ()

    def __init__(self) -> None:
        self.node = platform.node()
        self._posted: deque[Message] = deque()

    def gather(self, value: _T) -> list[_T]:
        """Return the value."""
        return [value]

    def broadcast(self, value: _T, root: int = 0) -> _T:  # noqa: ARG002
        """Return the value."""
        return value

    def exchange(self, sends: Sequence[tuple[int, Array]], receives: Sequence[tuple[int, Array]]) -> None:
        """Copy."""
        for (_, array), (_, place) in zip(sends, receives, strict=True):
            _bytes(place)[:] = _bytes(array)

    def reaches_gpus(self) -> bool:
        """Nothing is sent."""
        return False

    def post(self, rank: int, value: Any, arrays: Sequence[Array] = ()) -> None:
        """Keep it."""
        self._posted.append(Message(rank, value, list(arrays)))

    def poll(self) -> Message | None:
        """Return the oldest."""
        return self._posted.popleft() if self._posted else None

    def alike(self, seconds: float) -> bool:  # noqa: ARG002
        """It is here."""
        return True

    def survivors(self, fine: bool) -> None:
        """It is."""

    def abort(self, code: int) -> NoReturn:
        """End the process."""
        sys.stderr.flush()
        os._exit(code)

    def leave(self, code: int) -> None:
        """It ends as any process does."""

    def close(self) -> None:
        """Nothing is held."""


class Ranks:
    """The ranks of an MPI communicator, of which it holds a duplicate: no message meets one of the application.

    Args:
        comm: An mpi4py intracommunicator.

    Raises:
        ValueError: It is something else, or was freed.
    """

    def __init__(self, comm: Any) -> None:
        self._mpi = _import()
        if not isinstance(comm, self._mpi.Intracomm) or comm == self._mpi.COMM_NULL:
            raise ValueError(f"comm: must be an mpi4py intracommunicator that was not freed, got {comm!r}")
        self._comm = self._duplicate(comm)
        self.rank, self.size = self._comm.rank, self._comm.size
        self.node = self._mpi.Get_processor_name()
        self.lost: Sequence[int] = ()
        self._under_way: list[Any] = []  # requests of an exchange
        self._leaving: list[Any] = []  # requests of what was posted and may still be on its way
        self._coming: deque[tuple[Message, list[Any]]] = deque()  # with the requests of arrays that have not all come

    def _duplicate(self, comm: Any) -> Any:
        return comm.Dup()

    def gather(self, value: _T) -> list[_T]:
        """Return the value of each rank, in their order, on every rank."""
        return list(self._comm.allgather(value))

    def broadcast(self, value: _T, root: int = 0) -> _T:
        """Return root's value on every rank."""
        received: _T = self._comm.bcast(value, root)
        return received

    def exchange(self, sends: Sequence[tuple[int, Array]], receives: Sequence[tuple[int, Array]]) -> None:
        """Post all receives, then all sends, and wait for them: between two ranks MPI keeps the order."""
        kind, requests = self._mpi.BYTE, self._under_way
        for source, place in receives:
            requests.append(self._comm.Irecv([_bytes(place), kind], source, _EXCHANGED))
        for rank, array in sends:
            requests.append(self._comm.Isend([_bytes(array), kind], rank, _EXCHANGED))
        self._mpi.Request.Waitall(requests)
        requests.clear()

    def reaches_gpus(self) -> bool:
        """Ask MPI."""
        return cuda_aware(self._mpi)

    def post(self, rank: int, value: Any, arrays: Sequence[Array] = ()) -> None:
        """Send the value with the arrays' types and shapes, and behind it the arrays."""
        if rank == self.rank:
            self._coming.append((Message(rank, value, list(arrays)), []))
            return
        self._leaving = [request for request in self._leaving if not request.Test()]
        described = [(array.dtype.str, array.shape) for array in arrays]
        self._leaving.append(self._comm.isend((value, described), rank, _POSTED))
        blocks = [_bytes(np.ascontiguousarray(array)) for array in arrays]
        self._leaving += [self._comm.Isend([block, self._mpi.BYTE], rank, _ATTACHED) for block in blocks]

    def poll(self) -> Message | None:
        """Look for values, prepare for their arrays, and return the first message that is whole."""
        status = self._mpi.Status()
        while self._probe(status):
            source = status.Get_source()
            value, described = self._comm.recv(None, source, _POSTED)
            arrays = [np.empty(shape, dtype) for dtype, shape in described]
            requests = [self._comm.Irecv([_bytes(each), self._mpi.BYTE], source, _ATTACHED) for each in arrays]
            self._coming.append((Message(source, value, arrays), requests))
        late = set()  # ranks of which something older has not come yet
        for place, (message, requests) in enumerate(self._coming):
            if message.rank not in late and self._mpi.Request.Testall(requests):
                del self._coming[place]
                return message
            late.add(message.rank)
        return None

    def _probe(self, status: Any) -> bool:
        """Tell whether a value is here.

        MPICH looks among what it knows of and learns of what has come only after that, so one look would see it when
        the next one is due (github.com/pmodels/mpich/issues/1062).
        """
        return any(self._comm.iprobe(tag=_POSTED, status=status) for _ in range(2))

    def alike(self, seconds: float) -> bool:
        """Wait until all ranks are here; false if that takes longer."""
        here, end = self._comm.Ibarrier(), time.monotonic() + seconds
        while not here.Test():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def survivors(self, fine: bool) -> Transport | None:  # noqa: ARG002
        """Nobody is lost without the others."""
        return None

    def abort(self, code: int) -> NoReturn:
        """End all ranks at once."""
        sys.stderr.flush()
        self._comm.Abort(code)
        raise SystemExit(code)  # not reached: for those who cannot know that Abort does not return

    def leave(self, code: int) -> None:
        """It ends as any process does."""

    def close(self) -> None:
        """Free the duplicate, once all that was posted has been taken."""
        self._mpi.Request.Waitall(self._leaving)
        self._comm.Free()


def located(transport: Transport, error: StudyError) -> StudyError:
    """Return an error of this rank for all ranks: it says which one and where, for the machine may be the reason."""
    told = StudyError(f"rank {transport.rank} on {transport.node}: {error}")
    told.__cause__ = error
    return told


def asked() -> bool:
    """Tell whether the process was started as ``python -m mpi4py``, or has taken to MPI by itself."""
    return "mpi4py" in sys.modules


def launched(environment: Mapping[str, str] = os.environ) -> tuple[int, int] | None:
    """Return the rank and the size that an MPI launcher has told this process; None without one, or if it is alone."""
    for size, rank in (*_LAUNCHERS, _SRUN) if asked() else _LAUNCHERS:
        if int(environment.get(size, 1)) > 1:
            return int(environment.get(rank, 0)), int(environment[size])
    return None


def world(size: int | None) -> Any:
    """Return the communicator of all processes that were launched together, which must be ``size`` if that is known.

    Raises:
        StudyError: MPI is missing, or its library is not the launcher's, so that each process is alone.
    """
    mpi = _import()
    if (seen := mpi.COMM_WORLD.size) != size and size is not None:
        library = " ".join(mpi.Get_library_version().split()[:3])
        mpi.Finalize()
        raise StudyError(
            f"MPI: the launcher has started {size} processes, but each sees {seen}: it belongs to another MPI than"
            f" mpi4py's, {library}; take the mpiexec of that one"
        )
    return mpi.COMM_WORLD


def finish() -> None:
    """End MPI, after which this process may exit with any code and no other is ended for it."""
    _import().Finalize()


def _import() -> Any:
    try:
        with warnings.catch_warnings():  # of a launcher of another MPI, once a process: `world` says it once
            warnings.filterwarnings("ignore", "suspicious MPI execution environment", RuntimeWarning)
            from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: mpi4py is here, an MPI library is not
        raise StudyError(f"MPI: cannot be used ({error}); pip install 'shoal[mpi]' brings it") from None
    return MPI


def _bytes(array: Array) -> Array:
    return array if on_gpu(array) else array.reshape(-1).view(np.uint8)
