"""CSV, TSV and .npz files."""

import numpy as np
import pytest

from shoal.data import load_csv, load_npz
from shoal.errors import DataError


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def everything(parts, name="x"):
    """All rows of the three parts, sorted: what was read, wherever it went."""
    return sorted(np.concatenate([getattr(part, name) for part in parts]).tolist())


ROWS = "".join(f"{i},{i % 3},{10 * i},{i / 4}\n" for i in range(20))


def test_a_regression_with_a_header(tmp_path):
    path = write(tmp_path / "t.csv", "a, b ,c,d\n" + ROWS)
    parts = load_csv(path, targets=["c", "a"], drop=["b"], validation=4, test=5)
    assert [len(part) for part in parts] == [11, 4, 5]
    assert everything(parts) == [[i / 4] for i in range(20)]
    assert everything(parts, "y") == [[10 * i, i] for i in range(20)]


@pytest.mark.parametrize("text", [ROWS, ROWS.replace(",", "\t"), "\ufeff" + ROWS.replace("\n", "\r\n\r\n")])
def test_without_header_columns_go_by_position_and_the_last_is_the_target(tmp_path, text):
    parts = load_csv(write(tmp_path / ("t.tsv" if "\t" in text else "t.csv"), text), drop=[0])
    assert everything(parts) == sorted([i % 3, 10.0 * i] for i in range(20))
    assert everything(parts, "y") == [[i / 4] for i in range(20)]


def test_inputs_are_standardised_by_the_training_part(tmp_path):
    train, valid, test = load_csv(write(tmp_path / "t.csv", ROWS))
    wanted = train.x.astype(np.float64)
    mean, deviation = wanted.mean(axis=0), wanted.std(axis=0)
    for part in (train, valid, test):
        # float32 arithmetic on numbers up to 30 deviations of rounding away from 0
        np.testing.assert_allclose(part.normalised(), (part.x - mean) / deviation, atol=1e-5)


def test_text_labels_are_numbered_in_sorted_order(tmp_path):
    text = "size,kind\n" + "".join(f"{i},{kind}\n" for i in range(8) for kind in ("oak", "ash", "elm"))
    parts = load_csv(write(tmp_path / "t.csv", text), "kind", validation=6, test=6)
    for part in parts:
        assert part.class_names == ("ash", "elm", "oak")
        assert len(set(np.bincount(part.y))) == 1  # stratified


def test_numbers_are_labels_when_asked_and_sorted_as_numbers(tmp_path):
    path = write(tmp_path / "t.csv", "".join(f"{i};{(10, 9, 100)[i % 3]}\n" for i in range(12)))
    assert load_csv(path, classification=True, delimiter=";")[0].class_names == ("9", "10", "100")
    assert not load_csv(path, delimiter=";")[0].classification


def test_a_subject_is_in_one_part_only(tmp_path):
    text = "subject,x,y\n" + "".join(f"s{i % 7},{i % 7},{i}\n" for i in range(70))
    parts = load_csv(write(tmp_path / "t.csv", text), "y", groups="subject")
    subjects = [set(part.x[:, 0]) for part in parts]
    assert sum(len(s) for s in subjects) == len(set.union(*subjects)) == 7


def test_the_test_part_is_the_same_for_every_seed(tmp_path):
    path = write(tmp_path / "t.csv", ROWS)
    one, two = (load_csv(path, seed=seed) for seed in (1, 2))
    np.testing.assert_array_equal(one[2].x, two[2].x)
    assert one[1].x.tolist() != two[1].x.tolist()


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n1,2\n3,\n", {}, "t.csv, line 3, column b: must be a finite number, got ''"),
        ("a,b\n1,2\n\nnan,4\n", {}, "t.csv, line 4, column a: must be a finite number, got 'nan'"),
        ("1,2\nx,4\n", {}, "t.csv, line 2, column 0: must be a finite number, got 'x'"),
        ("1,2\n3,-inf\n", {}, "t.csv, line 2, column 1: must be a finite number, got '-inf'"),
        ("1,2\n3,no\n", {}, "t.csv, line 2, column 1: must be a finite number, got 'no'"),
        ("1,oak\n3,\n", {"classification": True}, "t.csv, line 2, column 1: must not be missing, got ''"),
        ("1,2\n3\n", {}, "t.csv, line 2: has 1 cells, the first row has 2"),
        ("", {}, "t.csv: empty, has no row of data"),
        ("a,b\n", {}, "t.csv: empty, has no row of data"),
        ("a,a\n1,2\n", {}, "t.csv: two columns have the same name: a, a"),
        ("a,b\n1,2\n", {"targets": "c"}, "t.csv: has no column 'c', its columns are a, b"),
        ("a,b\n1,2\n", {"targets": 2}, "t.csv: has no column 2, its columns are a, b"),
        ("a,b\n1,2\n", {"targets": []}, "targets must name at least one column"),
        ("a,b\n1,2\n", {"targets": "a", "drop": ["b"]}, "t.csv: no column is left for the inputs"),
        ("a,b,c\n1,2,3\n", {"targets": ["a", "b"], "classification": True}, "a classification needs one target column"),
        ("1,2\n3,4\n5,6\n", {"validation": 2}, r"t.csv: validation must be a count in \[1, 1\].* got 2"),
        ("1,2\n3,4\n5,6\n", {"test": 3}, r"t.csv: test must be a count in \[1, 2\].* got 3"),
        ("1,2\n3,4\n", {"test": 1}, "t.csv: validation: 1 sample cannot be split"),
        ("1,2\n3,\0\n", {}, "t.csv"),
    ],
)
def test_a_bad_table_is_named_with_its_place(tmp_path, text, options, message):
    with pytest.raises(ValueError, match=message):
        load_csv(write(tmp_path / "t.csv", text), **options)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match=r"t.csv: cannot be read: .*No such file"):
        load_csv(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(b"1,2\n\xff,4\n")
    with pytest.raises(DataError, match=r"t.csv: cannot be read: .*can't decode byte 0xff"):
        load_csv(tmp_path / "t.csv")


def test_npz_without_test_part(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20.0)
    np.savez(tmp_path / "t.npz", x=x, y=y, day=np.arange(20) // 4)
    parts = load_npz(tmp_path / "t.npz", groups="day")
    assert everything(parts) == sorted(x.astype(np.float32).tolist())
    days = [set(part.y[:, 0] // 4) for part in parts]
    assert sum(len(d) for d in days) == 5
    np.testing.assert_allclose(parts[0].normalised().mean(axis=0), 0, atol=1e-6)  # rounding of float32


def test_npz_with_test_part(tmp_path):
    x, y = np.zeros((12, 4, 4), np.uint8), np.arange(12) % 3
    np.savez_compressed(tmp_path / "t.npz", x_train=x, y_train=y, x_test=x[:1] + 7, y_test=[4])
    train, valid, test = load_npz(tmp_path / "t.npz", validation=3)
    assert [len(part) for part in (train, valid, test)] == [9, 3, 1]
    assert [part.outputs for part in (train, valid, test)] == [5, 5, 5]  # a class may be in the test part only
    assert test.x.max() == 7


def test_float_images_keep_their_scale(tmp_path):
    np.savez(tmp_path / "t.npz", x=np.random.default_rng(0).random((9, 2, 2)), y=np.arange(9) % 2)
    assert load_npz(tmp_path / "t.npz")[0].scale is None


def test_images_with_channels_are_normalised_channel_by_channel(tmp_path):
    x = np.random.default_rng(0).normal(5, 2, (9, 2, 2, 3))
    np.savez(tmp_path / "t.npz", x=x, y=np.arange(9) % 2)
    train, valid, _ = load_npz(tmp_path / "t.npz")
    np.testing.assert_allclose(train.normalised().mean(axis=(0, 1, 2)), 0, atol=1e-6)  # rounding of float32
    np.testing.assert_array_equal(train.scale, np.tile(train.scale[:3], 4))
    np.testing.assert_array_equal(valid.scale, train.scale)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((3, 1))}, "t.npz: has no array 'y', it has x"),
        ({"a": np.zeros((3, 1))}, "t.npz: has no array 'x', it has a"),
        ({"x_train": np.zeros((3, 1)), "y_train": np.zeros(3)}, "t.npz: has no array 'x_test'"),
        ({"x": np.zeros((3, 1)), "y": np.array([{}, {}, {}])}, "t.npz: cannot be read as .npz: Object arrays"),
        ({"x": np.full((3, 1), np.nan), "y": np.zeros(3)}, r"t.npz: x\[0, 0\] is nan"),
        (
            {"x_train": np.ones((3, 1)), "y_train": np.ones(3), "x_test": np.ones((3, 2)), "y_test": np.ones((3, 4))},
            r"must have the same shape, got \(1,\) and 1, in the test part \(2,\) and 4",
        ),
    ],
)
def test_a_bad_archive_is_named(tmp_path, arrays, message):
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load_npz(tmp_path / "t.npz")


def test_a_file_that_is_no_archive(tmp_path):
    path = tmp_path / "t.npz"
    with pytest.raises(DataError, match=r"t.npz: cannot be read as .npz: .*No such file"):
        load_npz(path)
    np.savez(path, x=np.zeros((30, 2)), y=np.zeros(30))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"t.npz: cannot be read as .npz: File is not a zip file"):
        load_npz(path)
