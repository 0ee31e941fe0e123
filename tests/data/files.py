"""Small data files in the published formats, written from their descriptions."""

import gzip
import lzma
import struct

import numpy as np

IDX = {"train": 23, "t10k": 7}  # samples


def idx_bytes(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx_folder(folder, *, compress=False, seed=0):
    """Write the four files of a set of 5 x 4 images with ten classes; return the arrays by file stem."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for part, n in IDX.items():
        arrays[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (n, 5, 4), dtype=np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = (np.arange(n) % 10).astype(np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    for stem, array in arrays.items():
        content = idx_bytes(array)
        path = folder / (stem + ".gz" * compress)
        path.write_bytes(gzip.compress(content) if compress else content)
    return arrays


def cifar_bytes(images, *labels):
    """Build records of (n, 32, 32, 3) images: one byte of each of the labels, then the planes of red, green, blue."""
    records = [
        bytes(column) + b"".join(image[:, :, colour].tobytes() for colour in range(3))
        for image, *column in zip(images, *labels, strict=True)
    ]
    return b"".join(records)


def write_cifar10_folder(folder, n=4):
    """Write the six files of CIFAR-10 with n records each; return images and labels by file name."""
    rng = np.random.default_rng(0)
    written = {}
    folder.mkdir(parents=True, exist_ok=True)
    for file in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
        images, labels = rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8), rng.integers(0, 10, n, dtype=np.uint8)
        (folder / file).write_bytes(cifar_bytes(images, labels))
        written[file] = images, labels
    return written


def write_cifar100_folder(folder, n=200):
    """Write the two files of CIFAR-100 with n records each; return images and fine labels by file name."""
    rng = np.random.default_rng(1)
    written = {}
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("train.bin", "test.bin"):
        images, labels = rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8), (np.arange(n) % 100).astype(np.uint8)
        (folder / file).write_bytes(cifar_bytes(images, labels // 5, labels))
        written[file] = images, labels
    return written


def packed_planes(images, part):
    """Pack (n, 32, 32, 3) images into three arrays of an .npz archive."""
    red, green, blue = np.moveaxis(images, -1, 0)
    arrays = {}
    for plane, values in {"g": green, "rg": red - green, "bg": blue - green}.items():
        differences = np.diff(values, axis=2, prepend=np.uint8(0))
        differences[:, :, 0] = np.diff(values[:, :, 0], axis=1, prepend=np.uint8(0))
        arrays[f"x_{part}_{plane}"] = np.frombuffer(lzma.compress(differences.tobytes()), np.uint8)
    return arrays
