"""DEHB: Hyperband whose configs evolve."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from shoal.search.base import Search
from shoal.search.differential import Point, Scored, Subpopulation, crossed, mutant
from shoal.search.halving import Bracket, Hyperband
from shoal.search.keyed import keyed
from shoal.search.protocol import Config, Order, Plan, Report, Resume, Start, Stop, Strategy, rank_key
from shoal.search.tracker import Tracker, ended
from shoal.space import Space
from shoal.space.checks import fraction, whole


@dataclass(frozen=True)
class DEHB(Search):
    """Differential evolution and Hyperband (Awad, Mallik and Hutter 2021, arXiv:2105.09821).

    Each budget of Hyperband's table has a subpopulation, as large as the table's largest rung there. The first bracket
    is random. In the first round the best of a rung go on to the next, as in Hyperband; in later rounds all trials are
    new. A new trial is evolved: a slot of the subpopulation of its budget, taken in turn, is the target; a + F (b - c)
    of three different parents is the mutant (rand/1); their binomial crossover is trained, and takes the slot if it is
    at least as good as who is there by then. The parents are the best of the subpopulation of the budget below, as many
    as the rung has trials; in a first rung the other slots of its own. If they are fewer than three, others with a
    score, at any budget, are drawn to make three. Evolution is in the unit cube, where numbers keep their scale and
    each choice has its share.

    Costs: in the first round a trial that goes on trains only what is new. Later each is trained from scratch for its
    whole budget, as the paper counts it. The plan is exact unless trials of the first round diverge. What the paper
    leaves open:

    - The table is `Hyperband`'s; the paper's rounds differently and starts fewer trials in some brackets.
    - A slot without a score gives a random config in a first rung; in other rungs a random point is the target.
    - Where there are no three parents anywhere, the config is random.
    - In the first round a bracket promotes its own trials, whose weights it has, not the subpopulation's points.
    - A forbidden combination is repaired before it is trained (`shoal.space.Space.repair`); the point stays as it was.
    - Coordinates of a mutant outside of the cube are drawn anew; crossover takes at least one from the mutant.
    - A rung waits for its last trial, and a row that it leaves free goes to the next bracket at once. So decisions
      depend on the order of the reports, and with as many rows as trials little is known when they start.
    - Diverged points never hold a slot.

    Args:
        max_epochs: What the best trials are trained for.
        min_epochs: The least that a trial is trained for.
        max_steps: As ``max_epochs``, in steps.
        min_steps: As ``min_epochs``, in steps.
        eta: How many trials of a rung there are for each of the next, at least 2.
        rounds: How often all brackets are run.
        mutation_factor: F, in [0, 1].
        crossover_rate: Probability that a coordinate is the mutant's.
    """

    several: ClassVar[bool] = False  # a point takes a slot by its score

    max_epochs: int | None = None
    min_epochs: int | None = None
    max_steps: int | None = None
    min_steps: int | None = None
    eta: int = 3
    rounds: int = 3
    mutation_factor: float = 0.5
    crossover_rate: float = 0.5

    def __post_init__(self) -> None:
        self.table()
        whole("rounds", self.rounds, least=1)
        fraction("mutation_factor", self.mutation_factor)
        fraction("crossover_rate", self.crossover_rate)

    def table(self) -> Hyperband:
        """Return the Hyperband whose brackets these are."""
        return Hyperband(self.max_epochs, self.min_epochs, self.max_steps, self.min_steps, self.eta)

    def _bind(self, space: Space, seed: int) -> Strategy:
        return EvolvingBrackets(self, space, seed)


@dataclass
class _Course:
    """How far a bracket has come."""

    bracket: Bracket
    is_first: bool  # of the first round, where trials are promoted

    def __post_init__(self) -> None:
        self.enter(0)

    def enter(self, rung: int) -> None:
        """Begin a rung, all of whose trials are to be started."""
        self.rung = rung
        self.due = self.size = self.bracket.sizes[rung]  # size: as many reports complete it
        self.reports: list[Report] = []

    @property
    def end(self) -> int:
        return self.bracket.ends[self.rung]

    @property
    def level(self) -> int:
        """How many rungs are above this one, which tells its budget in all brackets."""
        return len(self.bracket.ends) - 1 - self.rung


@dataclass(frozen=True)
class _Place:
    """Where a trial belongs in this rung."""

    course: _Course
    slot: int
    point: Point


class EvolvingBrackets(Tracker):
    """Bound `DEHB`."""

    asynchronous = True

    def __init__(self, search: DEHB, space: Space, seed: int) -> None:
        table = search.table()
        super().__init__(table.span()[2])
        self._search, self._space, self._seed = search, space, seed
        brackets = table.brackets()
        self._courses = [_Course(each, is_first=r == 0) for r in range(search.rounds) for each in brackets]
        self._levels = [  # the first is the greatest budget's
            Subpopulation(max(each.sizes[-1 - level] for each in brackets if level < len(each.sizes)))
            for level in range(len(brackets))
        ]
        self._next = 0  # trial
        self._places: dict[int, _Place] = {}  # of each live trial

    def plan(self) -> Plan:
        """Return the plan: a line for each bracket says how many trials train to which end."""
        brackets, later = self._search.table().brackets(), self._search.rounds - 1
        scratch = [sum(n * end for n, end in zip(each.sizes, each.ends, strict=True)) for each in brackets]
        trials = sum(each.sizes[0] + later * sum(each.sizes) for each in brackets)
        budget = sum(each.budget for each in brackets) + later * sum(scratch)
        lines = (
            *(f"{each} {self.unit}" for each in brackets),
            f"{self._search.rounds} rounds; after the first each trial is new, from scratch: differential evolution, "
            f"F {self._search.mutation_factor:g}, crossover {self._search.crossover_rate:g}",
        )
        return Plan(trials, budget, self.unit, lines if later else lines[:-1], initial=brackets[0].sizes[0])

    @property
    def _exhausted(self) -> bool:
        return not any(course.due for course in self._courses)

    def _fill(self, free_rows: int) -> Iterable[Order]:
        orders: list[Order] = []
        for course in self._courses:
            while course.due and len(orders) < free_rows:
                orders.append(self._start(course))
        return orders

    def _start(self, course: _Course) -> Order:
        trial, slot = self._next, self._levels[course.level].next_slot()
        point = self._offspring(course, slot, trial)
        self._places[trial] = _Place(course, slot, point)
        self._next += 1
        course.due -= 1
        return Start(trial, self._config(trial, point), course.end)

    def _config(self, trial: int, point: Point) -> Config:
        if trial < len(self._space.begin_with):  # itself: its point may be rounded
            return dict(self._space.begin_with[trial])
        return self._space.repair(self._space.from_unit(point), keyed(self._seed, "repair", trial))

    def _offspring(self, course: _Course, slot: int, trial: int) -> Point:
        if trial < len(self._space.begin_with):
            return self._space.to_unit(self._space.begin_with[trial])
        drawn = keyed(self._seed, "sample", trial).random(len(self._space.parameters))
        held = self._levels[course.level][slot]
        if held is None and course.rung == 0:
            return drawn
        rng = keyed(self._seed, "evolve", trial)
        parents = self._parents(course, held, rng)
        if len(parents) < 3:
            return drawn
        other = mutant([each.point for each in parents], self._search.mutation_factor, rng)
        return crossed(drawn if held is None else held.point, other, self._search.crossover_rate, rng)

    def _parents(self, course: _Course, held: Scored | None, rng: np.random.Generator) -> list[Scored]:
        """Return three or more, unless so few have a score."""
        if course.rung == 0:
            parents = [each for each in self._levels[course.level].ranked() if each is not held]
        else:
            parents = self._levels[course.level + 1].ranked()[: course.size]
        if len(parents) >= 3:
            return parents
        known = {id(each) for each in (held, *parents)}
        others = [each for level in self._levels for each in level.ranked() if id(each) not in known]
        return [*parents, *(others[int(place)] for place in rng.permutation(len(others))[: 3 - len(parents)])]

    def _decide(self, report: Report) -> Iterable[Order]:
        place = self._places[report.trial]
        course = place.course
        self._levels[course.level].select(place.slot, place.point, report)
        course.reports.append(report)
        is_complete = len(course.reports) == course.size
        if course.is_first:
            return self._promote(course) if is_complete else []
        if is_complete and course.level > 0:
            course.enter(course.rung + 1)
        return [self._end(report, ended(report).why)]

    def _promote(self, course: _Course) -> Iterable[Order]:
        ranked = sorted(course.reports, key=rank_key)
        if course.level == 0:
            return [self._end(report, ended(report).why) for report in ranked]
        course.enter(course.rung + 1)
        better = [report for report in ranked[: course.size] if not report.diverged]
        why = f"not among the best {course.size} of {len(ranked)}"
        course.due, course.size = 0, len(better)
        return [
            *(self._resume(report.trial) for report in better),
            *(self._end(report, "diverged" if report.diverged else why) for report in ranked[len(better) :]),
        ]

    def _resume(self, trial: int) -> Order:
        place = self._places[trial]
        course = place.course
        self._places[trial] = replace(place, slot=self._levels[course.level].next_slot())
        return Resume(trial, course.end, "promoted")

    def _end(self, report: Report, why: str) -> Stop:
        del self._places[report.trial]
        return Stop(report.trial, why)
