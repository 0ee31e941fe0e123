"""``load``: a data set by its name, or from a path."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shoal.data.archives import load_npz
from shoal.data.cifar import CIFAR10, CIFAR100
from shoal.data.dataset import Dataset, from_arrays
from shoal.data.idx import Idx
from shoal.data.sources import SOURCES, ImageFormat, read_set
from shoal.data.splits import TEST, Parts, three_parts
from shoal.data.tables import load_csv
from shoal.errors import DataError

NAMES = ("digits", *SOURCES)
TABLES = {".npz": load_npz, ".csv": load_csv, ".tsv": load_csv}
IMAGES: tuple[ImageFormat, ...] = (Idx(), CIFAR10, CIFAR100)


def load(
    name: str | Path,
    validation: float | None = None,
    seed: int = 0,
    directory: str | Path | None = None,
) -> Parts:
    """Load a data set in three parts: train, validation, test.

    The validation part is split off the training part, stratified by class. Sets without a test part of their own
    (digits, tables) give a fifth of their samples for it, stratified too, and the same for every seed.

    Images with channels (height, width, channels) are normalised to mean 0 and variance 1 channel by channel, vectors
    of floats feature by feature; all parts with the statistics of the training part. Images without channels keep their
    range: uint8 goes to [0, 1], floats stay as they are.

    Args:
        name: "digits" (1797 images of 8 x 8, comes with scikit-learn), "mnist", "fashion-mnist", "cifar10", "cifar100",
            or a path: a directory with idx files, CIFAR binaries or one .npz, .csv or .tsv file, or such a file. Tables
            are read with the defaults of ``load_npz`` and ``load_csv``.
        validation: Samples (int) or fraction of the training samples (float); by default a fifth.
        seed: Keys the validation split.
        directory: Where the files of a named set are. By default they are looked for in $SHOAL_DATA (in its sub-folder
            of that name, or directly) and where Debian's dataset-fashion-mnist puts them, and downloaded once if they
            are nowhere. Where the whole of CIFAR is not found, a piece of it is taken before it is downloaded: the
            largest archive ``cifar10_*.npz`` or ``cifar100_*.npz`` (see ``load_npz``), whose name the parts then have.

    Raises:
        DataError: The set is not found, or a file of it is malformed; the message names the file and the rule.
        ValueError: An argument breaks its rule.
    """
    if name == "digits" and directory is None:
        return three_parts(_digits(), TEST, validation, seed)
    if str(name) in SOURCES:
        train, test = read_set(str(name), None if directory is None else Path(directory))
        return three_parts(train, test, validation, seed)
    if directory is not None:
        raise ValueError(f"directory goes with one of {', '.join(SOURCES)}, not with {str(name)!r}")
    return _load_path(Path(name), validation, seed)


def _load_path(path: Path, validation: float | None, seed: int) -> Parts:
    if path.is_dir():
        for form in IMAGES:
            if form.present(path):
                train, test = form.read_folder(path, path.resolve().name)
                return three_parts(train, test, validation, seed)
        path = _only_table(path)
    elif not path.exists():
        raise DataError(f"{path}: no such data set: must be {', '.join(NAMES)} or the path of a directory or file")
    if path.suffix not in TABLES:
        raise DataError(f"{path}: must end in {', '.join(TABLES)}")
    return TABLES[path.suffix](path, validation=validation, seed=seed)


def _only_table(folder: Path) -> Path:
    tables = sorted(path for path in folder.iterdir() if path.suffix in TABLES)
    if len(tables) != 1:
        found = ", ".join(path.name for path in tables) or "none of them"
        raise DataError(f"{folder}: must hold idx files, CIFAR binaries or one .npz, .csv or .tsv file, has {found}")
    return tables[0]


def _digits() -> Dataset:
    table = _digits_table()
    images = table[:, :-1].reshape(-1, 8, 8)  # 0 to 16
    digits = from_arrays(images, table[:, -1].astype(np.int64), classes=10, normalise=False, name="digits")
    return replace(digits, scale=np.full(digits.features, 1 / 16, np.float32))


def _digits_table() -> NDArray[np.uint8]:
    """Return an image and its class in each line.

    They are read from scikit-learn's file, as importing scikit-learn takes longer than to train on them.
    """
    spec = find_spec("sklearn")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder, "datasets", "data", "digits.csv.gz")
        if path.exists():
            return np.loadtxt(path, np.uint8, delimiter=",")
    raise DataError("digits: they come with scikit-learn, in datasets/data/digits.csv.gz: pip install scikit-learn")
