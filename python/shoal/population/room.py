"""Memory for members' blocks that go from process to process: the host's, or a GPU's where MPI reaches it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from shoal.population import native

Block: TypeAlias = NDArray[np.uint8] | native.DeviceArray
Room: TypeAlias = Callable[[int], Block]  # returns so many bytes, whatever is in them


def host(size: int) -> NDArray[np.uint8]:
    """Return memory of the host."""
    return np.empty(size, np.uint8)


def room(device: str, direct: bool) -> Room:
    """Return what gives memory for the blocks of a device's members.

    Args:
        device: Its name.
        direct: MPI takes what is in a GPU's memory. Else, and where that is short, blocks go through page-locked memory
            of the host, which the GPU copies to and from by itself.
    """
    if device == "cpu":
        return host
    number = int(device.removeprefix("cuda:"))
    rooms: list[Room] = [partial(native.pinned_memory, number)]
    if direct:
        native.make_current(number)  # an MPI may go by the GPU that is current
        rooms.insert(0, partial(native.device_memory, number))

    def first(size: int) -> Block:
        for each in rooms:
            with suppress(MemoryError):
                return each(size)
        return host(size)

    return first
