"""The costs of a network, against the core's own weights and counts made by hand."""

import numpy as np
import pytest

import shoal
from shoal import networks, nn
from shoal.manager.costs import Costs, costs

NETS = {
    "mlp": (networks.mlp(10, [7, 5]), (6, 3)),
    "lenet5": (networks.lenet5(10), (28, 28)),
    "cifar_cnn": (networks.cifar_cnn({}), (32, 32, 3)),
    "resnet": (networks.resnet(8, shortcut="projection"), (16, 16, 3)),
    "pieces": (
        nn.Sequential([
            nn.Conv2d(4, (3, 2), stride=(2, 1), padding="valid", bias=False), nn.BatchNorm(), nn.ReLU(),
            nn.AvgPool2d(2, stride=1, padding=1), nn.Residual([nn.Conv2d(8, 3, 2)], [nn.Conv2d(8, 1, 2)]),
            nn.MaxPool2d(2), nn.Flatten(), nn.BatchNorm(), nn.Dropout(0.1), nn.Dense(3, bias=False),
        ]),
        (13, 9),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("network", "shape"), NETS.values(), ids=NETS)
def test_parameters_are_the_trained_weights(network, shape):
    weights = shoal.Population(network, input_shape=shape).parameters(0)
    trained = sum(np.size(array) for name, array in weights.items() if ".running" not in name)
    assert costs(network, shape).parameters == trained


def test_multiply_adds_by_hand():
    assert costs(nn.Sequential([nn.Dense(5), nn.ReLU(), nn.Dense(2)]), (3, 4)) == Costs(65 + 12, 60 + 10)
    conv = nn.Sequential(
        [nn.Conv2d(6, 3, stride=2), nn.MaxPool2d(2), nn.Dense(2)]
    )  # 9 x 7 x 2 to 5 x 4 x 6 to 2 x 2 x 6
    assert costs(conv, (9, 7, 2)).multiply_adds == (5 * 4 * 6) * (3 * 3 * 2) + 24 * 2
    # LeNet-5 on 28 x 28 as published: 6 and 16 maps of 5 x 5, then 400-120-84-10
    lenet = 28 * 28 * 6 * 25 + 10 * 10 * 16 * 25 * 6 + 400 * 120 + 120 * 84 + 84 * 10
    assert costs(networks.lenet5(10), (28, 28)).multiply_adds == lenet
