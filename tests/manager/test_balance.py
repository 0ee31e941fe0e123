"""Trials over ranks."""

import random

import pytest

from shoal.manager.balance import placed


def loads(where, costs, ranks):
    return [sum(costs[trial] for trial in where if where[trial] == rank) for rank in range(ranks)]


def test_fresh_trials_fill_the_emptiest_rank_the_dearest_first():
    assert placed({0: 1.0, 1: 2.0, 2: 5.0, 3: 2.0}, {}, [0, 0]) == {2: 0, 1: 1, 3: 1, 0: 1}
    assert placed({4: 1.0, 5: 3.0}, {4: 0}, [0, 0]) == {4: 0, 5: 1}


def test_who_is_at_home_stays_unless_moving_pays():
    costs = dict.fromkeys(range(4), 1.0)
    home = {0: 1, 1: 1, 2: 0, 3: 0}
    assert placed(costs, home, [0, 0]) == home
    assert placed({0: 50.0, 1: 1.0, 2: 49.0}, {0: 0, 1: 0, 2: 1}, [0, 0]) == {0: 0, 1: 0, 2: 1}, (
        "a fiftieth is not enough"
    )


def test_an_idle_rank_takes_over():
    assert placed(dict.fromkeys(range(4), 1.0), dict.fromkeys(range(4), 0), [0, 0]) == {0: 1, 1: 1, 2: 0, 3: 0}
    costs = dict.fromkeys(range(64), 1.0)
    assert min(loads(placed(costs, dict.fromkeys(range(64), 3), [0] * 4), costs, 4)) >= 15


def test_one_trial_has_no_better_place():
    assert placed({7: 3.0}, {7: 2}, [0] * 4) == {7: 2}
    assert placed({}, {}, [0] * 4) == {}


def test_what_a_rank_has_to_do_besides_counts_and_stays():
    assert placed({0: 1.0, 1: 1.0, 2: 1.0}, {}, [2, 0]) == {0: 1, 1: 1, 2: 0}
    assert placed({0: 1.0, 1: 1.0}, {0: 0, 1: 0}, [4, 1]) == {0: 1, 1: 1}
    assert placed({0: 1.0}, {0: 1}, [4, 1]) == {0: 1}


@pytest.mark.parametrize("seed", range(30))
def test_no_rank_is_far_above_the_mean(seed):
    """The fullest rank is above the mean by one trial at most, or by what does not pay."""
    rng = random.Random(seed)
    ranks = rng.randint(1, 6)
    costs = {trial: rng.choice([1.0, 3.0, 10.0]) * rng.uniform(0.5, 1) for trial in rng.sample(range(100), 40)}
    homes = {trial: rng.randrange(ranks) for trial in costs if rng.random() < 0.7}
    where = placed(costs, homes, [0] * ranks)
    assert where.keys() == costs.keys()
    mean = sum(costs.values()) / ranks
    assert max(loads(where, costs, ranks)) <= max(1.02 * mean, mean + max(costs.values()))
    shuffled = dict(rng.sample(sorted(costs.items()), len(costs)))
    assert placed(shuffled, dict(rng.sample(sorted(homes.items()), len(homes))), [0] * ranks) == where, "in any order"
