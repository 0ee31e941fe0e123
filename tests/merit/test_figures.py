"""What a figure makes of a curve, and in which order it puts trials."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.merit import (
    CostAt,
    Merit,
    Objective,
    Penalised,
    TimeToReach,
    describe_objectives,
    objectives,
    read_objectives,
)

KNOWN = {"loss": "min", "accuracy": "max", "parameters": "min", "seconds": "min"}


def scored(merit: Merit, mode: str, *points: tuple[int, dict[str, float]]) -> float:
    *past, now = points
    return Objective(merit, mode).score(now, past)


def accuracies(*values: float, **more: float) -> list[tuple[int, dict[str, float]]]:
    return [(10 * (i + 1), {"accuracy": value, **more}) for i, value in enumerate(values)]


def test_a_penalty_is_the_cost_in_powers_of_ten() -> None:
    now = (5, {"accuracy": 0.9, "loss": 0.4, "parameters": 1000.0, "multiply_adds": 100.0})
    more, less = Penalised("accuracy", 0.01), Penalised("loss", 0.5, on="multiply_adds")
    assert scored(more, "max", now) == pytest.approx(-0.87)
    assert Objective(more, "max").figure(-0.87) == 0.87
    assert scored(less, "min", now) == pytest.approx(0.4 + 0.5 * 2)
    assert Objective(less, "min").figure(1.4) == 1.4


@pytest.mark.parametrize(
    ("values", "time"),
    [
        ((0.1, 0.5, 0.9), 25.0),  # half way between 0.5 and 0.9
        ((0.1, 0.7, 0.9), 20.0),
        ((0.8, 0.9), 10.0),  # there is nothing before the first point
        ((0.5, 0.9, 0.2), 15.0),  # it counts that it was there
    ],
)
def test_the_time_is_that_of_the_first_crossing(values: tuple[float, ...], time: float) -> None:
    figure = TimeToReach("accuracy", 0.7)
    assert scored(figure, "max", *accuracies(*values)) == pytest.approx(time)
    losses = [(progress, {"accuracy": -each["accuracy"]}) for progress, each in accuracies(*values)]
    assert scored(TimeToReach("accuracy", -0.7), "min", *losses) == pytest.approx(time)


def test_the_time_may_be_a_metric() -> None:
    curve = [(1, {"accuracy": 0.5, "seconds": 2.0}), (2, {"accuracy": 0.9, "seconds": 8.0})]
    assert scored(TimeToReach("accuracy", 0.8, on="seconds"), "max", *curve) == pytest.approx(6.5)


@pytest.mark.parametrize("figure", [TimeToReach("accuracy", 0.7), CostAt("parameters", "accuracy", 0.7)])
def test_what_is_not_finite_has_diverged(figure: Merit) -> None:
    assert not math.isfinite(scored(figure, "max", *accuracies(0.9, math.nan, parameters=3.0)))
    assert not math.isfinite(scored(Penalised("accuracy", 1.0), "max", *accuracies(math.nan, parameters=3.0)))


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 10**15), st.integers(1, 10**15))
def test_those_that_are_good_enough_come_first_by_cost_then_the_others_by_the_metric(
    one: float, other: float, small: int, large: int
) -> None:
    """Of two trials the order is that of (not reached, cost or shortfall)."""
    figure = Objective(CostAt("parameters", "accuracy", 0.5), "max")

    def order(accuracy: float, cost: int) -> tuple[bool, float]:
        return (False, cost) if accuracy >= 0.5 else (True, 1 + (0.5 - accuracy))  # as fine as a shortfall of 1

    scores = [figure.score((1, {"accuracy": a, "parameters": float(c)}), ()) for a, c in ((one, small), (other, large))]
    assert all(map(math.isfinite, scores))
    assert (scores[0] < scores[1]) == (order(one, small) < order(other, large))
    assert [math.isinf(figure.figure(score)) for score in scores] == [one < 0.5, other < 0.5]


def test_who_never_reaches_it_is_ranked_by_its_best_value() -> None:
    figure = TimeToReach("accuracy", 0.9)
    curves = [(0.1, 0.9), (0.8, 0.3), (0.5, 0.6), (0.6, 0.1)]
    scores = [scored(figure, "max", *accuracies(*curve)) for curve in curves]
    assert scores[0] < scores[1] < scores[2] == scores[3] < math.inf


def parameters_per_loss(metrics: dict[str, float]) -> float:
    return metrics["parameters"] / metrics["loss"]


@pytest.mark.parametrize(
    ("metric", "mode", "labels", "modes"),
    [
        ("accuracy", None, ["accuracy"], ["max"]),
        ("loss", "min", ["loss"], ["min"]),
        (["accuracy", "parameters"], None, ["accuracy", "parameters"], ["max", "min"]),
        (["loss", parameters_per_loss], [None, "max"], ["loss", "parameters_per_loss"], ["min", "max"]),
        (Penalised("accuracy", 1), "max", ["penalised accuracy"], ["max"]),
        ([TimeToReach("accuracy", 0.95, "seconds")], None, ["seconds to accuracy 0.95"], ["max"]),
        ({"name": "CostAt", "cost": "seconds", "metric": "loss", "target": 1}, None, ["seconds at loss 1"], ["min"]),
    ],
)
def test_what_is_given_survives_the_journal(metric: object, mode: object, labels: list[str], modes: list[str]) -> None:
    found = objectives(metric, mode, KNOWN)
    assert [each.label for each in found] == labels
    header = json.loads(json.dumps(describe_objectives(found)))
    assert (header["mode"] if len(found) > 1 else [header["mode"]]) == modes
    again = read_objectives(header)
    assert [(each.label, each.mode, each.rises) for each in again] == [(e.label, e.mode, e.rises) for e in found]
    assert describe_objectives(again) == describe_objectives(found)


def test_a_single_metric_is_in_the_journal_as_ever() -> None:
    assert describe_objectives(objectives("accuracy", None, KNOWN)) == {"metric": "accuracy", "mode": "max"}


def test_a_function_is_known_by_its_name() -> None:
    (found,) = objectives(parameters_per_loss, "min", KNOWN)
    assert found.score((1, {"parameters": 6.0, "loss": 2.0}), ()) == 3.0
    function = describe_objectives([found])["metric"]["function"]
    assert function.endswith(":parameters_per_loss")


def accuracy(_: dict[str, float]) -> float:
    return 0.0


@pytest.mark.parametrize(
    ("metric", "mode", "message"),
    [
        (3, None, "metric: must be the name of a metric, a function or a figure of shoal.merit, got 3"),
        (["loss", 3], None, r"metric\[1\]: must be the name of a metric"),
        ("f1", None, "metric: must be one of loss, accuracy, parameters, seconds; got 'f1'"),
        (["loss", "f1"], None, r"metric\[1\]: must be one of .* got 'f1'"),
        ([], None, "mode: must have one entry for each of 0 metrics"),
        (["loss", "accuracy"], ["min"], r"mode: must have one entry for each of 2 metrics, got \['min'\]"),
        (["loss", "accuracy"], "min", r'mode\[1\]: must be "max" for the metric accuracy, got \'min\''),
        (["loss", "loss"], None, "metric: must name different objectives, got loss, loss"),
        (parameters_per_loss, None, "mode: must be one of min, max; got None"),
        (accuracy, "max", "metric: the function must not have the name of a metric, got accuracy"),
        (Penalised("f1", 1), None, "metric: must be one of .* got 'f1'"),
        (TimeToReach("loss", 1, on="days"), None, "metric: must be one of .* got 'days'"),
        ({"name": "Penalized"}, None, "metric.name: must be one of Penalised, TimeToReach, CostAt, got 'Penalized'"),
        ({"name": "Penalised", "metric": "loss"}, None, "metric.weight: missing"),
        ({"name": "Penalised", "metric": "loss", "weight": -1}, None, "metric.weight: must be >= 0, got -1"),
        ({"name": "Penalised", "metric": "loss", "wait": 1}, None, "metric.wait: unknown key; expected metric, weight"),
        ({"name": "TimeToReach", "metric": "loss", "target": "low"}, None, "metric.target: must be a finite number"),
        ({"name": "CostAt", "cost": 3, "metric": "loss", "target": 1}, None, "metric.cost: must be the name of a met"),
    ],
)
def test_what_is_wrong_is_said(metric: object, mode: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        objectives(metric, mode, KNOWN)
