"""NumPy's .npz archives, for regression and classification."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.data.dataset import Dataset, from_arrays
from shoal.data.planes import unpack
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
    integer y are labels, floating-point y are targets. Inputs are normalised as by ``load``. 32 x 32 colour images may
    be packed into planes (see ``shoal.data.planes``).

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
    train, held_out = _two_parts(arrays, path)
    return three_parts(train, held_out, validation, seed, keys)


@dataclass(frozen=True)
class Archive:
    """An image set, or a piece of it, as one .npz archive with a training and a test part."""

    pattern: str  # of the file's name
    classes: int

    def present(self, folder: Path) -> bool:
        """Whether the folder holds such an archive."""
        return any(folder.glob(self.pattern))

    def read_folder(self, folder: Path, _name: str) -> tuple[Dataset, Dataset]:
        """Read the largest one. It may be a piece of the set, so the parts are called by its own name.

        Raises:
            DataError: It is not such an archive, or its arrays break a rule of ``from_arrays``.
        """
        path = max(folder.glob(self.pattern), key=lambda path: path.stat().st_size)
        return _two_parts(_read_archive(path), path, self.classes)


def _two_parts(arrays: dict[str, NDArray[Any]], path: Path, classes: int | None = None) -> tuple[Dataset, Dataset]:
    x, y, x_test, y_test = (_member(arrays, key, path) for key in ("x_train", "y_train", "x_test", "y_test"))
    if classes is None and y.dtype.kind != "f":
        classes = 1 + int(max(y.max(initial=0), y_test.max(initial=0)))
    train, held_out = (from_arrays(*pair, classes=classes, name=path.name) for pair in ((x, y), (x_test, y_test)))
    if train.shape != held_out.shape or train.outputs != held_out.outputs:
        got = f"{train.shape} and {train.outputs}, in the test part {held_out.shape} and {held_out.outputs}"
        raise DataError(f"{path}: samples and outputs of all parts must have the same shape, got {got}")
    return train, held_out


def _read_archive(path: Path) -> dict[str, NDArray[Any]]:
    try:
        zipfile.ZipFile(path).close()  # np.load would take any other file for a pickle, and say so
        with np.load(path, allow_pickle=False) as archive:
            return unpack(archive)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as .npz: {error}") from error


def _member(arrays: dict[str, NDArray[Any]], key: str, path: Path) -> NDArray[Any]:
    if key not in arrays:
        raise DataError(f"{path}: has no array {key!r}, it has {', '.join(arrays) or 'none'}")
    return arrays[key]
