"""One seed gives the same bits, whatever the threads, the other members, their order, pauses and reloads."""

import numpy as np
import pytest
from tests.population.samples import LARGE, TINY, blocks, goal_of, labelled

from shoal import Population, nn

WIDE = nn.Sequential([nn.Dense(150), nn.ReLU(), nn.Dropout(0.2), nn.Dense(3)])
NETWORKS = [TINY, LARGE, WIDE, TINY, TINY, WIDE, LARGE, TINY]
VALUES = {"lr": [0.1, 0.02, 0.05, 0.2, 0.1, 0.01, 0.1, 0.1], "batch_size": [16, 16, 300, 16, 5, 33, 300, 16]}
KEYS = [7, 3, 11, 1, 0, 5, 2, 9]


def mixed(rows=range(8), **options):
    """Return a population of some of eight unlike members."""
    values = {name: [column[p] for p in rows] for name, column in VALUES.items()}
    return Population(
        [NETWORKS[p] for p in rows], hyperparameters=values, ids=[KEYS[p] for p in rows], seed=42, **options
    )


@pytest.fixture(scope="module")
def dataset():
    return labelled(310)


@pytest.fixture(scope="module")
def expected(dataset):
    """Curves and states after 25 steps."""
    population = mixed()
    return population.train(dataset, steps=25, record=5), blocks(population)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_do_not_matter(threads, dataset, expected):
    population = mixed(threads=threads)
    assert np.array_equal(population.train(dataset, steps=25, record=5), expected[0])
    assert blocks(population) == expected[1]


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("member", range(8))
def test_a_member_alone_trains_as_in_company(member, threads, dataset, expected):
    population = mixed([member], threads=threads)  # with more threads than members they share its batch
    assert np.array_equal(population.train(dataset, steps=25, record=5)[0], expected[0][member])
    assert blocks(population)[0] == expected[1][member]


def test_the_order_of_members_does_not_matter(dataset, expected):
    order = [5, 2, 7, 0, 3, 6, 1, 4]
    population = mixed(order)
    curves = population.train(dataset, steps=25, record=5)
    assert np.array_equal(curves, expected[0][order])
    assert blocks(population) == [expected[1][p] for p in order]


def test_many_members_in_few_lanes_train_as_alone(dataset):
    lr = np.geomspace(1e-3, 0.5, 37)
    together = Population(TINY, 37, hyperparameters={"lr": lr})
    together.train(dataset, steps=20)
    for p in (0, 1, 15, 16, 31, 36):
        alone = Population(TINY, hyperparameters={"lr": lr[p]}, ids=[p])
        alone.train(dataset, steps=20)
        assert blocks(alone)[0] == blocks(together)[p]


def test_quanta_do_not_matter(dataset, expected):
    population = mixed()
    for steps in (1, 0, 3, 20, 1):
        population.train(dataset, steps=steps)
    assert blocks(population) == expected[1]


def test_members_may_take_turns(dataset, expected):
    population = mixed()
    rng = np.random.default_rng(0)
    left = np.full(8, 25)
    while left.any():
        steps = np.minimum(rng.integers(9, size=8), left)
        population.train(dataset, steps=steps)
        left -= steps
    assert blocks(population) == expected[1]


def test_evaluation_between_quanta_does_not_matter(dataset, expected):
    population = mixed()
    population.train(dataset, steps=10)
    before = population.evaluate(labelled(400, seed=1))
    population.predict(dataset, 2)
    assert np.array_equal(population.evaluate(labelled(400, seed=1))["loss"], before["loss"])
    population.train(dataset, steps=15)
    assert blocks(population) == expected[1]


def test_threads_do_not_matter_to_evaluation(dataset):
    results = [mixed(threads=threads).evaluate(dataset) for threads in (1, 2, 3)]
    assert all(np.array_equal(result["loss"], results[0]["loss"]) for result in results)
    assert np.array_equal(mixed([4]).evaluate(dataset)["loss"][0], results[0]["loss"][4])


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_a_run_goes_on_after_a_save_and_load(optimizer, tmp_path, dataset):
    def fresh():
        values = {"lr": 0.01, "batch_size": [9, 20, 9]} | ({"momentum": 0.5} if optimizer == "sgd" else {})
        return Population([TINY, LARGE, WIDE], optimizer=optimizer, hyperparameters=values, seed=3)

    whole, first = fresh(), fresh()
    whole.train(dataset, steps=30)
    first.train(dataset, steps=17)
    first.save(tmp_path / "population.safetensors")
    second = Population.load(tmp_path / "population.safetensors", threads=1)
    second.train(dataset, steps=13)
    assert blocks(second) == blocks(whole)


@pytest.mark.parametrize("network", [TINY, LARGE], ids=["tiny", "large"])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_a_diverged_member_does_not_touch_the_others(loss, network):
    dataset = goal_of(loss)(100)
    calm = Population(network, 3, loss=loss, hyperparameters={"lr": 0.01}, ids=[0, 2, 3])
    population = Population(network, 4, loss=loss, hyperparameters={"lr": [0.01, 3e38, 0.01, 0.01]})
    calm.train(dataset, steps=20)
    curve = population.train(dataset, steps=20, record=4)
    assert population.diverged.tolist() == [False, True, False, False]
    assert population.steps[1] < 20
    assert np.isnan(curve[1, -1])
    assert np.isfinite(curve[[0, 2, 3]]).all()
    assert [blocks(population)[p] for p in (0, 2, 3)] == blocks(calm)
    stuck = blocks(population)[1]
    population.train(dataset, steps=1)
    assert blocks(population)[1] == stuck


def test_shared_order_gives_all_members_the_same_batches(dataset):
    def spread(data_order):
        population = Population(LARGE, 3, data_order=data_order, input_shape=(7,), ids=[1, 2, 3])
        population.copy([0, 0], [1, 2])
        population.train(dataset, steps=15)
        return set(blocks(population))

    assert len(spread("shared")) == 1
    assert len(spread("own")) == 3


def test_the_seed_matters(dataset):
    states = set()
    for seed in (0, 1, 2**32 - 1):
        population = Population(LARGE, seed=seed, input_shape=(7,))
        states.add(blocks(population)[0])
        population.train(dataset, steps=1)
        states.add(blocks(population)[0])
    assert len(states) == 6
