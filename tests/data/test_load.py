"""``load``: where sets are looked for, how they are downloaded, and the real ones where this machine has them."""

import hashlib
import subprocess
import sys
import tarfile
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
from tests.data.files import cifar_bytes, packed_planes, write_cifar10_folder, write_cifar100_folder, write_idx_folder

from shoal.data import load, loading, sources
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


def test_cifar100_comes_in_an_archive_too(mirror, tmp_path):
    root, publish = mirror
    written = write_cifar100_folder(tmp_path / "cifar-100-binary")
    with tarfile.open(root / "cifar-100-binary.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "cifar-100-binary", "cifar-100-binary")
    publish("cifar100")
    train, valid, test = load("cifar100", validation=100)
    for got, wanted in zip((test.x, test.y), written["test.bin"], strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert np.bincount(train.y).tolist() == np.bincount(valid.y).tolist() == [1] * 100


@pytest.mark.usefixtures("bare")
def test_the_training_parts_channels_normalise_all_parts_of_cifar(tmp_path):
    write_cifar10_folder(tmp_path, n=20)
    parts = load("cifar10", directory=tmp_path)
    pixels = parts[0].x.reshape(-1, 3).astype(np.float64)
    for part in parts:
        wanted = (part.x - pixels.mean(axis=0)) / pixels.std(axis=0)
        np.testing.assert_allclose(part.normalised(), wanted, atol=1e-6)  # float32, up to 2 deviations
    by_seed = [load("cifar10", directory=tmp_path, seed=seed)[2].shift.tolist() for seed in (0, 1)]
    assert by_seed[0] != by_seed[1]  # another seed, another training part


def test_images_without_channels_go_from_0_to_1(bare):
    write_idx_folder(bare)
    for part in load("mnist", directory=bare):
        np.testing.assert_array_equal(part.scale, np.float32(1 / 255))
        assert part.shift is None


def write_piece(path, n):
    x = np.random.default_rng(n).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    y = np.arange(n) % 5
    np.savez(path, y_train=y, y_test=y, **packed_planes(x, "train"), **packed_planes(x[::-1], "test"))
    return x


def test_the_largest_piece_of_cifar_stands_in_for_the_whole(bare, monkeypatch):
    monkeypatch.setenv("SHOAL_DATA", str(bare))
    (bare / "cifar10").mkdir()
    write_piece(bare / "cifar10" / "cifar10_small.npz", 10)
    x = write_piece(bare / "cifar10" / "cifar10_large.npz", 20)
    train, valid, test = load("cifar10", validation=5)
    assert count((train, valid, test)) == [15, 5, 20]
    np.testing.assert_array_equal(test.x, x[::-1])
    assert (train.name, train.outputs, train.shape) == ("cifar10_large.npz", 10, (32, 32, 3))
    # Wherever the whole set is, it is preferred.
    write_cifar10_folder(bare / "cifar10" / "cifar-10-batches-bin")
    assert load("cifar10")[0].name == "cifar10"
    with pytest.raises(DataError, match="cifar100: not found in"):
        load("cifar100")


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


def test_digits_are_those_of_scikit_learn_which_is_not_imported_for_them():
    datasets = pytest.importorskip("sklearn.datasets", reason="the digits come with scikit-learn")
    bunch, table = datasets.load_digits(), loading._digits_table()
    np.testing.assert_array_equal(table[:, :-1], bunch.data)
    np.testing.assert_array_equal(table[:, -1], bunch.target)
    program = "import sys, shoal; shoal.data.load('digits'); assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"digits: they come with scikit-learn, .*: pip install scikit-learn"):
        load("digits")


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
    whole = sources.SOURCES[name].formats[0]
    if not any(whole.present(place) for place in sources.usual_places(name)):
        pytest.skip(f"the whole of {name} is neither in $SHOAL_DATA nor installed")
    train, valid, test = load(name, validation=10_000)
    assert len(train) + len(valid) == (60_000 if shape == (28, 28) else 50_000)
    assert len(test) == 10_000
    assert train.shape == shape
    assert len(set(np.bincount(test.y))) == 1 or name == "mnist"  # the others are balanced
    pixels = (train.x.mean() * len(train) + valid.x.mean() * len(valid)) / (len(train) + len(valid))
    assert pixels / 255 == pytest.approx(mean, abs=1e-4)  # four published digits


def real_pieces_of_cifar10():
    found = [path for place in sources.usual_places("cifar10") for path in place.glob("cifar10_*.npz")]
    if not found:
        pytest.skip("no piece of cifar10 is in $SHOAL_DATA")
    return sorted(found, key=lambda path: path.stat().st_size)


def test_a_real_piece_of_cifar10():
    largest = real_pieces_of_cifar10()[-1]
    train, valid, test = load("cifar10", directory=largest.parent)
    if train.name == "cifar10":
        pytest.skip("the whole of cifar10 lies beside its pieces")
    assert (train.name, train.outputs, train.shape) == (largest.name, 10, (32, 32, 3))
    for part in (train, valid, test):
        assert len(set(np.bincount(part.y, minlength=10))) == 1  # balanced, as the whole is
        np.testing.assert_array_equal(part.scale, train.scale)
        np.testing.assert_array_equal(part.shift, train.shift)
    # The published statistics of all training images. The means of single images vary by 0.12 around theirs, so the
    # mean of 1000 by 0.004.
    deviation = 1 / train.scale[:3] / 255
    np.testing.assert_allclose(-train.shift[:3] * deviation, [0.4914, 0.4822, 0.4465], atol=0.02)
    np.testing.assert_allclose(deviation, [0.2470, 0.2435, 0.2616], atol=0.02)


def test_real_images_go_through_the_binary_format(tmp_path):
    piece = real_pieces_of_cifar10()[0]
    packed = load(piece, validation=100)[2]
    for file in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        (tmp_path / file).write_bytes(cifar_bytes(packed.x, packed.y))
    test = load("cifar10", directory=tmp_path)[2]
    np.testing.assert_array_equal(test.x, packed.x)
    np.testing.assert_array_equal(test.y, packed.y)
