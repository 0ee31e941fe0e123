"""Ready networks: sizes as published, and structures that follow from the config."""

import inspect
import itertools

import numpy as np
import pytest
from tests.reference.network import draw, forward

from shoal import Population, networks, nn

MNIST, CIFAR = (28, 28), (32, 32, 3)


def learnt(parameters):
    return sum(array.size for name, array in parameters.items() if "running" not in name)


def outputs_of(layers, shape):
    """Return the shape of what the first layers make of one sample."""
    network, x = nn.Sequential(layers), np.zeros((1, *shape))
    parameters, _ = draw(network, x, np.random.default_rng(0))
    return forward(network, parameters, x)[0].shape[1]


@pytest.mark.parametrize(
    ("network", "shape", "parameters"),
    [
        (networks.softmax(), MNIST, 7_850),
        (networks.mlp(10, []), MNIST, 7_850),
        (networks.mlp(10, (128, 128, 128), nn.Sigmoid()), MNIST, 134_794),
        (networks.lenet5(), MNIST, 61_706),  # LeCun et al. 1998 with full connections
        (networks.lenet5(activation=nn.Tanh(), pooling=nn.AvgPool2d(2)), MNIST, 61_706),
        (networks.cifar_cnn({}), CIFAR, 591_274),
        (networks.cuda_convnet(), CIFAR, 89_578),  # cifar10_full of Caffe has as many
        (networks.small_cnn(), CIFAR, 25_578),
        (networks.resnet(20), CIFAR, 269_722),  # He et al. 2016, table 6: 0.27 M
        (networks.resnet(20, shortcut="projection"), CIFAR, 272_474),
        (networks.resnet(32), CIFAR, 464_154),  # 0.46 M
        (networks.resnet(56), CIFAR, 853_018),  # 0.85 M
    ],
)
def test_as_many_parameters_as_published(network, shape, parameters):
    drawn, _ = draw(network, np.zeros((1, *shape)), np.random.default_rng(0))
    assert learnt(drawn) == parameters
    population = Population(network, input_shape=shape)
    assert learnt(population.parameters(0)) == parameters
    assert {name: view.shape for name, view in population.parameters(0).items()} == {
        name: array.shape for name, array in drawn.items()
    }
    assert population.predict(np.zeros((2, *shape))).shape == (2, 10)


@pytest.mark.parametrize(
    ("network", "shape", "sizes"),
    [
        (networks.lenet5(), MNIST, {1: 28 * 28 * 6, 3: 14 * 14 * 6, 4: 10 * 10 * 16, 6: 5 * 5 * 16, 7: 120, 9: 84}),
        (networks.cifar_cnn({}), CIFAR, {4: 32 * 32 * 32, 5: 16 * 16 * 32, 10: 16 * 16 * 64, 11: 8 * 8 * 64, 13: 128}),
        (networks.cuda_convnet(), CIFAR, {2: 16 * 16 * 32, 6: 8 * 8 * 32, 9: 4 * 4 * 64}),
        (networks.small_cnn(), CIFAR, {3: 16 * 16 * 16, 6: 8 * 8 * 32}),
        (networks.resnet(8), CIFAR, {5: 32 * 32 * 16, 7: 16 * 16 * 32, 9: 8 * 8 * 64, 10: 64}),
    ],
)
def test_shapes_along_the_way(network, shape, sizes):
    assert {count: outputs_of(network.layers[:count], shape) for count in sizes} == sizes


def test_the_cifar_network_is_the_usual_one_by_default():
    conv = [[nn.Conv2d(filters, 3), nn.ReLU()] for filters in (32, 32, 64, 64)]
    pool = nn.MaxPool2d(2, padding="same")
    assert networks.cifar_cnn({"lr": 0.1}) == nn.Sequential([
        *conv[0], *conv[1], pool, nn.Dropout(0.25),
        *conv[2], *conv[3], pool, nn.Dropout(0.25),
        nn.Dense(128), nn.ReLU(), nn.Dropout(0.5), nn.Dense(10),
    ])  # fmt: skip


def test_the_cifar_network_follows_its_config():
    config = {f"kernel{i}": i + 1 for i in range(1, 5)} | {"stride2": 2, "stride3": 2, "dense_layers": 3}
    network = networks.cifar_cnn(config | {"dropout1": 0.1, "dropout2": 0.2, "dropout3": 0.3}, outputs=100)
    convolutions = [layer for layer in network.layers if isinstance(layer, nn.Conv2d)]
    assert [(layer.kernel, layer.stride) for layer in convolutions] == [(2, 1), (3, 2), (4, 2), (5, 1)]
    assert network.dropout_rates == (0.1, 0.2, 0.3, 0.3)
    assert [layer.units for layer in network.layers if isinstance(layer, nn.Dense)] == [128, 128, 100]
    assert [layer for layer in networks.cifar_cnn({"dense_layers": 1}).layers if isinstance(layer, nn.Dense)] == [
        nn.Dense(10)
    ]


@pytest.mark.parametrize("shape", [(32, 32, 3), (5, 7, 3), (1, 1, 1)])
def test_every_kernel_and_stride_of_the_cifar_network_fits(shape):
    for kernels, strides in itertools.product([(2, 2, 2, 2), (5, 5, 4, 4)], itertools.product([1, 2], repeat=4)):
        config = {f"kernel{i}": kernel for i, kernel in enumerate(kernels, 1)}
        config |= {f"stride{i}": stride for i, stride in enumerate(strides, 1)}
        population = Population(networks.cifar_cnn(config), input_shape=shape)
        assert np.isfinite(population.predict(np.ones((1, *shape)))).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: networks.softmax(0), r"Dense.units: must be an integer in \[1"),
        (lambda: networks.mlp(10, [5, 0]), r"Dense.units: must be an integer in \[1"),
        (lambda: networks.lenet5(activation="relu"), "must be a layer such as .* got 'relu'"),
        (lambda: networks.cifar_cnn({"kernel1": 0}), r"Conv2d.kernel: must be an integer in \[1"),
        (lambda: networks.cifar_cnn({"dense_layers": 0}), r"cifar_cnn: dense_layers: must be an integer in \[1.*got 0"),
        (lambda: networks.resnet(21), r"resnet: depth: must be 6 n \+ 2, such as 20, .*got 21"),
        (lambda: networks.resnet(2), r"resnet: depth: must be an integer in \[8"),
        (lambda: networks.resnet(20, shortcut="none"), "resnet: shortcut: must be one of identity, projection"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_all_ready_networks_are_named():
    functions = {name for name, each in vars(networks).items() if inspect.isfunction(each)}
    assert functions == set(networks.__all__)
