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


def test_a_network_is_a_value():
    network = nn.Sequential(LAYERS)
    assert network == nn.Sequential(tuple(LAYERS))
    assert len({network, nn.Sequential(iter(LAYERS)), nn.Sequential(LAYERS[:-1])}) == 2


def test_a_description_survives_json():
    network = nn.Sequential(LAYERS)
    assert nn.Sequential.from_description(json.loads(json.dumps(network.describe()))) == network


def test_structure_does_not_know_dropout_rates():
    a, b = (nn.Sequential([nn.Dense(3), nn.Dropout(rate), nn.Dropout(0.1)]) for rate in (0.2, 0.3))
    assert a != b
    assert a.structure == b.structure
    assert (a.dropout_rates, b.dropout_rates) == ((0.2, 0.1), (0.3, 0.1))
    assert a.structure != nn.Sequential([nn.Dense(3), nn.Dropout(0.2)]).structure


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
        (lambda: nn.Sequential([]), "Sequential.layers: must hold at least one layer"),
        (lambda: nn.Sequential(nn.Dense(3)), "Sequential.layers: must be a list of layers, got Dense"),
        (lambda: nn.Sequential("relu"), "Sequential.layers: must be a list of layers, got 'relu'"),
        (lambda: nn.Sequential([nn.Dense(3), "relu"]), r"Sequential.layers\[1\]: must be a layer .*got 'relu'"),
        (lambda: nn.Sequential([nn.Dense]), r"Sequential.layers\[0\]: must be a layer"),
        (lambda: nn.Sequential.from_description([{"layer": "Conv9"}]), r"network\[0\].layer: must be one of Dense"),
        (lambda: nn.Sequential.from_description([{"units": 3}]), r"network\[0\].layer: must be one of Dense.*None"),
        (lambda: nn.Sequential.from_description([{"layer": "Dense", "size": 3}]), r"network\[0\]: .*'size'"),
        (lambda: nn.Sequential.from_description([{"layer": "Dense"}]), r"network\[0\]: .*'units'"),
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
