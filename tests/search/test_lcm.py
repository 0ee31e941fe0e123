"""Learning curve matching: the distances, the library, and whom it stops."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.search.simulator import Problem, Run, simulate

from shoal import search
from shoal.search import LCM
from shoal.search.lcm import Matching
from shoal.space import Float, Space

SPACE = Space({"lr": Float(0, 1)})


def curves(levels: list[float]) -> Any:
    """Scores that fall from 10 to a trial's own level."""
    return lambda trial, progress: levels[trial] + (10 - levels[trial]) * (1 - progress / 8)


def ran(search: LCM, score: Any, rows: int = 1) -> tuple[Matching, Run]:
    strategy = search.bind(SPACE)
    assert isinstance(strategy, Matching)
    return strategy, simulate(strategy, SPACE, Problem(score), rows=rows)


@pytest.mark.parametrize("rows", [1, 3, 50])
def test_whoever_learns_like_the_worse_half_is_stopped(rows: int) -> None:
    levels = [1, 2, 3, 4, 1.1, 3.9, 2.2, 3.8]
    search = LCM(8, epochs=8, split=0.5, stop=0.5, checkpoints=[2, 4], audit=0)
    strategy, result = ran(search, curves(levels), rows)
    ended = [trial.stopped for trial in result.trials.values()]
    assert ended[:5] == ["completed"] * 5
    assert ended[5] == "would end at 4, as a curve like it"
    assert ended[6] == "completed"
    assert ended[7] == "would end at 4, as a curve like it"
    assert [result.trials[trial].progress for trial in (5, 7)] == [2, 2]
    assert strategy.best == 0


def test_audited_trials_show_what_stopping_costs() -> None:
    """Trial 3 begins as a bad one does and ends best of all."""
    levels = curves([1, 2, 4, 4])
    score = lambda trial, progress: 0.5 if (trial, progress) == (3, 8) else levels(trial, progress)  # noqa: E731
    search = LCM(4, epochs=8, split=0.75, stop=0.5, checkpoints=[2], audit=1.0)
    strategy, result = ran(search, score)
    (audit,) = strategy.audits
    assert (audit.trial, audit.progress, audit.foretold, audit.score) == (3, 2, 4.0, 0.5)
    assert result.trials[3].stopped == "completed"
    assert strategy.best == 3


class Transcription:
    """The algorithm for one trial after the other, line by line, with lists and sorting."""

    def __init__(self, trials: int, split: float, stop: float, checkpoints: list[int], length: int) -> None:
        self.first, self.stop, self.checkpoints, self.length = max(1, round(split * trials)), stop, checkpoints, length
        self.library: list[tuple[list[float], float]] = []

    def run(self, trial: int, score: Any) -> int:
        """Return how far the trial is trained."""
        curve: list[float] = []
        for point in range(1, self.length):
            curve.append(score(trial, point))
            if trial >= self.first and point in self.checkpoints and self.library:
                distances = [
                    math.sqrt(sum((a - b) ** 2 for a, b in zip(curve, known, strict=False)) / len(curve))
                    for known, _ in self.library
                ]
                foretold = self.library[distances.index(min(distances))][1]
                if sum(final < foretold for _, final in self.library) / len(self.library) > 1 - self.stop:
                    return point
        final = score(trial, self.length)
        self.library.append(([*curve, final], final))
        return self.length


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), stop=st.sampled_from([0.0, 0.3, 0.5, 0.9]), split=st.sampled_from([0.1, 0.4]))
def test_one_after_the_other_it_does_what_the_algorithm_says(seed: int, stop: float, split: float) -> None:
    values = np.random.default_rng(seed).random((20, 7))
    score = lambda trial, progress: float(values[trial, progress - 1])  # noqa: E731
    search = LCM(20, epochs=7, split=split, stop=stop, checkpoints=[2, 3, 5], points=[*range(1, 7)], audit=0)
    _, result = ran(search, score)
    algorithm = Transcription(20, split, stop, [2, 3, 5], 7)
    assert [result.trials[trial].progress for trial in range(20)] == [algorithm.run(t, score) for t in range(20)]


def last_point(curve: Any, library: Any) -> Any:
    return np.abs(library[:, -1] - curve[-1])


def test_a_function_can_be_the_distance() -> None:
    search_by = {by: LCM(8, epochs=8, split=0.5, checkpoints=[2], audit=0, distance=by) for by in ("l1", last_point)}
    ends = {}
    for by, each in search_by.items():
        _, result = ran(each, curves([1, 2, 3, 4, 1.1, 3.9, 2.2, 3.8]))
        ends[by] = [trial.stopped for trial in result.trials.values()]
    assert ends["l1"] == ends[last_point]  # of straight lines from one point


def test_a_function_is_described_by_its_name_and_not_read_back() -> None:
    table = json.loads(json.dumps(LCM(8, epochs=8, distance=last_point).describe()))
    assert table["distance"].endswith("test_lcm.last_point")
    with pytest.raises(ValueError, match=r"strategy.distance: must be .* or in Python a function, got '.*last_point'"):
        search.from_description(table)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trials": 1}, "trials: must be a whole number >= 2, got 1"),
        ({"stop": 1.0}, "stop: must be below 1"),
        (
            {"distance": "l3"},
            "distance: must be one of l1, l2, linf, cosine, scaled, or in Python a function, got 'l3'",
        ),
        ({"checkpoints": [3, 2]}, r"checkpoints: must rise and stay below 8, got \[3, 2\]"),
        ({"points": [8]}, r"points: must rise and stay below 8, got \[8\]"),
        ({"neighbours": 0}, "neighbours: must be a whole number >= 1, got 0"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LCM(**({"trials": 9, "epochs": 8} | arguments))
