"""One run on a table of curves: what it has paid for, and the best that it has seen by then."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Generator, Hashable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from shoal.search import Search
from shoal.simulate import Rows, Table, run


class Training(NamedTuple):
    """Train a trial to so many epochs; the trial that had an equal ``trial`` is trained on."""

    trial: Hashable
    config: dict[str, Any]
    until: int


#: Yields the trainings that it wants, one by one, and is sent the score at the end of each.
Peer: TypeAlias = Generator[Training, float, None]


class Account:
    """A budget of epochs. Each epoch that it pays for is seen, whoever reports it or not.

    Attributes:
        spent: Epochs so far, never more than the budget.
        best: The least finite score seen, infinite before.
    """

    def __init__(self, table: Table, budget: int) -> None:
        self._scores, self._budget = table.scores, budget
        self.spent, self.best = 0, float("inf")

    def train(self, row: int, start: int, until: int) -> None:
        """Pay for the epochs after ``start``, until the budget is spent."""
        until = min(until, start + self._budget - self.spent)
        seen = self._scores[row, start:until]
        self.spent += len(seen)
        self.best = float(np.min(seen, initial=self.best, where=np.isfinite(seen)))

    @property
    def exhausted(self) -> bool:
        return self.spent == self._budget


def run_search(search: Search, table: Table, budget: int, seed: int, rule: str) -> Account:
    """Let a strategy of shoal search the table, one worker training."""
    found = run(search, table, seed=seed, budget=budget, snap=rule)  # type: ignore[arg-type]
    account = Account(table, budget)
    progress: Counter[int] = Counter()
    for trial, cost in zip(found.trials, np.diff(found.epochs, prepend=0), strict=True):
        account.train(found.rows[trial], progress[trial], progress[trial] + int(cost))
        progress[trial] += int(cost)
    return account


def run_peer(peer: Peer, table: Table, budget: int, rule: str) -> Account:
    """Answer a peer until the budget is spent, or it wants a new row where none is left.

    A training to no more epochs than the trial has had costs nothing. Diverged scores are told as the table's worst:
    the peers want numbers.
    """
    account, rows = Account(table, budget), Rows(table, rule)  # type: ignore[arg-type]
    told = np.where(np.isfinite(table.scores), table.scores, np.max(table.scores[np.isfinite(table.scores)]))
    trials: dict[Hashable, int] = {}  # their rows
    progress: Counter[Hashable] = Counter()
    with contextlib.closing(peer):
        asked = next(peer)
        while True:
            if not 1 <= asked.until <= table.length:
                raise ValueError(f"until: must be in [1, {table.length}], got {asked.until}")
            if asked.trial not in trials:
                if rule == "unused" and len(trials) == len(table):
                    return account
                trials[asked.trial] = rows.row(asked.config)
            account.train(trials[asked.trial], progress[asked.trial], asked.until)
            if account.exhausted:
                return account
            progress[asked.trial] = max(progress[asked.trial], asked.until)
            asked = peer.send(float(told[trials[asked.trial], asked.until - 1]))


def regret(account: Account, table: Table) -> float:
    """Return how far the best seen is from the table's best, in units of the median config's final distance to it."""
    finals = np.where(np.isfinite(table.scores), table.scores, np.inf)
    best, middle = float(finals.min()), float(np.median(finals[:, -1]))
    value = min(account.best, float(np.max(finals[np.isfinite(finals)])))
    return (value - best) / (middle - best)
