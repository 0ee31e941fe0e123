"""Successive halving and Hyperband: many configs for a short time, the better ones for longer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from shoal.search.base import Search
from shoal.search.protocol import Order, Plan, Report, Resume, Start, Stop, Strategy, Unit
from shoal.search.ranking import rank
from shoal.search.rungs import rungs, span
from shoal.search.sampler import Proposals, RandomSampler
from shoal.search.samplers import SamplerLike, read_sampler
from shoal.search.tracker import Tracker, ended
from shoal.space import Space
from shoal.space.checks import whole


@dataclass(frozen=True)
class SuccessiveHalving(Search):
    """Successive halving (Jamieson and Talwalkar 2016, arXiv:1502.07943), in synchronous rungs.

    All trials train to the first rung; the best ``1 / eta`` of them, rounded down, train on to the next, and so on to
    ``max_epochs``. Budgets are cumulative: a trial that goes on trains only what is new. What the source leaves open:

    - Rungs are at ``min_epochs * eta^k``; the last one is at ``max_epochs``, wherever it falls.
    - At least one trial reaches each rung, unless all have diverged.
    - Diverged trials never go on, so fewer than planned may.

    Args:
        trials: Number of configs, at least 1.
        max_epochs: What the best trials are trained for.
        min_epochs: What every trial is trained for, at most ``max_epochs``.
        max_steps: As ``max_epochs``, in steps.
        min_steps: As ``min_epochs``, in steps.
        eta: How many trials of a rung there are for each that goes on, at least 2.
        sampler: Where configs come from: a `shoal.search.Sampler`, its name, or an object with ``ask`` and ``tell``.
    """

    trials: int
    max_epochs: int | None = None
    min_epochs: int | None = None
    max_steps: int | None = None
    min_steps: int | None = None
    eta: int = 3
    sampler: SamplerLike = field(default_factory=RandomSampler)

    def __post_init__(self) -> None:
        whole("trials", self.trials, least=1)
        whole("eta", self.eta, least=2)
        self.span()
        object.__setattr__(self, "sampler", read_sampler(self.sampler))

    def span(self) -> tuple[int, int, Unit]:
        """Return the shortest and the longest training, and their unit."""
        return span(self.min_epochs, self.max_epochs, self.min_steps, self.max_steps)

    def _bind(self, space: Space, seed: int) -> Strategy:
        least, most, unit = self.span()
        bracket = Bracket.of(self.trials, rungs(least, most, self.eta), self.eta)
        return Halving([bracket], unit, read_sampler(self.sampler).bind(space, seed, self.trials))


@dataclass(frozen=True)
class Hyperband(Search):
    """Hyperband (Li et al. 2018, arXiv:1603.06560): brackets of halving, from many short trials to few long ones.

    With ``s_max = floor(log_eta(max / min))``, bracket ``s`` starts ``ceil((s_max + 1) / (s + 1) eta^s)`` trials, whose
    first rung is at ``max / eta^s``. ``s_max`` and the rungs are computed in whole numbers, for rounded logarithms lose
    the top bracket at (243, 3) and (1000, 10). Brackets follow one another, but a row that one leaves free is given to
    the next at once.

    Args:
        max_epochs: What the best trials are trained for.
        min_epochs: The least that a trial is trained for.
        max_steps: As ``max_epochs``, in steps.
        min_steps: As ``min_epochs``, in steps.
        eta: How many trials of a rung there are for each that goes on, at least 2.
        rounds: How often all brackets are run, each time with new configs.
        sampler: As in `SuccessiveHalving`.
    """

    max_epochs: int | None = None
    min_epochs: int | None = None
    max_steps: int | None = None
    min_steps: int | None = None
    eta: int = 3
    rounds: int = 1
    sampler: SamplerLike = field(default_factory=RandomSampler)

    def __post_init__(self) -> None:
        whole("eta", self.eta, least=2)
        whole("rounds", self.rounds, least=1)
        self.span()
        object.__setattr__(self, "sampler", read_sampler(self.sampler))

    def span(self) -> tuple[int, int, Unit]:
        """Return the shortest and the longest training, and their unit."""
        return span(self.min_epochs, self.max_epochs, self.min_steps, self.max_steps)

    def brackets(self) -> list[Bracket]:
        """Return the brackets of one round."""
        least, most, _ = self.span()
        s_max = 0
        while least * self.eta ** (s_max + 1) <= most:
            s_max += 1
        brackets = []
        for s in range(s_max, -1, -1):
            trials = -(-(s_max + 1) * self.eta**s // (s + 1))
            ends = [max(1, most // self.eta ** (s - i)) for i in range(s + 1)]
            brackets.append(Bracket.of(trials, ends, self.eta))
        return brackets

    def _bind(self, space: Space, seed: int) -> Strategy:
        brackets = self.brackets() * self.rounds
        trials = sum(bracket.sizes[0] for bracket in brackets)
        return Halving(brackets, self.span()[2], read_sampler(self.sampler).bind(space, seed, trials))


@dataclass(frozen=True)
class Bracket:
    """One run of successive halving: where its rungs end, and how many trials each has."""

    ends: tuple[int, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, trials: int, ends: Sequence[int], eta: int) -> Bracket:
        """Return the bracket that starts with so many trials."""
        sizes = [trials]
        for _ in ends[1:]:
            sizes.append(max(1, sizes[-1] // eta))
        return cls(tuple(ends), tuple(sizes))

    @property
    def budget(self) -> int:
        """What all its trials are trained for, together."""
        steps = [end - start for start, end in zip((0, *self.ends), self.ends, strict=False)]
        return sum(size * step for size, step in zip(self.sizes, steps, strict=True))

    def __str__(self) -> str:
        return ", ".join(f"{size} to {end}" for size, end in zip(self.sizes, self.ends, strict=True))


class Halving(Tracker):
    """Bound brackets: a rung is decided when its last report has come."""

    def __init__(self, brackets: Sequence[Bracket], unit: Unit, proposals: Proposals) -> None:
        super().__init__(unit)
        self._brackets, self._proposals = brackets, proposals
        self._firsts = [sum(bracket.sizes[0] for bracket in brackets[:b]) for b in range(len(brackets) + 1)]
        self._next = 0  # trial
        self._open = 0  # bracket that the next trial belongs to
        self._of: dict[int, int] = {}  # bracket of each live trial
        self._rung = [0] * len(brackets)
        self._waiting = [bracket.sizes[0] for bracket in brackets]  # reports to come in the present rung
        self._reports: list[list[Report]] = [[] for _ in brackets]

    def plan(self) -> Plan:
        """Return the plan: a line for each bracket says how many trials train to which end."""
        budget = sum(bracket.budget for bracket in self._brackets)
        return Plan(self._firsts[-1], budget, self.unit, tuple(f"{each} {self.unit}" for each in self._brackets))

    @property
    def _exhausted(self) -> bool:
        return self._next == self._firsts[-1]

    def _fill(self, free_rows: int) -> Iterable[Order]:
        orders = []
        for trial in range(self._next, min(self._next + free_rows, self._firsts[-1])):
            while trial >= self._firsts[self._open + 1]:
                self._open += 1
            self._of[trial] = self._open
            orders.append(Start(trial, self._proposals.propose(trial), self._brackets[self._open].ends[0]))
        self._next += len(orders)
        return orders

    def _decide(self, report: Report) -> Iterable[Order]:
        b = self._of[report.trial]
        self._proposals.observe(report, last=False)
        self._reports[b].append(report)
        self._waiting[b] -= 1
        if self._waiting[b] > 0:
            return []
        ranked = rank(self._reports[b])
        self._reports[b] = []
        self._rung[b] += 1
        bracket, rung = self._brackets[b], self._rung[b]
        if rung == len(bracket.ends):
            return [self._end(report, ended(report).why) for report in ranked]
        better = [report for report in ranked[: bracket.sizes[rung]] if not report.diverged]
        self._waiting[b] = len(better)
        why = f"not among the best {bracket.sizes[rung]} of {len(ranked)}"
        return [
            *(Resume(report.trial, bracket.ends[rung], "promoted") for report in better),
            *(self._end(report, "diverged" if report.diverged else why) for report in ranked[len(better) :]),
        ]

    def _end(self, report: Report, why: str) -> Stop:
        del self._of[report.trial]
        self._proposals.observe(report, last=True)
        return Stop(report.trial, why)
