"""Trials over ranks."""

import random

import pytest

from shoal.manager.balance import placed
from shoal.manager.paces import Paces


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


def test_a_slower_rank_gets_less():
    costs = dict.fromkeys(range(12), 1.0)
    assert loads(placed(costs, {}, [0, 0], [2.0, 1.0]), costs, 2) == [4, 8]
    assert loads(placed(costs, dict.fromkeys(range(12), 0), [0, 0], [1.0, 3.0]), costs, 2) == [9, 3]
    assert placed({0: 1.0}, {}, [0, 0, 0], [3.0, 2.0, 2.0]) == {0: 1}
    assert placed({0: 1.0}, {0: 0}, [0, 0], [3.0, 2.0]) == {0: 1}
    assert placed({0: 1.0}, {0: 1}, [0, 0], [1.0, 1.0]) == {0: 1}


@pytest.mark.parametrize("seed", range(30))
def test_ranks_of_any_pace_are_done_together(seed):
    """The last end is later than all together by one trial of some rank at most, or by what does not pay."""
    rng = random.Random(seed)
    ranks = rng.randint(1, 6)
    paces = [rng.choice([1.0, 2.0, 7.0]) for _ in range(ranks)]
    costs = {trial: rng.uniform(0.5, 1) for trial in range(60)}
    where = placed(costs, {trial: rng.randrange(ranks) for trial in costs if rng.random() < 0.7}, [0] * ranks, paces)
    ends = [load * pace for load, pace in zip(loads(where, costs, ranks), paces, strict=True)]
    together = sum(costs.values()) / sum(1 / pace for pace in paces)
    assert max(ends) <= max(1.02 * together, together + max(paces) * max(costs.values()))


def rounds(cost, *trained):
    paces = Paces(2, cost)
    for trial in range(4):
        paces.configure(trial, {"width": trial + 1})
    for outcomes in trained:
        paces.note(outcomes)
    return paces


def test_ranks_are_measured_where_costs_are_known():
    width = lambda config: config["width"]  # noqa: E731
    first, even, uneven = [[(9.0, [0, 1])], [(1.0, [2, 3])]], [[(3.0, [0, 1])], [(7.0, [2, 3])]], [[], [(0.5, [0])]]
    assert rounds(width).paces == rounds(width, first).paces == [1.0, 1.0], "which makes the population"
    assert rounds(width, first, even).paces == [1.0, 1.0]
    assert rounds(width, first, even, uneven).paces == [1.0, 7.5 / 8]
    assert rounds(width, first, uneven).paces == [1.0, 1.0], "one has not trained yet"
    assert rounds(width, first, [[(0.001, [0])], [(0.002, [1])]]).paces == [1.0, 1.0], "too short to tell"
    assert rounds(width, first, even).costs([3, 1]) == {3: 4, 1: 2}


def test_trials_are_measured_where_costs_are_not_known():
    first, then = [[(9.0, [0])], [(1.0, [2])]], [[(4.0, [0, 1]), (1.0, [3])], [(0.001, [2])]]
    assert rounds(None, first).costs([0, 2]) == {0: 1.0, 2: 1.0}
    found = rounds(None, first, then)
    assert found.costs([0, 1, 2, 3]) == {0: 2.0, 1: 2.0, 2: 0.001, 3: 1.0}
    assert found.paces == [1.0, 1.0]
    found.forget(2)
    assert found.costs([2]) == {2: 5 / 3}, "one that is not known is as the others are"
    found.note([[(0.001, [0])], [(0.002, [1])]])
    assert found.costs([0, 1]) == {0: 2.0, 1: 2.0}, "too short to tell"
