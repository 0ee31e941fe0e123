"""Who trained the weights of the best, and what heirs of another structure take over."""

import numpy as np
import pytest
from tests.manager.toys import network, networks
from tests.study.studies import TRAIN

import shoal
from shoal import search


def lineage(record, trial, end):
    """Who trained the weights of a trial at ``end``: (trial, start, end, config), first ancestor first."""
    steps = []
    for change in reversed([change for change in record.trials[trial].changes if change.progress < end]):
        steps.insert(0, (trial, change.progress, end, change.config))
        end = change.progress
        if change.donor is not None:
            return lineage(record, change.donor, end) + steps
    return steps


STRATEGIES = {
    "pbt": search.PBT(6, epochs=8, interval_epochs=2, explore={"rate": search.Factors(0.8, 1.2)}),
    "genetic-structure": search.Genetic(6, 5, epochs=2, inherit_weights=True, breed_structure=True),
}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_best_weights_can_be_trained_again_from_the_record_alone(strategy):
    result = networks(strategy=STRATEGIES[strategy], seed=2).run(progress=False)
    best = result.best
    steps = lineage(result.record, best.id, best.progress)
    assert [(start, config) for _, start, _, config in steps] == best.schedule
    assert len({trial for trial, *_ in steps}) > 1, "the winner has ancestors"
    pair = shoal.Population(network(best.config), 2, input_shape=TRAIN.shape, seed=2)
    changed = 0
    for trial, start, end, config in steps:
        hot = {name: config[name] for name in ("lr", "momentum", "batch_size")}
        pair.reset(1, network(config), id=trial, hyperparameters=hot)
        if start:
            layers = pair.inherit(0, 1)
            (change,) = (each for each in result.record.trials[trial].changes if each.progress == start)
            if network(config).structure == pair.networks[0].structure:
                assert change.layers is None
            else:
                changed += 1
                assert change.layers == layers
        pair.train(TRAIN, epochs=[0, end - start])
        pair.reset(0, network(config))
        pair.load_state(0, pair.state(1))
    assert (changed > 0) is strategy.endswith("structure")
    np.testing.assert_array_equal(pair.state(0), best.model.state(0))


def test_pbt_may_explore_structure():
    rules = {"depth": search.Resample(0.9), "lr": None}
    strategy = search.PBT(6, epochs=8, interval_epochs=2, explore=rules)
    result = networks(strategy=strategy).run(progress=False)
    births = [(trial, change) for trial in result.trials for change in trial.changes if change.donor is not None]
    for trial, birth in births:
        donor = result.record.trials[birth.donor].changes[birth.donor_changes - 1].config
        before, after = network(donor), network(birth.config)
        assert (birth.layers is None) is (before.structure == after.structure)
        if birth.layers is not None:
            assert [*birth.layers] == [f"dense{i + 1}" for i in range(2 + birth.config["depth"])]
            assert birth.layers["dense1"]
            assert birth.fresh[-1] == f"dense{2 + birth.config['depth']}"
        assert trial.progress == 8
    assert {birth.layers is None for _, birth in births} == {True, False}
