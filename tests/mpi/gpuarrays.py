"""States go between arrays that say that a GPU has them: ``python -m mpi4py -m tests.mpi.gpuarrays``.

They are the host's, so that an MPI that takes them at their word sends them, whatever it knows of GPUs.
"""

import sys

import numpy as np
from mpi4py import MPI

from shoal.manager.held import Held, deliver
from shoal.manager.mortal import ranks
from shoal.manager.transport import Ranks


class OnGPU:
    """Bytes that NumPy cannot see."""

    def __init__(self, size):
        self.memory = np.zeros(size, np.uint8)
        self.dtype, self.shape = self.memory.dtype, self.memory.shape

    @property
    def __cuda_array_interface__(self):
        return {**self.memory.__array_interface__, "version": 3, "stream": None}


class Watched(Ranks):
    """Notes what kinds of arrays are exchanged."""

    def __init__(self, comm):
        super().__init__(comm)
        self.seen = []

    def exchange(self, sends, receives):
        self.seen += [(type(sent), type(place)) for (_, sent), (_, place) in zip(sends, receives, strict=True)]
        super().exchange(sends, receives)


def bring(transport, room):
    """Send a state around: a block of 1 MB, and a number. Return what was there and what has come."""
    block = room(1_000_000)
    memory = block.memory if isinstance(block, OnGPU) else block
    memory[:] = transport.rank + 1
    states = [
        Held(rank, {"member": block, "seconds": np.array(rank + 0.5)} if rank == transport.rank else {})
        for rank in range(transport.size)
    ]
    moves = [(state, (rank + 1) % transport.size) for rank, state in enumerate(states)]
    return deliver(transport, moves, room)[(transport.rank - 1) % transport.size]


if __name__ == "__main__":
    transport = Watched(MPI.COMM_WORLD)
    before = (transport.rank - 1) % transport.size
    for room, kind in ((OnGPU, OnGPU), (lambda size: np.empty(size, np.uint8), np.ndarray)):
        transport.seen.clear()
        came = bring(transport, room)
        assert transport.seen == [(kind, kind), (np.ndarray, np.ndarray)]
        assert type(came["member"]) is kind
        memory = came["member"].memory if kind is OnGPU else came["member"]
        assert (memory == before + 1).all()
        assert came["seconds"] == before + 0.5
    assert not ranks(MPI.COMM_WORLD).reaches_gpus() or sys.argv[1:] == ["aware"]
    sys.stdout.write("ok\n")
