"""The idx reader on files written by the format's description, and on broken ones."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from tests.data.files import idx_bytes, write_idx_folder

from shoal.data import idx
from shoal.data.idx import Idx
from shoal.errors import DataError

LABELS = np.arange(5, dtype=np.uint8)


@given(arrays(np.uint8, array_shapes(max_dims=3)), st.booleans())
@settings(deadline=None)  # it writes files: how long that takes says nothing
def test_any_array_is_read_back(tmp_path_factory, array, compress):
    path = tmp_path_factory.mktemp("idx") / "file"
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content) if compress else content)
    np.testing.assert_array_equal(idx.read(path, array.ndim), array)


@pytest.mark.parametrize("compress", [False, True])
def test_a_folder_gives_training_and_test_set(tmp_path, compress):
    arrays = write_idx_folder(tmp_path, compress=compress)
    for part, data in zip(("train", "t10k"), Idx().read_folder(tmp_path, "set"), strict=True):
        np.testing.assert_array_equal(data.x, arrays[f"{part}-images-idx3-ubyte"])
        np.testing.assert_array_equal(data.y, arrays[f"{part}-labels-idx1-ubyte"])
        assert data.outputs == 10  # though t10k has 7 of them


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"magic number must be 00000801 \(uint8, 1-d\), got $"),
        (b"\0\0\x08", "magic number must be 00000801 .* got 000008$"),
        (idx_bytes(LABELS.reshape(5, 1)), "magic number must be 00000801 .* got 00000802"),
        (b"\0\0\x0d\1" + idx_bytes(LABELS)[4:], "magic number must be 00000801 .* got 00000d01"),
        (idx_bytes(LABELS)[:6], "truncated, the header has 6 of 8 bytes"),
        (idx_bytes(LABELS)[:-1], "the header says 5 bytes of data, got 4"),
        (idx_bytes(LABELS) + b"\0", "the header says 5 bytes of data, got 6"),
        (idx_bytes(LABELS[:0]), r"empty, its shape is \(0,\)"),
        (gzip.compress(idx_bytes(LABELS))[:-9], "cannot be read: Compressed file ended"),
        (gzip.compress(idx_bytes(LABELS))[:-8] + bytes(8), "cannot be read: CRC check failed"),
        (b"\x1f\x8b\x08" + b"\0" * 7 + b"\xff" * 9, "cannot be read: Error -3"),
        (b"\x1f\x8b\x07" + b"\0" * 20, "cannot be read: Unknown compression method"),
    ],
)
def test_a_broken_file_is_named_with_the_rule_it_breaks(tmp_path, content, message):
    path = tmp_path / "train-labels-idx1-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"^{path}: {message}"):
        idx.read(path, 1)


def test_files_that_do_not_fit_each_other(tmp_path):
    def broken(stem, array):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        write_idx_folder(folder)
        (folder / stem).write_bytes(idx_bytes(array))
        return folder

    images = np.zeros((7, 5, 5), np.uint8)
    with pytest.raises(DataError, match=r"train images are \(5, 4\), t10k \(5, 5\)"):
        Idx().read_folder(broken("t10k-images-idx3-ubyte", images), "set")
    with pytest.raises(DataError, match="train-labels-idx1-ubyte: 5 labels for 23 images"):
        Idx().read_folder(broken("train-labels-idx1-ubyte", LABELS), "set")
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\[6\]: label 10 is outside \[0, 10\)"):
        Idx(10).read_folder(broken("t10k-labels-idx1-ubyte", np.array([0, 1, 2, 3, 4, 5, 10], np.uint8)), "set")


def test_a_missing_file_is_named(tmp_path):
    write_idx_folder(tmp_path, compress=True)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=rf"{tmp_path}: t10k-labels-idx1-ubyte is missing \(plain or .gz\)"):
        Idx().read_folder(tmp_path, "set")
