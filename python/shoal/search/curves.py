"""How alike learning curves are: the nearest of a library, and what they foretell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal import _core  # noqa: TID251  its distances need no population
from shoal.gpuarrays import DeviceView, on_gpu
from shoal.space.checks import whole

Floats: TypeAlias = NDArray[np.float64]

#: Distance of one curve (t,) to each of m curves (m, t), at the same points: (m,) numbers.
Distance: TypeAlias = Callable[[Floats, Floats], Floats]

#: An array in a GPU's memory, with ``__dlpack__`` or ``__cuda_array_interface__``.
DeviceArray: TypeAlias = Any

DISTANCES = tuple(_core.Distance.__members__)


def nearest(
    curves: ArrayLike | DeviceArray,
    library: ArrayLike | DeviceArray,
    *,
    distance: str | Distance = "l2",
    neighbours: int = 1,
    threads: int | None = None,
    device: str | None = None,
) -> tuple[NDArray[np.int64], Floats]:
    """Return the library's curves that are nearest to each of some curves, and how near they are.

    With curves a and b over the n points that both have, and f the factor that makes the distance smallest:

    - ``"l1"``: mean of abs(a - b)
    - ``"l2"``: sqrt(mean (a - b)²)
    - ``"linf"``: max of abs(a - b)
    - ``"cosine"``: 1 - a·b / sqrt(a·a b·b); two zero curves are alike, a zero one and another are at 1
    - ``"scaled"``: sqrt(mean (a - f b)²), f = a·b / b·b, 0 where b is zero

    Of equally near ones the lower row comes first. Distances are in float64 and do not depend on threads; a GPU gives
    the same bits (but for numbers below 2**-1022 on the way, which the CPU counts as zero).

    Args:
        curves: (q, T) values; NaN where a point is missing. NumPy reads them, or they are a C-contiguous float64 array
            in a GPU's memory (of CuPy, PyTorch, JAX), which is used where it is.
        library: (m, T) values at the same points, as ``curves``.
        distance: One of these names, or a function of (T,) and (m, T) that returns (m,) numbers, with NaN as infinity.
        neighbours: k, how many.
        threads: CPU threads, by default one for each core this process may use. A function runs in one.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...; by default the GPU that an array is on, else ``"cpu"``. A
            function needs the CPU.

    Returns:
        (q, k) rows of ``library``, the nearest first, and (q, k) distances. Where there are fewer than k curves with a
        point in common, -1 and infinity.

    Raises:
        ValueError: The two are not (q, T) and (m, T) numbers that are finite or NaN, an array on a GPU is not on
            ``device``, or an argument breaks its rule.
        DeviceError: There is no such device.
    """
    whole("neighbours", neighbours, least=1)
    count = 0 if threads is None else whole("threads", threads, least=1)
    given, stored = _rows(curves), _rows(library)
    place = _place(device, given, stored)
    if callable(distance):
        if isinstance(given, DeviceView) or isinstance(stored, DeviceView) or place != "cpu":
            raise ValueError(f"distance: a function needs curves and device on the CPU, got device {place}")
        return _nearest_by(distance, given, stored, neighbours)
    if distance not in DISTANCES:
        raise ValueError(f"distance: must be one of {', '.join(DISTANCES)} or a function, got {distance!r}")
    return _core.nearest_curves(given, stored, _core.Distance.__members__[distance], neighbours, count, place)


def _rows(curves: ArrayLike | DeviceArray) -> Floats | DeviceView:
    return DeviceView(curves) if on_gpu(curves) else np.ascontiguousarray(curves, np.float64)


def _place(device: str | None, *arrays: Floats | DeviceView) -> str:
    """Return the name of the device that is asked for, or that the arrays are on."""
    if device is None:
        return next((array.device for array in arrays if isinstance(array, DeviceView)), "cpu")
    return "cuda:0" if device == "cuda" else device


def _nearest_by(
    distance: Distance, curves: Floats, library: Floats, neighbours: int
) -> tuple[NDArray[np.int64], Floats]:
    rows = np.full((len(curves), neighbours), -1, np.int64)
    distances = np.full(rows.shape, np.inf)
    for curve, its_rows, its_distances in zip(curves, rows, distances, strict=True):
        values = np.asarray(distance(curve, library), np.float64)
        if values.shape != (len(library),):
            raise ValueError(
                f"distance: must return one number for each of {len(library)} curves, got shape {values.shape}"
            )
        values = np.where(np.isnan(values), np.inf, values)
        order = np.argsort(values, kind="stable")[:neighbours]
        order = order[values[order] < np.inf]
        its_rows[: len(order)], its_distances[: len(order)] = order, values[order]
    return rows, distances


class Library:
    """Curves of trials that were trained to the end, at the same points, and how they ended; it grows one by one."""

    def __init__(self, points: int) -> None:
        self._curves = np.empty((16, points))
        self._finals = np.empty(16)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, curve: Floats, final: float) -> None:
        """Add a curve (T,) and its final score; finite both."""
        if self._count == len(self._finals):
            self._curves = np.concatenate([self._curves, np.empty_like(self._curves)])
            self._finals = np.concatenate([self._finals, np.empty_like(self._finals)])
        self._curves[self._count], self._finals[self._count] = curve, final
        self._count += 1

    @property
    def finals(self) -> Floats:
        """The final scores."""
        return self._finals[: self._count]

    def ahead(self, curve: Sequence[float]) -> float:
        """Return which share of the library is better where a curve's beginning (t,) ends."""
        return float((self._curves[: self._count, len(curve) - 1] < curve[-1]).mean())

    def predict(self, curve: Floats, distance: str | Distance, neighbours: int) -> float:
        """Return the final score that a curve's beginning (t,) foretells; NaN where no library curve is near it.

        It is that of the nearest library curve over the same points; of several neighbours, their mean weighted by one
        over the distance. Of curves equally near the one that was added first counts.
        """
        library = self._curves[: self._count, : len(curve)]
        (rows,), (distances,) = nearest(curve[None], library, distance=distance, neighbours=neighbours, threads=1)
        rows, distances = rows[rows >= 0], distances[rows >= 0]
        if len(rows) == 0:
            return float("nan")
        if distances[0] == 0 or len(rows) == 1:
            return float(self._finals[rows[0]])
        return float(np.average(self._finals[rows], weights=1 / distances))
