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
Per: TypeAlias = Literal["feature", "channel"]

_BLOCK = 2**20  # numbers looked at together: a float64 copy of a whole set could fill the memory


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Samples and what is to be learnt from them; ``from_arrays`` makes one from whatever NumPy can read.

    The arrays become read-only views, labels a copy: a population may read them at any time, from any thread.

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
            object.__setattr__(self, "y", self.y.copy())  # the core indexes by them: nobody may change them meanwhile
            check_labels(self.y, self.outputs, f"{self.name}: y")
        else:
            check_targets(self.y, self.outputs, f"{self.name}: y")
        if len(self.class_names) not in (0, self.outputs):
            raise DataError(f"{self.name}: {len(self.class_names)} class_names for {self.outputs} classes")
        object.__setattr__(self, "outputs", int(self.outputs))
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
    normalise: bool | Literal["standard", "channel"] = True,
    name: str = "arrays",
    class_names: Sequence[str] = (),
) -> Dataset:
    """Make a data set from arrays.

    Args:
        x: (n, ...) numbers. uint8 stays uint8, everything else becomes float32.
        y: (n,) integers are labels; floating-point (n,) or (n, targets) are targets of a regression.
        classes: The number of classes; by default the largest label + 1.
        normalise: True takes uint8 by 1/255 and floats as they are. "standard" gives every feature mean 0 and
            variance 1 over these samples, "channel" every channel of images (height, width, channels) or (height,
            width); for several parts of one set see ``standardise``. False changes nothing.
        name: What errors and reports call it.
        class_names: One for each class, or none.

    Raises:
        DataError: Empty, lengths differ, a value is not finite in float32, a label is outside [0, classes), or samples
            to be normalised by channel are no images.
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
        goals = goals.astype(np.int32, copy=False)
    data = Dataset(np.ascontiguousarray(inputs), goals, outputs, name=name, class_names=tuple(class_names))
    if normalise == "standard" or normalise == "channel":
        return standardise(data, per="feature" if normalise == "standard" else "channel")[0]
    if not isinstance(normalise, bool):
        raise ValueError(f'normalise must be True, False, "standard" or "channel", got {normalise!r}')
    if not normalise or data.x.dtype != np.uint8:
        return data
    return replace(data, scale=np.full(data.features, 1 / 255, np.float32))


def standardise(train: Dataset, *others: Dataset, per: Per = "feature") -> tuple[Dataset, ...]:
    """Normalise all parts of a set by the mean and standard deviation of the first.

    The others are not looked at, so nothing leaks from them. What is constant in ``train`` becomes 0.

    Args:
        train: The part whose statistics are used.
        others: The parts that are normalised along with it.
        per: "feature": each has its own statistics. "channel": those of each channel over all pixels, for images
            (height, width, channels) or (height, width), which have one channel.

    Raises:
        DataError: The parts differ in the shape of a sample, or have no channels.
        ValueError: ``per`` is neither of the two.
    """
    for other in others:
        if other.shape != train.shape:
            raise DataError(f"{other.name}: a sample has shape {other.shape}, in {train.name} it has {train.shape}")
    if per not in ("feature", "channel"):
        raise ValueError(f'per must be "feature" or "channel", got {per!r}')
    groups = train.features if per == "feature" else _channels(train)
    mean, spread = _moments(train.x.reshape(len(train), -1), groups)
    # The channel is the last axis: it is that of feature f % groups.
    scale, shift = (np.tile(_float32(v), train.features // groups) for v in (1 / spread, -mean / spread))
    return tuple(replace(part, scale=scale, shift=shift) for part in (train, *others))


def _channels(data: Dataset) -> int:
    if len(data.shape) not in (2, 3):
        raise DataError(
            f"{data.name}: to be normalised by channel, a sample must be an image (height, width, channels) "
            f"or (height, width), got shape {data.shape}"
        )
    return data.shape[2] if len(data.shape) == 3 else 1


def _moments(x: NDArray[Any], groups: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation over each group of features, f % groups; infinity for one that is constant."""
    samples, features = x.shape
    rows = max(_BLOCK // features, 1)
    blocks = [x[first : first + rows] for first in range(0, samples, rows)]

    def mean_of(sums: list[Any]) -> Any:  # by feature, then by group: ten times as fast as by group at once
        return np.reshape(sums, (-1, groups)).sum(axis=0) / (x.size // groups)

    mean = mean_of([block.sum(axis=0, dtype=np.float64) for block in blocks])
    centre = np.tile(mean, features // groups)
    spread = np.sqrt(mean_of([np.square(block - centre).sum(axis=0) for block in blocks]))
    # Compared, not computed: the standard deviation of a constant may come out as a rounding error above 0.
    low, high = x.min(axis=0).reshape(-1, groups).min(axis=0), x.max(axis=0).reshape(-1, groups).max(axis=0)
    return mean, np.where(low < high, spread, math.inf)


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
