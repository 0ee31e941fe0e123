"""Rows are lent, states are not: a trial is the same whoever sat in the row before, and wherever it waited."""

import math

import numpy as np
import pytest
from tests.manager.toys import images, network

import shoal
from shoal import nn
from shoal.errors import StudyError
from shoal.manager.native import NativeWorker

TRAIN, VALID = images(103, 0), images(50, 1)
CONFIG = {"lr": 0.1, "momentum": 0.5, "batch_size": 16, "width": 9, "rate": 0.2}
OPTIONS = {"optimizer": "sgd", "loss": "cross_entropy", "seed": 5, "threads": 1}


def worker(rows=2, unit="epochs"):
    return NativeWorker(network, TRAIN, VALID, rows=rows, unit=unit, options=OPTIONS)


def alone(trial, config, epochs):
    """The same member in a population of its own."""
    population = shoal.Population(network(config), ids=[trial], input_shape=TRAIN.shape, **OPTIONS)
    population.set(0, **{name: config[name] for name in ("lr", "momentum", "batch_size")})
    loss = population.train(TRAIN, epochs=epochs)
    return population, float(np.float32(loss[0]))


def test_a_trial_is_the_member_of_its_id():
    lent = worker()
    lent.start(4, CONFIG)
    metrics = lent.train({4: 3})[4]
    population, loss = alone(4, CONFIG, 3)
    expected = {"train_loss": loss} | {name: float(value[0]) for name, value in population.evaluate(VALID).items()}
    steps = 3 * math.ceil(103 / 16)
    assert metrics == expected | {
        "parameters": 15 * 9 + 9 + 9 * 4 + 4,
        "multiply_adds": 171,
        "steps": steps,
        "epochs": 3,
    }
    np.testing.assert_array_equal(lent.state(4)["member"], population.state(0))


@pytest.mark.parametrize("unit", ["epochs", "steps"])
def test_parked_or_not_makes_no_difference(unit):
    configs = {trial: CONFIG | {"width": 3 + trial, "batch_size": 10 + trial} for trial in range(5)}
    wide, narrow = worker(5, unit), worker(2, unit)
    for trial, config in configs.items():
        wide.start(trial, config)
        narrow.start(trial, config)
    for until in (1, 4):
        together = wide.train(dict.fromkeys(configs, until))
        pairs = [narrow.train(dict.fromkeys(pair, until)) for pair in ([0, 3], [1, 2], [4])]
        assert together == pairs[0] | pairs[1] | pairs[2]
    for trial in configs:
        np.testing.assert_array_equal(wide.state(trial)["member"], narrow.state(trial)["member"])


@pytest.mark.parametrize("rows", [1, 2])
def test_an_heir_is_its_donor_byte_for_byte_and_trains_on_as_itself(rows):
    lent = worker(rows)
    lent.start(0, CONFIG)
    lent.start(1, CONFIG | {"width": 5})
    for trial in (0, 1):
        lent.train({trial: 2})
    heir = CONFIG | {"lr": 0.01, "rate": 0.1}
    lent.inherit([(1, 0, heir)], {})
    np.testing.assert_array_equal(lent.state(1)["member"], lent.state(0)["member"])
    lent.train({1: 3})

    population, _ = alone(1, heir, 0)
    population.load_state(0, lent.state(0)["member"])
    population.train(TRAIN, epochs=1)
    np.testing.assert_array_equal(lent.state(1)["member"], population.state(0))


def test_all_donors_are_read_before_any_heir_is_written():
    lent = worker()
    for trial in (0, 1):
        lent.start(trial, CONFIG)
    lent.train({0: 1, 1: 1})
    before = [lent.state(trial)["member"] for trial in (0, 1)]
    lent.inherit([(0, 1, CONFIG), (1, 0, CONFIG)], {})
    np.testing.assert_array_equal(lent.state(0)["member"], before[1])
    np.testing.assert_array_equal(lent.state(1)["member"], before[0])


def test_states_of_members_in_rows_are_copied_by_the_population_alone(monkeypatch):
    lent = worker(4)
    for trial in range(4):
        lent.start(trial, CONFIG | {"lr": 0.1 / (trial + 1)})
    lent.train(dict.fromkeys(range(4), 1))
    before = [lent.state(trial)["member"] for trial in range(4)]
    with monkeypatch.context() as patch:
        for name in ("state", "load_state"):
            patch.setattr(shoal.Population, name, lambda *_: pytest.fail("a state came to the host"))
        lent.inherit([(0, 2, CONFIG | {"lr": 0.3}), (2, 0, CONFIG), (1, 3, CONFIG)], {})
    for heir, donor in ((0, 2), (2, 0), (1, 3), (3, 3)):
        np.testing.assert_array_equal(lent.state(heir)["member"], before[donor])
    lent.train({0: 2})

    population, _ = alone(0, CONFIG | {"lr": 0.3}, 0)
    population.load_state(0, before[2])
    population.train(TRAIN, epochs=1)
    np.testing.assert_array_equal(lent.state(0)["member"], population.state(0))


def test_donors_are_read_first_whether_in_rows_or_of_another_structure():
    lent, wide = worker(3), CONFIG | {"width": 5}
    for trial, config in enumerate([CONFIG, CONFIG, wide]):
        lent.start(trial, config)
    lent.train(dict.fromkeys(range(3), 1))
    before = [lent.state(trial)["member"] for trial in range(3)]
    lent.inherit([(0, 1, CONFIG), (1, 2, wide), (2, 0, CONFIG)], {})
    for heir, donor in ((0, 1), (1, 2), (2, 0)):
        np.testing.assert_array_equal(lent.state(heir)["member"], before[donor])


def test_hot_values_change_in_place_and_the_layers_must_stay():
    lent = worker(1)
    lent.start(0, CONFIG)
    lent.train({0: 1})
    before = lent.state(0)["member"]
    lent.set(0, CONFIG | {"lr": 0.01, "rate": 0.3})
    np.testing.assert_array_equal(lent.state(0)["member"], before)
    lent.train({0: 2})

    population, _ = alone(0, CONFIG | {"lr": 0.01, "rate": 0.3}, 0)
    population.load_state(0, before)
    population.train(TRAIN, epochs=1)
    np.testing.assert_array_equal(lent.state(0)["member"], population.state(0))
    with pytest.raises(ValueError, match="trial 0 changes its config, so the layers must stay"):
        lent.set(0, CONFIG | {"width": 10})


@pytest.mark.parametrize("change", ["set", "inherit"])
def test_a_hot_value_that_the_new_config_lacks_is_the_default_again(change):
    lent = worker(2)
    config = {name: value for name, value in CONFIG.items() if name != "momentum"}
    lent.start(0, CONFIG)
    lent.start(1, config)
    lent.train({0: 1, 1: 1})
    state = lent.state(0 if change == "set" else 1)["member"]
    lent.set(0, config) if change == "set" else lent.inherit([(0, 1, config)], {})
    lent.train({0: 2})
    population, _ = alone(0, config | {"momentum": 0.0}, 0)
    population.load_state(0, state)
    population.train(TRAIN, epochs=1)
    np.testing.assert_array_equal(lent.state(0)["member"], population.state(0))


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("own", [4, 9], ids=["a new structure", "the heir's own structure"])
def test_an_heir_of_another_structure_takes_over_what_fits(rows, own):
    lent = worker(rows)
    lent.start(0, CONFIG | {"width": 5, "depth": 1})
    lent.start(1, CONFIG | {"width": own, "depth": 1})
    for trial in (0, 1):
        lent.train({trial: 2})
    donor, heir = lent.state(0)["member"], CONFIG | {"width": 9, "depth": 1, "lr": 0.01}
    assert lent.inherit([(1, 0, heir)], {}) == {1: {"dense1": False, "dense2": False, "dense3": True}}

    population, _ = alone(1, heir, 0)
    pair = shoal.Population(
        [network(CONFIG | {"width": 5, "depth": 1}), network(heir)], ids=[0, 1], input_shape=TRAIN.shape, **OPTIONS
    )
    pair.load_state(0, donor)
    pair.inherit(0, 1)
    np.testing.assert_array_equal(lent.state(1)["member"], pair.state(1))
    population.load_state(0, pair.state(1))
    np.testing.assert_array_equal(lent.state(0)["member"], donor)
    lent.train({1: 3})
    population.train(TRAIN, epochs=1)
    np.testing.assert_array_equal(lent.state(1)["member"], population.state(0))


def test_only_heirs_of_another_structure_are_named():
    lent = worker()
    for trial in range(3):
        lent.start(trial, CONFIG)
        lent.train({trial: 1})
    before = [lent.state(trial)["member"] for trial in range(3)]
    named = lent.inherit([(0, 1, CONFIG | {"width": 4}), (1, 0, CONFIG), (2, 0, CONFIG | {"rate": 0.3})], {})
    assert [*named] == [0]
    for trial in (1, 2):
        np.testing.assert_array_equal(lent.state(trial)["member"], before[0])


def test_an_heirs_network_that_fits_no_data_is_blamed():
    def either(config):
        return nn.Sequential([nn.Dense(4), nn.Conv2d(3, 1)]) if config["width"] == 4 else network(config)

    lent = NativeWorker(either, TRAIN, VALID, rows=1, unit="epochs", options=OPTIONS)
    for trial in (0, 1):
        lent.start(trial, CONFIG)
        lent.train({trial: 1})
    with pytest.raises(StudyError, match=r"trial 1, its network: ValueError: member 1: layer 2 \(conv2d\)"):
        lent.inherit([(1, 0, CONFIG | {"width": 4})], {})


def test_a_diverged_trial_has_no_metrics_and_the_others_do_not_notice():
    lent = worker()
    lent.start(0, CONFIG | {"lr": 1e30})
    lent.start(1, CONFIG)
    metrics = lent.train({0: 3, 1: 3})
    assert metrics[0] == {}
    assert metrics[1]
    lent.start(2, CONFIG)
    lent.stop(0)
    assert list(lent.train({2: 1})) == [2]


def test_a_state_goes_on_in_another_worker():
    first = worker(1)
    first.start(3, CONFIG)
    first.train({3: 2})
    state = first.state(3)
    first.train({3: 5})
    second = worker(1)
    second.restore(3, CONFIG, state)
    second.train({3: 5})
    np.testing.assert_array_equal(first.state(3)["member"], second.state(3)["member"])


def test_a_copy_lies_where_there_is_room():
    lent = worker()
    lent.start(4, CONFIG)
    lent.train({4: 1})
    given = []

    def room(size):
        given.append(np.empty(size, np.uint8))
        return given[-1]

    state = lent.state(4, room)
    assert [id(block) for block in given] == [id(state["member"])]
    np.testing.assert_array_equal(state["member"], lent.state(4)["member"])


class OnGPU:
    """A block that only NumPy's own question copies to the host."""

    def __init__(self, block):
        self._block = block

    def __array__(self, dtype=None, copy=None):
        return self._block.astype(dtype or np.uint8)


def test_what_waits_does_so_in_the_hosts_memory():
    lent = worker(rows=1)
    for trial in range(3):
        lent.start(trial, CONFIG)
    lent.train({0: 1})
    block = lent.state(0)["member"]
    lent.adopt(1, CONFIG, 0, CONFIG, {"member": OnGPU(block)})
    lent.restore(2, CONFIG, {"member": OnGPU(block)})
    for trial in (1, 2):
        assert type(lent.state(trial)["member"]) is np.ndarray
        np.testing.assert_array_equal(lent.state(trial)["member"], block)


def test_a_model_is_a_population_of_one_that_knows_its_data():
    lent = worker(1)
    lent.start(2, CONFIG)
    lent.train({2: 4})
    model = lent.model(2, CONFIG, lent.state(2))
    population, _ = alone(2, CONFIG, 4)
    np.testing.assert_array_equal(model.state(0), population.state(0))
    np.testing.assert_array_equal(model.predict(VALID.x), population.predict(VALID))
    assert model.hyperparameters(0)["dropout"] == (0.2,)
    assert model.ids == (2,)
