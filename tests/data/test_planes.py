"""Colour images packed into planes."""

import lzma

import numpy as np
import pytest
from tests.data.files import packed_planes

from shoal.data import load_npz
from shoal.errors import DataError

X = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
LABELS = {"y_train": np.arange(12) % 3, "y_test": np.arange(2)}
PACKED = packed_planes(X, "train") | packed_planes(X[:2], "test")


def test_packed_images_are_read_back(tmp_path):
    np.savez(tmp_path / "t.npz", **PACKED, **LABELS)
    np.savez(tmp_path / "plain.npz", x_train=X, x_test=X[:2], **LABELS)
    for packed, plain in zip(load_npz(tmp_path / "t.npz"), load_npz(tmp_path / "plain.npz"), strict=True):
        np.testing.assert_array_equal(packed.x, plain.x)
        np.testing.assert_array_equal(packed.y, plain.y)
        np.testing.assert_array_equal(packed.shift, plain.shift)
    np.testing.assert_array_equal(load_npz(tmp_path / "t.npz")[2].x, X[:2])


@pytest.mark.parametrize(
    ("plane", "message"),
    [
        (PACKED["x_train_g"][:-9], "cannot be read as .npz: x_train_rg: Compressed data ended"),
        (np.full(50, 7, np.uint8), "cannot be read as .npz: x_train_rg: Input format not supported"),
        (
            np.frombuffer(lzma.compress(bytes(1025)), np.uint8),
            "cannot be read as .npz: x_train_rg: must hold planes of 1024 bytes, got 1025",
        ),
        (PACKED["x_test_rg"], "cannot be read as .npz: x_train: the planes g, rg, bg have 12, 2, 12 images"),
    ],
)
def test_broken_planes_are_named(tmp_path, plane, message):
    np.savez(tmp_path / "t.npz", **PACKED | LABELS | {"x_train_rg": plane})
    with pytest.raises(DataError, match=f"t.npz: {message}"):
        load_npz(tmp_path / "t.npz")


def test_a_missing_plane_leaves_no_images(tmp_path):
    np.savez(tmp_path / "t.npz", **LABELS | {key: value for key, value in PACKED.items() if key != "x_test_bg"})
    with pytest.raises(DataError, match=r"t.npz: has no array 'x_test', it has .*x_test_g, x_test_rg"):
        load_npz(tmp_path / "t.npz")
