"""``load``: where sets are looked for, how they are downloaded, and the real ones where this machine has them."""

import hashlib
import os
import tarfile
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from tests.data.files import write_cifar10_folder, write_idx_folder

from shoal.data import load, sources
from shoal.errors import DataError


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine with no data set, an empty download cache, and no network."""
    monkeypatch.delenv("SHOAL_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, source in sources.SOURCES.items():
        nowhere = replace(source, url="http://127.0.0.1:9/", system=())
        monkeypatch.setitem(sources.SOURCES, name, nowhere)
    return tmp_path


def count(parts):
    return [len(part) for part in parts]


@pytest.mark.parametrize("place", ["mnist", "MNIST/raw", "."])
def test_shoal_data_is_looked_into(bare, monkeypatch, place):
    arrays = write_idx_folder(bare / "sets" / place)
    monkeypatch.setenv("SHOAL_DATA", str(bare / "sets"))
    train, valid, test = load("mnist", validation=10)
    assert count((train, valid, test)) == [13, 10, 7]
    np.testing.assert_array_equal(test.x, arrays["t10k-images-idx3-ubyte"])
    assert (train.name, train.outputs) == ("mnist", 10)
    assert np.bincount(valid.y).tolist() == [1] * 10


def test_mnist_does_not_pass_for_fashion_mnist(bare, monkeypatch):
    write_idx_folder(bare / "mnist")
    for shoal_data in (bare, bare / "mnist"):
        monkeypatch.setenv("SHOAL_DATA", str(shoal_data))
        assert len(load("mnist")[2]) == 7
        with pytest.raises(DataError, match="fashion-mnist: not found in"):
            load("fashion-mnist")


def test_a_given_directory_is_the_only_place(bare, monkeypatch):
    write_idx_folder(bare / "here", seed=1)
    write_idx_folder(bare / "sets" / "mnist", seed=2)
    monkeypatch.setenv("SHOAL_DATA", str(bare / "sets"))
    here, there = load("mnist", directory=bare / "here"), load("mnist")
    assert here[2].x.tolist() != there[2].x.tolist()
    with pytest.raises(DataError, match=f"cifar10: its files are not in {bare}/here"):
        load("cifar10", directory=bare / "here")


def test_the_systems_package_is_found(bare, monkeypatch):
    write_idx_folder(bare / "usr", compress=True)
    packaged = replace(sources.SOURCES["fashion-mnist"], system=(bare / "usr",))
    monkeypatch.setitem(sources.SOURCES, "fashion-mnist", packaged)
    assert len(load("fashion-mnist")[2]) == 7


@pytest.mark.usefixtures("bare")
def test_offline_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setenv("SHOAL_DATA", "/no/such/place")
    with pytest.raises(DataError) as caught:
        load("mnist")
    message = str(caught.value)
    assert "mnist: not found in /no/such/place/mnist" in message
    assert "download from http://127.0.0.1:9/ failed" in message
    assert "Put train-images-idx3-ubyte.gz, " in message
    assert "set SHOAL_DATA" in message


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def mirror(bare, monkeypatch):
    """A web server with small sets in the place of the real ones; yields a function that publishes files."""
    root = bare / "www"
    root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=root))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def publish(name):
        sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in root.iterdir() if path.is_file()}
        url = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setitem(sources.SOURCES, name, replace(sources.SOURCES[name], url=url, files=sums))

    yield root, publish
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_set_is_downloaded_once(mirror):
    root, publish = mirror
    arrays = write_idx_folder(root, compress=True)
    publish("mnist")
    np.testing.assert_array_equal(load("mnist")[2].x, arrays["t10k-images-idx3-ubyte"])
    for path in root.iterdir():
        path.unlink()
    np.testing.assert_array_equal(load("mnist")[2].x, arrays["t10k-images-idx3-ubyte"])


def test_an_archive_is_unpacked(mirror, tmp_path):
    root, publish = mirror
    written = write_cifar10_folder(tmp_path / "cifar-10-batches-bin")
    with tarfile.open(root / "cifar-10-binary.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "cifar-10-batches-bin", "cifar-10-batches-bin")
    publish("cifar10")
    np.testing.assert_array_equal(load("cifar10")[2].x, written["test_batch.bin"][0])


def test_a_wrong_checksum_is_refused(mirror):
    root, publish = mirror
    write_idx_folder(root, compress=True)
    publish("mnist")
    (root / "t10k-images-idx3-ubyte.gz").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"mnist: .* hash"):
        load("mnist")


def test_a_path_is_read_by_what_it_holds(bare):
    write_idx_folder(bare / "letters")
    write_cifar10_folder(bare / "photos")
    (bare / "numbers").mkdir()
    (bare / "numbers" / "t.csv").write_text("".join(f"{i},{i * i}\n" for i in range(25)))
    assert count(load(bare / "letters")) == [18, 5, 7]
    assert count(load(str(bare / "photos"), validation=0.5)) == [10, 10, 4]
    for table in (bare / "numbers", bare / "numbers" / "t.csv"):
        assert count(load(table)) == [16, 4, 5]
    assert load(bare / "letters")[0].name == "letters"


def test_what_is_not_a_data_set_is_named(bare):
    (bare / "empty").mkdir()
    (bare / "two").mkdir()
    for file in ("two/a.csv", "two/b.npz", "notes.txt"):
        (bare / file).write_text("1,2\n")
    with pytest.raises(DataError, match=r"empty: must hold idx files, .* has none of them"):
        load(bare / "empty")
    with pytest.raises(DataError, match=r"two: must hold .* has a.csv, b.npz"):
        load(bare / "two")
    with pytest.raises(DataError, match=r"notes.txt: must end in .npz, .csv, .tsv"):
        load(bare / "notes.txt")
    with pytest.raises(DataError, match=r"minst: no such data set: must be digits, mnist, .* or the path"):
        load("minst")
    with pytest.raises(ValueError, match=r"directory goes with one of mnist, .* not with 'digits'"):
        load("digits", directory=bare)


def test_digits_come_stratified_and_with_one_test_part_for_all_seeds():
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    train, valid, test = load("digits", validation=0.25, seed=1)
    other = load("digits", validation=0.25, seed=2)
    assert count((train, valid, test)) == [1078, 360, 359]
    assert (train.shape, train.x.dtype, train.outputs) == ((8, 8), np.uint8, 10)
    assert train.normalised().max() == 1
    np.testing.assert_array_equal(test.x, other[2].x)
    assert valid.x.tolist() != other[1].x.tolist()
    whole = sum(np.bincount(part.y) for part in (train, valid, test))
    for part in (train, valid, test):
        assert np.abs(np.bincount(part.y) - len(part) * whole / 1797).max() < 2  # two roundings, one a split


@pytest.mark.parametrize(
    ("name", "shape", "mean"),
    [
        # the published mean pixel of the training images
        ("mnist", (28, 28), 0.1307),
        ("fashion-mnist", (28, 28), 0.2860),
        ("cifar10", (32, 32, 3), 0.4734),
        ("cifar100", (32, 32, 3), 0.4782),
    ],
)
def test_the_real_sets(name, shape, mean):
    source = sources.SOURCES[name]
    base = os.environ.get("SHOAL_DATA")
    places = [*source.system, *(sources._inside(name, Path(base)) if base else ())]
    if not any(source.present(place) for place in places):
        pytest.skip(f"{name} is neither in $SHOAL_DATA nor installed")
    train, valid, test = load(name, validation=10_000)
    assert len(train) + len(valid) == (60_000 if shape == (28, 28) else 50_000)
    assert len(test) == 10_000
    assert train.shape == shape
    assert len(set(np.bincount(test.y))) == 1 or name == "mnist"  # the others are balanced
    pixels = (train.x.mean() * len(train) + valid.x.mean() * len(valid)) / (len(train) + len(valid))
    assert pixels / 255 == pytest.approx(mean, abs=1e-4)  # four published digits
