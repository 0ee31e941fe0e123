"""The idx format of MNIST and its kin (Y. LeCun, yann.lecun.com/exdb/mnist), plain or gzipped.

Magic number: two zero bytes, the type (8 = uint8), the number of dimensions; then each dimension as a big-endian
uint32, then the bytes, last dimension fastest.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shoal.data.checks import check_labels
from shoal.data.dataset import Dataset, from_arrays
from shoal.errors import DataError

PARTS = ("train", "t10k")


@dataclass(frozen=True)
class Idx:
    """The four files of a set: train-* and t10k-*, with -images-idx3-ubyte and -labels-idx1-ubyte."""

    classes: int | None = None  # by default the largest label + 1

    def present(self, folder: Path) -> bool:
        """Whether the folder holds (at least the first file of) a data set in this format."""
        return any((folder / f"{PARTS[0]}-images-idx3-ubyte{ending}").is_file() for ending in ("", ".gz"))

    def read_folder(self, folder: Path, name: str) -> tuple[Dataset, Dataset]:
        """Read all files: (n, height, width) images, train and test.

        Raises:
            DataError: A file is missing or malformed, the files do not fit each other, or a label is out of range.
        """
        images = {part: read(_find(folder, f"{part}-images-idx3-ubyte"), dimensions=3) for part in PARTS}
        paths = {part: _find(folder, f"{part}-labels-idx1-ubyte") for part in PARTS}
        labels = {part: read(path, dimensions=1) for part, path in paths.items()}
        classes = self.classes
        if classes is None:
            classes = 1 + max(int(part.max(initial=0)) for part in labels.values())
        for part, path in paths.items():
            check_labels(labels[part], classes, str(path))
            if len(labels[part]) != len(images[part]):
                raise DataError(f"{path}: {len(labels[part])} labels for {len(images[part])} images")
        if images["train"].shape[1:] != images["t10k"].shape[1:]:
            raise DataError(f"{folder}: train images are {images['train'].shape[1:]}, t10k {images['t10k'].shape[1:]}")
        train, test = (from_arrays(images[part], labels[part], classes=classes, name=name) for part in PARTS)
        return train, test


def read(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read one file of uint8 with this number of dimensions.

    Raises:
        DataError: The file cannot be read, has another magic number, or another length than its header says.
    """
    content = _content(path)
    magic, wanted = content[:4], bytes([0, 0, 8, dimensions])
    if magic != wanted:
        raise DataError(f"{path}: magic number must be {wanted.hex()} (uint8, {dimensions}-d), got {magic.hex()}")
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DataError(f"{path}: truncated, the header has {len(content)} of {start} bytes")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise DataError(f"{path}: the header says {math.prod(shape)} bytes of data, got {len(content) - start}")
    if math.prod(shape) == 0:
        raise DataError(f"{path}: empty, its shape is {shape}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _find(folder: Path, stem: str) -> Path:
    for path in (folder / stem, folder / f"{stem}.gz"):
        if path.is_file():
            return path
    raise DataError(f"{folder}: {stem} is missing (plain or .gz)")


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        # By content, not by ending: browsers unpack downloads and keep the name. An idx file starts with two zeros.
        return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
