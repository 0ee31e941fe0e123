"""Splits: exact proportions, whole groups, the same for the same seed."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.data import from_arrays, split
from shoal.errors import DataError


def labelled(labels):
    """Samples that know their position."""
    return from_arrays(np.arange(len(labels), dtype=np.float32)[:, np.newaxis], labels, classes=6)


def positions(data):
    return data.x[:, 0].astype(int).tolist()


labels_and_size = st.lists(st.integers(0, 5), min_size=2, max_size=80).flatmap(
    lambda labels: st.tuples(st.just(labels), st.integers(1, len(labels) - 1))
)


@given(labels_and_size, st.integers(0, 2**64))
def test_a_split_is_a_partition_that_depends_on_the_seed_only(case, seed):
    labels, size = case
    data = labelled(labels)
    rest, part = split(data, size, seed=seed)
    assert len(part) == size
    assert sorted(positions(rest) + positions(part)) == list(range(len(labels)))
    assert positions(part) == sorted(positions(part))
    assert positions(split(data, size, seed=seed)[1]) == positions(part)


@st.composite
def class_sizes(draw, smallest, low, high):
    """Draw the sizes of up to six classes, and the size of a part between low(sizes) and high(sizes)."""
    sizes = draw(st.lists(st.integers(smallest, 15), min_size=1, max_size=5))
    sizes.append(draw(st.integers(max(smallest, 2), 15)))
    return sizes, draw(st.integers(low(sizes), high(sizes)))


@given(class_sizes(5, lambda sizes: -(-sum(sizes) // 4), lambda sizes: 3 * sum(sizes) // 4))
def test_proportions_are_those_of_the_largest_remainder(case):
    sizes, count = case
    quota = [Fraction(count * n, sum(sizes)) for n in sizes]
    share = [int(q) for q in quota]
    by_remainder = sorted(range(len(sizes)), key=lambda c: (share[c] - quota[c], c))
    for label in by_remainder[: count - sum(share)]:
        share[label] += 1
    part = split(labelled(np.repeat(range(len(sizes)), sizes)), count)[1]
    assert np.bincount(part.y, minlength=len(sizes)).tolist() == share


@given(class_sizes(1, lambda sizes: sum(n > 1 for n in sizes), lambda sizes: sum(sizes) - len(sizes)))
def test_both_parts_have_every_class_where_that_is_possible(case):
    sizes, count = case
    rest, part = split(labelled(np.repeat(range(len(sizes)), sizes)), count)
    assert set(part.y) == {label for label, n in enumerate(sizes) if n > 1}
    assert set(rest.y) == set(range(len(sizes)))


def test_seeds_and_targets_differ():
    data = from_arrays(np.arange(100.0)[:, np.newaxis], np.zeros(100))
    parts = [tuple(positions(split(data, 30, seed=seed)[1])) for seed in range(20)]
    assert len(set(parts)) == 20


def test_the_order_is_pinned():
    # A golden value: another NumPy must give the same split, or studies could not be repeated.
    assert positions(split(labelled([0, 1] * 10), 6, seed=7)[1]) == [2, 3, 4, 5, 16, 19]


def test_fractions_round_and_leave_both_parts_something():
    data = labelled([0, 1] * 5)
    sizes = {size: len(split(data, size)[1]) for size in (0.001, 0.26, 0.999)}
    assert sizes == {0.001: 1, 0.26: 3, 0.999: 9}


@given(st.lists(st.integers(0, 9), min_size=2, max_size=60).filter(lambda g: len(set(g)) > 1), st.integers(0, 99))
def test_groups_stay_together(groups, seed):
    rest, part = split(labelled([0] * len(groups)), 0.3, seed=seed, groups=groups)
    left, taken = ({groups[i] for i in positions(side)} for side in (rest, part))
    assert left.isdisjoint(taken)
    assert left
    assert taken


def test_equal_groups_meet_the_size_exactly():
    groups = np.repeat(list("abcdefghij"), 7)
    assert len(split(labelled([0] * 70), 21, groups=groups)[1]) == 21


@pytest.mark.parametrize("size", [0, 10, -1, 0.0, 1.0, float("nan"), True, "0.2", None])
def test_bad_sizes_are_named(size):
    with pytest.raises(ValueError, match=r"arrays: size must be a count in \[1, 9\] or a fraction in \(0, 1\), got"):
        split(labelled([0, 1] * 5), size)


@pytest.mark.parametrize("seed", [-1, 0.5, True, "0"])
def test_bad_seeds_are_named(seed):
    with pytest.raises(ValueError, match="seed must be an integer >= 0, got"):
        split(labelled([0, 1]), 1, seed=seed)


def test_what_cannot_be_split_says_so():
    with pytest.raises(DataError, match="1 sample cannot be split"):
        split(labelled([0]), 1)
    with pytest.raises(DataError, match="groups has one value only, 3"):
        split(labelled([0, 1]), 1, groups=[3, 3])
    with pytest.raises(DataError, match=r"groups must have shape \(2,\), got \(3,\)"):
        split(labelled([0, 1]), 1, groups=[3, 3, 4])
