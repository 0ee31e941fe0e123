"""What the nets are: shapes, names, FLOPs, and that nobody's weights or batches depend on who else is drawn."""

import contender_shoal
import memory
import nets
import numpy as np
import pytest
import samples
from shapes import place, walk

from shoal import nn

LENET5 = 2 * (28 * 28 * 6 * 25), 2 * (10 * 10 * 16 * 150), 2 * 400 * 120, 2 * 120 * 84, 2 * 84 * 10


@pytest.mark.parametrize(
    ("net", "flops"),
    [  # forward, weight gradients; input gradients of all but the first layer
        ("a", 2 * (2 * 784 * 10)),
        ("b64", 2 * (2 * 784 * 64) + 3 * (2 * 64 * 64 + 2 * 64 * 10)),
        ("c", 3 * sum(LENET5) - LENET5[0]),
        ("d", 148_250_112),
        ("resnet20", 3 * 2 * 40_551_040 - 2 * 32 * 32 * 16 * 27),  # 40.6 million multiply-adds
    ],
)
def test_flops_of_a_sample(net, flops):
    assert nets.NETS[net].flops == flops


def test_parameters_are_weights_and_biases():
    assert nets.NETS["e"].parameters == 8 * 20 + 20 + 20 * 20 + 20 + 20 * 10 + 10 + 10 * 2 + 2
    assert nets.NETS["resnet20"].parameters == 269_722  # He et al. 2016: 0.27 million


@pytest.mark.parametrize("net", nets.NETS.values(), ids=lambda net: net.name)
def test_names_and_shapes_are_those_of_the_members(net):
    population = contender_shoal.population(net, net.learning_rates(1))
    shapes = {name: array.shape for name, array in population.parameters(0).items()}
    assert net.weights | net.running == shapes


def test_inside_a_residual_the_branch_comes_before_the_shortcut():
    residual = nn.Residual([nn.Conv2d(4, 3, 2), nn.BatchNorm()], [nn.Conv2d(4, 1, 2), nn.BatchNorm()])
    ops = place([nn.Conv2d(2, 3), residual, nn.Dense(3)], (5, 5, 1))
    names = {op.name: op.outputs for op in walk(ops) if op.name}
    assert names == {
        **{"conv1": (5, 5, 2), "conv2": (3, 3, 4), "batchnorm1": (3, 3, 4)},
        **{"conv3": (3, 3, 4), "batchnorm2": (3, 3, 4), "dense1": (3,)},
    }


@pytest.mark.parametrize(
    ("layer", "padding", "size"),
    [
        (nn.Conv2d(1, 3), ((1, 1), (1, 1)), (8, 7)),
        (nn.Conv2d(1, 4), ((1, 2), (1, 2)), (8, 7)),
        (nn.Conv2d(1, 3, 2), ((0, 1), (1, 1)), (4, 4)),
        (nn.Conv2d(1, (5, 2), padding="valid"), ((0, 0), (0, 0)), (4, 6)),
        (nn.Conv2d(1, 3, 2, padding=1), ((1, 1), (1, 1)), (4, 4)),
        (nn.MaxPool2d(2, padding="same"), ((0, 0), (0, 1)), (4, 4)),
        (nn.AvgPool2d(3, 2), ((0, 0), (0, 0)), (3, 3)),
    ],
)
def test_windows_over_an_image_of_eight_by_seven(layer, padding, size):
    (op,) = place([layer], (8, 7, 1))
    assert op.window.padding == padding
    assert op.outputs == (*size, 1)


def test_a_dense_layer_knows_the_image_that_was_flattened():
    _, first, second = place([nn.Flatten(), nn.Dense(3), nn.Dense(2)], (4, 5, 6))
    assert (first.image, first.inputs_of_output) == ((4, 5, 6), 120)
    assert (second.image, second.inputs_of_output) == ((), 3)


def test_a_net_is_checked_without_dropout_at_rates_of_its_own():
    net = nets.NETS["d"]
    assert net.network.dropout_rates == (0.25, 0.25, 0.5)
    assert net.checked().network.dropout_rates == (0, 0, 0)
    np.testing.assert_allclose(net.checked().learning_rates(3), net.check.rate * net.learning_rates(3), rtol=1e-6)


@pytest.mark.parametrize("name", ["e", "c"])
def test_a_member_is_drawn_the_same_whatever_its_share(name):
    net = nets.NETS[name]
    whole, last = nets.draw_weights(net, members=3), nets.draw_weights(net, members=1, first=2)
    assert set(whole) == set(net.weights)
    for key in whole:
        np.testing.assert_array_equal(whole[key][2], last[key][0])
    orders = nets.draw_order(net, samples=200, members=3, steps=5)
    np.testing.assert_array_equal(orders[2], nets.draw_order(net, samples=200, members=1, steps=5, first=2)[0])
    assert not np.array_equal(orders[1], orders[2])


def test_normalisation_starts_as_the_identity():
    drawn = nets.draw_weights(nets.NETS["resnet20"], members=1)
    for name, start in {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1}.items():
        assert np.all(drawn[f"batchnorm19.{name}"] == start)


def test_an_order_is_whole_passes():
    net = nets.NETS["e"]  # batches of 64: three fit into 200 samples
    first, second, rest = np.split(nets.draw_order(net, samples=200, members=1, steps=7)[0], [3, 6])
    for batches in (first, second, rest):
        assert len(np.unique(batches)) == batches.size
    assert not np.array_equal(first, second)


def test_images_are_made_up_where_there_are_none(monkeypatch):
    monkeypatch.delenv("SHOAL_DATA", raising=False)
    samples.load.cache_clear()
    data = nets.NETS["d"].load()
    samples.load.cache_clear()
    assert (data.name, data.x.shape[1:], data.x.dtype) == ("synthetic", (32, 32, 3), np.uint8)
    assert set(np.unique(data.y)) == set(range(10))


def test_state_of_a_member():
    assert memory.state_bytes(nets.NETS["a"]) == 4 * 2 * 7850  # weights and momentum
    assert memory.state_bytes(nets.NETS["d"]) == 4 * 3 * 591_274  # and two moments
    assert memory.state_bytes(nets.NETS["resnet20"]) == 4 * (2 * 269_722 + 2 * 688)  # and running statistics
