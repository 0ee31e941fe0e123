"""A build without CUDA, as where there is no nvcc (``make without-cuda``): it says so, whatever is asked of a GPU."""

import subprocess
import sys

import numpy as np
import pytest
from tests.population.samples import TINY

import shoal
from shoal import Population, data
from shoal.population import native
from shoal.population.room import room
from shoal.search.curves import nearest

SAID = "this build of shoal has no CUDA"

pytestmark = pytest.mark.skipif(SAID not in native.why_no_gpu(), reason="this build has CUDA")


class OnGpu:
    """An array that another library says to have in a GPU's memory."""

    __cuda_array_interface__ = {"version": 3, "typestr": "<f4", "shape": (4, 4), "data": (256, False), "strides": None}  # noqa: RUF012


def test_the_cpu_is_all_there_is():
    assert [device.name for device in shoal.devices()] == ["cpu"]
    assert Population(TINY).device == "cpu"
    told = subprocess.run([sys.executable, "-m", "shoal", "devices"], capture_output=True, text=True, check=True)
    assert told.stdout == f"{shoal.devices()[0]}\n"


@pytest.mark.parametrize(
    "ask",
    [
        lambda: Population(TINY, device="cuda"),
        lambda: nearest(np.ones((2, 4)), np.ones((3, 4)), neighbours=1, device="cuda"),
        lambda: nearest(OnGpu(), np.ones((3, 4)), neighbours=1),
        lambda: data.from_device(OnGpu(), OnGpu()),
        lambda: Population(TINY, device="cpu", input_shape=(7,)).copy_state(0, room("cuda:0", direct=True)),
        lambda: Population(TINY, device="cpu", input_shape=(7,)).copy_state(0, room("cuda:0", direct=False)),
        lambda: native.make_current(0),
    ],
    ids=["population", "nearest", "curves", "data", "direct", "pinned", "current"],
)
def test_what_needs_a_gpu_says_that_there_is_no_cuda(ask):
    with pytest.raises(shoal.DeviceError, match=SAID):
        ask()
