"""The binary version of CIFAR-10 and CIFAR-100 (A. Krizhevsky 2009, www.cs.toronto.edu/~kriz/cifar.html).

A record is the label byte (CIFAR-100: the coarse label, then the fine one, which is used here) and 3072 bytes of image:
the red plane, the green, the blue, each 32 rows of 32.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shoal.data.checks import check_labels
from shoal.data.dataset import Dataset, from_arrays
from shoal.errors import DataError

PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Cifar:
    """One of the two layouts."""

    train: tuple[str, ...]
    test: str
    label_bytes: int
    classes: int

    def present(self, folder: Path) -> bool:
        """Whether the folder holds (at least the first file of) a data set in this layout."""
        return (folder / self.train[0]).is_file()

    def read_folder(self, folder: Path, name: str) -> tuple[Dataset, Dataset]:
        """Read all files: (n, 32, 32, 3) images, train and test.

        Raises:
            DataError: A file is missing, empty or truncated, or a label is out of range.
        """
        train = np.concatenate([self._records(folder / file) for file in self.train])
        return self._dataset(train, name), self._dataset(self._records(folder / self.test), name)

    def _records(self, path: Path) -> NDArray[np.uint8]:
        try:
            content = np.frombuffer(path.read_bytes(), np.uint8)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error}") from error
        size = self.label_bytes + PIXELS
        if content.size == 0 or content.size % size:
            raise DataError(f"{path}: must be records of {size} bytes, got {content.size} bytes (empty or truncated)")
        records = content.reshape(-1, size)
        check_labels(records[:, self.label_bytes - 1], self.classes, str(path))
        return records

    def _dataset(self, records: NDArray[np.uint8], name: str) -> Dataset:
        planes = records[:, self.label_bytes :].reshape(-1, 3, 32, 32)
        labels = records[:, self.label_bytes - 1]
        return from_arrays(planes.transpose(0, 2, 3, 1), labels, classes=self.classes, name=name)


CIFAR10 = Cifar(tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin", label_bytes=1, classes=10)
CIFAR100 = Cifar(("train.bin",), "test.bin", label_bytes=2, classes=100)
