"""The CIFAR reader: planes become (height, width, channels)."""

import numpy as np
import pytest
from tests.data.files import cifar_bytes, write_cifar10_folder

from shoal.data.cifar import CIFAR10, CIFAR100
from shoal.errors import DataError


def test_cifar10_is_read_batch_after_batch(tmp_path):
    written = write_cifar10_folder(tmp_path, n=3)
    train, test = CIFAR10.read_folder(tmp_path, "cifar10")
    batches = [written[f"data_batch_{i}.bin"] for i in range(1, 6)]
    np.testing.assert_array_equal(train.x, np.concatenate([images for images, _ in batches]))
    np.testing.assert_array_equal(train.y, np.concatenate([labels for _, labels in batches]))
    np.testing.assert_array_equal(test.x, written["test_batch.bin"][0])
    assert (train.shape, train.outputs, train.x.flags.c_contiguous) == ((32, 32, 3), 10, True)


def test_cifar100_uses_the_fine_labels(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    for file in ("train.bin", "test.bin"):
        (tmp_path / file).write_bytes(cifar_bytes(images, [19, 0], [99, 3]))
    train, test = CIFAR100.read_folder(tmp_path, "cifar100")
    np.testing.assert_array_equal(train.x, images)
    assert train.y.tolist() == test.y.tolist() == [99, 3]
    assert train.outputs == 100


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be records of 3073 bytes, got 0"),
        (bytes(3072), "must be records of 3073 bytes, got 3072"),
        (bytes(2 * 3073 + 1), "must be records of 3073 bytes, got 6147"),
        (bytes(3073) + b"\x0a" + bytes(3072), r"label 10 is outside \[0, 10\)"),
    ],
)
def test_a_broken_file_is_named_with_the_rule_it_breaks(tmp_path, content, message):
    write_cifar10_folder(tmp_path, n=1)
    (tmp_path / "data_batch_4.bin").write_bytes(content)
    with pytest.raises(DataError, match=rf"^{tmp_path}/data_batch_4.bin.*: {message}"):
        CIFAR10.read_folder(tmp_path, "cifar10")


def test_a_missing_file_is_named(tmp_path):
    write_cifar10_folder(tmp_path, n=1)
    (tmp_path / "test_batch.bin").unlink()
    with pytest.raises(DataError, match=r"test_batch.bin: cannot be read: .*No such file"):
        CIFAR10.read_folder(tmp_path, "cifar10")
