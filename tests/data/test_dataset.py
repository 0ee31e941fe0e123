"""Arrays in, a checked data set out."""

import numpy as np
import pytest

from shoal.data import Dataset, dataset, from_arrays, standardise
from shoal.errors import DataError

X = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
Y = np.array([0, 2, 1, 0])


def test_images_stay_uint8_and_are_normalised_on_the_fly():
    data = from_arrays(X, Y)
    assert data.x.dtype == np.uint8
    assert data.y.dtype == np.int32
    assert data.x.flags.c_contiguous
    assert (len(data), data.shape, data.features, data.outputs, data.classification) == (4, (3, 2), 6, 3, True)
    # 1/255 is rounded once, the product once
    np.testing.assert_allclose(data.normalised(), X / 255, rtol=2e-7)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64, np.uint16, bool, ">f4"])
def test_other_numbers_become_float32_and_keep_their_scale(dtype):
    x = np.array([[0, 1], [1, 0]]).astype(dtype)
    data = from_arrays(x, [0, 1])
    assert data.x.dtype == np.float32
    np.testing.assert_array_equal(data.x, x.astype(np.float32))
    np.testing.assert_array_equal(data.normalised(), data.x)


def test_floating_point_y_makes_a_regression():
    for y in ([0.5, 1, 2, 3], [[0.5], [1], [2], [3]]):
        data = from_arrays(X, y)
        assert not data.classification
        assert (data.y.shape, data.y.dtype, data.outputs) == ((4, 1), np.float32, 1)


def test_strided_views_are_made_contiguous():
    data = from_arrays(X[::-1].transpose(0, 2, 1), np.ones((4, 6))[:, ::2])
    assert data.x.flags.c_contiguous
    assert data.y.flags.c_contiguous
    np.testing.assert_array_equal(data.x, X[::-1].transpose(0, 2, 1))


def test_the_arrays_are_read_only_and_the_callers_are_not():
    x = X.copy()
    data = from_arrays(x, Y)
    with pytest.raises(ValueError, match="read-only"):
        data.x[0] = 1
    x[0] = 1


def test_labels_change_for_nobody():
    labels = np.array([0, 2, 1, 0], np.int32)
    sets = [from_arrays(X, labels, classes=np.int64(3)), Dataset(X, labels, 3)]
    labels[:] = 10**6  # the core, which might be training, would leave its memory
    for data in sets:
        np.testing.assert_array_equal(data.y, Y)


def test_normalise_false_takes_values_as_they_are():
    data = from_arrays(X, Y, normalise=False)
    assert data.scale is None
    np.testing.assert_array_equal(data.normalised(), X.astype(np.float32))


def test_standardised_features_have_mean_0_and_variance_1():
    rng = np.random.default_rng(0)
    x = rng.normal([5, -300, 0.001], [2, 0.5, 1e-4], (101, 3))
    seen = from_arrays(x, np.zeros(101), normalise="standard").normalised().astype(np.float64)
    # x of 300 with a deviation of 0.5, in float32: 600 ulp of 6e-8
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(seen.std(axis=0), 1, rtol=1e-4)


def test_other_parts_are_standardised_by_the_first():
    train = from_arrays([[1.0], [3.0]], [0.0, 0.0])
    valid = from_arrays([[5.0]], [0.0])
    train, valid = standardise(train, valid)
    np.testing.assert_array_equal(train.normalised(), [[-1], [1]])
    np.testing.assert_array_equal(valid.normalised(), [[3]])


def test_a_constant_feature_becomes_zero_even_where_it_varies_later():
    # 0.1 is the case: the computed deviation of many of them is not 0
    train, test = standardise(from_arrays(np.full((1000, 1), 0.1), np.zeros(1000)), from_arrays([[7.0]], [0.0]))
    np.testing.assert_array_equal(train.normalised(), 0)
    np.testing.assert_array_equal(test.normalised(), 0)


@pytest.mark.parametrize("shape", [(9, 5, 4, 3), (9, 5, 4, 1), (9, 5, 4), (1, 1, 2, 2)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("block", [1, 7, 2**20])  # numbers at a time: less than a sample, a sample or two, all
def test_every_channel_gets_its_own_mean_and_variance(monkeypatch, shape, dtype, block):
    monkeypatch.setattr(dataset, "_BLOCK", block)
    x = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    channels = shape[3] if len(shape) == 4 else 1
    pixels = x.reshape(-1, channels).astype(np.float64)
    data = from_arrays(x, np.zeros(len(x)), normalise="channel")
    wanted = (pixels - pixels.mean(axis=0)) / pixels.std(axis=0)
    # scale and shift rounded to float32, up to 2 deviations each, then the sum
    np.testing.assert_allclose(data.normalised().reshape(-1, channels), wanted, atol=1e-6)
    np.testing.assert_array_equal(data.x, x)


def test_other_parts_are_normalised_by_the_channels_of_the_first():
    train = from_arrays(np.array([[0, 10], [4, 30]], np.uint8).reshape(1, 2, 1, 2), [0.0])
    valid = from_arrays(np.array([[6, 20], [2, 40]], np.uint8).reshape(1, 2, 1, 2), [0.0])
    train, valid = standardise(train, valid, per="channel")
    np.testing.assert_array_equal(train.normalised().reshape(2, 2), [[-1, -1], [1, 1]])
    np.testing.assert_array_equal(valid.normalised().reshape(2, 2), [[2, 0], [0, 2]])


def test_a_constant_channel_becomes_zero_even_where_it_varies_later():
    x = np.random.default_rng(0).integers(0, 256, (30, 4, 4, 2), dtype=np.uint8)
    x[..., 1] = 99
    train, test = standardise(from_arrays(x, np.zeros(30)), from_arrays(x[..., ::-1], np.zeros(30)), per="channel")
    np.testing.assert_array_equal(train.normalised()[..., 1], 0)
    np.testing.assert_array_equal(test.normalised()[..., 1], 0)


@pytest.mark.parametrize("shape", [(3, 2), (3, 2, 2, 2, 2)])
def test_what_is_no_image_has_no_channels(shape):
    with pytest.raises(DataError, match=r"set: to be normalised by channel, a sample must be an image .*, got shape"):
        from_arrays(np.zeros(shape, np.uint8), np.zeros(3), normalise="channel", name="set")


def test_statistics_are_per_feature_or_channel():
    with pytest.raises(ValueError, match='per must be "feature" or "channel", got \'pixel\''):
        standardise(from_arrays(X, Y), per="pixel")


def test_parts_of_different_shape_cannot_share_a_scale():
    with pytest.raises(DataError, match=r"b: a sample has shape \(1,\), in a it has \(2,\)"):
        standardise(from_arrays([[1.0, 2]], [0.0], name="a"), from_arrays([[1.0]], [0.0], name="b"))


def test_take_keeps_order_and_everything_else():
    data = from_arrays(X, Y, name="letters", class_names=["a", "b", "c"])
    part = data.take([3, 1, 3])
    np.testing.assert_array_equal(part.x, X[[3, 1, 3]])
    np.testing.assert_array_equal(part.y, Y[[3, 1, 3]])
    assert (part.name, part.class_names, part.outputs) == ("letters", ("a", "b", "c"), 3)
    np.testing.assert_array_equal(part.scale, data.scale)


@pytest.mark.parametrize("indices", [[], [4], [-1], [0.0], [[0]], [True, False, True, False]])
def test_take_names_bad_indices(indices):
    with pytest.raises(ValueError, match="indices must be"):
        from_arrays(X, Y).take(indices)


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        ([[0.0], [np.nan]], [0, 1], {}, r"set: x\[1, 0\] is nan, must be finite"),
        ([[0.0], [-np.inf]], [0, 1], {}, r"set: x\[1, 0\] is -inf"),
        ([[0.0], [1e300]], [0, 1], {}, r"set: x\[1, 0\] is inf, must be finite in float32"),
        ([[0.0], [1.0]], [0.0, np.nan], {}, r"set: y\[1, 0\] is nan"),
        ([[0.0], [1.0]], [0, -1], {"classes": 2}, r"set: y\[1\]: label -1 is outside \[0, 2\)"),
        ([[0.0], [1.0]], [0, 2], {"classes": 2}, r"set: y\[1\]: label 2 is outside \[0, 2\)"),
        ([[0.0], [1.0]], [0, 2**32], {"classes": 2}, r"label 4294967296 is outside"),
        ([[0.0], [1.0]], [0, 2**32], {}, r"number of classes >= 2 and below 2\*\*31, got 4294967297"),
        ([[0.0], [1.0]], np.array([0, 2**63], np.uint64), {}, "got 9223372036854775809"),
        ([[0.0], [1.0]], [0, 0], {}, "number of classes >= 2 .*got 1"),
        ([[0.0], [1.0]], [0, 1], {"classes": 2.5}, r"number of classes >= 2 .*got 2\.5"),
        ([[0.0], [1.0]], [0.0, 1.0], {"classes": 2}, "classes=2 needs integer labels, y is float64"),
        ([[0.0], [1.0]], [[0, 1], [1, 0]], {}, r"labels must have shape \(n,\), got \(2, 2\)"),
        ([[0.0], [1.0]], [0, 1, 1], {}, "x has 2 samples but y has 3"),
        ([[0.0], [1.0]], np.zeros((2, 1, 1)), {}, r"must be int32 \(n,\) or float32"),
        ([[0.0], [1.0]], np.zeros((2, 0)), {}, r"must be int32 \(n,\) or float32"),
        ([[0.0], [1.0]], [0, 1], {"class_names": ["a"]}, "1 class_names for 2 classes"),
        ([0.0, 1.0], [0, 1], {}, r"x must have shape \(n, ...\), got \(2,\)"),
        (np.zeros((2, 0)), [0, 1], {}, r"x is empty, its shape is \(2, 0\)"),
        (np.zeros((0, 2)), [0, 1], {}, "set: x must have one entry a sample, for at least one sample"),
        ([[0.0]], [], {}, "set: y must have one entry a sample, for at least one sample"),
        (1.0, [0, 1], {}, "set: x must have one entry a sample"),
        ([["a"], ["b"]], [0, 1], {}, "set: x must hold numbers, got dtype <U1"),
        ([[0.0], [1.0]], [None, 1], {}, "set: y must hold numbers, got dtype object"),
        (
            [[0.0], [1.0]],
            [0, 1],
            {"normalise": "min-max"},
            'must be True, False, "standard" or "channel", got',
        ),
    ],
)
def test_bad_arrays_are_named(x, y, options, message):
    with pytest.raises(ValueError, match=message):
        from_arrays(x, y, name="set", **options)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"x": X.astype(np.float64)}, "data: x must be uint8 or float32, got float64: use from_arrays"),
        ({"x": X[:, ::2]}, "data: x must be C-contiguous"),
        ({"y": np.zeros((4, 2), np.float32)[:, ::2], "outputs": 1}, "data: y must be C-contiguous"),
        ({"y": Y.astype(np.int64)}, r"data: y must be int32 \(n,\) or float32 \(n, 3\), got int64 \(4,\)"),
        ({"scale": np.ones(5, np.float32)}, r"data: scale must be float32 of shape \(6,\), got float32 \(5,\)"),
        ({"shift": np.full(6, np.nan, np.float32)}, r"data: shift\[0\] is nan"),
    ],
)
def test_the_class_itself_lets_nothing_wrong_in(fields, message):
    with pytest.raises(DataError, match=message):
        Dataset(**{"x": X, "y": Y.astype(np.int32), "outputs": 3} | fields)


def test_repr_says_what_it_is():
    assert repr(from_arrays(X, Y, name="tiny")) == "Dataset(tiny: 4 x (3, 2) uint8, 3 classes)"
    assert repr(from_arrays([[1.0]], [2.0])) == "Dataset(arrays: 1 x (1,) float32, 1 targets)"
