"""A data set whose arrays are in a GPU's memory, where another library has put them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal.data.checks import check_factors, check_labels, check_targets
from shoal.data.dataset import Dataset, Vector
from shoal.errors import DataError
from shoal.gpuarrays import DeviceView, on_gpu


@dataclass(frozen=True, eq=False, repr=False)
class DeviceDataset:
    """Samples on a GPU, for populations on the same one; ``from_device`` makes one.

    Attributes:
        x: (n, *shape) on the GPU, uint8 or float32.
        y: (n,) int32 labels in [0, outputs), or (n, outputs) float32 targets; on the GPU or not.
        outputs: The number of classes, or of targets a sample.
        scale: (features,) float32 or None for 1. The trainer reads ``x * scale + shift``, computed on the fly.
        shift: (features,) float32 or None for 0.
        name: What errors call it.
    """

    x: DeviceView
    y: DeviceView | NDArray[Any]
    outputs: int
    scale: Vector | None = None
    shift: Vector | None = None
    name: str = "device arrays"

    def __len__(self) -> int:
        return self.x.shape[0]

    def __repr__(self) -> str:
        kind = "classes" if self.classification else "targets"
        size = f"{len(self)} x {self.shape} {self.x.dtype}"
        return f"DeviceDataset({self.name} on {self.device}: {size}, {self.outputs} {kind})"

    @property
    def device(self) -> str:
        """The name of the GPU."""
        return self.x.device

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.x.shape[1:]

    @property
    def classification(self) -> bool:
        """Whether ``y`` holds labels, not targets."""
        return self.y.dtype == "int32"


AnyDataset: TypeAlias = Dataset | DeviceDataset


def from_device(
    x: Any,
    y: Any,
    *,
    classes: int | None = None,
    scale: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    name: str = "device arrays",
) -> DeviceDataset:
    """Make a data set from arrays in a GPU's memory, without a copy: they must stay as they are while it is in use.

    Args:
        x: (n, ...) uint8 or float32, C-contiguous, of CuPy, PyTorch, JAX or whoever else has ``__dlpack__`` or
            ``__cuda_array_interface__``; n >= 1.
        y: On the same GPU (n,) int32 labels or (n, targets) float32; or in host memory what `from_arrays` takes.
            Labels are few: they are copied to be checked.
        classes: The number of classes; by default the largest label + 1.
        scale: One number or one a feature; by default 1/255 for uint8 and 1 for float32.
        shift: One number or one a feature, by default 0. The trainer reads ``x * scale + shift``.
        name: What errors call it.

    Raises:
        DataError: An array has another type or shape, is not contiguous, is empty or has values that are not finite, a
            label is outside [0, classes), or ``x`` is in no GPU's memory.
    """
    inputs = device_inputs(x, f"{name}: x")
    goals, outputs = _goals(y, classes, f"{name}: y")
    if goals.shape[0] != inputs.shape[0]:
        raise DataError(f"{name}: x has {inputs.shape[0]} samples but y has {goals.shape[0]}")
    if isinstance(goals, DeviceView) and goals.device != inputs.device:
        raise DataError(f"{name}: x is on {inputs.device} but y is on {goals.device}")
    features = math.prod(inputs.shape[1:])
    if scale is None and inputs.dtype == "uint8":
        scale = 1 / 255
    factors = {what: _factor(f, features, f"{name}: {what}") for what, f in (("scale", scale), ("shift", shift))}
    return DeviceDataset(inputs, goals, outputs, **factors, name=name)


def device_inputs(x: Any, where: str) -> DeviceView:
    """Return a view of (n, ...) finite inputs in a GPU's memory; raise DataError where they are no such."""
    view = _view(x, where)
    if view.dtype not in ("uint8", "float32"):
        raise DataError(f"{where} must be uint8 or float32, got {view.dtype}: convert it there")
    if len(view.shape) < 2 or math.prod(view.shape) == 0:
        raise DataError(f"{where} must have shape (n, ...) and not be empty, got {view.shape}")
    if view.dtype == "float32" and not view.finite():
        raise DataError(f"{where} must be finite, it has NaN or infinite values")
    return view


def _view(array: Any, where: str) -> DeviceView:
    if not on_gpu(array):
        raise DataError(f"{where} must be in a GPU's memory, got {type(array).__name__}: use from_arrays")
    try:
        return DeviceView(array)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None


def _goals(y: Any, classes: int | None, where: str) -> tuple[DeviceView | NDArray[Any], int]:
    """Return labels or targets, and how many classes or targets there are."""
    goals = _view(y, where) if on_gpu(y) else _host_goals(y, where)
    if goals.dtype == "int32":
        labels = goals.to_host() if isinstance(goals, DeviceView) else goals
        outputs = int(labels.max(initial=0)) + 1 if classes is None else classes
        check_labels(labels, outputs, where)
        return goals, int(outputs)
    if classes is not None:
        raise DataError(f"{where}: classes={classes} needs int32 labels, y is {goals.dtype}")
    if len(goals.shape) != 2:
        raise DataError(f"{where} must be int32 (n,) or float32 (n, targets), got {goals.dtype} {goals.shape}")
    outputs = goals.shape[1]
    if isinstance(goals, DeviceView):
        if goals.dtype != "float32" or outputs < 1 or not goals.finite():
            raise DataError(f"{where} must be int32 (n,) or finite float32 (n, targets), got {goals.dtype}")
    else:
        check_targets(goals, outputs, where)
    return goals, outputs


def _host_goals(y: Any, where: str) -> NDArray[Any]:
    array = np.asarray(y)
    if array.dtype.kind in "iub":
        check_labels(array, 2**31 - 1, where)  # before int32 could wrap a label around
        return np.array(array, np.int32)
    return np.ascontiguousarray(array[:, np.newaxis] if array.ndim == 1 else array, np.float32)


def _factor(values: ArrayLike | None, features: int, where: str) -> Vector | None:
    if values is None:
        return None
    array = np.asarray(values, np.float32)
    factors = np.full(features, array, np.float32) if array.ndim == 0 else np.ascontiguousarray(array)
    check_factors(factors, features, where)
    return factors
