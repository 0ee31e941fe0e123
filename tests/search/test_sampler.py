"""Samplers, and every one of them under every scheduler."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from tests.search.simulator import Problem, Score, simulate
from tests.search.test_conformance import every_score

from shoal.search import (
    ASHA,
    LCM,
    Full,
    GeneticSampler,
    GridSampler,
    Hyperband,
    Median,
    OptunaSampler,
    Random,
    SobolSampler,
    SuccessiveHalving,
    TopK,
)
from shoal.search.protocol import Report, Start, rank_key
from shoal.space import Choice, Float, Int, Space

SPACE = Space({"lr": Float(1e-3, 1, log=True), "width": Int(1, 8), "kind": Choice(["a", "b"]), "fixed": 3})


class Draws:
    """A sampler of the user's own."""

    def __init__(self) -> None:
        self.rng = random.Random(1)

    def ask(self) -> dict[str, Any]:
        return {"lr": self.rng.uniform(1e-3, 1), "width": self.rng.randint(1, 8), "kind": "b"}

    def tell(self, config: Mapping[str, Any], score: float) -> None:
        assert config["kind"] == "b"


SCHEDULERS: dict[str, Any] = {
    "full": lambda sampler: Full(12, epochs=4, sampler=sampler),
    "topk": lambda sampler: TopK(12, keep=3, epochs=4, sampler=sampler),
    "halving": lambda sampler: SuccessiveHalving(12, max_epochs=9, sampler=sampler),
    "hyperband": lambda sampler: Hyperband(max_epochs=4, eta=2, sampler=sampler),
    "asha": lambda sampler: ASHA(12, max_epochs=9, sampler=sampler),
    "stopping": lambda sampler: ASHA(12, max_epochs=9, mode="stopping", sampler=sampler),
    "median": lambda sampler: Median(12, epochs=4, sampler=sampler),
    "lcm": lambda sampler: LCM(12, epochs=8, sampler=sampler),
}
SAMPLERS: dict[str, Any] = {
    "random": "random",
    "grid": {"name": "grid", "counts": {"lr": 3, "width": 4}},
    "sobol": SobolSampler(),
    "genetic": GeneticSampler(population=4),
    "tpe": OptunaSampler(settings={"n_startup_trials": 4}),
    "gp": OptunaSampler("gp", {"n_startup_trials": 4}),
    "cmaes": OptunaSampler("cmaes"),
    "nsgaii": OptunaSampler("nsgaii", {"population_size": 4}),
    "own": Draws(),
}
LEARNS = ("genetic", "tpe", "gp", "cmaes", "nsgaii")  # their configs depend on the reports
NEEDS = {"gp": "torch", "cmaes": "cmaes"}


@pytest.fixture(params=SAMPLERS)
def name(request: pytest.FixtureRequest) -> str:
    if request.param in NEEDS:
        pytest.importorskip(NEEDS[request.param])
    return str(request.param)


every_scheduler = pytest.mark.parametrize("scheduler", SCHEDULERS.values(), ids=SCHEDULERS)


@every_scheduler
@every_score
def test_any_sampler_with_any_scheduler(scheduler: Any, name: str, score: Score) -> None:
    """The contract of `test_conformance`, and that the strategy can be brought to any moment of its run again."""
    which = scheduler(SAMPLERS[name])
    strategy, again = which.bind(SPACE, seed=4), which.bind(SPACE, seed=4)
    result = simulate(strategy, SPACE, Problem(score), rows=3, arrival=2)
    plan = strategy.plan()
    assert plan == again.plan()
    assert len(result.trials) == plan.trials
    assert result.spent <= plan.budget
    finite = [report for report in result.reports if not report.diverged]
    assert strategy.best == (min(finite, key=rank_key).trial if finite else None)
    last = {report.trial: report for report in result.reports}
    for number, trial in result.trials.items():
        assert trial.stopped
        assert (trial.stopped == "diverged") is last[number].diverged
    for call, answer in zip(result.calls, result.answers, strict=True):
        assert (again.ask(call) if isinstance(call, int) else again.tell(call)) == answer


@every_scheduler
def test_a_sampler_that_does_not_learn_gives_every_scheduler_the_same_configs(scheduler: Any, name: str) -> None:
    if name in LEARNS:
        return
    sampler = SAMPLERS[name]
    result = simulate(scheduler(sampler).bind(SPACE, seed=4), SPACE, Problem(lambda trial, _: trial), rows=3)
    proposals = Full(12, epochs=1, sampler=sampler).bind(SPACE, seed=4).ask(12)
    for order in proposals[: len(result.trials)]:
        assert isinstance(order, Start)
        assert order.config == result.trials[order.trial].config  # whoever spends the budget


def test_a_grid_has_every_combination_once() -> None:
    sampler = GridSampler({"lr": 2, "width": 3})
    orders = Full(sampler.size(SPACE), epochs=1, sampler=sampler).bind(SPACE).ask(99)
    configs = [order.config for order in orders if isinstance(order, Start)]
    assert [(c["lr"], c["width"], c["kind"]) for c in configs] == list(
        itertools.product([0.001, 1.0], [1, 4, 8], ["a", "b"])
    )
    with pytest.raises(ValueError, match="trials: must be at most the grid's 12 configs, got 13"):
        Full(13, epochs=1, sampler=sampler).bind(SPACE)


def test_sobol_fills_the_space_more_evenly_than_chance() -> None:
    """Each sixteenth of an axis has one of the first sixteen points."""
    orders = Full(16, epochs=1, sampler="sobol").bind({"x": Float(0, 1), "y": Float(0, 1)}, seed=3).ask(16)
    points = np.array([[o.config["x"], o.config["y"]] for o in orders if isinstance(o, Start)])
    for axis in points.T:
        assert sorted(np.floor(axis * 16)) == list(range(16))


@pytest.mark.parametrize("kind", ["tpe", "nsgaii"])
def test_a_model_finds_the_good_part_of_a_space(kind: str) -> None:
    """A bowl with its bottom at lr = 0.1, width 8: later configs are nearer to it than random ones are."""
    settings = {"n_startup_trials": 10} if kind == "tpe" else {"population_size": 10}
    bound = Full(80, epochs=1, sampler=OptunaSampler(kind, settings)).bind(SPACE, seed=2)
    far = []
    for _ in range(80):
        (order,) = bound.ask(1)
        assert isinstance(order, Start)
        config = order.config
        assert SPACE.check(config) == config
        far.append((np.log10(config["lr"]) + 1) ** 2 + (config["width"] - 8) ** 2 / 49)
        bound.tell(Report(order.trial, 1, float("nan") if order.trial % 9 == 8 else far[-1]))
    chance = [(u * 3 - 2) ** 2 + (1 - v) ** 2 for u, v in np.random.default_rng(0).random((1000, 2))]
    assert np.mean(far[40:]) < (0.3 if kind == "tpe" else 0.9) * np.mean(chance)


def test_what_optuna_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="kind: must be one of tpe, gp, cmaes, nsgaii, got 'best'"):
        OptunaSampler("best")
    with pytest.raises(ValueError, match=r"sampler.kind: must be one of tpe, gp, cmaes, nsgaii, got \['tpe'\]"):
        Full(3, epochs=1, sampler={"name": "optuna", "kind": ["tpe"]})
    with pytest.raises(ValueError, match=r"sampler: .*unexpected keyword argument 'speed'"):
        Full(3, epochs=1, sampler=OptunaSampler(settings={"speed": 1})).bind(SPACE)


@pytest.mark.parametrize(("kind", "package"), NEEDS.items())
def test_what_a_model_needs_is_asked_for_before_anything_starts(
    kind: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else name)
    message = f"sampler: kind {kind} needs {package}, which is not installed: pip install {package}"
    with pytest.raises(ValueError, match=message):
        Full(3, epochs=1, sampler=OptunaSampler(kind)).bind(SPACE)


def test_random_is_full_training_of_random_configs() -> None:
    assert Random(5, epochs=2).bind(SPACE, seed=9).ask(5) == Full(5, epochs=2).bind(SPACE, seed=9).ask(5)
