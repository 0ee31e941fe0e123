"""Population based training: selection, exploration, ends, and that it beats random search where it should."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
from tests.search.simulator import Problem, simulate

from shoal.search import PBT, FactorRange, Factors, Random, Resample
from shoal.search.protocol import Inherit, Order, Report, Resume, Start, Stop, Strategy
from shoal.space import Bool, Choice, Config, Float, Int, Space

SPACE = Space({"lr": Float(1e-4, 1, log=True), "width": Int(8, 64), "weight_decay": 1e-4})
NAN = math.nan
EXPLOITS = ["truncation", "tournament", "t-test"]


def play(strategy: Strategy, *rounds: list[float]) -> list[Order]:
    """Start all, tell each round's scores by trial, return the last orders."""
    orders = strategy.ask(len(rounds[0]))
    for scores in rounds:
        until = {order.trial: order.until for order in orders if isinstance(order, Start | Resume | Inherit)}
        told = [strategy.tell(Report(trial, until[trial], score)) for trial, score in enumerate(scores)]
        assert not any(told[:-1]), "decided before the last report"
        orders = told[-1]
    return orders


def inheritance(orders: list[Order]) -> dict[int, int]:
    return {order.trial: order.donor for order in orders if isinstance(order, Inherit)}


def test_truncation_replaces_the_bottom_by_the_top() -> None:
    strategy = PBT(10, steps=30, interval=10, quantile=0.3).bind(SPACE)
    heirs = inheritance(play(strategy, [float(score) for score in (5, 9, 1, 8, 0, 7, 4, 6, 3, 2)]))
    assert heirs.keys() == {1, 3, 5}
    assert set(heirs.values()) <= {4, 2, 9}


def test_every_heir_and_round_has_its_own_draws() -> None:
    search = PBT(100, steps=30, interval=10, resample=0.0, explore={"lr": FactorRange(0.9, 1.1)})
    strategy, scores = search.bind(SPACE), [float(trial) for trial in range(100)]
    first = play(strategy, scores)
    second = [strategy.tell(Report(trial, 20, score)) for trial, score in enumerate(scores)][-1]
    assert len(set(inheritance(first).values())) > 10  # 20 uniform draws of 20 donors
    assert inheritance(first) != inheritance(second)
    lr = {order.trial: order.config["lr"] for order in search.bind(SPACE).ask(20) if isinstance(order, Start)}
    heirs = [order for order in (*first, *second) if isinstance(order, Inherit)]
    assert len({round(heir.config["lr"] / lr[heir.donor], 9) for heir in heirs}) == 40


@pytest.mark.parametrize("exploit", EXPLOITS)
def test_orders_are_listed_alike_for_every_arrival_and_copies_come_first(exploit: str) -> None:
    listed = []
    for arrival in (range(9), reversed(range(9))):
        strategy = PBT(9, steps=2, interval=1, exploit=exploit).bind(SPACE)
        strategy.ask(9)
        listed.append([strategy.tell(Report(trial, 1, float(trial % 4))) for trial in arrival][-1])
    assert listed[0] == listed[1]
    kinds = [type(order) for order in listed[0]]
    assert kinds == sorted(kinds, key=[Inherit, Resume].index)


@pytest.mark.parametrize(("members", "quantile", "heirs"), [(2, 0.2, 1), (3, 0.5, 1), (10, 0.3, 3), (100, 0.29, 29)])
def test_the_quantile_is_rounded_down_but_never_to_nothing(members: int, quantile: float, heirs: int) -> None:
    strategy = PBT(members, steps=2, interval=1, quantile=quantile).bind(SPACE)
    assert len(inheritance(play(strategy, [float(trial) for trial in range(members)]))) == heirs


@pytest.mark.parametrize("exploit", EXPLOITS)
def test_all_diverged_members_inherit_from_finite_ones(exploit: str) -> None:
    strategy = PBT(6, steps=2, interval=1, exploit=exploit, quantile=0.5).bind(SPACE)
    orders = play(strategy, [NAN, 3.0, math.inf, -math.inf, NAN, 4.0])
    heirs = inheritance(orders)
    assert {0, 2, 3, 4} <= heirs.keys()
    assert set(heirs.values()) <= {1, 5}
    assert {order.why for order in orders if order.trial in (0, 2, 3, 4)} == {"diverged"}


def test_a_tournament_never_hurts_the_best_and_passes_gifts_on() -> None:
    lost = 0
    for seed in range(20):
        strategy = PBT(9, steps=2, interval=1, exploit="tournament").bind(SPACE, seed=seed)
        heirs = inheritance(play(strategy, [float(trial) for trial in range(9)]))
        assert 0 not in heirs
        assert not heirs.keys() & set(heirs.values())
        assert all(donor < heir for heir, donor in heirs.items())
        lost += len(heirs)
    # Member k of 0..8 loses with probability k/8: 4.5 a round on average, 90 in 20; 4 standard deviations are 22.
    assert abs(lost - 90) <= 22


def test_a_t_test_needs_two_scores_and_a_difference_that_is_no_chance() -> None:
    """Trial 0 is better than the others by far, trials 2 and 3 differ by chance."""

    def strategy() -> Strategy:
        return PBT(4, steps=20, interval=1, exploit="t-test").bind(SPACE, seed=3)

    rounds = [[0.1, 1.0, 1.0, 0.9], [0.2, 1.1, 0.9, 1.1], [0.1, 1.0, 1.1, 0.9]]
    assert inheritance(play(strategy(), rounds[0])) == {}
    heirs = inheritance(play(strategy(), *rounds))
    assert heirs
    assert set(heirs.values()) == {0}


def test_scores_pass_on_with_the_weights() -> None:
    """An heir of the best is as good as the best: nobody is significantly better any more."""
    search = PBT(2, steps=20, interval=1, exploit="t-test")
    rounds = [[0.1, 1.0], [0.2, 1.1], [0.15, 1.2], [0.1, 0.5]]  # trial 1 has inherited 0.1, 0.2 by then
    heirs = [inheritance(play(search.bind(SPACE), *rounds[:n])) for n in (1, 2, 3, 4)]
    assert heirs == [{}, {1: 0}, {}, {}]


def test_recombined_heirs_mix_two_winners_and_take_the_rest_from_the_donor() -> None:
    names = [f"dropout{k}" for k in range(12)]
    space = Space({**{name: Float(0, 1) for name in names}, "width": Int(1, 10**6)})
    rules = {name: Factors(1.0) for name in names}
    search = PBT(10, steps=2, interval=1, resample=0.0, explore=rules, recombine=True)
    configs = [order.config for order in search.bind(space).ask(10) if isinstance(order, Start)]
    scores = [float(trial) for trial in range(9)] + [NAN]
    orders = play(search.bind(space), scores)
    heirs = [order for order in orders if isinstance(order, Inherit)]
    assert len(heirs) == 2
    for heir in heirs:
        assert heir.config["width"] == configs[heir.donor]["width"]
        parents = [next(t for t in range(10) if configs[t][name] == heir.config[name]) for name in names]
        assert len(set(parents)) == 2
        assert 9 not in parents


def test_heirs_take_the_donors_structure_and_explore_only_what_is_hot() -> None:
    strategy = PBT(4, steps=2, interval=1, resample=0.0).bind(SPACE)
    starts = {order.trial: order for order in PBT(4, steps=2, interval=1).bind(SPACE).ask(4)}
    (heir,) = (order for order in play(strategy, [0.0, 1.0, 2.0, 3.0]) if isinstance(order, Inherit))
    donor = starts[heir.donor]
    assert isinstance(donor, Start)
    assert heir.config["width"] == donor.config["width"]
    assert heir.config["weight_decay"] == 1e-4
    assert heir.config["lr"] / donor.config["lr"] in (pytest.approx(0.8), pytest.approx(1.2))


def test_a_rule_makes_a_structural_parameter_explored_and_none_keeps_a_hot_one() -> None:
    search = PBT(4, steps=2, interval=1, explore={"lr": None, "width": Factors(2)}, resample=0.0)
    starts = {order.trial: order for order in search.bind(SPACE).ask(4)}
    (heir,) = (order for order in play(search.bind(SPACE), [0.0, 1.0, 2.0, 3.0]) if isinstance(order, Inherit))
    donor = starts[heir.donor]
    assert isinstance(donor, Start)
    assert heir.config["lr"] == donor.config["lr"]
    assert heir.config["width"] == min(64, 2 * donor.config["width"])


def test_an_heir_passes_on_its_own_config() -> None:
    search = PBT(2, steps=3, interval=1, explore={"lr": Factors(0.5)}, resample=0.0)
    space = Space({"lr": Float(1e-9, 1, log=True)})
    first, _ = search.bind(space).ask(2)
    (heir,) = (order for order in play(search.bind(space), [0.0, 1.0], [1.0, 0.0]) if isinstance(order, Inherit))
    assert isinstance(first, Start)
    assert (heir.trial, heir.donor) == (0, 1)
    assert heir.config["lr"] == first.config["lr"] / 4


def test_the_last_interval_may_be_short() -> None:
    strategy = PBT(2, epochs=5, interval_epochs=2).bind(SPACE)
    rounds = [[0.0, 1.0]]
    assert {order.until for order in strategy.ask(2) if isinstance(order, Start)} == {2}
    for until in (4, 5):
        strategy = PBT(2, epochs=5, interval_epochs=2).bind(SPACE)
        assert {order.until for order in play(strategy, *rounds) if isinstance(order, Resume | Inherit)} == {until}
        rounds.append([0.0, 1.0])
    strategy = PBT(2, epochs=5, interval_epochs=2).bind(SPACE)
    assert play(strategy, *rounds) == [Stop(0, "completed"), Stop(1, "completed")]
    assert strategy.finished


def test_a_dead_population_is_replaced_for_the_rounds_that_remain() -> None:
    strategy = PBT(2, steps=30, interval=10).bind(SPACE)
    before = [order.config for order in PBT(2, steps=30, interval=10).bind(SPACE).ask(2) if isinstance(order, Start)]
    assert play(strategy, [NAN, math.inf]) == [Stop(0, "diverged"), Stop(1, "diverged")]
    assert not strategy.finished
    starts = [order for order in strategy.ask(5) if isinstance(order, Start)]
    assert [(order.trial, order.until) for order in starts] == [(2, 10), (3, 10)]
    assert not any(order.config in before for order in starts)
    strategy.tell(Report(2, 10, 1.0))
    assert {order.until for order in strategy.tell(Report(3, 10, 2.0)) if isinstance(order, Resume | Inherit)} == {20}
    strategy.tell(Report(2, 20, NAN))
    assert strategy.tell(Report(3, 20, NAN)) == [Stop(2, "diverged"), Stop(3, "diverged")]
    assert strategy.finished
    assert strategy.best == 2


def test_the_plan_says_what_will_happen() -> None:
    plan = PBT(64, epochs=20, interval_epochs=3).bind(SPACE).plan()
    assert (plan.trials, plan.budget, plan.unit) == (64, 1280, "epochs")
    assert plan.lines == (
        "64 members, 7 rounds of 3 epochs to 20",
        "truncation: the worst 12 inherit from the best 12",
        "explored: lr; inherited unchanged: width",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"population": 1}, "population: must be a whole number >= 2, got 1"),
        ({"population": 2.0}, "population: must be a whole number >= 2, got 2.0"),
        ({"steps": None}, "epochs and steps: one of them must be given, got neither"),
        ({"epochs": 3}, "epochs and steps: one of them must be given, got both"),
        ({"interval": None}, "interval_epochs and interval: one of them must be given, got neither"),
        ({"interval": None, "interval_epochs": 1}, "interval: must be given with steps, for all durations"),
        ({"interval": 31}, "interval: must be at most steps = 30, got 31"),
        ({"interval": 0}, "interval: must be a whole number >= 1, got 0"),
        ({"quantile": 0.0}, r"quantile: must be in \(0, 0.5\], got 0.0"),
        ({"quantile": 0.6}, r"quantile: must be in \(0, 0.5\], got 0.6"),
        ({"quantile": NAN}, "quantile: must be a finite number, got nan"),
        ({"exploit": "welch"}, "exploit: must be one of truncation, tournament, t-test, got 'welch'"),
        ({"exploit": ["truncation"]}, "exploit: must be one of truncation, tournament, t-test, got"),
        ({"recombine": 1}, "recombine: must be true or false, got 1"),
        ({"synchronous": "no"}, "synchronous: must be true or false, got 'no'"),
        ({"explore": ["lr"]}, r"explore: must map parameters to rules, got \['lr'\]"),
        ({"explore": {"lr": {"factors": [0]}}}, "explore.lr.factors: must be > 0, got 0"),
        ({"resample": 1.1}, r"resample: must be in \[0, 1\], got 1.1"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message):
        PBT(**({"population": 4, "steps": 30, "interval": 10} | arguments))


@pytest.mark.parametrize(
    ("space", "explore", "message"),
    [
        (SPACE, {"lrr": Factors(2)}, "explore.lrr: no such parameter; the space has lr, width"),
        (SPACE, {"weight_decay": Factors(2)}, "explore.weight_decay: no such parameter"),
        (SPACE, {"lr": None}, "explore: must name a parameter, for none of lr, width is explored"),
        (Space({"alpha": Float(0, 1), "on": Bool()}), {}, "explore: must name a parameter, for none of alpha, on is"),
    ],
)
def test_a_population_that_would_explore_nothing_is_refused(
    space: Space, explore: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        PBT(4, steps=30, interval=10, explore=explore).bind(space)


class Drift(Problem):
    """Progress is fastest where log10(lr) equals an optimum that falls from 0 to -3 during training.

    Any fixed lr is right for a short while only; a schedule can be right all the time. The score, 1 at the start, falls
    with every step by up to 1/steps, and by exp(-(distance in decades / 0.5)^2 / 2) of it.
    """

    steps = 600

    def __init__(self) -> None:
        super().__init__(lambda *_: NAN)

    def fresh(self) -> float:
        return 1.0

    def train(self, state: float, config: Config, start: int, until: int) -> float:
        decades = math.log10(config["lr"])
        gains = (math.exp(-(((decades + 3 * step / self.steps) / 0.5) ** 2) / 2) for step in range(start, until))
        return state - sum(gains) / self.steps

    def score(self, trial: int, progress: int, state: float) -> float:
        return state


@pytest.mark.parametrize("how", [{}, {"exploit": "tournament"}, {"recombine": True}, {"synchronous": False}])
def test_it_beats_random_search_at_the_same_budget(how: dict[str, Any]) -> None:
    space = Space({"lr": Float(1e-4, 10, log=True), "activation": Choice(["relu", "tanh"])})

    def best(search: PBT | Random, seed: int) -> float:
        strategy = search.bind(space, seed=seed)
        assert strategy.plan().budget == 16 * Drift.steps
        return min(report.score for report in simulate(strategy, space, Drift(), rows=16).reports)

    pbt = PBT(16, steps=Drift.steps, interval=20, explore={"lr": FactorRange(0.5, 2)}, **how)
    fixed = [best(Random(16, steps=Drift.steps), seed) for seed in range(12)]
    schedules = [best(pbt, seed) for seed in range(12)]
    # No fixed lr can gain more than the whole of its bell: sqrt(2 pi) * 0.5 / 3 = 0.42.
    assert min(fixed) >= 1 - 0.42
    assert statistics.mean(schedules) < statistics.mean(fixed) - 0.15


def test_a_rule_may_draw_anew() -> None:
    search = PBT(2, steps=2, interval=1, explore={"lr": Resample(1.0)})
    (heir,) = (order for order in play(search.bind(SPACE), [0.0, 1.0]) if isinstance(order, Inherit))
    assert heir.config["lr"] not in {
        order.config["lr"] for order in search.bind(SPACE).ask(2) if isinstance(order, Start)
    }
