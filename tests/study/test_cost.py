"""What a study says of its cost before it begins."""

import re

import numpy as np
import pytest
from tests.manager.toys import networks, trainables

import shoal
from shoal import nn, search
from shoal.networks import cuda_convnet, lenet5, mlp, resnet, small_cnn
from shoal.study.cost import duration, measure, training_flop


@pytest.mark.parametrize(
    ("network", "shape", "terms"),
    [
        (mlp(10, [30]), (28, 28), [784 * 30, 30 * 10]),
        (lenet5(), (28, 28), [28 * 28 * 6 * 25, 10 * 10 * 16 * 25 * 6, 400 * 120, 120 * 84, 84 * 10]),
        (
            nn.Sequential([
                nn.Conv2d(5, (3, 2), stride=(2, 1), padding=(1, 0)),  # (7, 8, 3) -> (4, 7, 5)
                nn.Residual(
                    [nn.Conv2d(8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 1)],  # -> (2, 4, 8)
                    [nn.Conv2d(8, 2, stride=2, padding="same")],
                ),
                nn.MaxPool2d(2, padding="same"),  # -> (1, 2, 8)
                nn.GlobalAvgPool2d(),
                nn.Dense(4),
            ]),
            (7, 8, 3),
            [4 * 7 * 5 * 6 * 3, 2 * 4 * 8 * 9 * 5, 2 * 4 * 8 * 8, 2 * 4 * 8 * 4 * 5, 8 * 4],
        ),
    ],
)  # fmt: skip
def test_operations_of_known_networks(network, shape, terms):
    """Forward, by weights and by inputs, but the first layer; a multiplication and an addition each."""
    assert training_flop(network, shape) == 6 * sum(terms) - 2 * terms[0]


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (cuda_convnet(), (32, 32, 3)),
        (resnet(8), (32, 32, 3)),
        (resnet(8, shortcut="projection"), (17, 15, 3)),
        (small_cnn(10, [4, 5], kernel=2), (9, 8)),
    ],
)
def test_a_layer_costs_its_weights_in_all_places(network, shape):
    """The shapes are those of the core: a dense layer behind this network would have as many inputs as it says."""
    layers = [layer for layer in network.layers if not isinstance(layer, nn.Dense | nn.GlobalAvgPool2d)]
    cut, whole = nn.Sequential(layers), nn.Sequential([*layers, nn.Dense(7)])
    population = shoal.Population(whole, input_shape=shape, device="cpu")
    last = [array for name, array in population.parameters(0).items() if "dense" in name and "weight" in name][-1]
    assert training_flop(whole, shape) - training_flop(cut, shape) == 6 * last.size


def test_a_measurement_counts_what_it_trained():
    data = shoal.data.from_arrays(np.zeros((100, 6), np.uint8), np.arange(100) % 3, classes=3)
    nets = [nn.Sequential([nn.Dense(units), nn.ReLU(), nn.Dense(3)]) for units in (4, 8)]
    hyperparameters = {"lr": 0.0, "batch_size": [7, 300]}
    population = shoal.Population(nets, hyperparameters=hyperparameters, input_shape=(6,), device="cpu")
    for unit, samples in (("epochs", (100, 100)), ("steps", (7, 100))):
        cost = measure(population, data, lambda rows: population.evaluate(data, rows), unit, every=1)
        flop = [n * training_flop(net, (6,)) for n, net in zip(samples, nets, strict=True)]
        assert cost.flop == sum(flop) / 2
        assert cost.configs == 2
        assert 0 < cost.seconds < 1  # a step of so little takes microseconds


def test_the_plan_says_how_long_it_takes():
    study = networks(strategy=search.ASHA(18, max_epochs=9))  # one config in five would diverge
    *_, line = study.explain().splitlines()
    assert re.fullmatch(
        r"Takes about \S+ s and \d\.\de\+\d\d FLOP for 42 epochs, judged by 18 random configs trained for a moment",
        line,
    )
    assert "Takes at most about" in networks().explain().splitlines()[-1]
    assert "Takes" not in trainables().explain()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.012, "0.012 s"), (99, "99 s"), (150, "2.5 min"), (7300, "2 h"), (3 * 86400, "3 days")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words
