"""ASHA: successive halving that never waits for the last of a rung."""

from __future__ import annotations

import bisect
import heapq
import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice, pairwise

from shoal.search.base import Search
from shoal.search.protocol import Order, Pause, Plan, RankKey, Report, Resume, Start, Stop, Strategy, Unit, rank_key
from shoal.search.ranking import rank
from shoal.search.rungs import rungs, span
from shoal.search.sampler import Proposals, RandomSampler
from shoal.search.samplers import SamplerLike, read_sampler
from shoal.search.tracker import Tracker
from shoal.space import Space
from shoal.space.checks import whole


@dataclass(frozen=True)
class ASHA(Search):
    """Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934).

    Whenever a row is free: the trial that is promoted is the best of those in the best ``floor(n / eta)`` of all ``n``
    results ever recorded in a rung that have not been promoted from it, looked for from the top rung down; if there is
    none, a new trial starts at the bottom. A trial that is not promoted waits, its weights kept. What the source leaves
    open:

    - Rungs are at ``min_epochs * eta^k``; the last one is at ``max_epochs``, wherever it falls.
    - ``mode="stopping"`` decides at once, as the paper's implementation for large clusters does: a trial that is not in
      the best ``1 / eta`` of the results of its rung so far (rounded up) is stopped, else it trains on.
    - With several brackets, trial ``i`` belongs to bracket ``i mod brackets``, whose first rung is ``k = i mod
      brackets``.
    - Diverged trials count among the results of a rung and never move.
    - Several objectives rank a rung by non-dominated sorting (MO-ASHA, Schmucker et al. 2021, arXiv:2106.12639), within
      a front by crowding distance. Each decision then sorts its rung anew.
    - The decisions depend on the order in which reports arrive, and so on the number of rows.

    Args:
        trials: Number of configs, at least 1.
        max_epochs: What the best trials are trained for.
        min_epochs: What every trial is trained for, at most ``max_epochs``.
        max_steps: As ``max_epochs``, in steps.
        min_steps: As ``min_epochs``, in steps.
        eta: Of how many trials in a rung one goes on, at least 2.
        mode: ``"promotion"`` or ``"stopping"``.
        brackets: Number of brackets, at most that of the rungs.
        sampler: Where configs come from: a `shoal.search.Sampler`, its name, or an object with ``ask`` and ``tell``.
    """

    trials: int
    max_epochs: int | None = None
    min_epochs: int | None = None
    max_steps: int | None = None
    min_steps: int | None = None
    eta: int = 3
    mode: str = "promotion"
    brackets: int = 1
    sampler: SamplerLike = field(default_factory=RandomSampler)

    def __post_init__(self) -> None:
        whole("trials", self.trials, least=1)
        whole("eta", self.eta, least=2)
        ends, _ = self.rungs()
        if self.mode not in ("promotion", "stopping"):
            raise ValueError(f"mode: must be one of promotion, stopping, got {self.mode!r}")
        if whole("brackets", self.brackets, least=1) > len(ends):
            raise ValueError(f"brackets: must be at most the number of rungs, {len(ends)}, got {self.brackets}")
        object.__setattr__(self, "sampler", read_sampler(self.sampler))

    def rungs(self) -> tuple[list[int], Unit]:
        """Return where the rungs end, and the unit."""
        least, most, unit = span(self.min_epochs, self.max_epochs, self.min_steps, self.max_steps)
        return rungs(least, most, self.eta), unit

    def _bind(self, space: Space, seed: int) -> Strategy:
        proposals = read_sampler(self.sampler).bind(space, seed, self.trials)
        return (Promotion if self.mode == "promotion" else Stopping)(self, proposals)


class _Asynchronous(Tracker):
    """What both modes share: trials start one by one, each at the first rung of its bracket."""

    asynchronous = True

    def __init__(self, search: ASHA, proposals: Proposals) -> None:
        self._ends, unit = search.rungs()
        super().__init__(unit)
        self._search, self._proposals = search, proposals
        self._next = 0
        self._at: dict[int, int] = {}  # rung that each live trial trains to or waits at

    def plan(self) -> Plan:
        """Return the plan. No one knows how many trials will be promoted: the budget is what all would take."""
        search, ends = self._search, self._ends
        expected = self._expected()
        lines = (
            f"{search.trials} trials, rungs at {', '.join(map(str, ends))} {self.unit}; {search.mode}, eta {search.eta}"
            + (f", {search.brackets} brackets" if search.brackets > 1 else ""),
            f"about {expected:,} {self.unit} expected",
        )
        return Plan(search.trials, search.trials * ends[-1], self.unit, lines, expected)

    def _expected(self) -> int:
        """Return the budget if each rung passes on as many of those that start there or come to it as `_passed`."""
        search, budget, size = self._search, 0.0, 0.0
        for rung, (before, end) in enumerate(pairwise((0, *self._ends))):
            fresh = len(range(rung, search.trials, search.brackets)) if rung < search.brackets else 0
            promoted = self._passed(size)
            budget += fresh * end + promoted * (end - before)
            size = fresh + promoted
        return round(budget)

    @abstractmethod
    def _passed(self, size: float) -> float:
        """Return how many of the results of a rung go on, more or less."""

    def _start(self) -> Order:
        trial = self._next
        self._next += 1
        self._at[trial] = trial % self._search.brackets
        return Start(trial, self._proposals.propose(trial), self._ends[self._at[trial]])

    def _is_last(self, trial: int) -> bool:
        return self._at[trial] == len(self._ends) - 1

    def _climb(self, trial: int) -> Order:
        self._at[trial] += 1
        return Resume(trial, self._ends[self._at[trial]], "promoted")

    def _end(self, report: Report, why: str) -> Stop:
        self._at.pop(report.trial)
        self._proposals.observe(report, last=True)
        return Stop(report.trial, why)


class Stopping(_Asynchronous):
    """Bound `ASHA` that stops: each report is decided at once."""

    def __init__(self, search: ASHA, proposals: Proposals) -> None:
        super().__init__(search, proposals)
        self._results: list[list[RankKey]] = [[] for _ in self._ends]  # of each rung, the best first
        self._several: list[list[Report]] = [[] for _ in self._ends]  # those of several objectives, as they came

    def _passed(self, size: float) -> float:
        """Where they come in a random order, the i-th is among the best ``ceil(i / eta)`` in so many of i cases."""
        counted = range(1, math.ceil(size) + 1)
        return sum(-(-i // self._search.eta) / i * min(1, size + 1 - i) for i in counted)

    @property
    def _exhausted(self) -> bool:
        return self._next == self._search.trials

    def _fill(self, free_rows: int) -> Iterable[Order]:
        return [self._start() for _ in range(min(free_rows, self._search.trials - self._next))]

    def _decide(self, report: Report) -> Iterable[Order]:
        place, count = self._place(report, self._at[report.trial])
        if report.diverged:
            return [self._end(report, "diverged")]
        if self._is_last(report.trial):
            return [self._end(report, "completed")]
        if place > -(-count // self._search.eta):
            return [self._end(report, f"place {place} of {count} at {report.progress} {self.unit}")]
        self._proposals.observe(report, last=False)
        return [self._climb(report.trial)]

    def _place(self, report: Report, rung: int) -> tuple[int, int]:
        """Record a result; return its place in its rung, and how many there are now."""
        results, several, key = self._results[rung], self._several[rung], rank_key(report)
        if report.objectives:
            several.append(report)
            return rank(several).index(report) + 1, len(several) + len(results)
        bisect.insort(results, key)
        return len(several) + bisect.bisect_left(results, key) + 1, len(several) + len(results)


class Promotion(_Asynchronous):
    """Bound `ASHA` that promotes: a report is recorded, and a free row decides."""

    def __init__(self, search: ASHA, proposals: Proposals) -> None:
        super().__init__(search, proposals)
        self._rungs: list[Rung | FrontRung] = [Rung(search.eta) for _ in self._ends[:-1]]
        self._waiting: dict[int, Report] = {}  # trials that are paused

    def _passed(self, size: float) -> float:
        """It is more where early promotions turn out to be wrong: trials that were good among the first only."""
        return size // self._search.eta

    @property
    def _exhausted(self) -> bool:
        return self._next == self._search.trials and all(rung.promotable() is None for rung in self._rungs)

    def _fill(self, free_rows: int) -> Iterable[Order]:
        return islice(iter(self._job, None), free_rows)  # once there is nothing to do, no further row has any

    def _job(self) -> Order | None:
        for rung in reversed(self._rungs):
            trial = rung.promotable()
            if trial is not None:
                rung.promote(trial)
                del self._waiting[trial]
                return self._climb(trial)
        return self._start() if self._next < self._search.trials else None

    def _decide(self, report: Report) -> Iterable[Order]:
        rung = self._at[report.trial]
        if not self._is_last(report.trial):
            if report.objectives and isinstance(self._rungs[rung], Rung):
                self._rungs[rung] = FrontRung(self._search.eta, self._rungs[rung].count)  # so far all have diverged
            self._rungs[rung].add(report)
        if report.diverged:
            order: Order = self._end(report, "diverged")
        elif rung == len(self._ends) - 1:
            order = self._end(report, "completed")
        else:
            self._proposals.observe(report, last=False)
            self._waiting[report.trial] = report
            order = Pause(report.trial, f"waits at {report.progress} {self.unit}")
        if self._until or not self._exhausted:
            return [order]
        left = [self._end(last, "not promoted") for last in self._waiting.values()]  # no one will be any more
        self._waiting.clear()
        return left if isinstance(order, Pause) else [order, *left]


class Rung:
    """The results recorded at one rung, and which of them are good enough: every question in logarithmic time.

    The best ``floor(n / eta)`` are in ``_top``, a heap with the worst of them first, all others in ``_rest``, the best
    of them first; a new result moves at most one from one to the other.
    """

    def __init__(self, eta: int) -> None:
        self._eta = eta
        self.count = 0  # of results
        self._top: list[_Descending] = []
        self._rest: list[RankKey] = []
        self._good: list[RankKey] = []  # in the top and not promoted, or once so: the best first
        self._is_top: set[int] = set()
        self._promoted: set[int] = set()

    def add(self, report: Report) -> None:
        """Record a result; there is one for each trial."""
        self.count += 1
        heapq.heappush(self._rest, rank_key(report))
        if len(self._top) < self.count // self._eta:
            self._raise_best()
        elif self._top and self._rest[0] < self._top[0].key:
            fallen = heapq.heappop(self._top).key
            self._is_top.discard(fallen[-1])
            heapq.heappush(self._rest, fallen)
            self._raise_best()

    def promotable(self) -> int | None:
        """Return the best trial of the top that has not been promoted; None if there is none."""
        while self._good:
            diverged, *_, trial = self._good[0]
            if trial in self._is_top and trial not in self._promoted and not diverged:
                return trial
            heapq.heappop(self._good)  # it has left the top, and is put back whenever it returns
        return None

    def promote(self, trial: int) -> None:
        """Take note that the trial that `promotable` returned has left."""
        assert self._good[0][-1] == trial
        heapq.heappop(self._good)
        self._promoted.add(trial)

    def _raise_best(self) -> None:
        key = heapq.heappop(self._rest)
        heapq.heappush(self._top, _Descending(key))
        self._is_top.add(key[-1])
        heapq.heappush(self._good, key)


class FrontRung:
    """A `Rung` of several objectives: the whole of it is ranked when it is asked and has changed.

    Args:
        eta: As the search's.
        count: How many results there are already, all of trials that have diverged.
    """

    def __init__(self, eta: int, count: int) -> None:
        self._eta, self.count = eta, count
        self._reports: list[Report] = []  # finite ones
        self._promoted: set[int] = set()
        self._top: list[int] | None = []  # trials, best first; None: to be ranked

    def add(self, report: Report) -> None:
        """Record a result; there is one for each trial."""
        self.count += 1
        if not report.diverged:
            self._reports.append(report)
        self._top = None

    def promotable(self) -> int | None:
        """Return the best trial of the top that has not been promoted; None if there is none."""
        if self._top is None:
            self._top = [each.trial for each in rank(self._reports)[: self.count // self._eta]]
        return next((trial for trial in self._top if trial not in self._promoted), None)

    def promote(self, trial: int) -> None:
        """Take note that the trial that `promotable` returned has left."""
        self._promoted.add(trial)


class _Descending:
    __slots__ = ("key",)

    def __init__(self, key: RankKey) -> None:
        self.key = key

    def __lt__(self, other: _Descending) -> bool:
        return other.key < self.key
