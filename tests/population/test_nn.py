import json

import numpy as np
import pytest

from shoal import Population, nn

LAYERS = [
    nn.Flatten(),
    nn.Dense(np.int64(7), init="normal", init_scale=0.5, bias=False),
    nn.ReLU(),
    nn.Dropout(0.25),
    nn.Dense(3),
    nn.LeakyReLU(0.2),
    nn.Sigmoid(),
    nn.Dropout(0),
    nn.Tanh(),
    nn.Dense(2),
]
CONVOLUTIONAL = [
    nn.Conv2d(np.int32(8), (3, 5), stride=[2, 1], padding=(1, 2), init="xavier", init_scale=2, bias=False),
    nn.BatchNorm(0.5, 1e-3),
    nn.MaxPool2d(),
    nn.Residual(
        [nn.Dropout(0.1), nn.Residual([nn.Conv2d(16, 1, padding="valid"), nn.Dropout(0.2)])],
        shortcut=[nn.Conv2d(16, 1), nn.Dropout(0.3)],
    ),
    nn.Dropout(0.4),
    nn.Residual(iter([nn.BatchNorm()])),
    nn.AvgPool2d(3, 2, "same"),
    nn.MaxPool2d((3, 1), padding=(2, 0)),
    nn.GlobalAvgPool2d(),
    nn.Dense(2),
]


BOTH = pytest.mark.parametrize("layers", [LAYERS, CONVOLUTIONAL], ids=["dense", "convolutional"])


@BOTH
def test_a_network_is_a_value(layers):
    network = nn.Sequential(layers)
    assert network == nn.Sequential(tuple(layers))
    assert len({network, nn.Sequential(iter(layers)), nn.Sequential(layers[:-1])}) == 2


@BOTH
def test_a_description_survives_json(layers):
    network = nn.Sequential(layers)
    description = network.describe()
    assert json.loads(json.dumps(description)) == description
    assert nn.Sequential.from_description(description) == network


def test_a_size_is_a_number_or_a_pair():
    assert nn.Conv2d(3, [5, 5], (2, 2), padding=(1, 1)) == nn.Conv2d(3, 5, 2, padding=1)
    assert nn.Conv2d(3, (np.int64(5), 3)).kernel == (5, 3)
    assert (nn.MaxPool2d(3).step, nn.AvgPool2d((2, 3)).step, nn.MaxPool2d(3, 2).step) == (3, (2, 3), 2)
    assert nn.MaxPool2d(2) != nn.AvgPool2d(2)


def test_structure_does_not_know_dropout_rates():
    a, b = (nn.Sequential([nn.Dense(3), nn.Dropout(rate), nn.Dropout(0.1)]) for rate in (0.2, 0.3))
    assert a != b
    assert a.structure == b.structure
    assert (a.dropout_rates, b.dropout_rates) == ((0.2, 0.1), (0.3, 0.1))
    assert a.structure != nn.Sequential([nn.Dense(3), nn.Dropout(0.2)]).structure


def test_dropout_within_a_residual_is_found():
    network = nn.Sequential(CONVOLUTIONAL)
    assert network.dropout_rates == (0.1, 0.2, 0.3, 0.4)  # first the branch, then the shortcut
    plain = json.loads(json.dumps(network.describe()), object_hook=lambda d: {**d, "rate": 0.0} if "rate" in d else d)
    assert network.structure == nn.Sequential.from_description(plain).layers
    assert network.structure == nn.Sequential(network.structure).structure


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Dense(0), r"Dense.units: must be an integer in \[1, .*got 0"),
        (lambda: nn.Dense(2.0), "Dense.units: must be an integer, got 2.0"),
        (lambda: nn.Dense(True), "Dense.units: must be an integer, got True"),
        (lambda: nn.Dense(3, init="magic"), "Dense.init: must be one of he, xavier, normal, uniform; got 'magic'"),
        (lambda: nn.Dense(3, init_scale=0), "Dense.init_scale: must be > 0 .*got 0"),
        (lambda: nn.Dense(3, init_scale=1e-60), "Dense.init_scale: must be > 0 .*single precision, got 1e-60"),
        (lambda: nn.Dense(3, bias=1), "Dense.bias: must be True or False, got 1"),
        (lambda: nn.Dropout(1), r"Dropout.rate: must be in \[0, 1\).*got 1"),
        (lambda: nn.Dropout(-0.1), r"Dropout.rate: must be in \[0, 1\).*got -0.1"),
        (lambda: nn.Dropout(float("nan")), r"Dropout.rate: must be in \[0, 1\).*got nan"),
        (lambda: nn.Dropout("0.5"), r"Dropout.rate: must be a number in \[0, 1\), got '0.5'"),
        (lambda: nn.LeakyReLU(1.5), r"LeakyReLU.slope: must be in \[0, 1\).*got 1.5"),
        (lambda: nn.Conv2d(0, 3), r"Conv2d.filters: must be an integer in \[1, .*got 0"),
        (lambda: nn.Conv2d(8, 0), r"Conv2d.kernel: must be an integer in \[1, .*got 0"),
        (lambda: nn.Conv2d(8, 2.5), "Conv2d.kernel: must be an integer, got 2.5"),
        (lambda: nn.Conv2d(8, "3"), "Conv2d.kernel: must be an integer, got '3'"),
        (
            lambda: nn.Conv2d(8, (3, 3, 3)),
            r"Conv2d.kernel: must be an integer or a pair \(height, width\), got \(3, 3, 3",
        ),
        (lambda: nn.Conv2d(8, (3, -1)), r"Conv2d.kernel: must be an integer in \[1, .*got -1"),
        (lambda: nn.Conv2d(8, 3, stride=0), r"Conv2d.stride: must be an integer in \[1, .*got 0"),
        (lambda: nn.Conv2d(8, 3, stride=None), "Conv2d.stride: must be an integer, got None"),
        (
            lambda: nn.Conv2d(8, 3, padding="full"),
            'Conv2d.padding: must be "same", "valid", an integer or .*got \'full\'',
        ),
        (lambda: nn.Conv2d(8, 3, padding=-1), r"Conv2d.padding: must be an integer in \[0, .*got -1"),
        (lambda: nn.Conv2d(8, 3, init="zero"), "Conv2d.init: must be one of he, xavier, normal, uniform; got 'zero'"),
        (lambda: nn.Conv2d(8, 3, init_scale=-1), "Conv2d.init_scale: must be > 0"),
        (lambda: nn.Conv2d(8, 3, bias=None), "Conv2d.bias: must be True or False, got None"),
        (lambda: nn.MaxPool2d(0), r"MaxPool2d.size: must be an integer in \[1, .*got 0"),
        (lambda: nn.AvgPool2d(2, stride=(1, 0)), r"AvgPool2d.stride: must be an integer in \[1, .*got 0"),
        (lambda: nn.MaxPool2d(2, padding="Same"), 'MaxPool2d.padding: must be "same"'),
        (lambda: nn.Conv2d(8, (1, 3), padding=1), r"Conv2d.padding: must be smaller than the window, \(1, 3\), got 1"),
        (lambda: nn.MaxPool2d(2, padding=2), "MaxPool2d.padding: must be smaller than the window, 2, got 2"),
        (
            lambda: nn.AvgPool2d((3, 1), padding=1),
            r"AvgPool2d.padding: must be smaller than the window, \(3, 1\), got 1",
        ),
        (lambda: nn.BatchNorm(0), "BatchNorm.momentum: must be > 0 .*got 0"),
        (lambda: nn.BatchNorm(1.5), r"BatchNorm.momentum: must be in \(0, 1\], got 1.5"),
        (lambda: nn.BatchNorm(epsilon=0), "BatchNorm.epsilon: must be > 0 .*got 0"),
        (lambda: nn.Residual([]), "Residual.layers: must hold at least one layer"),
        (lambda: nn.Residual(nn.ReLU()), "Residual.layers: must be a list of layers, got ReLU"),
        (lambda: nn.Residual([nn.ReLU(), 3]), r"Residual.layers\[1\]: must be a layer .*got 3"),
        (lambda: nn.Residual([nn.ReLU()], None), "Residual.shortcut: must be a list of layers, got None"),
        (lambda: nn.Residual([nn.ReLU()], ["id"]), r"Residual.shortcut\[0\]: must be a layer .*got 'id'"),
        (lambda: nn.Sequential([]), "Sequential.layers: must hold at least one layer"),
        (lambda: nn.Sequential(nn.Dense(3)), "Sequential.layers: must be a list of layers, got Dense"),
        (lambda: nn.Sequential("relu"), "Sequential.layers: must be a list of layers, got 'relu'"),
        (lambda: nn.Sequential([nn.Dense(3), "relu"]), r"Sequential.layers\[1\]: must be a layer .*got 'relu'"),
        (lambda: nn.Sequential([nn.Dense]), r"Sequential.layers\[0\]: must be a layer"),
        (lambda: nn.Sequential.from_description([{"layer": "Conv9"}]), r"network\[0\].layer: must be one of Dense"),
        (lambda: nn.Sequential.from_description([{"units": 3}]), r"network\[0\].layer: must be one of Dense.*None"),
        (lambda: nn.Sequential.from_description([{"layer": "Dense", "size": 3}]), r"network\[0\]: .*'size'"),
        (lambda: nn.Sequential.from_description([{"layer": "Dense"}]), r"network\[0\]: .*'units'"),
        (
            lambda: nn.Sequential.from_description([{"layer": "Residual", "layers": [{"layer": "Conv"}]}]),
            r"network\[0\].layers\[0\].layer: must be one of Dense",
        ),
        (lambda: nn.Sequential.from_description([{"layer": "Residual", "layers": 3}]), r"network\[0\]: .*int"),
        (lambda: nn.Sequential.from_description([{"layer": "Residual"}]), r"network\[0\]: .*'layers'"),
    ],
)
def test_bad_layers(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("init", "scale", "deviation", "bound"),
    [
        ("he", None, np.sqrt(2 / 300), np.inf),
        ("he", 0.5, 0.5 * np.sqrt(2 / 300), np.inf),
        ("xavier", None, np.sqrt(6 / 500) / np.sqrt(3), np.sqrt(6 / 500)),
        ("normal", None, 0.05, np.inf),
        ("normal", 2.0, 2.0, np.inf),
        ("uniform", None, 0.05 / np.sqrt(3), 0.05),
        ("uniform", 3.0, 3.0 / np.sqrt(3), 3.0),
    ],
)
def test_initial_weights(init, scale, deviation, bound):
    network = nn.Sequential([nn.Dense(200, init=init, init_scale=scale), nn.Dense(3)])
    population = Population(network, input_shape=(300,), seed=1)
    weight = population.parameters(0)["dense1.weight"]
    n = weight.size
    assert weight.shape == (200, 300)
    assert abs(weight.mean()) < 5 * deviation / np.sqrt(n)
    assert weight.std() == pytest.approx(deviation, rel=5 / np.sqrt(n))  # five deviations, twice a normal's own
    assert abs(weight).max() <= bound
    assert np.unique(weight).size > 0.99 * n
    assert not population.parameters(0)["dense1.bias"].any()


def test_normal_weights_are_normal():
    network = nn.Sequential([nn.Dense(200, init="normal", init_scale=1), nn.Dense(1)])
    weight = Population(network, input_shape=(300,)).parameters(0)["dense1.weight"]
    for bound, share in [(1, 0.68269), (2, 0.95450), (3, 0.99730)]:
        assert np.mean(abs(weight) < bound) == pytest.approx(share, abs=0.01)
    assert abs(np.corrcoef(weight[:, :-1].ravel(), weight[:, 1:].ravel())[0, 1]) < 0.02
