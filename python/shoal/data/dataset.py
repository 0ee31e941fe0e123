"""A data set as the trainer reads it. Everything is checked here, once, so that no later code has to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal.data.checks import check_factors, check_inputs, check_labels, check_targets
from shoal.errors import DataError

Vector: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Samples and what is to be learnt from them; ``from_arrays`` makes one from whatever NumPy can read.

    The arrays become read-only views: a population may read them at any time, from any thread.

    Attributes:
        x: (n, *shape), uint8 or float32, C-contiguous, finite. Images are (height, width) or (height, width, channels).
        y: (n,) int32 labels in [0, outputs), or (n, outputs) float32 targets, C-contiguous, finite.
        outputs: The number of classes (at least 2), or of targets a sample.
        scale: (features,) float32 or None for 1. The trainer reads ``x * scale + shift``, computed on the fly.
        shift: (features,) float32 or None for 0.
        name: What errors and reports call it.
        class_names: One for each class, where the source tells them.

    Raises:
        DataError: An array breaks one of these rules.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    outputs: int
    scale: Vector | None = None
    shift: Vector | None = None
    name: str = "data"
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_inputs(self.x, f"{self.name}: x")
        for what in ("scale", "shift"):
            check_factors(getattr(self, what), self.features, f"{self.name}: {what}")
        if len(self.y) != len(self.x):
            raise DataError(f"{self.name}: x has {len(self.x)} samples but y has {len(self.y)}")
        if self.classification:
            check_labels(self.y, self.outputs, f"{self.name}: y")
        else:
            check_targets(self.y, self.outputs, f"{self.name}: y")
        if len(self.class_names) not in (0, self.outputs):
            raise DataError(f"{self.name}: {len(self.class_names)} class_names for {self.outputs} classes")
        for what in ("x", "y", "scale", "shift"):
            object.__setattr__(self, what, _read_only(getattr(self, what), f"{self.name}: {what}"))

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        kind = "classes" if self.classification else "targets"
        return f"Dataset({self.name}: {len(self)} x {self.shape} {self.x.dtype}, {self.outputs} {kind})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.x.shape[1:]

    @property
    def features(self) -> int:
        """Numbers in one sample."""
        return math.prod(self.shape)

    @property
    def classification(self) -> bool:
        """Whether ``y`` holds labels, not targets."""
        return self.y.dtype == np.int32

    def normalised(self) -> Vector:
        """Return ``x * scale + shift`` as a new (n, *shape) float32 array: what a network gets to see."""
        flat = self.x.reshape(len(self), -1).astype(np.float32)
        flat *= 1 if self.scale is None else self.scale
        flat += 0 if self.shift is None else self.shift
        return flat.reshape(self.x.shape)

    def take(self, indices: ArrayLike) -> Dataset:
        """Return the samples at these positions, in this order, as a copy.

        Raises:
            ValueError: ``indices`` is empty, not a list of integers, or one is outside [0, n).
        """
        chosen = np.asarray(indices)
        if chosen.ndim != 1 or chosen.size == 0 or chosen.dtype.kind not in "iu":
            raise ValueError(f"indices must be a list of integers, got {chosen.dtype} of shape {chosen.shape}")
        if chosen.min() < 0 or chosen.max() >= len(self):
            raise ValueError(f"indices must be in [0, {len(self)}), got {chosen.min()} to {chosen.max()}")
        return replace(self, x=self.x[chosen], y=self.y[chosen])


def from_arrays(
    x: ArrayLike,
    y: ArrayLike,
    *,
    classes: int | None = None,
    normalise: bool | Literal["standard"] = True,
    name: str = "arrays",
    class_names: Sequence[str] = (),
) -> Dataset:
    """Make a data set from arrays.

    Args:
        x: (n, ...) numbers. uint8 stays uint8, everything else becomes float32.
        y: (n,) integers are labels; floating-point (n,) or (n, targets) are targets of a regression.
        classes: The number of classes; by default the largest label + 1.
        normalise: True takes uint8 by 1/255 and floats as they are. "standard" gives every feature mean 0 and
            variance 1 over these samples; for several parts of one set see ``standardise``. False changes nothing.
        name: What errors and reports call it.
        class_names: One for each class, or none.

    Raises:
        DataError: Empty, lengths differ, a value is not finite in float32, or a label is outside [0, classes).
        ValueError: ``normalise`` is not one of the above.
    """
    inputs = _numbers(x, f"{name}: x")
    goals = _numbers(y, f"{name}: y")
    if inputs.dtype != np.uint8:
        inputs = _float32(inputs)
    if goals.dtype.kind == "f":
        if classes is not None:
            raise DataError(f"{name}: classes={classes} needs integer labels, y is {goals.dtype}")
        goals = _float32(goals[:, np.newaxis] if goals.ndim == 1 else goals)
        outputs = goals.shape[-1]
    else:
        outputs = int(goals.max()) + 1 if classes is None else classes
        check_labels(goals, outputs, f"{name}: y")  # before int32 could wrap a label around
        goals = goals.astype(np.int32)
    data = Dataset(np.ascontiguousarray(inputs), goals, outputs, name=name, class_names=tuple(class_names))
    if normalise == "standard":
        return standardise(data)[0]
    if not isinstance(normalise, bool):
        raise ValueError(f'normalise must be True, False or "standard", got {normalise!r}')
    if not normalise or data.x.dtype != np.uint8:
        return data
    return replace(data, scale=np.full(data.features, 1 / 255, np.float32))


def standardise(train: Dataset, *others: Dataset) -> tuple[Dataset, ...]:
    """Normalise all parts of a set by the mean and standard deviation of the first, feature by feature.

    The others are not looked at, so nothing leaks from them. A feature that is constant in ``train`` becomes 0.

    Raises:
        DataError: The parts differ in the shape of a sample.
    """
    for other in others:
        if other.shape != train.shape:
            raise DataError(f"{other.name}: a sample has shape {other.shape}, in {train.name} it has {train.shape}")
    columns = train.x.reshape(len(train), -1).T  # one by one: a float64 copy of all could fill the memory
    mean = np.array([column.mean(dtype=np.float64) for column in columns])
    # Compared, not computed: the standard deviation of a constant may come out as a rounding error above 0.
    spread = np.array([c.std(dtype=np.float64) if c.min() < c.max() else math.inf for c in columns])
    scale, shift = _float32(1 / spread), _float32(-mean / spread)
    return tuple(replace(part, scale=scale, shift=shift) for part in (train, *others))


def _numbers(values: ArrayLike, where: str) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{where} must hold numbers, got dtype {array.dtype}")
    if array.ndim == 0 or len(array) == 0:
        raise DataError(f"{where} must have one entry a sample, for at least one sample, got {array}")
    return array


def _float32(values: NDArray[Any]) -> Vector:
    with np.errstate(over="ignore"):  # becomes inf, which the check for finite values reports with its place
        return np.ascontiguousarray(values, dtype=np.float32)


def _read_only(values: NDArray[Any] | None, where: str) -> NDArray[Any] | None:
    if values is None:
        return None
    if not values.flags.c_contiguous:
        raise DataError(f"{where} must be C-contiguous: use from_arrays")
    view = values.view()
    view.flags.writeable = False
    return view
