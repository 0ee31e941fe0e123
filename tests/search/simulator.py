"""The smallest manager: trials report in a random order on a few rows, and every order is held against the contract."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from shoal.search.protocol import Inherit, Order, Pause, Report, Set, Start, Stop, Strategy
from shoal.space import Config, Space

Score = Callable[[int, int], float]  # of a trial at a progress


class Problem:
    """What is trained; its states are values, never changed in place. This one reads its scores from a function.

    With ``others`` there are several objectives: the score, and those.
    """

    def __init__(self, score: Score, *others: Score) -> None:
        self._score, self._others = score, others

    def fresh(self) -> Any:
        return None

    def train(self, state: Any, config: Config, start: int, until: int) -> Any:
        return state

    def score(self, trial: int, progress: int, state: Any) -> float:
        return self._score(trial, progress)

    def report(self, trial: int, progress: int, score: float) -> Report:
        values = (score, *(other(trial, progress) for other in self._others))
        if len(values) == 1 or not all(map(is_finite, values)):
            return Report(trial, progress, score if len(values) == 1 else float("inf"))
        return Report(trial, progress, score, objectives=values)


@dataclass
class Trial:
    config: Config
    state: Any
    progress: int = 0
    until: int | None = None  # set while it trains, or has been told to
    score: float | None = None
    stopped: str = ""
    orders: list[Order] = field(default_factory=list)
    spent: int = 0


@dataclass
class Run:
    """What happened. ``calls`` are the arguments of ask (an int) and tell (a report); ``answers`` the orders."""

    trials: dict[int, Trial] = field(default_factory=dict)
    calls: list[int | Report] = field(default_factory=list)
    answers: list[list[Order]] = field(default_factory=list)

    @property
    def reports(self) -> list[Report]:
        return [call for call in self.calls if isinstance(call, Report)]

    @property
    def spent(self) -> int:
        return sum(trial.spent for trial in self.trials.values())

    @property
    def histories(self) -> dict[int, list[Order]]:
        """The orders by trial: the same for the same decisions, in whatever order they were made."""
        return {number: self.trials[number].orders for number in sorted(self.trials)}


def simulate(strategy: Strategy, space: Space, problem: Problem, *, rows: int = 4, arrival: int = 0) -> Run:
    """Run a strategy to its end; AssertionError where it breaks the contract."""
    run, rng = Run(), random.Random(arrival)
    training: set[int] = set()
    queue: deque[int] = deque()  # told to train, but no row is free

    def call(argument: int | Report) -> list[Order]:
        orders = strategy.ask(argument) if isinstance(argument, int) else strategy.tell(argument)
        run.calls.append(argument)
        run.answers.append(orders)
        queue.extend(order.trial for order in orders if not isinstance(order, Stop | Pause))
        _carry_out(orders, run.trials, space, problem, strategy.donors_train)
        return orders

    while not strategy.finished:
        free = max(0, rows - len(training) - len(queue))
        taken = [order for order in call(free) if not isinstance(order, Stop)]
        assert len(taken) <= free
        while queue and len(training) < rows:
            training.add(queue.popleft())
        if strategy.finished:  # it has stopped all that waited
            break
        assert training, "stuck: not finished, but nothing is training"
        number = rng.choice(sorted(training))
        training.remove(number)
        trial = run.trials[number]
        assert trial.until is not None
        trial.state = problem.train(trial.state, trial.config, trial.progress, trial.until)
        trial.spent += trial.until - trial.progress
        trial.progress, trial.until = trial.until, None
        report = problem.report(number, trial.progress, problem.score(number, trial.progress, trial.state))
        trial.score = report.score
        call(report)
    assert not training
    assert not queue
    assert strategy.ask(rows) == []
    return run


def _carry_out(
    orders: list[Order], trials: dict[int, Trial], space: Space, problem: Problem, donors_train: bool
) -> None:
    before = {number: (trial.state, trial.score, trial.progress) for number, trial in trials.items()}
    training = {number for number, trial in trials.items() if trial.until is not None}
    assert len({order.trial for order in orders}) == len(orders), "two orders for one trial"
    for order in orders:
        if isinstance(order, Start):
            assert order.trial not in trials, "started twice"
            trials[order.trial] = Trial(order.config, problem.fresh())
        assert order.trial in trials, "order for an unknown trial"
        trial = trials[order.trial]
        trial.orders.append(order)
        assert not trial.stopped, "order for a stopped trial"
        assert trial.until is None, "order for a trial in training"
        if isinstance(order, Start | Set | Inherit):
            assert space.check(order.config) == order.config
            assert [type(value) for value in space.check(order.config).values()] == list(
                map(type, order.config.values())
            )
            trial.config = order.config
        if isinstance(order, Inherit):
            state, score, progress = before[order.donor]  # a donor in training: what that began with
            assert score is not None
            assert is_finite(score), "a diverged donor"
            trial.state, trial.score, trial.progress = state, score, progress
            assert donors_train or order.donor not in training, "a donor in training"
        if isinstance(order, Stop):
            assert order.why
            trial.stopped = order.why
        elif not isinstance(order, Pause):
            assert trial.score is None or is_finite(trial.score), "a diverged trial trains on"
            assert order.until > trial.progress, "nothing to train"
            trial.until = order.until


def is_finite(score: float) -> bool:
    return abs(score) < float("inf")  # false for NaN
