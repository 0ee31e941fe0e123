"""What a member takes over from one of another structure: layers, byte for byte, and the rest as in a new member."""

import numpy as np
import pytest
from tests.population.samples import LARGE, TINY, blocks, labelled

from shoal import Population, nn

SLOTS = {"sgd": 1, "adam": 2, "adamw": 2, "rmsprop": 2, "adagrad": 1}
HEADER = 64  # bytes of counters before the floats


def dense(*widths, activation=nn.ReLU(), bias=True):  # noqa: B008  a frozen value
    hidden = [layer for width in widths for layer in (nn.Dense(width, bias=bias), activation)]
    return nn.Sequential([*hidden, nn.Dense(3)])


def conv(filters, kernel, units, *, norm=True, stride=1):
    after = [nn.BatchNorm()] if norm else []
    return nn.Sequential(
        [nn.Conv2d(filters, kernel), *after, nn.ReLU(), nn.Conv2d(6, 3, stride), nn.Dense(units), nn.Dense(3)]
    )


def residual(blocks, filters=4):
    block = nn.Residual([nn.Conv2d(filters, 3, bias=False), nn.BatchNorm(), nn.ReLU(), nn.Conv2d(filters, 3)])
    return nn.Sequential([nn.Conv2d(filters, 3), *[block] * blocks, nn.GlobalAvgPool2d(), nn.Dense(3)])


# donor, heir, and whether each layer of the heir is taken over
CASES = {
    "wider": (dense(33, 20), dense(33, 21), {"dense1": True, "dense2": False, "dense3": False}),
    "deeper": (dense(33), dense(33, 33), {"dense1": True, "dense2": False, "dense3": False}),
    "shallower": (dense(20, 20), dense(20), {"dense1": True, "dense2": False}),
    "tiny": (TINY, nn.Sequential([nn.Dense(9), nn.Dense(5), nn.Dense(3)]), dict.fromkeys(["dense1"], True)),
    "nothing": (dense(8), dense(9), {"dense1": False, "dense2": False}),
    "activation": (dense(8), dense(8, activation=nn.Tanh()), {"dense1": True, "dense2": True}),
    "bias": (dense(8, bias=False), dense(8), {"dense1": False, "dense2": True}),
    "kernel": (
        conv(5, 3, 7),
        conv(5, (1, 3), 7),
        {"conv1": False, "batchnorm1": True, "conv2": True, "dense1": True, "dense2": True},
    ),
    "turned": (conv(5, (3, 1), 7, norm=False), conv(5, (1, 3), 7, norm=False), {"conv1": False}),
    "filters": (
        conv(5, 3, 7),
        conv(4, 3, 7),
        {"conv1": False, "batchnorm1": False, "conv2": False, "dense1": True, "dense2": True},
    ),
    "stride": (
        conv(5, 3, 7),
        conv(5, 3, 7, stride=2),
        {"conv1": True, "batchnorm1": True, "conv2": True, "dense1": False, "dense2": True},
    ),
    "without norm": (conv(5, 3, 7), conv(5, 3, 7, norm=False), {"conv1": True, "conv2": True}),
    "more blocks": (
        residual(1),
        residual(2),
        {"conv1": True, "conv2": True, "batchnorm1": True, "conv3": True}
        | {"conv4": False, "batchnorm2": False, "conv5": False, "dense1": True},
    ),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
SHAPE = (7, 5, 2)


def family(donor, heir, **options):
    """Return a population of a trained donor and its heir to be, which has trained too."""
    options = {"hyperparameters": {"lr": 0.02, "batch_size": 16}, "ids": [3, 8]} | options
    population = Population([donor, heir], **options)
    population.train(labelled(60, SHAPE), steps=[7, 3])
    return population


def arrays(population, member, optimizer):
    """Return every layer's parameters and slots, (1 + slots, ...) by the parameter's name, cut out of the block."""
    block, found = population.state(member), {}
    floats = block[HEADER:].view(np.float32).reshape(1 + SLOTS[optimizer], -1)
    for name, view in population.parameters(member).items():
        offset = (view.ctypes.data - block.ctypes.data - HEADER) // 4
        strides = (floats.strides[0], *view.strides)
        found[name] = np.lib.stride_tricks.as_strided(floats[:, offset:], (len(floats), *view.shape), strides).copy()
    return found


@every_case
@pytest.mark.parametrize("optimizer", SLOTS)
def test_layers_are_the_donors_or_a_new_members(case, optimizer):
    donor, heir, expected = case
    population = family(donor, heir, optimizer=optimizer)
    before = arrays(population, 0, optimizer)
    fresh = arrays(Population(heir, ids=[8], optimizer=optimizer, input_shape=SHAPE), 0, optimizer)
    layers = population.inherit(0, 1)
    assert expected.items() <= layers.items()
    after = arrays(population, 1, optimizer)
    assert [*layers] == [*dict.fromkeys(name.split(".")[0] for name in after)]
    for name, values in after.items():
        want = before if layers[name.split(".")[0]] else fresh
        assert values.tobytes() == want[name].tobytes(), name
    assert any(np.any(values[1]) for values in before.values()), "there was optimiser state to take over"
    assert population.steps.tolist() == [7, 7]
    assert population.epochs.tolist() == population.epochs[[0, 0]].tolist()
    assert arrays(population, 0, optimizer).keys() == before.keys()


@every_case
def test_training_goes_on(case):
    dataset = labelled(60, SHAPE)
    population = family(*case[:2])
    population.inherit(0, 1)
    alone = Population(case[1], ids=[8], hyperparameters={"lr": 0.02, "batch_size": 16}, input_shape=SHAPE)
    alone.load_state(0, population.state(1))
    before = population.evaluate(dataset)["loss"][1]
    for each in (population, alone):
        each.train(dataset, epochs=30)
    assert population.epochs.tolist() == [31, 31]
    assert blocks(population)[1] == blocks(alone)[0]
    assert population.evaluate(dataset)["loss"][1] < 0.95 * before


@pytest.mark.parametrize("network", [TINY, LARGE, residual(1)], ids=["tiny", "large", "residual"])
def test_between_equal_structures_it_is_a_copy(network):
    inherited, copied = (family(network, network, optimizer="adam") for _ in range(2))
    assert all(inherited.inherit(0, 1).values())
    copied.copy(0, 1)
    assert blocks(inherited) == blocks(copied)


def test_an_heir_keeps_its_hyperparameters_and_its_order():
    population = family(dense(9), dense(8), hyperparameters={"lr": [0.1, 0.2], "batch_size": [16, 20]})
    population.inherit(0, 1)
    assert population.hyperparameters(1)["lr"] == 0.2
    twin = family(dense(9), dense(8), hyperparameters={"lr": [0.1, 0.2], "batch_size": [16, 20]}, ids=[3, 9])
    twin.load_state(1, population.state(1))
    for each in (population, twin):
        each.train(labelled(60, SHAPE), steps=2)
    assert blocks(population)[1] != blocks(twin)[1]


def test_views_of_an_heir_stay_its_weights():
    population = family(dense(9), dense(9, 4))
    view = population.parameters(1)["dense1.weight"]
    population.inherit(0, 1)
    np.testing.assert_array_equal(view, population.parameters(0)["dense1.weight"])


def test_a_diverged_heir_is_healed():
    population = family(dense(9), dense(8), hyperparameters={"lr": [0.01, 3e38]})
    assert population.diverged.tolist() == [False, True]
    population.inherit(0, 1)
    population.set(1, lr=0.01)
    assert np.isfinite(population.train(labelled(60, SHAPE), steps=2)).all()


@pytest.mark.parametrize("rows", [(0, 2), (2, 0), (-1, 0)])
def test_members_must_exist(rows):
    population = family(dense(9), dense(8))
    before = blocks(population)
    with pytest.raises(ValueError, match=r"member: must be an integer in \[0, 1\]"):
        population.inherit(*rows)
    assert blocks(population) == before
