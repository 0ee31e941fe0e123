"""Ranks that may die one by one, over an MPI with user-level failure mitigation (ULFM), which outlives them.

A call that meets a lost rank raises `RankLost`. Whoever sees it revokes the communicator, so that all do. Then those
that are left agree and shrink (Bland et al. 2013, Post-failure recovery of MPI communication capability, IJHPCA 27(3);
in Open MPI 5, where its launcher is told ``--with-ft ulfm``).

Values go from rank to rank and not through MPI's collective calls: with Open MPI 5.0.11 an allgather that a rank dies
in can return garbage on others, and no error. ULFM itself promises no more for those than that somebody sees an error.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import numpy as np

from shoal.manager.transport import Array, Message, RankLost, Ranks, Transport

_T = TypeVar("_T")

_SET = "OMPI_MCA_mpi_ft_enable"  # by Open MPI's `mpiexec --with-ft ulfm`
_VALUE = 9  # tag
# Classes of errors: a rank has failed, in one request or in some of many; another rank has revoked the communicator.
_LOSSES = ("ERR_PROC_FAILED", "ERR_PROC_FAILED_PENDING", "ERR_IN_STATUS", "ERR_REVOKED")


def survives(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether this MPI goes on when a rank is lost."""
    return environment.get(_SET, "").lower() in ("1", "t", "true", "enabled", "yes", "y")


def ranks(comm: Any) -> Transport:
    """Return the transport between the ranks of a communicator.

    Raises:
        ValueError: It is no intracommunicator, or was freed.
    """
    return MortalRanks(comm) if survives() else Ranks(comm)


def speaks(comm: Any) -> bool:
    """Tell whether this is the first rank of a communicator, of those that are left."""
    if not survives():
        return bool(comm.rank == 0)
    lost = comm.Get_failed()
    names = type(lost).Translate_ranks(lost, list(range(lost.size)), comm.group)
    return bool(comm.rank == min(set(range(comm.size)) - set(names)))


class MortalRanks(Ranks):
    """Ranks of a communicator, without those that are lost already."""

    def __init__(self, comm: Any) -> None:
        super().__init__(comm)
        self._comm.Set_errhandler(self._mpi.ERRORS_RETURN)  # and not whatever the application has there
        gone = self._mpi.Group.Difference(comm.group, self._comm.group)
        self.lost = self._mpi.Group.Translate_ranks(gone, list(range(gone.size)), comm.group)

    def _duplicate(self, comm: Any) -> Any:
        return comm.Shrink()  # a duplicate takes all ranks, and some may be lost already: this leaves them out

    def gather(self, value: _T) -> list[_T]:
        """Send values to rank 0, and from there all of them to all."""
        with self._watching():
            if self.rank > 0:
                self._send(value, 0)
                gathered: list[_T] = self._receive(0)
                return gathered
            values = [value, *(self._receive(rank) for rank in range(1, self.size))]
            for rank in range(1, self.size):
                self._send(values, rank)
            return values

    def broadcast(self, value: _T, root: int = 0) -> _T:
        """Send root's value to all."""
        with self._watching():
            if self.rank != root:
                received: _T = self._receive(root)
                return received
            for rank in range(self.size):
                if rank != root:
                    self._send(value, rank)
            return value

    def _send(self, value: Any, rank: int) -> None:
        block = np.frombuffer(pickle.dumps(value), np.uint8)
        self._comm.Send(np.array([block.size]), rank, _VALUE)
        self._comm.Send(block, rank, _VALUE)

    def _receive(self, rank: int) -> Any:
        size = np.empty(1, int)
        self._comm.Recv(size, rank, _VALUE)
        block = np.empty(int(size[0]), np.uint8)
        self._comm.Recv(block, rank, _VALUE)
        return pickle.loads(block.tobytes())

    def exchange(self, sends: Sequence[tuple[int, Array]], receives: Sequence[tuple[int, Array]]) -> None:
        """Exchange as any ranks do."""
        with self._watching():
            super().exchange(sends, receives)

    def post(self, rank: int, value: Any, arrays: Sequence[Array] = ()) -> None:
        """Post as any ranks do."""
        with self._watching():
            super().post(rank, value, arrays)

    def poll(self) -> Message | None:
        """Poll as any ranks do; a look for messages of anyone need not tell that somebody is lost."""
        with self._watching():
            self._check()
            return super().poll()

    def _check(self) -> None:
        lost = self._comm.Get_failed()
        count = lost.size
        lost.Free()
        if count or self._comm.Is_revoked():
            raise RankLost

    @contextmanager
    def _watching(self) -> Iterator[None]:
        losses = [getattr(self._mpi, name) for name in _LOSSES]
        try:
            yield
        except self._mpi.Exception as error:
            if error.Get_error_class() in losses:
                raise RankLost from error
            raise

    def alike(self, seconds: float) -> bool:
        """Wait until all ranks are here that are left; false if that takes longer."""
        here, end = self._comm.Iagree(np.ones(1, np.int32)), time.monotonic() + seconds
        with suppress(self._mpi.Exception):  # all have agreed that somebody is lost
            while not here.Test():
                if time.monotonic() > end:
                    return False
                time.sleep(0.01)
        return True

    def survivors(self, fine: bool) -> MortalRanks | None:
        """Call out the others, agree, and shrink."""
        if not fine:
            self._comm.Revoke()
            for request in self._requests():  # or a late message may fill an array that is gone
                with suppress(self._mpi.Exception):
                    request.Wait()
        with suppress(self._mpi.Exception):  # raised on all, if somebody was lost that is not known to all
            if self._comm.Agree(int(fine)):
                return None
        left = MortalRanks(self._comm)
        self._comm.Free()
        return left

    def _requests(self) -> list[Any]:
        coming = [request for _, requests in self._coming for request in requests]
        return [*self._under_way, *self._leaving, *coming]

    def close(self) -> None:
        """Close as any ranks do; all is done, so nobody needs what was posted to those that are lost since."""
        with suppress(self._mpi.Exception):
            super().close()

    def leave(self, code: int) -> None:
        """Wait for those that are left, and end at once."""
        sys.stdout.flush()
        sys.stderr.flush()
        with suppress(self._mpi.Exception):
            self._comm.Agree(1)
        os._exit(code)
