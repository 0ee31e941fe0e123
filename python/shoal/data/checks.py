"""The rules that the arrays of a data set keep. ``where`` names the array in the message."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import DataError


def check_labels(labels: NDArray[Any], classes: object, where: str) -> None:
    """Raise DataError unless ``labels`` is (n,) integers in [0, classes)."""
    if not isinstance(classes, int | np.integer) or not 2 <= classes < 2**31:
        rule = "an integer number of classes >= 2 and below 2**31"
        raise DataError(f"{where}: a classification needs {rule}, got {classes}")
    if labels.ndim != 1:
        raise DataError(f"{where}: labels must have shape (n,), got {labels.shape}; targets must be floating point")
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        i = int(wrong.argmax())
        raise DataError(f"{where}[{i}]: label {labels[i]} is outside [0, {classes})")


def check_inputs(x: NDArray[Any], where: str) -> None:
    """Raise DataError unless ``x`` is (n, ...) uint8 or finite float32, and not empty."""
    if x.dtype not in (np.uint8, np.float32):
        raise DataError(f"{where} must be uint8 or float32, got {x.dtype}: use from_arrays")
    if x.ndim < 2:
        raise DataError(f"{where} must have shape (n, ...), got {x.shape}")
    if x.size == 0:
        raise DataError(f"{where} is empty, its shape is {x.shape}")
    _check_finite(x, where)


def check_targets(y: NDArray[Any], outputs: int, where: str) -> None:
    """Raise DataError unless ``y`` is (n, outputs) finite float32."""
    if y.dtype != np.float32 or y.ndim != 2 or y.shape[1] != outputs or outputs < 1:
        raise DataError(f"{where} must be int32 (n,) or float32 (n, {max(outputs, 1)}), got {y.dtype} {y.shape}")
    _check_finite(y, where)


def check_factors(values: NDArray[np.float32] | None, features: int, where: str) -> None:
    """Raise DataError unless ``values`` is None or (features,) finite float32."""
    if values is None:
        return
    if values.dtype != np.float32 or values.shape != (features,):
        raise DataError(f"{where} must be float32 of shape ({features},), got {values.dtype} {values.shape}")
    _check_finite(values, where)


def _check_finite(values: NDArray[Any], where: str) -> None:
    if values.dtype.kind != "f":
        return
    finite = np.isfinite(values)
    if not finite.all():
        first = np.unravel_index(int(finite.argmin()), values.shape)
        place = ", ".join(str(i) for i in first)
        raise DataError(f"{where}[{place}] is {values[first]}, must be finite in float32")
