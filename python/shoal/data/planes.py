"""32 x 32 colour images packed into an .npz archive without loss, a third smaller than .npz itself packs them.

Instead of ``x_train`` (and ``x_test``) there are the planes ``x_train_g``: green, ``x_train_rg``: red - green and
``x_train_bg``: blue - green, modulo 256. Each is (n, 32, 32) with every row as differences along it, and the first
column, which these start from, as differences down it; then compressed by LZMA into a vector of bytes.
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

PLANES = ("g", "rg", "bg")


def unpack(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays of an archive, with ``x_train`` and ``x_test`` in the place of their planes.

    Raises:
        ValueError: The planes of a part cannot be decompressed, or do not fit each other.
    """
    plain = dict(arrays)
    for part in ("x_train", "x_test"):
        keys = [f"{part}_{plane}" for plane in PLANES]
        if all(key in arrays for key in keys):
            plain[part] = _images([_plane(plain.pop(key), key) for key in keys], part)
    return plain


def _plane(packed: NDArray[Any], key: str) -> NDArray[np.uint8]:
    try:
        content = lzma.decompress(packed.tobytes())
    except lzma.LZMAError as error:
        raise ValueError(f"{key}: {error}") from error
    if len(content) % 1024:
        raise ValueError(f"{key}: must hold planes of 1024 bytes, got {len(content)} bytes")
    plane = np.frombuffer(content, np.uint8).reshape(-1, 32, 32).copy()
    plane[:, :, 0] = np.cumsum(plane[:, :, 0], axis=1, dtype=np.uint8)
    return np.cumsum(plane, axis=2, dtype=np.uint8)


def _images(planes: list[NDArray[np.uint8]], part: str) -> NDArray[np.uint8]:
    green, red, blue = planes
    if not len(red) == len(green) == len(blue):
        raise ValueError(f"{part}: the planes {', '.join(PLANES)} have {len(green)}, {len(red)}, {len(blue)} images")
    return np.stack([red + green, green, blue + green], axis=-1)
