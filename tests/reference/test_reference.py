"""The reference itself, against finite differences and against results that can be worked out by hand."""

import numpy as np
import pytest
from tests.reference.draws import augmented, dropout_mask, philox
from tests.reference.layers import Windows
from tests.reference.network import LOSSES, draw, forward
from tests.reference.optimizers import OPTIMIZERS
from tests.reference.training import Trainer, batches

from shoal import nn

VECTORS = [
    [nn.Dense(3)],
    [nn.Dense(3, bias=False), nn.ReLU(), nn.Dense(2)],
    [nn.Flatten(), nn.Dense(4), nn.LeakyReLU(0.2), nn.Dense(3), nn.Tanh(), nn.Dense(2)],
    [nn.Sigmoid(), nn.Dense(3), nn.Dropout(0.5), nn.Dense(2)],
    [nn.Dense(4), nn.Sigmoid(), nn.Dropout(0.25), nn.Dense(5), nn.Dropout(0.5), nn.Tanh(), nn.Dense(3)],
    [nn.BatchNorm(), nn.Dense(4), nn.BatchNorm(0.3, 0.1), nn.Tanh(), nn.Dense(3)],
    [nn.Residual([nn.Dense(5), nn.Tanh()]), nn.Residual([nn.Dense(3)], [nn.Dense(3), nn.Tanh()]), nn.Dense(2)],
]
IMAGES = [
    [nn.Conv2d(3, (2, 3), bias=False), nn.Tanh(), nn.Dense(2)],
    [nn.Conv2d(2, 1), nn.Dropout(0.4), nn.LeakyReLU(0.2), nn.Flatten(), nn.Dense(2)],
    [nn.MaxPool2d(2), nn.Conv2d(2, 2, padding="valid"), nn.Sigmoid(), nn.Dense(3)],
    [nn.Conv2d(2, 3), nn.MaxPool2d(3, 2, "same"), nn.Conv2d(3, 2), nn.AvgPool2d(2, (1, 2), 1), nn.Dropout(0.2)],
    [nn.AvgPool2d(3, 2, "same"), nn.BatchNorm(), nn.ReLU(), nn.Conv2d(2, 3), nn.GlobalAvgPool2d()],
    [nn.Conv2d(2, 3, bias=False), nn.BatchNorm(0.2, 0.01), nn.Tanh(), nn.GlobalAvgPool2d(), nn.BatchNorm()],
    [nn.Residual([nn.Conv2d(2, 3), nn.Dropout(0.3), nn.Residual([nn.Conv2d(3, 1), nn.Tanh()])], [nn.Conv2d(3, 1)])],
    [nn.Conv2d(2, 1), nn.Residual([nn.Conv2d(3, 3, 2, 1), nn.Tanh(), nn.Conv2d(4, 3)]), nn.Tanh(), nn.Dense(2)],
    [nn.Residual([nn.BatchNorm(), nn.ReLU()]), nn.Residual([nn.AvgPool2d(2, 2, "same")], [nn.Conv2d(2, 2, 2)])],
]
# kernel, stride, padding: even and odd, overlapping and apart, with the odd zero at the end
WINDOWS = [
    *((1, 1, "valid"), (1, 2, "valid"), (2, 1, "same"), (2, 2, "valid"), (2, 2, "same"), (3, 1, "valid")),
    *((3, 2, "same"), (3, 2, 1), (3, 3, "same"), (4, 1, "same"), (4, 3, 2), (5, 1, "same"), (2, 3, 1)),
    *(((1, 4), (2, 1), "same"), ((3, 2), (1, 3), (1, 0)), ((2, 4), 3, (1, 2)), ((5, 1), 2, (4, 0))),
]


def slope(f, array, index, h=1e-6):
    """Central difference of f() by one entry of an array."""
    before = array[index]
    array[index] = before + h
    above = f()
    array[index] = before - h
    below = f()
    array[index] = before
    return (above - below) / (2 * h)


def check_gradients(layers, shape, loss="mse", training=True):
    rng = np.random.default_rng(0)
    network, x = nn.Sequential(layers), rng.normal(size=shape)
    parameters, masks = draw(network, x, rng)
    y, back = forward(network, parameters, x, masks, training)
    goal = rng.integers(y.shape[1], size=len(x)) if loss == "cross_entropy" else rng.normal(size=y.shape)

    def value():
        return LOSSES[loss](forward(network, parameters, x, masks, training)[0], goal)[0]

    gradients, dx = back(LOSSES[loss](y, goal)[1])
    for array, gradient in [*((parameters[name], g) for name, g in gradients.items()), (x, dx)]:
        want = np.array([slope(value, array, index) for index in np.ndindex(array.shape)]).reshape(array.shape)
        # the difference's own error: h^2 and the rounding of two values over h
        np.testing.assert_allclose(gradient, want, rtol=1e-6, atol=1e-8)
    assert set(gradients) == {name for name in parameters if "running" not in name}


def name_of(layers):
    return "-".join(type(layer).__name__ for layer in layers)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("layers", VECTORS, ids=name_of)
def test_gradients_are_finite_differences(layers, loss):
    check_gradients(layers, (7, 5), loss)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("layers", IMAGES, ids=name_of)
def test_gradients_of_images_are_finite_differences(layers, training):
    check_gradients(layers, (3, 5, 4, 2), training=training)


@pytest.mark.parametrize("layers", IMAGES[:4], ids=name_of)
def test_images_without_channels_have_one(layers):
    check_gradients(layers, (2, 4, 5), "cross_entropy")


@pytest.mark.parametrize("make", [lambda *where: nn.Conv2d(2, *where), nn.MaxPool2d, nn.AvgPool2d])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_gradients_of_windows_are_finite_differences(make, window):
    check_gradients([make(*window)], (2, 6, 5, 2))


def by_definition(layer, x, kernel, weight=None, bias=None):
    """Return a layer of windows, output by output and tap by tap; what lies outside the image is passed over."""
    windows = Windows(x, kernel, layer.stride, layer.padding)
    (top, _), (left, _) = windows.pads
    (height, width), (down, right), (kh, kw) = windows.outputs, windows.strides, windows.kernel
    y = np.zeros((len(x), height, width, x.shape[-1] if weight is None else len(weight)))
    for b, h, w, f in np.ndindex(y.shape):
        taps = [
            ((i, j), x[b, h * down + i - top, w * right + j - left])
            for i, j in np.ndindex(kh, kw)
            if 0 <= h * down + i - top < x.shape[1] and 0 <= w * right + j - left < x.shape[2]
        ]
        if weight is not None:
            y[b, h, w, f] = bias[f] + sum(pixel @ weight[f, i, j] for (i, j), pixel in taps)
        else:
            values = [pixel[f] for _, pixel in taps]
            y[b, h, w, f] = max(values) if isinstance(layer, nn.MaxPool2d) else np.mean(values)
    return y


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_windows_by_definition(window):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 6, 5, 3))
    network = nn.Sequential([nn.Conv2d(4, *window)])
    parameters, _ = draw(network, x, rng)
    want = by_definition(network.layers[0], x, window[0], *parameters.values())
    np.testing.assert_allclose(forward(network, parameters, x)[0], want.reshape(2, -1), rtol=1e-12, atol=1e-12)
    for layer in (nn.MaxPool2d(*window), nn.AvgPool2d(*window)):
        want = by_definition(layer, x, window[0])
        np.testing.assert_allclose(forward(nn.Sequential([layer]), {}, x)[0], want.reshape(2, -1), rtol=1e-12)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "before", "after", "outputs"),
    [
        *((28, 5, 1, 2, 2, 28), (5, 2, 1, 0, 1, 5), (5, 4, 1, 1, 2, 5), (32, 3, 2, 0, 1, 16), (5, 3, 2, 1, 1, 3)),
        *((7, 2, 3, 0, 1, 3), (6, 1, 4, 0, 0, 2), (1, 2, 2, 0, 1, 1), (1, 5, 2, 2, 2, 1)),
    ],
)
def test_same_padding_by_hand(size, kernel, stride, before, after, outputs):
    windows = Windows(np.zeros((1, size, size, 1)), kernel, stride, "same")
    assert (windows.pads, windows.outputs) == ([(before, after)] * 2, [outputs] * 2)


def test_batch_norm_by_hand():
    network = nn.Sequential([nn.BatchNorm(momentum=0.25, epsilon=3.0)])
    start = {"weight": [2.0], "bias": [1.0], "running_mean": [0.0], "running_var": [1.0]}
    trainer = Trainer(network, {f"batchnorm1.{name}": v for name, v in start.items()}, optimizer="sgd", loss="mse")
    x = np.array([[3.0], [5.0]])  # mean 4, variance 1, unbiased 2
    y, _ = forward(network, trainer.parameters, x, training=True)
    assert y.ravel().tolist() == [1 - 2 / 2, 1 + 2 / 2]
    assert trainer.parameters["batchnorm1.running_mean"] == 0.25 * 4
    assert trainer.parameters["batchnorm1.running_var"] == 0.75 * 1 + 0.25 * 2
    y, _ = forward(network, trainer.parameters, x)
    np.testing.assert_allclose(y.ravel(), 1 + 2 * np.array([2, 4]) / np.sqrt(1.25 + 3))


def test_the_identity_takes_every_stride_th_pixel_by_hand():
    network = nn.Sequential([nn.Residual([nn.Conv2d(2, 3, stride=2, bias=False)])])
    x = np.arange(15.0).reshape(1, 3, 5, 1)
    y, back = forward(network, {"conv1.weight": np.zeros((2, 3, 3, 1))}, x)
    want = [[[0, 0], [2, 0], [4, 0]], [[10, 0], [12, 0], [14, 0]]]
    assert y.reshape(2, 3, 2).tolist() == want
    _, dx = back(np.ones((1, 12)))
    assert dx.reshape(3, 5).tolist() == [[1, 0, 1, 0, 1], [0] * 5, [1, 0, 1, 0, 1]]


def test_layers_are_numbered_in_order_of_appearance():
    inner = nn.Residual([nn.Conv2d(3, 1), nn.BatchNorm()], [nn.Conv2d(3, 3)])
    network = nn.Sequential([nn.Conv2d(2, 1), nn.Residual([inner], [nn.Conv2d(3, 2), nn.BatchNorm()]), nn.Dense(2)])
    parameters, _ = draw(network, np.zeros((1, 4, 4, 1)), np.random.default_rng(0))
    weights = {name: array.shape for name, array in parameters.items() if name.endswith(".weight")}
    assert weights == {
        "conv1.weight": (2, 1, 1, 1), "conv2.weight": (3, 1, 1, 2), "batchnorm1.weight": (3,),
        "conv3.weight": (3, 3, 3, 2), "conv4.weight": (3, 2, 2, 2), "batchnorm2.weight": (3,), "dense1.weight": (2, 48),
    }  # fmt: skip


def test_philox_gives_the_published_numbers():  # kat_vectors of Random123
    ones = 2**32 - 1
    published = [
        ((0,) * 4, (0,) * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((ones,) * 4, (ones,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ]
    for counter, key, words in published:
        assert " ".join(f"{int(word):08x}" for word in philox(counter, key)) == words


def test_masks_drop_their_share():
    mask = dropout_mask(0.3, 2, 50, 200, step=7, key=(1, 2))
    assert set(mask.ravel()) == {0, 1 / (1 - 0.3)}
    assert abs(np.mean(mask == 0) - 0.3) < 5 * np.sqrt(0.3 * 0.7 / mask.size)
    assert len({row.tobytes() for row in mask}) == 50


def test_augmentation_crops_from_a_padded_image_and_mirrors_half():
    images = np.arange(1, 1 + 200 * 3 * 4 * 2).reshape(200, 3, 4, 2)
    padded = np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)])
    found = []
    for row, got in enumerate(augmented(images, 2, True, step=5, key=(3, 4))):
        crops = {
            (i, j, way): padded[row, i : i + 3, j : j + 4][:, ::way] for i, j in np.ndindex(5, 5) for way in (1, -1)
        }
        found += [where for where, crop in crops.items() if np.array_equal(crop, got)]
    assert len(found) == 200  # every crop is a different one, as no pixel is 0
    assert len(set(found)) == 2 * 5 * 5
    assert 70 < sum(way == 1 for _, _, way in found) < 130
    assert np.array_equal(augmented(images, 0, False, step=5, key=(3, 4)), images)


HYPERPARAMETERS = {
    "lr": 0.5, "momentum": 0.5, "nesterov": False, "decay": 0.0, "lr_decay": 1.0, "decay_every": 1,
    "weight_decay": 0.0, "beta1": 0.5, "beta2": 0.75, "epsilon": 1e-12,
}  # fmt: skip


@pytest.mark.parametrize(
    ("optimizer", "changes", "want"),
    [
        ("sgd", {}, [1 - 1, 1 - 1 - 0.5 * (1 + 2)]),  # v = 2, then 0.5 * 2 + 2
        ("sgd", {"nesterov": True}, [1 - 0.5 * 3, 1 - 1.5 - 0.5 * (2 + 0.5 * 3)]),
        ("sgd", {"momentum": 0.0, "weight_decay": 2.0}, [1 - 0.5 * 4, -1 - 0.5 * (2 - 2)]),
        ("sgd", {"momentum": 0.0, "decay": 1.0}, [1 - 1, 0 - 0.25 * 2]),
        ("sgd", {"momentum": 0.0, "lr_decay": 0.5, "decay_every": 1}, [0, 0 - 0.25 * 2]),
        ("adam", {}, [1 - 0.5, 1 - 1]),  # a constant gradient gives steps of lr
        ("adam", {"weight_decay": 2.0}, [1 - 0.5, 0.5 - 0.5 * 10 / 3 / np.sqrt(12)]),
        ("adamw", {"weight_decay": 2.0}, [1 * (1 - 1) - 0.5, -0.5 * 0 - 0.5]),
        ("rmsprop", {"momentum": 0.0}, [1 - 0.5 * 2, 0 - 0.5 * 2 / np.sqrt(0.75 + 1)]),
        ("rmsprop", {}, [0, 0 - 0.5 * (0.5 * 2 + 2 / np.sqrt(1.75))]),
        ("adagrad", {}, [0.5, 0.5 - 0.5 / np.sqrt(2)]),
    ],
)
def test_two_steps_of_an_optimiser_by_hand(optimizer, changes, want):
    w, state = np.array([1.0]), {}
    for t in range(2):  # the gradient is 2 throughout
        OPTIMIZERS[optimizer](w, np.array([2.0]), state, t, HYPERPARAMETERS | changes)
        assert w[0] == pytest.approx(want[t], rel=1e-9, abs=1e-9)


def test_batches_cover_each_pass_with_a_short_one_last():
    got = [list(rows) for rows in batches(lambda epoch: np.arange(5) + 10 * epoch, samples=5, batch_size=2, steps=4)]
    assert got == [[0, 1], [2, 3], [4], [10, 11]]
