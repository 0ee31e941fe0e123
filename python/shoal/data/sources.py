"""The known image sets: what their files are, where they may lie, where they can be had."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shoal.data.archives import Archive
from shoal.data.cifar import CIFAR10, CIFAR100
from shoal.data.dataset import Dataset
from shoal.data.idx import Idx
from shoal.errors import DataError


class ImageFormat(Protocol):
    """How an image set with a training and a test part lies in a folder."""

    def present(self, folder: Path, /) -> bool:
        """Whether the folder holds a set in this format."""

    def read_folder(self, folder: Path, name: str, /) -> tuple[Dataset, Dataset]:
        """Read it, train and test, to be called by that name. Raises DataError where a file breaks a rule."""


@dataclass(frozen=True)
class Source:
    """An image set with an official training and test part."""

    formats: tuple[ImageFormat, ...]  # the first one that lies anywhere is read
    url: str
    files: Mapping[str, str]  # below the url, with the MD5 sums that their authors published
    folders: tuple[str, ...]  # what it is called inside a folder of data sets, also by other tools
    system: tuple[Path, ...] = ()


SOURCES = {
    "mnist": Source(
        (Idx(classes=10),),
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
        ("mnist", "MNIST/raw"),
    ),
    "fashion-mnist": Source(
        (Idx(classes=10),),
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
        ("fashion-mnist", "FashionMNIST/raw"),
        (Path("/usr/share/datasets/fashion-mnist"),),  # Debian: apt install dataset-fashion-mnist
    ),
    "cifar10": Source(
        (CIFAR10, Archive("cifar10_*.npz", classes=10)),
        "https://www.cs.toronto.edu/~kriz/",
        {"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
        ("cifar10", "cifar-10-batches-bin", "cifar10/cifar-10-batches-bin"),
    ),
    "cifar100": Source(
        (CIFAR100, Archive("cifar100_*.npz", classes=100)),
        "https://www.cs.toronto.edu/~kriz/",
        {"cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8"},
        ("cifar100", "cifar-100-binary", "cifar100/cifar-100-binary"),
    ),
}


def read_set(name: str, directory: Path | None = None) -> tuple[Dataset, Dataset]:
    """Read the training and the test part of a known set; download it where it is nowhere.

    Looked at: ``directory`` and nothing else if given; else $SHOAL_DATA, the system's data sets, the download cache.

    Raises:
        DataError: It is not there and cannot be downloaded (the message says where it was looked for), or is malformed.
    """
    places = list(usual_places(name) if directory is None else _inside(name, directory))
    for form in SOURCES[name].formats:
        for folder in places:
            if form.present(folder):
                return form.read_folder(folder, name)
    if directory is not None:
        raise DataError(f"{name}: its files are not in {directory}")
    return read_set(name, _download(name, places))


def usual_places(name: str) -> Iterator[Path]:
    """Yield the folders that may hold a known set, first $SHOAL_DATA, then the system's data sets."""
    if base := os.environ.get("SHOAL_DATA"):
        yield from _inside(name, Path(base).expanduser())
    yield from SOURCES[name].system


def _inside(name: str, base: Path) -> Iterator[Path]:
    yield from (base / folder for folder in SOURCES[name].folders)
    # Two sets have the same file names, and mnist must not answer for fashion-mnist.
    if base.name == name or base.name not in SOURCES:
        yield base


def _download(name: str, places: list[Path]) -> Path:
    import pooch  # slow to import, and most runs download nothing

    source, cache = SOURCES[name], Path(pooch.os_cache("shoal"))
    target = cache / source.folders[0]
    try:
        for file, md5 in source.files.items():
            unpack = pooch.Untar(extract_dir=".") if file.endswith(".tar.gz") else None
            pooch.retrieve(source.url + file, f"md5:{md5}", fname=file, path=target, processor=unpack)
    except (OSError, ValueError) as error:  # no network, no space; a wrong checksum is a ValueError
        looked = ", ".join(str(place) for place in places) or "SHOAL_DATA (it is not set)"
        raise DataError(
            f"{name}: not found in {looked}, and the download from {source.url} failed ({error}). "
            f"Put {', '.join(source.files)} (archives unpacked) into a folder and set SHOAL_DATA to it"
        ) from error
    return cache
