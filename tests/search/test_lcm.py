"""Learning curve matching: the distances, the library, and whom it stops."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.search.simulator import Problem, Run, simulate

from shoal import search
from shoal.search import LCM, Random
from shoal.search.lcm import Matching
from shoal.search.protocol import Pause, Report, Resume, Start, Stop
from shoal.space import Bool, Choice, Float, Int, Space

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


@pytest.mark.parametrize(("spare", "ending"), [(0.0, "would end at 4, as a curve like it"), (0.25, "completed")])
def test_one_that_is_ahead_of_the_library_is_spared(spare: float, ending: str) -> None:
    """The library learnt little, its best curve late; the fifth trial is better than all of it, and like a bad one."""
    levels = curves([3.6, 4, 4, 4, 1])
    score = lambda trial, progress: 9.9 if (trial, progress) == (0, 2) else levels(trial, progress)  # noqa: E731
    search = LCM(5, epochs=8, split=0.8, stop=0.8, spare=spare, checkpoints=[2], points=[2], audit=0)
    assert ran(search, score)[1].trials[4].stopped == ending


def test_who_waits_is_looked_at_when_a_row_is_free_with_all_that_is_known_then() -> None:
    """Trials 1 to 3 wait for 0; 1 goes on alone and joins the library, which foretells better of 2 and 3 than 0 did."""
    search = LCM(4, epochs=8, split=0.25, stop=0.6, spare=0, checkpoints=[2], points=[2], audit=0)
    strategy = search.bind(SPACE)
    assert [order.trial for order in strategy.ask(4)] == [0, 1, 2, 3]
    for trial, score in ((1, 2.0), (2, 9.0), (3, 2.1)):
        assert [type(order) for order in strategy.tell(Report(trial, 2, score))] == [Pause]
    assert [type(order) for order in strategy.tell(Report(0, 2, 9.0))] == [Resume]
    strategy.tell(Report(0, 8, 5.0))
    assert strategy.ask(1) == [Resume(1, 8)]
    strategy.tell(Report(1, 8, 1.0))
    assert [(order.trial, type(order)) for order in strategy.ask(1)] == [(2, Stop), (3, Resume)]
    strategy.tell(Report(3, 8, 1.1))
    assert strategy.finished


def test_audited_trials_show_what_stopping_costs() -> None:
    """Trial 3 begins as a bad one does and ends best of all."""
    levels = curves([1, 2, 4, 4])
    score = lambda trial, progress: 0.5 if (trial, progress) == (3, 8) else levels(trial, progress)  # noqa: E731
    search = LCM(4, epochs=8, split=0.75, stop=0.5, checkpoints=[2], audit=1.0)
    strategy, result = ran(search, score)
    (audit,) = strategy.audits
    assert (audit.trial, audit.progress, audit.foretold, audit.score) == (3, 2, 4.0, 0.5)
    assert Resume(3, 3, "audited: would end at 4, as a curve like it") in result.trials[3].orders
    assert result.trials[3].stopped == "completed"
    assert strategy.best == 3


class Transcription:
    """The algorithm for one trial after the other, line by line, with lists and sorting."""

    def __init__(
        self,
        trials: int,
        split: float,
        stop: float,
        checkpoints: list[int],
        lengths: list[int],
        longest: int,
        spare: float = 0,
    ) -> None:
        self.spare = spare
        self.first, self.stop, self.checkpoints = max(1, round(split * trials)), stop, checkpoints
        self.lengths, self.longest = lengths, longest
        self.library: list[tuple[list[float], float]] = []

    def run(self, trial: int, score: Any) -> int:
        """Return how far the trial is trained."""
        curve: list[float] = []
        for point in range(1, self.longest):
            place = next(p for p in range(1, 99) if p * self.longest >= point * self.lengths[trial])
            if place == self.lengths[trial]:
                break
            curve.append(score(trial, place))
            last = (point + 1) * self.lengths[trial] > place * self.longest  # no further point falls together with it
            checked = any(c <= point and c * self.lengths[trial] > (place - 1) * self.longest for c in self.checkpoints)
            if trial >= self.first and checked and last and self.library:
                distances = [
                    math.sqrt(sum((a - b) ** 2 for a, b in zip(curve, known, strict=False)) / len(curve))
                    for known, _ in self.library
                ]
                foretold = self.library[distances.index(min(distances))][1]
                ahead = sum(known[len(curve) - 1] < curve[-1] for known, _ in self.library) / len(self.library)
                better = Fraction(sum(final < foretold for _, final in self.library), len(self.library))
                bad = better > 1 - Fraction(str(self.stop))
                if bad and ahead >= self.spare:
                    return place
        final = score(trial, self.lengths[trial])
        self.library.append((curve + [final] * (self.longest - len(curve)), final))
        return self.lengths[trial]


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    stop=st.sampled_from([0.0, 0.3, 0.5, 0.8, 0.9]),
    split=st.sampled_from([0.1, 0.4]),
    spare=st.sampled_from([0.0, 0.25, 0.5]),
)
def test_one_after_the_other_it_does_what_the_algorithm_says(
    seed: int, stop: float, split: float, spare: float
) -> None:
    values = np.random.default_rng(seed).random((20, 7))
    score = lambda trial, progress: float(values[trial, progress - 1])  # noqa: E731
    how: dict[str, Any] = {"split": split, "stop": stop, "spare": spare, "audit": 0}
    search = LCM(20, epochs=7, checkpoints=[2, 3, 5], points=[*range(1, 7)], **how)
    _, result = ran(search, score)
    algorithm = Transcription(20, split, stop, [2, 3, 5], [7] * 20, 7, spare)
    assert [result.trials[trial].progress for trial in range(20)] == [algorithm.run(t, score) for t in range(20)]


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), stop=st.sampled_from([0.0, 0.3, 0.5, 0.9]), split=st.sampled_from([0.1, 0.4, 1.0]))
def test_trials_may_have_lengths_of_their_own(seed: int, stop: float, split: float) -> None:
    """Points are at the same shares of them all."""
    values = np.random.default_rng(seed).random((20, 7))
    score = lambda trial, progress: float(values[trial, progress - 1])  # noqa: E731
    space = Space({"lr": Float(0, 1), "length": Int(1, 7)})
    search = LCM(
        20,
        epochs=7,
        length="length",
        split=split,
        stop=stop,
        spare=0,
        checkpoints=[2, 3, 5],
        points=[*range(1, 7)],
        audit=0,
    )
    result = simulate(search.bind(space), space, Problem(score), rows=1)
    lengths = [result.trials[trial].config["length"] for trial in range(20)]
    algorithm = Transcription(20, split, stop, [2, 3, 5], lengths, 7)
    assert [result.trials[trial].progress for trial in range(20)] == [algorithm.run(t, score) for t in range(20)]


@pytest.mark.parametrize(
    ("length", "places"), [(8, [2, 4, 6, 8]), (5, [2, 3, 4, 5]), (4, [1, 2, 3, 4]), (2, [1, 2]), (1, [1])]
)
def test_a_shorter_trial_has_the_points_at_the_same_shares(length: int, places: list[int]) -> None:
    """Rounded up; it reports once where some fall together."""
    search = LCM(2, epochs=8, length="length", split=1, checkpoints=[2, 4], points=[6])
    result = simulate(search.bind({"length": length}), Space({"length": length}), Problem(curves([1, 2])))
    assert [report.progress for report in result.reports if report.trial == 0] == places


class Told:
    """A sampler that keeps what it is told."""

    def __init__(self) -> None:
        self.reports: list[tuple[int, int, bool]] = []

    def propose(self, trial: int) -> dict[str, Any]:
        return {"length": [8, 5, 1][trial]}

    def observe(self, report: Report, *, last: bool) -> None:
        self.reports.append((report.trial, report.progress, last))


def test_a_sampler_is_told_of_the_longest_trials_points() -> None:
    """It compares scores at one progress, which trials of other lengths never reach."""
    search, told = LCM(3, epochs=8, length="length", split=1, checkpoints=[2, 4], points=[]), Told()
    score = lambda trial, progress: math.nan if (trial, progress) == (1, 3) else 1.0  # noqa: E731
    simulate(Matching(search, 0, told), Space({"length": Int(1, 8)}), Problem(score), rows=1)
    assert told.reports == [(0, 2, False), (0, 4, False), (0, 8, True), (1, 2, False), (1, 4, True), (2, 8, True)]


def test_without_looks_it_is_random_search() -> None:
    search = LCM(9, epochs=8, length="length", split=1, checkpoints=[], points=[])
    space = Space({"lr": Float(0, 1), "length": Int(3, 8)})
    result = simulate(search.bind(space, seed=5), space, Problem(curves([1] * 9)))
    configs = [order.config for order in Random(9, epochs=8).bind(space, seed=5).ask(9) if isinstance(order, Start)]
    assert [result.trials[trial].config for trial in range(9)] == configs
    assert sorted((report.trial, report.progress) for report in result.reports) == [
        (trial, config["length"]) for trial, config in enumerate(configs)
    ]


def by_name(config: dict[str, Any]) -> int:
    return int(config["epoch"])


@pytest.mark.parametrize(
    ("length", "values", "message"),
    [
        ("epoch", {}, r"length: must be in the space, which has lr, got 'epoch'"),
        ("epochs", {"epochs": Int(0, 8)}, r"length: must be a whole number from 1 to epochs = 8, got 0; .*'epochs': 0"),
        ("epochs", {"epochs": Int(1, 9)}, r"length: must be a whole number from 1 to epochs = 8, got 9"),
        ("epochs", {"epochs": Choice([1, 2.5, 8])}, r"length: must be .*, got 2.5; with the config {'lr': .*}"),
        ("epochs", {"epochs": Float(1, 8)}, r"length: must be a whole number from 1 to epochs = 8"),
        ("epochs", {"on": Bool(), "epochs": Int(1, 8, when={"on": [True]})}, "length: must be .*, got None"),
        (by_name, {}, "length: KeyError: 'epoch'; with the config {'lr': 0.0}"),
        (lambda _: None, {}, "length: must be a whole number from 1 to epochs = 8, got None"),
    ],
)
def test_lengths_are_tried_before_anything_is_trained(length: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LCM(9, epochs=8, length=length).bind(Space({"lr": Float(0, 1), **values}))


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
        ({"checkpoints": 4}, "checkpoints: must be a list of whole numbers, got 4"),
        ({"points": [8]}, r"points: must rise and stay below 8, got \[8\]"),
        ({"length": 3}, "length: must be a parameter's name, or in Python a function, got 3"),
        ({"neighbours": 0}, "neighbours: must be a whole number >= 1, got 0"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LCM(**({"trials": 9, "epochs": 8} | arguments))
