"""What every transport does, as a program: each rank checks its own part.

``python -m mpi4py -m tests.mpi.conformance SIZE`` runs it over MPI's ranks.
"""

import sys

import numpy as np
import pytest


def check(transport):
    """Assert all of it."""
    gathers(transport)
    broadcasts(transport)
    exchanges_around(transport)
    keeps_the_order(transport)
    takes_any_array(transport)
    posts_to_everyone(transport)
    posts_states_that_overtake_nothing(transport)
    posts_beside_collective_calls(transport)
    assert transport.node
    assert transport.alike(10)


def gathers(transport):
    assert transport.gather(("rank", transport.rank)) == [("rank", rank) for rank in range(transport.size)]


def broadcasts(transport):
    for root in range(transport.size):
        assert transport.broadcast({"from": transport.rank}, root) == {"from": root}


def exchanges_around(transport):
    """Everyone sends to the next one, 4 MB, which no MPI buffers: all at once, or they would wait for each other."""
    values, place = np.arange(1_000_000, dtype=np.float32) + transport.rank, np.zeros(1_000_000, np.float32)
    before = (transport.rank - 1) % transport.size
    transport.exchange([((transport.rank + 1) % transport.size, values)], [(before, place)])
    np.testing.assert_array_equal(place, np.arange(1_000_000, dtype=np.float32) + before)
    transport.exchange([], [])


def keeps_the_order(transport):
    """Several arrays of different lengths, from everyone to everyone."""
    ranks = range(transport.size)
    sends = [(rank, np.full(length, 10 * transport.rank + rank)) for rank in ranks for length in (3, 1, 2)]
    places = [(rank, np.zeros(length, int)) for rank in ranks for length in (3, 1, 2)]
    transport.exchange(sends, places)
    for rank, place in places:
        assert (place == 10 * rank + transport.rank).all()


def takes_any_array(transport):
    """No dimension, no element, two dimensions, booleans, complex numbers."""
    arrays = [np.array(3.5), np.zeros(0), np.eye(3), np.array([True, False]), np.array([1j])]
    places = [np.empty_like(array) for array in arrays]
    transport.exchange([(transport.rank, each) for each in arrays], [(transport.rank, each) for each in places])
    for array, place in zip(arrays, places, strict=True):
        np.testing.assert_array_equal(place, array)


def polled(transport, count):
    """Return so many messages; there are no more, now or once all have got theirs."""
    messages = []
    while len(messages) < count:
        message = transport.poll()
        messages += [message] if message is not None else []
    transport.gather(None)  # all have got theirs,
    assert transport.poll() is None
    transport.gather(None)  # and nobody has posted anything new
    return messages


def posts_to_everyone(transport):
    """To itself too."""
    for rank in range(transport.size):
        transport.post(rank, {"to": rank, "from": transport.rank})
    found = polled(transport, transport.size)
    assert sorted(message.rank for message in found) == list(range(transport.size))
    assert all(each.value == {"to": transport.rank, "from": each.rank} for each in found)
    assert all(list(each.arrays) == [] for each in found)


def posts_states_that_overtake_nothing(transport):
    """4 MB, which no MPI buffers, then arrays of all kinds, then none: all sent before anyone looks."""
    arrays = [np.array(3.5), np.zeros(0), np.eye(3), np.eye(4)[:, 1], np.array([True, False]), np.array([1j])]
    for rank in range(transport.size):
        transport.post(rank, "large", [np.arange(1_000_000, dtype=np.float32) + transport.rank])
        transport.post(rank, "many", arrays)
        transport.post(rank, "none")
    found = polled(transport, 3 * transport.size)
    for rank in range(transport.size):
        large, many, none = (message for message in found if message.rank == rank)
        assert (large.value, many.value, none.value, none.arrays) == ("large", "many", "none", [])
        np.testing.assert_array_equal(large.arrays[0], np.arange(1_000_000, dtype=np.float32) + rank)
        for came, sent in zip(many.arrays, arrays, strict=True):
            assert (came.dtype, came.shape) == (sent.dtype, sent.shape)
            np.testing.assert_array_equal(came, sent)


def posts_beside_collective_calls(transport):
    """What was posted before an exchange is not taken for a part of it."""
    other = (transport.rank + 1) % transport.size
    transport.post(other, "posted", [np.full(3, 7.0)])
    place = np.zeros(3)
    transport.exchange([(other, np.full(3, 8.0))], [((transport.rank - 1) % transport.size, place)])
    (message,) = polled(transport, 1)
    assert (place == 8).all()
    assert (message.value, list(message.arrays[0])) == ("posted", [7.0] * 3)


if __name__ == "__main__":
    from mpi4py import MPI

    from shoal.manager.mortal import ranks

    assert MPI.COMM_WORLD.size == int(sys.argv[1])
    for color in (0, MPI.COMM_WORLD.rank % 2):  # all of them; then two halves, each for itself
        part = MPI.COMM_WORLD.Split(color)
        transport = ranks(part)
        assert (transport.rank, transport.size) == (part.rank, part.size)
        check(transport)
        transport.close()
        part.Free()
        with pytest.raises(ValueError, match="comm: must be an mpi4py intracommunicator that was not freed"):
            ranks(part)
    sys.stdout.write("ok\n")  # in one piece, beside other ranks
