"""NumPy's .npz archives, for regression and classification."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.data.dataset import from_arrays
from shoal.data.splits import TEST, Parts, three_parts
from shoal.errors import DataError


def load_npz(
    path: str | Path,
    *,
    groups: str | None = None,
    validation: float | None = None,
    test: float = TEST,
    seed: int = 0,
) -> Parts:
    """Load an .npz archive: train, validation, test.

    It holds ``x`` and ``y``, or ``x_train``, ``y_train``, ``x_test`` and ``y_test``, as ``from_arrays`` takes them:
    integer y are labels, floating-point y are targets. Inputs that are vectors of floats are standardised by the
    training part, uint8 inputs are taken by 1/255.

    Args:
        path: The file.
        groups: The name of an array with one value a sample (of x or x_train); equal values stay in one part.
        validation: Samples (int) or fraction (float) of what is not test; by default a fifth.
        test: Samples or fraction for the test part where the archive has none; the same for every seed.
        seed: Keys the validation split.

    Raises:
        DataError: The file is not such an archive, or its arrays break a rule of ``from_arrays``.
        ValueError: An argument breaks its rule.
    """
    path = Path(path)
    arrays = _read_archive(path)
    keys = None if groups is None else _member(arrays, groups, path)
    if "x_train" not in arrays:
        data = from_arrays(_member(arrays, "x", path), _member(arrays, "y", path), name=path.name)
        return three_parts(data, test, validation, seed, keys)
    x, y, x_test, y_test = (_member(arrays, key, path) for key in ("x_train", "y_train", "x_test", "y_test"))
    classes = None if y.dtype.kind == "f" else 1 + int(max(y.max(initial=0), y_test.max(initial=0)))
    train, held_out = (from_arrays(*pair, classes=classes, name=path.name) for pair in ((x, y), (x_test, y_test)))
    if train.shape != held_out.shape or train.outputs != held_out.outputs:
        got = f"{train.shape} and {train.outputs}, in the test part {held_out.shape} and {held_out.outputs}"
        raise DataError(f"{path}: samples and outputs of all parts must have the same shape, got {got}")
    return three_parts(train, held_out, validation, seed, keys)


def _read_archive(path: Path) -> dict[str, NDArray[Any]]:
    try:
        zipfile.ZipFile(path).close()  # np.load would take any other file for a pickle, and say so
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as .npz: {error}") from error


def _member(arrays: dict[str, NDArray[Any]], key: str, path: Path) -> NDArray[Any]:
    if key not in arrays:
        raise DataError(f"{path}: has no array {key!r}, it has {', '.join(arrays) or 'none'}")
    return arrays[key]
