"""Splitting a data set: stratified by class, or by group, keyed by the seed and by nothing else."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal.data.dataset import Dataset, standardise
from shoal.errors import DataError

Indices: TypeAlias = NDArray[np.int64]
Parts: TypeAlias = tuple[Dataset, Dataset, Dataset]  # train, validation, test

VALIDATION = 0.2  # of what is not test, unless the caller says otherwise
TEST = 0.2  # of a set that has no test part of its own
TEST_SEED = 0  # always the same: a test part that follows the study's seed would be looked at sooner or later


def split(data: Dataset, size: float, *, seed: int = 0, groups: ArrayLike | None = None) -> tuple[Dataset, Dataset]:
    """Split a set in two: what remains, and a part of the given size. Both keep the order of the samples.

    Labels: the part has every class in its exact proportion (largest remainder), and where the numbers allow it both
    parts have every class. Targets: any samples may be drawn.

    Args:
        data: What to split, at least 2 samples.
        size: A count (int, at least 1) or a fraction of the samples (float in (0, 1)), leaving at least 1.
        seed: The same seed gives the same split, on every machine.
        groups: (n,) one value a sample. Samples of the same value stay together; the size is met as closely as
            the first groups in random order allow, and classes are not balanced.

    Raises:
        ValueError: An argument breaks its rule.
    """
    rest, part = _indices(data, size, seed, groups, "size")
    return data.take(rest), data.take(part)


def three_parts(
    data: Dataset,
    test: Dataset | float,
    validation: float | None,
    seed: int,
    groups: NDArray[Any] | None = None,
) -> Parts:
    """Split off the validation part, and before it the test part where the source has none (``test`` is its size).

    Images with channels are standardised by the training part, channel by channel; vectors of floats (the rows of a
    table) feature by feature. Images are not: a pixel at the border is almost constant, and dividing by its deviation
    would blow it up.
    """
    if not isinstance(test, Dataset):
        rest, part = _indices(data, test, TEST_SEED, groups, "test")
        data, test = data.take(rest), data.take(part)
        groups = None if groups is None else groups[rest]
    size = VALIDATION if validation is None else validation
    rest, part = _indices(data, size, seed, groups, "validation")
    train, valid = data.take(rest), data.take(part)
    if len(train.shape) == 3:
        train, valid, test = standardise(train, valid, test, per="channel")
    elif len(train.shape) == 1 and train.x.dtype == np.float32:
        train, valid, test = standardise(train, valid, test)
    return train, valid, test


def _indices(data: Dataset, size: float, seed: int, groups: ArrayLike | None, what: str) -> tuple[Indices, Indices]:
    n = len(data)
    count = _count(size, n, f"{data.name}: {what}")
    _check_seed(seed)
    if groups is None:
        labels = data.y if data.classification else np.zeros(n, np.int64)
        chosen = _stratified(labels, count, [seed, n, count])
    else:
        chosen = _whole_groups(np.asarray(groups), n, count, [seed, n, count], data.name)
    picked = np.zeros(n, bool)
    picked[chosen] = True
    return np.flatnonzero(~picked), np.flatnonzero(picked)


def _check_seed(seed: object) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be an integer >= 0, got {seed!r}")


def _count(size: object, n: int, where: str) -> int:
    if n < 2:
        raise DataError(f"{where}: {n} sample cannot be split")
    if isinstance(size, int) and not isinstance(size, bool) and 1 <= size < n:
        return size
    if isinstance(size, float) and 0 < size < 1:
        return min(max(round(size * n), 1), n - 1)
    raise ValueError(f"{where} must be a count in [1, {n - 1}] or a fraction in (0, 1), got {size!r}")


def _shuffled(n: int, key: list[int]) -> Indices:
    # Sorted raw words: NumPy promises that they never change, which it does not of Generator.permutation.
    words: NDArray[np.uint64] = np.random.PCG64(key).random_raw(n)
    return np.argsort(words, kind="stable")


def _stratified(labels: NDArray[Any], count: int, key: list[int]) -> Indices:
    order = _shuffled(len(labels), key)
    share = _shares(np.bincount(labels), count)
    return np.concatenate([order[labels[order] == label][:take] for label, take in enumerate(share)])


def _shares(sizes: Indices, count: int) -> Indices:
    """How many to take of each class: ``count * sizes / sizes.sum()``, rounded to sum to ``count``.

    A class of two or more is neither left out nor used up, where that is possible at all.
    """
    low, high = np.minimum(sizes // 2, 1), np.where(sizes > 1, sizes - 1, 0)
    if low.sum() > count:
        low = np.zeros_like(sizes)
    if high.sum() < count:
        high = sizes
    share: Indices = np.clip(count * sizes // sizes.sum(), low, high)
    # Without the limits this is the largest remainder method: each step goes to the class that is furthest behind.
    while (missing := count - share.sum()) != 0:
        behind = count * sizes - sizes.sum() * share
        if missing > 0:
            share[np.where(share < high, behind, behind.min() - 1).argmax()] += 1
        else:
            share[np.where(share > low, behind, behind.max() + 1).argmin()] -= 1
    return share


def _whole_groups(groups: NDArray[Any], n: int, count: int, key: list[int], name: str) -> Indices:
    if groups.shape != (n,):
        raise DataError(f"{name}: groups must have shape ({n},), got {groups.shape}")
    values, group = np.unique(groups, return_inverse=True)
    if len(values) < 2:
        raise DataError(f"{name}: groups has one value only, {values[0]}, and cannot be split")
    order = _shuffled(len(values), key)
    total = np.cumsum(np.bincount(group)[order])[:-1]  # [:-1]: one group must remain
    nearest = int(np.abs(total - count).argmin())
    return np.flatnonzero(np.isin(group, order[: nearest + 1]))
