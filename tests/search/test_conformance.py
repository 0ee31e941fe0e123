"""The contract of docs/design.md, section 5, for every strategy. A new strategy is a line in `SEARCHES`."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.search.simulator import Problem, Run, Score, is_finite, simulate

from shoal import search
from shoal.search import (
    ASHA,
    DEHB,
    LCM,
    LTFB,
    PB2,
    PBT,
    Elitist,
    FactorRange,
    Factors,
    Full,
    Genetic,
    GeneticSampler,
    Grid,
    Hyperband,
    HyperSearch,
    Median,
    OptunaSampler,
    Random,
    Resample,
    Search,
    SuccessiveHalving,
    TopK,
)
from shoal.search.protocol import Inherit, Report, Start, Strategy, rank_key
from shoal.space import Bool, Choice, Float, Int, Ordinal, Space

SPACE = Space(
    {
        "lr": Float(1e-4, 0.2, log=True),
        "momentum": Float(0, 0.99),
        "batch_size": Ordinal([16, 32, 64]),
        "width": Int(4, 12, log=True),
        "nesterov": Bool(),
        "activation": Choice(["relu", "tanh"]),
        "weight_decay": 1e-4,
    }
)
RULES = {
    "lr": Factors(0.5, 2, resample=0.1),
    "momentum": FactorRange(0.9, 1.1),
    "width": Factors(0.8, 1.2),
    "batch_size": Factors(0.8, 1.2),
    "nesterov": None,
    "activation": Resample(0.5),
}
SEARCHES: dict[str, Search] = {
    "random": Random(7, epochs=5),
    "grid": Grid(steps=40, counts={"lr": 2, "momentum": 2, "width": 2}),
    "pbt": PBT(10, epochs=7, interval_epochs=2),
    "pbt-tournament": PBT(9, steps=600, interval=120, exploit="tournament"),
    "pbt-rules": PBT(5, epochs=4, interval_epochs=1, quantile=0.4, explore=RULES, resample=0.0),
    "pbt-pair": PBT(2, steps=9, interval=1, quantile=0.5),
    "pbt-t-test": PBT(6, steps=9, interval=1, exploit="t-test", recombine=True),
    "pbt-async": PBT(10, epochs=7, interval_epochs=2, synchronous=False),
    "pbt-async-pair": PBT(2, steps=9, interval=1, exploit="tournament", synchronous=False),
    "pbt-async-t-test": PBT(7, steps=80, interval=10, exploit="t-test", recombine=True, synchronous=False),
    "pb2": PB2(4, steps=3, interval=1, recombine=True),
    "pb2-async": PB2(3, steps=30, interval=10, quantile=0.5, explore=RULES, synchronous=False),
    "ltfb": LTFB(9, epochs=7, interval_epochs=2),
    "ltfb-take": LTFB(6, steps=9, interval=3, hyperparameters="take"),
    "ltfb-explore": LTFB(5, steps=9, interval=1, hyperparameters="explore", explore=RULES),
    "ltfb-pair": LTFB(2, steps=9, interval=1),
    "full-sobol": Full(9, steps=30, sampler="sobol"),
    "topk": TopK(20, keep=3, epochs=5),
    "topk-steps": TopK(9, keep=9, steps=50, look=12, sampler="sobol"),
    "halving": SuccessiveHalving(27, max_epochs=27),
    "halving-capped": SuccessiveHalving(20, max_steps=50, min_steps=6, eta=2, sampler="sobol"),
    "hyperband": Hyperband(max_epochs=9),
    "hyperband-twice": Hyperband(max_steps=80, min_steps=10, eta=4, rounds=2),
    "dehb": DEHB(max_epochs=9),
    "dehb-steps": DEHB(max_steps=100, min_steps=12, eta=2, rounds=2, mutation_factor=1),
    "asha": ASHA(30, max_epochs=9),
    "asha-brackets": ASHA(25, max_steps=90, min_steps=10, eta=2, brackets=3, sampler="sobol"),
    "asha-stopping": ASHA(30, max_epochs=12, mode="stopping"),
    "genetic": Genetic(8, 4, epochs=2),
    "genetic-demes": Genetic(12, 6, steps=50, demes=3, elites=2, migration_interval=2, mutation_rate=0.5),
    "genetic-weights": Genetic(8, 5, epochs=2, demes=2, inherit_weights=True, migration_interval=1),
    "elitist": Elitist(8, 4, epochs=2, parents=4),
    "elitist-mutants": Elitist(3, 6, steps=40, parents=1, mutation_rate=0.6),
    "genetic-structure": Genetic(9, 5, epochs=2, demes=3, inherit_weights=True, breed_structure=True),
    "hypersearch": HyperSearch(6, 5, epochs=2),
    "hypersearch-few": HyperSearch(2, 3, steps=40, replaced=0.1),
    "asha-tpe": ASHA(15, max_epochs=9, sampler=OptunaSampler()),
    "asha-genetic": ASHA(25, max_epochs=9, sampler=GeneticSampler(population=4, mutation_rate=0.3)),
    "median": Median(12, epochs=6),
    "median-steps": Median(8, steps=100, interval=30, grace=1),
    "lcm": LCM(20, epochs=10),
    "lcm-learns": LCM(
        15, steps=200, split=0.2, stop=0.7, distance="scaled", neighbours=3, audit=0.5, learn_from_stopped=True
    ),
    "lcm-lengths": LCM(20, steps=12, length="width", split=0.2, points=[2, 3, 5, 8], learn_from_stopped=True),
}


def asynchronous(which: Search) -> bool:
    """Tell whether its decisions follow the order of the reports."""
    return isinstance(which, ASHA | DEHB | Median | LCM) or not getattr(which, "synchronous", True)


def exact(which: Search) -> bool:
    """Tell whether it spends what it planned, to the last epoch."""
    kinds = Random | Grid | Full | PBT | LTFB | Genetic | Elitist | HyperSearch
    return isinstance(which, kinds) and not asynchronous(which)


every_search = pytest.mark.parametrize("which", SEARCHES.values(), ids=SEARCHES.keys())


def noise(seed: int, *, dead: float = 0.0, levels: int = 1000) -> Score:
    """Scores by trial and progress: one of some levels, or not finite with the probability ``dead``."""

    def score(trial: int, progress: int) -> float:
        digest = hashlib.sha256(f"{seed} {trial} {progress}".encode()).digest()
        if digest[0] < dead * 256:
            return (math.nan, math.inf, -math.inf)[digest[1] % 3]
        return int.from_bytes(digest[2:6], "big") % levels / levels

    return score


SCORES = {
    "finite": noise(1),
    "ties": noise(2, levels=3),
    "equal": lambda *_: 0.5,
    "some-diverge": noise(3, dead=0.3),
    "most-diverge": noise(4, dead=0.9),
    "all-diverge": lambda *_: math.nan,
}
every_score = pytest.mark.parametrize("score", SCORES.values(), ids=SCORES.keys())


def run(which: Search, score: Score, *, seed: int = 0, **how: int) -> tuple[Strategy, Run]:
    strategy = which.bind(SPACE, seed=seed)
    return strategy, simulate(strategy, SPACE, Problem(score), **how)


def outcome(strategy: Strategy) -> Any:
    return strategy.best, strategy.finished, strategy.plan(), strategy.unit


@every_search
@every_score
@pytest.mark.parametrize("rows", [1, 3, 100])
def test_it_keeps_the_contract_and_spends_what_it_planned(which: Search, score: Score, rows: int) -> None:
    plan = which.bind(SPACE).plan()
    strategy, result = run(which, score, rows=rows)
    assert strategy.plan() == plan
    assert result.spent == plan.budget if exact(which) else result.spent <= plan.budget
    assert len(result.trials) % plan.trials == 0 or asynchronous(which)  # whole populations are replaced
    assert len(result.trials) == plan.trials or any(not is_finite(report.score) for report in result.reports)
    last = {report.trial: report for report in result.reports}
    for number, trial in result.trials.items():
        if not is_finite(last[number].score):
            assert trial.stopped == "diverged"
        elif exact(which):
            assert trial.stopped == "completed"
        else:
            assert trial.stopped not in ("", "diverged")


@every_search
@every_score
def test_best_is_the_best_report_ever(which: Search, score: Score) -> None:
    strategy, result = run(which, score)
    finite = [report for report in result.reports if is_finite(report.score)]
    assert strategy.best == (min(finite, key=rank_key).trial if finite else None)


@pytest.mark.parametrize(
    "which",
    [each for each in SEARCHES.values() if not asynchronous(each)],
    ids=[name for name, each in SEARCHES.items() if not asynchronous(each)],
)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 99),
    dead=st.sampled_from([0.0, 0.2, 1.0]),
    levels=st.sampled_from([1, 2, 1000]),
    rows=st.integers(1, 12),
    arrival=st.integers(),
)
def test_rows_and_arrival_do_not_matter(
    which: Search, seed: int, dead: float, levels: int, rows: int, arrival: int
) -> None:
    score = noise(seed, dead=dead, levels=levels)
    strategy, result = run(which, score, seed=seed, rows=100)
    other, shuffled = run(which, score, seed=seed, rows=rows, arrival=arrival)
    assert shuffled.histories == result.histories
    assert outcome(other) == outcome(strategy)


@every_search
def test_the_seed_decides(which: Search) -> None:
    _, first = run(which, noise(5), seed=1)
    _, again = run(which, noise(5), seed=1)
    _, other = run(which, noise(5), seed=2)
    assert again.answers == first.answers
    assert (other.answers == first.answers) is isinstance(which, Grid)


@every_search
def test_the_same_arrival_gives_the_same_orders(which: Search) -> None:
    _, first = run(which, noise(6), rows=5, arrival=3)
    _, again = run(which, noise(6), rows=5, arrival=3)
    assert again.answers == first.answers


@every_search
@every_score
def test_a_replay_restores_the_strategy(which: Search, score: Score) -> None:
    strategy, result = run(which, score)
    described = json.loads(json.dumps(which.describe()))
    space = Space.from_description(json.loads(json.dumps(SPACE.describe())))
    replayed = search.from_description(described).bind(space, seed=0)
    for call, answer in zip(result.calls, result.answers, strict=True):
        assert (replayed.ask(call) if isinstance(call, int) else replayed.tell(call)) == answer
    assert outcome(replayed) == outcome(strategy)


@every_search
def test_a_description_survives_json(which: Search) -> None:
    assert search.from_description(json.loads(json.dumps(which.describe()))) == which


@every_search
def test_wrong_reports_are_refused_and_change_nothing(which: Search) -> None:
    strategy, twin = which.bind(SPACE), which.bind(SPACE)
    start, *_ = strategy.ask(2)
    assert isinstance(start, Start)
    twin.ask(2)
    with pytest.raises(ValueError, match="trial 1000000 is not in training"):
        strategy.tell(Report(10**6, start.until, 0.0))
    with pytest.raises(ValueError, match=f"trial {start.trial} must report at {start.until} .*, got {start.until + 1}"):
        strategy.tell(Report(start.trial, start.until + 1, -1.0))
    report = Report(start.trial, start.until, 0.5)
    assert strategy.tell(report) == twin.tell(report)
    assert outcome(strategy) == outcome(twin)
    with pytest.raises(ValueError, match=f"trial {start.trial} (is not in training|must report at)"):
        strategy.tell(report)


@every_search
def test_rows_are_counted(which: Search) -> None:
    strategy = which.bind(SPACE)
    assert strategy.ask(0) == []
    assert [order.trial for order in strategy.ask(1)] == [0]
    for wrong in (-1, 1.5, True):
        with pytest.raises(ValueError, match="free_rows: must be a whole number >= 0"):
            strategy.ask(wrong)  # type: ignore[arg-type]


@every_search
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed: must be a whole number >= 0, got -1"),
        ({"seed": 0.5}, "seed: must be a whole number >= 0, got 0.5"),
        ({"steps_per_epoch": 0}, "steps_per_epoch: must be a whole number >= 1, got 0"),
    ],
)
def test_bind_checks_its_arguments(which: Search, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        which.bind(SPACE, **arguments)


@pytest.mark.parametrize(
    ("argument", "value", "rule"),
    [
        ("trials", 0, "trials: must be a whole number >= [12], got 0"),
        ("population", 1, "population: must be a whole number >= 2, got 1"),
        ("networks", 1, "networks: must be a whole number >= 2, got 1"),
        ("eta", 1, "eta: must be a whole number >= 2, got 1"),
        ("demes", 99, "demes: must divide the population of [0-9]+ into parts of >= 2, got 99"),
    ],
)
@every_search
def test_an_impossible_plan_is_refused(which: Search, argument: str, value: int, rule: str) -> None:
    if argument in {field.name for field in fields(which)}:
        with pytest.raises(ValueError, match=f"^{rule}$"):
            replace(which, **{argument: value})


@every_search
def test_no_shortest_training_is_longer_than_the_longest(which: Search) -> None:
    for unit in ("epochs", "steps"):
        longest = getattr(which, f"max_{unit}", None)
        if longest is not None:
            rule = f"^min_{unit}: must be at most max_{unit} = {longest}, got {longest + 1}$"
            with pytest.raises(ValueError, match=rule):
                replace(which, **{f"min_{unit}": longest + 1})


@every_search
def test_a_mapping_is_a_space(which: Search) -> None:
    assert which.bind(SPACE.values).ask(3) == which.bind(SPACE).ask(3)


@every_score
@pytest.mark.parametrize(
    "name", [name for name, each in SEARCHES.items() if isinstance(each, PBT | LTFB | HyperSearch)]
)
def test_no_heir_is_a_donor(name: str, score: Score) -> None:
    """Except in genetic search, where all but the elites are replaced."""
    _, result = run(SEARCHES[name], score)
    for answer in result.answers:
        moves = [order for order in answer if isinstance(order, Inherit)]
        assert not {order.trial for order in moves} & {order.donor for order in moves}


@pytest.mark.parametrize(
    "which",
    [each for each in SEARCHES.values() if not isinstance(each, Grid)],
    ids=[name for name, each in SEARCHES.items() if not isinstance(each, Grid)],
)
@pytest.mark.parametrize("rows", [1, 100])
def test_it_begins_with_the_configs_that_the_space_names(which: Search, rows: int) -> None:
    given = {"momentum": 0.9, "batch_size": 32, "width": 7, "nesterov": True, "activation": "tanh"}
    configs = [{**given, "lr": 0.1, "weight_decay": 1e-4}, {**given, "lr": 1e-3, "weight_decay": 1e-4}]
    space = Space(SPACE.values, begin_with=[{**given, "lr": 0.1}, configs[1]])
    strategy = which.bind(space)
    result = simulate(strategy, space, Problem(noise(7)), rows=rows)
    orders = [order for answer in result.answers for order in answer if isinstance(order, Start)]
    starts = {order.trial: order.config for order in orders}
    assert [starts[trial] for trial in range(2)] == configs
    plan = strategy.plan()
    most = plan.initial or plan.trials
    assert all(starts[trial] not in configs for trial in range(2, most))
    which.bind(Space(SPACE.values, begin_with=most * configs[1:]))
    with pytest.raises(ValueError, match=rf"^space.begin_with: must be at most {most} configs, .* got {most + 1}$"):
        which.bind(Space(SPACE.values, begin_with=(most + 1) * configs[1:]))
