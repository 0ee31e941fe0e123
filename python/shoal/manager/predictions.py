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


class PredictionMetrics:
    """A user's functions on one data set.

    Args:
        functions: By the metrics' names.
        data: Whose targets they see.
    """

    def __init__(self, functions: Mapping[str, Function], data: AnyDataset) -> None:
        self._functions, self._data = functions, data
        if functions:
            self._targets = (data.y.to_host() if isinstance(data.y, DeviceView) else data.y).view()
            self._targets.setflags(write=False)  # the training may have the same ones

    def calls(self, population: Population, row: int) -> dict[str, Callable[[], float]]:
        """Let a member predict; return what computes each metric of it. A user's function that fails raises there."""
        if not self._functions:
            return {}
        predictions = aside(lambda: population.predict(self._data, row))
        predictions.setflags(write=False)  # the next function has the same ones
        return {name: partial(_number, each, predictions, self._targets) for name, each in self._functions.items()}


def _number(function: Function, predictions: NDArray[np.float32], targets: NDArray[Any]) -> float:
    value: Any = function(predictions, targets)
    if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
        raise TypeError(f"must return a number, got {value!r}")
    return float(value)
