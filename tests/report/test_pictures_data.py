"""The numbers behind the pictures, on studies small enough to know the answer."""

from __future__ import annotations

import math

import numpy as np
import pytest

from shoal.manager.record import StudyRecord
from shoal.report import lineage
from shoal.report.axes import linear_ticks, log_ticks, parameter_axis, range_axis, text
from shoal.report.lines import MOST_POINTS, merge
from shoal.report.summary import Summary
from shoal.space import Bool, Choice, Float, Int, Ordinal

HEADER = {
    "event": "study", "format": 1, "version": "0", "seed": 0, "space": {"lr": {"low": 0.1, "high": 1.0}},
    "strategy": {"name": "PBT"}, "metric": "accuracy", "mode": "max", "unit": "epochs",
    "data": {"train": {"name": "tiny"}},
}  # fmt: skip


def order(kind, trial, **more):
    return {"event": "order", "order": kind, "trial": trial, "why": "", **more}


def report(trial, progress, accuracy):
    score = None if accuracy is None else -accuracy
    metrics = {} if accuracy is None else {"accuracy": accuracy}
    return {"event": "report", "trial": trial, "progress": progress, "score": score, "metrics": metrics}


def inherit(trial, donor, progress, lr, donor_changes=1):
    past = {"donor": donor, "donor_progress": progress, "donor_changes": donor_changes}
    return order("inherit", trial, config={"lr": lr}, until=progress + 1, **past)


def test_a_parameter_with_a_condition_has_a_foot():
    plain, axis = (parameter_axis("momentum", Float(0, 1, when=when)) for when in ({}, {"heavy": [True]}))
    assert axis.ticks[0] == (0.0, "inactive")
    assert [label for _, label in axis.ticks[1:]] == [label for _, label in plain.ticks]
    assert axis.of({"heavy": False}) == 0
    assert 0 < axis.of({"momentum": 0.0}) < axis.of({"momentum": 0.5}) < axis.of({"momentum": 1.0}) == 1
    assert plain.of({"momentum": 0.25}) == 0.25


@pytest.fixture
def family():
    """Four trials, three rounds: 2 diverges and 3 is bad, both inherit from 0; in the last round 1 inherits from 3."""
    record = StudyRecord()
    events = [HEADER, *(order("start", t, config={"lr": 0.2 + t / 10}, until=1) for t in range(4))]
    events += [report(0, 1, 0.5), report(1, 1, 0.4), report(2, 1, None), report(3, 1, 0.1)]
    events += [inherit(2, 0, 1, 0.9), inherit(3, 0, 1, 0.8)]
    events += [report(0, 2, 0.55), report(1, 2, 0.3), report(2, 2, 0.6), report(3, 2, 0.7)]
    events += [inherit(1, 3, 2, 1.0, donor_changes=2)]
    events += [report(0, 3, 0.6), report(1, 3, 0.9), report(2, 3, 0.65), report(3, 3, 0.75)]
    for event in events:
        record.apply(event)
    return Summary(record, {})


def test_an_heir_may_fall_back_and_its_lives_stay_apart():
    """Trial 1 is at 3 when it inherits what trial 0 was at 1, and gets to 2: the best."""
    record = StudyRecord()
    events = [HEADER, *(order("start", t, config={"lr": 0.5}, until=1) for t in range(2))]
    events += [report(0, 1, 0.5), report(1, 1, 0.1), report(1, 2, 0.2), report(1, 3, 0.3)]
    events += [inherit(1, 0, 1, 0.9), report(1, 2, 0.8)]
    for event in events:
        record.apply(event)
    summary = Summary(record, {})
    lives = [(s.trial, s.start, s.end, s.parent, s.points) for s in summary.strands]
    assert lives == [
        (0, 0, 1, None, [(1, 0.5)]),
        (1, 0, 3, None, [(1, 0.1), (2, 0.2), (3, 0.3)]),
        (1, 1, 2, 0, [(2, 0.8)]),
    ]
    assert summary.line_of_descent() == [(0, 1), (2, 2)]


def segments(lines):
    """The lines that were merged, as (trial, points)."""
    found, points = [], []
    for x, y, trial in zip(lines.x, lines.y, lines.trial, strict=True):
        if math.isnan(x):
            found.append((int(trial), points))
            points = []
        else:
            points.append((float(x), round(float(y), 3)))
    return found


def test_a_trial_is_cut_where_its_weights_were_replaced(family):
    lives = [(s.trial, s.start, s.end, s.parent, s.diverged) for s in family.strands]
    assert lives == [
        (0, 0, 3, None, False),
        (1, 0, 2, None, False),
        (1, 2, 3, 6, False),
        (2, 0, 1, None, True),
        (2, 1, 3, 0, False),
        (3, 0, 1, None, False),
        (3, 1, 3, 0, False),
    ]


def test_the_best_is_followed_back_through_its_donors(family):
    assert family.best == 0.9
    assert family.line_of_descent() == [(0, 1), (6, 2), (2, 3)]
    assert segments(family.best_curve()) == [(1, [(1, 0.5), (2, 0.7), (3, 0.9)])]


def test_an_heirs_curve_leaves_its_donors(family):
    curves = segments(family.curves())
    assert (1, [(2, 0.7), (3, 0.9)]) in curves
    assert (2, [(1, 0.5), (2, 0.6), (3, 0.65)]) in curves
    assert len(curves) == len(family.strands) - 1  # trial 2 diverged before its first point


def test_survivors_have_descendants_at_the_end(family):
    assert family.survivors == {0, 2, 4, 6}
    assert len(segments(family.curves(survived=True))) == 4
    assert len(segments(family.curves(survived=False))) == 2


def test_the_crowd_is_the_best_and_the_median(family):
    progress, best, median = family.crowd()
    np.testing.assert_array_equal(progress, [1, 2, 3])
    np.testing.assert_allclose(best, [0.5, 0.7, 0.9])
    np.testing.assert_allclose(median, [0.4, 0.575, 0.7])


def test_schedules_are_positions_on_the_axis(family):
    (axis,) = family.axes
    steps = segments(family.best_schedule(axis))
    want = [(0, axis.position(0.2)), (1, axis.position(0.8)), (2, 1.0), (3, 1.0)]
    assert steps == [(1, [(x, round(y, 3)) for x, y in want])]
    assert len(segments(family.schedule(axis, survived=True))) == 4


def test_parallel_coordinates_have_the_best_last(family):
    axes, table = family.parallel()
    assert [axis.name for axis in axes] == ["lr", "epochs", "accuracy"]
    assert table.shape == (6, 3)  # the diverged one reached nothing
    assert np.all(np.diff(table[:, -1]) >= 0)
    assert np.all((table >= 0) & (table <= 1))
    assert table[-1, 0] == 1.0


def test_a_study_of_losses_has_the_smallest_last(family):
    family.record.header["mode"] = "min"
    losses = Summary(family.record, {})
    assert np.all(np.diff(losses.parallel()[1][:, -1]) <= 0)


def cells(pieces, rows):
    """All (row, moment) that a tree uses: strands without their last moment, where another may begin."""
    return [(row, t) for piece, row in zip(pieces, rows, strict=True) for t in range(piece.start, piece.end)]


def crossings(pieces, rows):
    """Copies whose vertical line meets a strand that lives on both sides of it."""
    return [
        (child, other)
        for child, piece in enumerate(pieces)
        for other, passed in enumerate(pieces)
        if piece.parent is not None
        and min(rows[piece.parent], rows[child]) < rows[other] < max(rows[piece.parent], rows[child])
        and passed.start < piece.start < passed.end
    ]


@pytest.mark.parametrize("seed", range(5))
def test_no_row_is_used_twice_and_no_copy_crosses_a_life(seed, journal, pbt_events):
    record = StudyRecord.read(journal(pbt_events(members=23, rounds=9, seed=seed)))
    summary = Summary(record, {})
    rows = lineage.rows(summary.strands)
    used = cells(summary.strands, rows)
    assert len(used) == len(set(used))
    assert crossings(summary.strands, rows) == []
    assert min(rows) == 0
    assert max(rows) < len(summary.strands)


def test_the_tree_knows_its_founders_and_its_best(family):
    tree = lineage.tree(family)
    assert [trial for trial, _ in tree.founders] == [0]
    assert [trial for trial, _ in segments(tree.best)] == [0, 3, 1]
    assert len(segments(tree.surviving)) == 4
    assert len(segments(tree.extinct)) == 3


def test_merged_lines_end_with_nan_and_lose_points_only_in_the_middle():
    lines = merge([(7, [(0.0, 1.0), (1.0, math.inf)]), (8, [])])
    np.testing.assert_array_equal(lines.x, [0, 1, np.nan])
    np.testing.assert_array_equal(lines.y, [1, np.nan, np.nan])
    np.testing.assert_array_equal(lines.trial, [7, 7, 7])
    many = [(trial, [(float(i), 0.0) for i in range(MOST_POINTS // 100)]) for trial in range(201)]
    thinned = merge(many)
    assert len(thinned.x) < MOST_POINTS
    first = segments(thinned)[0][1]
    assert (first[0][0], first[-1][0]) == (0, MOST_POINTS // 100 - 1)


def test_a_point_without_a_neighbour_is_single():
    lines = merge([(3, [(0.0, 1.0)]), (4, [(0.0, 1.0), (1.0, 2.0)]), (5, [(0.0, math.nan), (1.0, 6.0)])])
    single = lines.single()
    np.testing.assert_array_equal(single.trial, [3, 5])
    np.testing.assert_array_equal(single.x, [0, 1])
    np.testing.assert_array_equal(single.y, [1, 6])
    assert merge([]).single().x.size == 0


def test_labels_of_founders_keep_their_distance(journal, pbt_events):
    def founders(members):
        return lineage.tree(Summary(StudyRecord.read(journal(pbt_events(members, 2, 1), str(members))), {}))

    assert len(founders(10).founders) == 10 - 2  # two have inherited
    crowd = founders(300)
    gaps = -np.diff([row for _, row in crowd.founders])
    assert 10 < len(crowd.founders) <= lineage.MOST_LABELS + 1
    assert gaps.min() >= crowd.height / lineage.MOST_LABELS


@pytest.mark.parametrize(
    ("low", "high", "want"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 60, [0, 20, 40, 60]),
        (0.9, 0.98, [0.9, 0.92, 0.94, 0.96, 0.98]),
        (3, 3, [3]),
    ],
)
def test_linear_ticks_are_round(low, high, want):
    assert linear_ticks(low, high) == want


def test_log_ticks_are_few():
    assert log_ticks(1e-3, 1) == [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]
    assert log_ticks(1e-6, 1e-1) == [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    assert log_ticks(30, 40) == [30, 35, 40]


@pytest.mark.parametrize("parameter", [Float(1e-4, 0.3, log=True), Float(-2, 7), Int(1, 3), Int(16, 128, log=True)])
def test_ticks_lie_where_their_words_say(parameter):
    axis = parameter_axis("p", parameter)
    assert 2 <= len(axis.ticks) <= 12
    for position, label in axis.ticks:
        assert position == parameter.to_unit(type(parameter.low)(float(label)))


@pytest.mark.parametrize("parameter", [Choice([16, "b", None]), Ordinal([1, 2]), Bool()])
def test_listed_parameters_have_a_tick_for_each_value(parameter):
    axis = parameter_axis("p", parameter)
    assert axis.listed
    assert [label for _, label in axis.ticks] == [str(value) for value in parameter.values]


@pytest.mark.parametrize(
    ("parameter", "values"),
    [(Int(2, 5), [2, 3, 4, 5]), (Int(0, 7), list(range(8))), (Int(0, 8), None), (Int(1, 4, log=True), [1, 2, 3, 4])],
)
def test_few_whole_numbers_are_listed(parameter, values):
    axis = parameter_axis("kernel", parameter)
    assert axis.listed == (values is not None)
    if values:
        assert [(axis.position(value), str(value)) for value in values] == list(axis.ticks)


@pytest.mark.parametrize(
    ("last", "labels"), [(1, ["0", "1"]), (2, ["0", "1", "2"]), (50, ["0", "10", "20", "30", "40", "50"])]
)
def test_time_has_whole_numbers(last, labels):
    assert [label for _, label in range_axis("epochs", 0, last, whole=True).ticks] == labels


@pytest.mark.parametrize(("axes", "panels"), [(1, (1, 1)), (2, (1, 2)), (8, (4, 2)), (9, (3, 3)), (17, (6, 3))])
def test_many_axes_take_three_columns(axes, panels, family):
    family.axes = [parameter_axis(str(i), Int(0, 3)) for i in range(axes)]
    assert family.panels == panels


def test_a_range_clips():
    axis = range_axis("accuracy", 0.5, 1.0)
    assert [axis.position(value) for value in (0.0, 0.75, 2.0)] == [0.0, 0.5, 1.0]


def test_words_for_values():
    assert [text(value) for value in (0.123456, 1e-7, 32, True, "relu", 2.0)] == [
        "0.1235", "1e-07", "32", "True", "relu", "2",
    ]  # fmt: skip
