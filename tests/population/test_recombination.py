"""Crossover and mutation of members, against their draws in NumPy."""

import numpy as np
import pytest
from tests.population.samples import LARGE, TINY, blocks, labelled, weights
from tests.reference.draws import philox

from shoal import Population, nn

CROSSOVER, MUTATION = 5 << 24, 6 << 24  # the streams of random numbers
HEADER, SLOTS = 64, {"sgd": 1, "adam": 2}  # bytes before the floats of a state; arrays behind the weights
NORMALISED = nn.Sequential([nn.Conv2d(3, 3), nn.BatchNorm(), nn.ReLU(), nn.Flatten(), nn.Dense(3)])
NETWORKS = [(TINY, (7,)), (LARGE, (7,)), (NORMALISED, (5, 4, 1))]


def trained(network, shape=(7,), members=4, optimizer="adam", **options):
    """Return members that have nothing in common: other steps, other ids."""
    rates = {"lr": 0.01, "batch_size": 16}
    ids = [5, 2, 9, 7][:members]
    population = Population(network, members, optimizer=optimizer, hyperparameters=rates, seed=3, ids=ids, **options)
    population.train(labelled(shape=shape), steps=[3, 4, 6, 2][:members])
    return population


def floats(population, member):
    """Return (arrays, parameters): the weights, then the optimiser's slots."""
    state = population.state(member)[HEADER:].view(np.float32)
    return state.reshape(1 + SLOTS["adam"], -1).copy()


def from_second(rate, parameters, *, key, step):
    i = np.arange(parameters)
    words = philox((i // 4, 0, step, CROSSOVER), key)
    return np.choose(i % 4, np.broadcast_arrays(*words)) < rate * 2**32


def normals(count, *, kind, step, layer, key):
    """Return standard normal numbers by Box and Muller's transform."""
    words = philox((np.arange((count + 1) // 2), kind, step, MUTATION | layer), key)
    high, low, turn, rest = (np.broadcast_to(word, (count + 1) // 2).astype(np.uint64) for word in words)
    unit = ((high >> np.uint64(5)) * 2.0**26 + (low >> np.uint64(6)) + 1) / 2.0**53
    angle = 2 * np.pi * ((turn >> np.uint64(5)) * 2.0**26 + (rest >> np.uint64(6))) / 2.0**53
    pairs = np.sqrt(-2 * np.log(unit)) * [np.cos(angle), np.sin(angle)]
    return pairs.T.ravel()[:count]


@pytest.mark.parametrize(("network", "shape"), NETWORKS)
@pytest.mark.parametrize("rate", [0.0, 0.3, 0.5, 1.0])
def test_each_weight_comes_from_a_parent_with_its_state(network, shape, rate):
    population = trained(network, shape)
    first, second = floats(population, 1), floats(population, 2)
    population.crossover(0, 1, 2, rate)
    mask = from_second(rate, first.shape[1], key=(3, 5), step=3)
    np.testing.assert_array_equal(floats(population, 0), np.where(mask, second, first))
    assert population.steps.tolist() == [4, 4, 6, 2]
    assert {0.0: 0, 1.0: 1}.get(rate, mask.mean()) == mask.mean()


def test_rate_0_is_a_copy_and_rate_1_has_the_counters_of_the_first():
    population, copied = trained(LARGE), trained(LARGE)
    copied.copy([1, 2], [0, 3])
    population.crossover([0, 3], [1, 2], [3, 0], rate=0)
    assert blocks(population) == blocks(copied)
    population.crossover(0, 1, 2, rate=1)
    np.testing.assert_array_equal(floats(population, 0), floats(population, 2))
    assert population.steps[0] == population.steps[1] != population.steps[2]


def test_parents_are_read_before_heirs_are_written():
    population = trained(LARGE)
    before = [floats(population, p) for p in range(4)]
    population.crossover([0, 1, 2], [1, 2, 0], [0, 0, 3])
    keys = [(3, key) for key in population.ids]
    for heir, first, second, step in [(0, 1, 0, 3), (1, 2, 0, 4), (2, 0, 3, 6)]:
        mask = from_second(0.5, before[0].shape[1], key=keys[heir], step=step)
        np.testing.assert_array_equal(floats(population, heir), np.where(mask, before[second], before[first]))
    assert population.steps.tolist() == [4, 6, 3, 2]


@pytest.mark.parametrize(("network", "shape"), NETWORKS)
def test_noise_is_relative_to_the_layer(network, shape):
    population = trained(network, shape)
    before, state = weights(population, 1), floats(population, 1)
    population.mutate([3, 1], scale=0.1)
    after = weights(population, 1)
    layers = [name for name in before if name.endswith(".weight")]
    draw = {"step": 4, "key": (3, 2)}
    for layer, name in enumerate(layers):
        width = 0.1 * np.sqrt(np.mean(np.square(before[name], dtype=float)))
        noise = normals(before[name].size, kind=0, layer=layer, **draw).reshape(before[name].shape)
        # one rounding to float32, of numbers up to 2
        np.testing.assert_allclose(after[name], before[name] + width * noise, atol=2e-7, rtol=0)
        bias = name.replace("weight", "bias")
        noise = normals(before[bias].size, kind=1, layer=layer, **draw)
        np.testing.assert_allclose(after[bias], before[bias] + width * noise, atol=2e-7, rtol=0)
    for name in before.keys() - set(layers):
        assert ("running" in name) == np.array_equal(before[name], after[name])
    np.testing.assert_array_equal(floats(population, 1)[1:], state[1:])  # the optimiser's
    padding = floats(population, 1)[0] != 0
    assert padding.sum() <= sum(values.size for values in after.values())
    assert population.steps.tolist() == [3, 4, 6, 2]


def test_no_noise_changes_nothing_and_noise_repeats():
    one, three = trained(LARGE, threads=1), trained(LARGE, threads=3)
    before = blocks(one)
    one.mutate([0, 1, 2, 3], 0)
    one.mutate([], 1.0)
    one.crossover([], [], [])
    assert blocks(one) == before
    for population in (one, three):
        population.crossover([0, 1], [1, 2], [2, 3])
        population.mutate([2, 0, 1], 0.5)
    assert blocks(one) == blocks(three) != before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: p.crossover(0, 1, 4), r"member: must be an integer in \[0, 3\], got 4"),
        (lambda p: p.crossover([0, 1], [1, 2], [2]), "crossover has 2 heirs, 2 first and 1 second parents"),
        (lambda p: p.crossover([0, 0], [1, 2], [2, 1]), "member 0 is an heir twice"),
        (lambda p: p.crossover(0, 1, 2, rate=1.5), r"rate must be in \[0, 1\], got 1.5"),
        (lambda p: p.crossover(0, 1, 2, rate=float("nan")), r"rate must be in \[0, 1\], got"),
        (lambda p: p.crossover(0, 1, 3), "member 0 cannot take the weights of member 3: .* differ in structure"),
        (lambda p: p.mutate([1, 1], 0.1), "member 1 is to be mutated twice"),
        (lambda p: p.mutate(0, -1.0), "scale must be >= 0 and finite, got -1"),
        (lambda p: p.mutate(0, float("inf")), "scale must be >= 0 and finite, got inf"),
    ],
)
def test_bad_input_changes_nothing(call, message):
    population = Population([TINY, TINY, TINY, LARGE], input_shape=(7,))
    before = blocks(population)
    with pytest.raises(ValueError, match=message):
        call(population)
    assert blocks(population) == before


def test_a_diverged_member_is_no_parent():
    population = Population(TINY, 3, hyperparameters={"lr": [0.01, 3e38, 0.01]})
    population.train(labelled(), steps=9)
    assert population.diverged.tolist() == [False, True, False]
    with pytest.raises(ValueError, match="member 1 has diverged and cannot be a parent"):
        population.crossover(0, 2, 1)
    population.crossover(1, 0, 2)
    assert not population.diverged.any()
