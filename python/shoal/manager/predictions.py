"""Metrics that a user computes of what a network predicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shoal.data import AnyDataset
from shoal.gpuarrays import DeviceView
from shoal.manager.interrupts import aside
from shoal.population import Population

#: Of predictions, (n, outputs), as `Population.predict` returns them, and targets: (n,) labels or (n, outputs) values.
Function: TypeAlias = Callable[[NDArray[np.float32], NDArray[Any]], float]


def metric_calls(
    functions: Mapping[str, Function], population: Population, row: int, data: AnyDataset
) -> dict[str, Callable[[], float]]:
    """Let a member predict; return what computes each metric of it. A user's function that fails raises there."""
    if not functions:
        return {}
    predictions = aside(lambda: population.predict(data, row))
    targets = (data.y.to_host() if isinstance(data.y, DeviceView) else data.y).view()
    for array in (predictions, targets):
        array.setflags(write=False)  # the next function, or the training, has the same ones
    return {name: partial(_number, function, predictions, targets) for name, function in functions.items()}


def _number(function: Function, predictions: NDArray[np.float32], targets: NDArray[Any]) -> float:
    value: Any = function(predictions, targets)
    if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
        raise TypeError(f"must return a number, got {value!r}")
    return float(value)
