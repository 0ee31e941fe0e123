"""What can be done to members between steps: change, copy, replace, look inside. And what training reports."""

import numpy as np
import pytest
from tests.population.samples import LARGE, TINY, blocks, labelled, regression, weights, with_defaults
from tests.reference.training import Trainer

from shoal import Population, _core, data, nn

BOTH = pytest.mark.parametrize("network", [TINY, LARGE], ids=["tiny", "large"])


@BOTH
def test_hyperparameters_may_change_between_steps(network):
    dataset = labelled(90)
    population = Population(network, 2, hyperparameters={"lr": 0.1, "batch_size": 16}, input_shape=(7,))
    trainer = Trainer(network, weights(population, 1), optimizer="sgd", loss="cross_entropy")
    order, seen = np.array(_core.epoch_order(0, 1, 0, 90)), 0
    for change in ({}, {"lr": 0.03}, {"momentum": 0.9, "nesterov": True}, {"batch_size": 5}, {"weight_decay": 0.1}, {}):
        population.set(1, **change)
        h = with_defaults(population.hyperparameters(1))
        assert h | change == h
        rows = order[seen : seen + h["batch_size"]]
        want = trainer.step(dataset.x[rows], dataset.y[rows], h)
        assert population.train(dataset, steps=1)[1] == pytest.approx(want, rel=1e-5)
        seen += h["batch_size"]
    assert population.hyperparameters(0)["lr"] == 0.1
    for name, view in population.parameters(1).items():
        np.testing.assert_allclose(view, trainer.parameters[name], rtol=1e-5, atol=1e-6)


def test_set_takes_one_member_or_several():
    network = nn.Sequential([nn.Dropout(0.1), nn.Dense(4), nn.Dropout(0.2), nn.Dense(3)])
    population = Population(network, 3, hyperparameters={"lr": [0.1, 0.2, 0.3]})
    population.set([0, 2], lr=[0.5, 0.6], dropout=[[0.3, 0.4], 0.7])
    population.set(np.array([1]), dropout=[[0.8, 0.9]])
    population.set(2, lr=np.float32(0.25), dropout=(0.0, 0.5))
    population.set([], lr=[])
    assert [population.hyperparameters(p)["lr"] for p in range(3)] == [0.5, 0.2, 0.25]
    assert [population.hyperparameters(p)["dropout"] for p in range(3)] == [(0.3, 0.4), (0.8, 0.9), (0.0, 0.5)]


def test_a_refused_change_changes_nothing():
    population = Population(TINY, 2, hyperparameters={"lr": 0.1}, input_shape=(7,))
    with pytest.raises(ValueError, match="member 1: lr"):
        population.set([0, 1], lr=[0.2, -1])
    assert [population.hyperparameters(p)["lr"] for p in range(2)] == [0.1, 0.1]


@BOTH
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_an_heir_equals_its_donor_and_keeps_its_own_values(network, optimizer):
    dataset = labelled()
    population = Population(network, 3, optimizer=optimizer, hyperparameters={"lr": [0.1, 0.2, 0.3]})
    population.train(dataset, steps=[3, 5, 7])
    population.copy(source=[2, 0], target=[0, 1])  # the source 0 is read before it is overwritten
    assert population.steps.tolist() == [7, 3, 7]
    assert blocks(population)[0] == blocks(population)[2]
    assert [population.hyperparameters(p)["lr"] for p in range(3)] == [0.1, 0.2, 0.3]
    population.copy(2, 1)
    population.set([0, 1, 2], lr=0.1)
    population.train(dataset, steps=4)
    assert len(set(blocks(population))) == 3  # their orders stay their own


@BOTH
def test_a_reset_member_is_as_new(network):
    dataset = labelled()
    population = Population([network, TINY], ids=[3, 4], hyperparameters={"lr": 0.1})
    population.train(dataset, steps=5)
    population.reset(1, network=network, id=9, hyperparameters={"lr": 0.2, "batch_size": 7})
    population.reset(0)
    fresh = Population(network, 2, ids=[3, 9], hyperparameters={"lr": [0.01, 0.2], "batch_size": [32, 7]})
    assert population.ids == fresh.ids
    assert population.networks == fresh.networks
    assert [population.hyperparameters(p) for p in range(2)] == [fresh.hyperparameters(p) for p in range(2)]
    for either in (population, fresh):
        either.train(dataset, steps=6)
    assert blocks(population) == blocks(fresh)


def test_reset_before_the_first_data():
    population = Population([TINY, LARGE])
    population.reset(1, network=TINY, id=0, hyperparameters={"lr": 0.01})
    population.train(labelled(), steps=2)
    assert blocks(population)[0] == blocks(population)[1]


@BOTH
def test_views_are_the_weights_themselves(network):
    dataset = labelled()
    population = Population(network, input_shape=(7,))
    views = population.parameters(0)
    before = {name: view.copy() for name, view in views.items()}
    population.train(dataset, steps=3)
    assert all(not np.array_equal(view, before[name]) for name, view in views.items())
    for view in views.values():
        view[...] = 0
    np.testing.assert_array_equal(population.predict(dataset.x), np.full((len(dataset), 3), 1 / 3, np.float32))
    state = population.state(0)
    state[:] = 0
    assert population.steps == [0]
    assert not views["dense1.weight"].flags.owndata


def test_views_outlive_a_reset_and_the_population():
    population = Population(LARGE, input_shape=(7,))
    view, state = population.parameters(0)["dense2.weight"], population.state(0)
    before, bytes_before = view.copy(), bytes(state)
    population.reset(0, id=5)
    assert not np.array_equal(population.parameters(0)["dense2.weight"], before)
    del population
    filler = [np.random.default_rng(i).bytes(state.size) for i in range(50)]  # would overwrite freed memory
    assert len(filler) == 50
    assert np.array_equal(view, before)
    assert bytes(state) == bytes_before


@BOTH
def test_a_state_restores_a_member_exactly(network):
    dataset = labelled()
    population = Population(network, 2, optimizer="adam", ids=[5, 5], hyperparameters={"batch_size": 10})
    population.train(dataset, steps=[7, 0])
    for kind in (np.asarray, bytes, bytearray, memoryview):
        population.load_state(1, kind(population.state(0)))
        population.train(dataset, steps=4)
        assert blocks(population)[0] == blocks(population)[1]


def test_a_state_that_cannot_be_is_refused():
    population = Population(TINY, input_shape=(7,))
    before = bytes(population.state(0))
    with pytest.raises(ValueError, match=rf"state of member 0: must have {len(before)} bytes, got {len(before) - 1}"):
        population.load_state(0, before[:-1])
    with pytest.raises(ValueError, match="state of member 0: its counters are negative"):
        population.load_state(0, b"\xff" * len(before))
    with pytest.raises(ValueError, match="state of member 0: must be bytes"):
        population.load_state(0, "text")
    assert bytes(population.state(0)) == before


def test_a_diverged_member_is_healed_by_a_copy():
    dataset = regression()
    population = Population(LARGE, 2, loss="mse", hyperparameters={"lr": [3e38, 0.01]})
    losses = population.train(dataset, epochs=3)
    assert population.diverged.tolist() == [True, False]
    assert np.isnan(losses[0])
    assert not np.isfinite(population.evaluate(dataset)["loss"][0])
    assert np.isnan(population.train(dataset, steps=1)[0])
    population.copy(1, 0)
    population.set(0, lr=0.01)
    assert np.isfinite(population.train(dataset, steps=1)).all()
    assert not population.diverged.any()


@BOTH
def test_what_train_returns(network):
    dataset = labelled()
    steps = [0, 1, 5, 12]
    population, again = (Population(network, 4, hyperparameters={"lr": 0.1}) for _ in range(2))
    every = population.train(dataset, steps=steps, record=1)
    assert every.shape == (4, 12)
    assert every.dtype == np.float64
    assert np.isfinite(every).sum(axis=1).tolist() == steps
    thirds = again.train(dataset, steps=steps, record=5)
    assert thirds.shape == (4, 3)
    means = [[np.nan] * 3, [every[1, 0], np.nan, np.nan], [every[2, :5].mean(), np.nan, np.nan]]
    means.append([every[3, :5].mean(), every[3, 5:10].mean(), every[3, 10:].mean()])
    np.testing.assert_allclose(thirds, means, rtol=1e-14)
    whole = Population(network, 4, hyperparameters={"lr": 0.1}).train(dataset, steps=steps)
    np.testing.assert_allclose(whole, [np.nan, *(every[p, : steps[p]].mean() for p in (1, 2, 3))], rtol=1e-14)
    assert np.isnan(population.train(dataset, steps=0)).all()
    assert population.train(dataset, steps=0, record=3).shape == (4, 0)


def test_epochs_end_with_the_pass_whatever_the_batch_size():
    dataset = labelled(57)
    population = Population(TINY, 4, hyperparameters={"batch_size": [1, 10, 57, 64]})
    population.train(dataset, epochs=2)
    assert population.epochs.tolist() == [2, 2, 2, 2]
    assert population.steps.tolist() == [114, 12, 2, 2]
    population.train(dataset, steps=2)
    population.train(dataset, epochs=[1, 1, 0, 3])  # the rest of a pass begun counts as one
    assert population.epochs.tolist() == [3, 3, 4, 7]
    assert population.steps.tolist() == [171, 18, 4, 7]


def test_one_epoch_sees_every_sample_once():
    order = _core.epoch_order(3, 4, 5, 1000)
    assert sorted(order) == list(range(1000))
    assert order != _core.epoch_order(3, 4, 6, 1000) != _core.epoch_order(3, 5, 6, 1000)


def test_a_population_without_members():
    population = Population([], hyperparameters={"lr": []})
    dataset = labelled()
    assert population.train(dataset, steps=3).shape == (0,)
    assert population.evaluate(dataset)["loss"].shape == (0,)
    assert (population.steps.shape, population.epochs.shape, population.diverged.shape) == ((0,), (0,), (0,))
    population.copy([], [])
    with pytest.raises(ValueError, match="must be a row of the population, which has none; got 0"):
        population.predict(dataset)


def test_before_the_first_data_there_are_no_weights():
    population = Population(TINY, 2, hyperparameters={"lr": 0.1})
    assert population.input_shape is None
    assert population.steps.tolist() == [0, 0]
    assert not population.diverged.any()
    with pytest.raises(ValueError, match="no weights yet: give it an input_shape, or train it first"):
        population.parameters(0)
    population.set(0, lr=0.5)
    population.evaluate(labelled())
    assert population.input_shape == (7,)
    assert population.hyperparameters(0)["lr"] == 0.5


def test_evaluate_takes_members_in_any_order():
    population, dataset = Population([TINY, LARGE, TINY]), labelled()
    everyone = population.evaluate(dataset)
    some = population.evaluate(dataset, members=[2, 0, 2])
    assert some["loss"].tolist() == everyone["loss"][[2, 0, 2]].tolist()
    assert population.evaluate(dataset, 1)["accuracy"].tolist() == everyone["accuracy"][[1]].tolist()


def test_predict_normalises_arrays_like_the_training_data():
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(20, 4, 3), dtype=np.uint8)
    dataset = data.from_arrays(images, rng.integers(3, size=20), classes=3)
    population = Population(LARGE)
    population.train(dataset, steps=2)
    want = population.predict(dataset)
    assert np.array_equal(population.predict(images), want)
    np.testing.assert_allclose(population.predict(images.astype(np.int64)), want, rtol=1e-6)
    np.testing.assert_allclose(population.predict(images.tolist()), want, rtol=1e-6)
    assert np.array_equal(population.predict(images[::2]), want[::2])


def test_repr_says_what_it_is():
    few = Population(TINY, 3, optimizer="adam", loss="mse", device="cpu")
    assert repr(few) == "Population(3 members on cpu, adam, mse)"
    one = Population(TINY, input_shape=(7,), device="cpu")
    assert repr(one) == "Population(1 member on cpu, sgd, cross_entropy, samples of (7,))"
