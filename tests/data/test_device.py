"""Data sets on a GPU, as far as a machine without one can tell; tests/gpu has the rest."""

import numpy as np
import pytest

from shoal import data
from shoal.errors import DataError


@pytest.mark.parametrize("x", [np.zeros((4, 3), np.float32), [[1, 2], [3, 4]], None])
def test_what_is_in_no_gpus_memory_is_refused(x):
    with pytest.raises(
        DataError, match=f"pixels: x must be in a GPU's memory, got {type(x).__name__}: use from_arrays"
    ):
        data.from_device(x, [0, 1, 0, 1], name="pixels")
