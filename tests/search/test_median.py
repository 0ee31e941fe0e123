"""The median rule against a transcription of it, and what it refuses."""

from __future__ import annotations

import statistics
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.search import Median
from shoal.search.protocol import Report, Resume, Stop
from shoal.space import Float, Space

SPACE = Space({"lr": Float(0, 1)})
LARGEST = sys.float_info.max  # what NumPy's `nan_to_num` makes of infinity


def stopped(curves: dict[int, list[float]], trial: int, grace: int) -> bool:
    """Section 3.2.2 of Golovin et al. 2017, on the curves so far: the trial's own is as long as it has come."""
    age = len(curves[trial])
    others = [curve for each, curve in curves.items() if each != trial and len(curve) >= age]
    means = [statistics.fmean(curve[:age]) for curve in others]
    return len(means) >= grace and min(curves[trial]) > statistics.median(means)


@settings(max_examples=100, deadline=None)
@given(order=st.randoms(use_true_random=False), grace=st.integers(1, 4), levels=st.sampled_from([2, 1000]))
def test_it_does_what_the_paper_says(order: Any, grace: int, levels: int) -> None:
    strategy = Median(12, epochs=10, interval_epochs=3, grace=grace).bind(SPACE)
    curves: dict[int, list[float]] = {start.trial: [] for start in strategy.ask(12)}
    training = dict.fromkeys(curves, 3)
    while training:
        trial = order.choice(sorted(training))
        until = training.pop(trial)
        curves[trial].append(order.randrange(levels) / levels)
        (answer,) = strategy.tell(Report(trial, until, curves[trial][-1]))
        assert isinstance(answer, Stop) is (until == 10 or stopped(curves, trial, grace))
        if isinstance(answer, Resume):
            training[trial] = answer.until
    assert strategy.finished


def test_scores_near_the_largest_float_have_a_mean() -> None:
    strategy = Median(3, epochs=3, grace=1).bind(SPACE)
    strategy.ask(3)
    for trial in range(2):
        for epoch in (1, 2, 3):
            strategy.tell(Report(trial, epoch, LARGEST))
    assert [type(order) for order in strategy.tell(Report(2, 1, 1.0))] == [Resume]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 6, "interval_epochs": 7}, "interval_epochs: must be at most epochs = 6, got 7"),
        ({"epochs": 6, "interval": 3}, "interval_epochs: must be given with epochs, for all durations are in one unit"),
        ({"steps": 6, "interval_epochs": 3}, "interval: must be given with steps, for all durations are in one unit"),
        ({"steps": 6}, "interval: must be given with steps"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Median(4, **arguments)
