"""What a strategy and a manager say to each other: reports in, orders out, plain values only.

A strategy is a state machine. ``bind`` gives it its space and seed; then the manager calls ``ask`` when rows are free
and ``tell`` with every report, and carries out the orders that either returns. Nothing here knows weights, files,
clocks or MPI.

A trial trains from the order that starts or resumes it until it reports; then it waits for its next order, which may
come with a later report. What ``tell`` returns may need more rows than there are: rows are the manager's concern, who
may park whatever is not training. `Inherit` means the donor's state before any order of the same answer; of a donor in
training, the state that this training began with: the one of its last report, unless an order has changed it since.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from shoal.space import Config as Config

Unit: TypeAlias = Literal["epochs", "steps"]

#: How the ``why`` of a `Resume` begins whose trial would have been stopped, and trains on so that the cost is known.
AUDITED = "audited"


@dataclass(frozen=True)
class Start:
    """Start a new trial with fresh weights and train it to ``until``."""

    trial: int
    config: Config
    until: int
    why: str = "new"


@dataclass(frozen=True)
class Resume:
    """Train a waiting or paused trial on to ``until``."""

    trial: int
    until: int
    why: str = "continue"


@dataclass(frozen=True)
class Pause:
    """Park a trial: its row is freed, its state kept."""

    trial: int
    why: str = "pause"


@dataclass(frozen=True)
class Stop:
    """End a trial and free its row. ``why`` is "completed", "diverged" or the strategy's reason."""

    trial: int
    why: str


@dataclass(frozen=True)
class Inherit:
    """Replace the trial's state by the donor's, give it ``config``, train it to ``until``."""

    trial: int
    donor: int
    config: Config
    until: int
    why: str = "exploit"


@dataclass(frozen=True)
class Set:
    """Change a trial's hot hyperparameters in place and train it to ``until``."""

    trial: int
    config: Config
    until: int
    why: str = "explore"


Order: TypeAlias = Start | Resume | Pause | Stop | Inherit | Set


@dataclass(frozen=True)
class Report:
    """A trial has reached its ``until``. ``score``: lower is better; not finite means diverged.

    In a study of several objectives ``objectives`` has them all, lower is better in each and all are finite; the score
    is the first. With one objective, and in the report of a diverged trial, it is empty.
    """

    trial: int
    progress: int
    score: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    objectives: tuple[float, ...] = ()

    @property
    def diverged(self) -> bool:
        """The score is NaN or infinite: the worst there is, whatever its sign."""
        return not math.isfinite(self.score)


@dataclass(frozen=True)
class Plan:
    """What a strategy will do at most, known before it starts."""

    trials: int  # not counting those that replace trials that have diverged and cannot inherit
    budget: int  # summed over trials, in ``unit``
    unit: Unit
    lines: tuple[str, ...] = ()  # for people: rungs, rounds, grid sizes
    expected: int | None = None  # of the budget; None where no one can tell, or all of it
    initial: int | None = None  # of the trials: those whose configs are not bred of others'; None where all are


class Strategy(Protocol):
    """A strategy that is bound to a space and a seed."""

    @property
    def unit(self) -> Unit:
        """What ``progress`` and ``until`` count."""

    @property
    def asynchronous(self) -> bool:
        """It decides by the reports that have come so far; else it waits for all of a round, whatever their order.

        Over ranks nobody waits for anybody under the one, and all go from round to round together under the other.
        """

    @property
    def donors_train(self) -> bool:
        """An `Inherit` may name a donor in training, so the state that each training begins with must be kept."""

    @property
    def finished(self) -> bool:
        """Nothing is running and nothing will be started."""

    @property
    def best(self) -> int | None:
        """Trial with the best report so far; None before the first finite one."""

    def ask(self, free_rows: int) -> list[Order]:
        """Return up to ``free_rows`` orders that each take a row, and stops; fewer means: wait for reports."""

    def tell(self, report: Report) -> list[Order]:
        """Take a report; return what follows from it, possibly nothing."""

    def plan(self) -> Plan:
        """Return the plan; the same before, during and after the run."""


#: What reports are sorted by; the last is the trial.
RankKey: TypeAlias = tuple[bool, float, tuple[float, ...], float, int]


def rank_key(report: Report) -> RankKey:
    """Sort key, best first: finite before not finite, then score, then further objectives, loss, the lower id.

    It is a total order of single reports. Sets of them are ranked by `shoal.search.ranking.rank`.
    """
    loss, diverged = report.metrics.get("loss", math.inf), report.diverged
    score = 0.0 if diverged else report.score  # NaN cannot be sorted
    return (diverged, score, report.objectives, loss if math.isfinite(loss) else math.inf, report.trial)
