"""The benchmark of learning curve matching: what its figures mean; nothing here looks at times."""

from argparse import Namespace

import lcm
import numpy as np
import pytest

from shoal.data import from_arrays
from shoal.manager import Change, Trial
from shoal.search.protocol import Start
from shoal.space import Space


def run(accuracy, **changes):
    values = {"seconds": 2.0, "samples": 100, "test": 0.9, "stopped": 0.5, "audits": 1, "audit_regret": 0.0}
    return lcm.Run(accuracy=accuracy, **values | changes)


def test_random_search_has_the_configs_that_lcm_has():
    space = Space(lcm.SPACE)
    plain, matching = (lcm.strategy(name, 8, 1000).bind(space, seed=3).ask(8) for name in ("random", "lcm"))
    assert all(isinstance(order, Start) for order in plain)
    assert [order.config for order in plain] == [order.config for order in matching]
    assert [order.until for order in plain] == [lcm.length(1000, order.config) for order in plain]


def test_samples_are_those_of_whole_passes_and_the_steps_after():
    trial = Trial(0)
    trial.changes = [Change(0, {"batch_size": 32}, "new")]
    trial.progress = 2 * 4 + 1  # a pass of 100 has four batches, the last of four samples
    assert lcm.trained(100, trial) == 232


@pytest.mark.parametrize("net", lcm.SAMPLES)
def test_searches_train_for_real(net):
    rng = np.random.default_rng(0)
    parts = (from_arrays(rng.random((n, 28, 28, 1), np.float32), rng.integers(0, 10, n)) for n in (700, 200, 100))
    train, valid, test = parts
    options = Namespace(data={net: (train, test), "valid": valid}, trials=20, rows=3)
    plain, matching = (lcm.run(net, name, 5, options) for name in ("random", "lcm"))
    assert plain.samples == sum(
        700 * order.config["epochs"] for order in lcm.strategy("random", 20, 700).bind(lcm.SPACE, 5).ask(20)
    )
    assert plain.stopped == 0 < matching.stopped
    assert matching.samples < plain.samples


def test_a_row_holds_each_repeat_against_its_own_random_search():
    randoms = [run(0.9, seconds=10.0, samples=600), run(0.8, seconds=30.0, samples=900)]
    runs = [run(0.9, samples=100), run(0.7, samples=200)]
    row = lcm.row("a", "lcm", runs, randoms, {"rows": 4})
    assert (row["total_time_ratio"], row["total_samples_ratio"]) == (10.0, 5.0)
    assert row["metrics"]["time_ratio"]["median"] == 10.0
    assert (row["same_best"], row["mean_gain"], row["audits"], row["rows"]) == (1, -0.05, 2, 4)
    assert "10.00" in lcm.table([row])
