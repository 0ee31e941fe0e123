"""Learning curve matching: a trial that learns as a bad one did is stopped."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeAlias

import numpy as np

from shoal.search.base import Search, one_unit, qualified
from shoal.search.curves import DISTANCES, Distance, Library
from shoal.search.keyed import keyed
from shoal.search.protocol import AUDITED, Config, Order, Pause, Plan, Report, Resume, Start, Stop, Strategy, Unit
from shoal.search.sampler import Proposals, RandomSampler
from shoal.search.samplers import SamplerLike, read_sampler
from shoal.search.tracker import Tracker
from shoal.space import Space
from shoal.space.checks import boolean, fraction, whole

#: How long the trial of a config trains.
Length: TypeAlias = Callable[[Config], int]

_PROBES = 100  # random configs whose lengths are looked at before a search begins


@dataclass(frozen=True)
class LCM(Search):
    """Learning curve matching.

    The first ``split`` of the trials are trained to the end; their curves and final scores are the library. A later
    trial is looked at on the way: the library's curve that is nearest to its own so far foretells how it will end, and
    if that is among the worst ``stop`` of the library's endings, it is stopped. What the sources leave open:

    - A curve is the score at each of ``points``; it is compared over the points that have been passed.
    - Points and checkpoints are those of the longest trial. A shorter one has them at the same shares of its own
      length, rounded up; where several fall together, one score counts for all of them. The sampler is told of the
      longest trial's points, for it may compare scores at one progress only.
    - A trial that is trained to the end joins the library at once. A stopped one joins only if ``learn_from_stopped``,
      with the ending that was foretold.
    - Of would-be-stopped trials a fraction ``audit``, drawn by a trial's number, is trained on, so that what stopping
      costs is known: the study's report says it, `shoal.manager.StudyRecord.audit_regret`.
    - A prediction is among the worst ``stop`` if more than ``1 - stop`` of the library's endings are better.
    - A trial that is ahead of most is not stopped, whatever is foretold (``spare``): where good configs are rare, the
      first library may have none, and every curve that is unlike it would be stopped with the rest.
    - A later trial that comes to a checkpoint before all of the first have ended waits for them, its weights kept, and
      is then looked at when a row is free for it: the library may have grown until then.
    - Diverged trials are stopped, and are in no library. If all of the first have diverged, nobody is stopped until one
      ends.
    - The decisions depend on the order in which reports arrive, and so on the number of rows; with one row trials come
      one after the other.

    Args:
        trials: Number of configs, at least 2.
        epochs: Length of a trial that is not stopped, in epochs.
        steps: As ``epochs``, in steps.
        length: What says how long a trial trains, where they differ: the name of a parameter, such as ``"epochs"``, or
            a function of the config. At most ``epochs`` or ``steps``, and in their unit. Of a function a study file and
            a journal know as much as of a ``distance``.
        split: Fraction of the trials that make the first library, at least one trial.
        stop: Fraction of endings that is bad enough to be stopped for, in [0, 1).
        spare: A trial is not stopped where less than this fraction of the library is better at the same point. 0 spares
            nobody: the sources' rule, which looks at the ending alone.
        checkpoints: Where trials are looked at, rising and before the end; by default after each quarter.
        points: Where the curve has points, rising, the end not among them; by default every checkpoint and as many
            between them as make at most 20 in all. Checkpoints are always points too.
        distance: ``"l1"``, ``"l2"``, ``"linf"``, ``"cosine"`` or ``"scaled"`` (l2 to the best multiple): see
            `shoal.search.curves.nearest`. Or a function of a curve (t,) and (m, t) of the library that returns (m,)
            distances; a study file cannot name one, and a study's journal has its name alone, not what it computes.
        neighbours: How many of the nearest curves foretell the end.
        audit: Fraction of would-be-stopped trials that is trained on.
        learn_from_stopped: Whether stopped trials join the library.
        sampler: Where configs come from: a `shoal.search.Sampler`, its name, or an object with ``ask`` and ``tell``.
    """

    several: ClassVar[bool] = False  # a curve is one number over time

    trials: int
    epochs: int | None = None
    steps: int | None = None
    length: str | Length | None = None
    split: float = 0.1
    stop: float = 0.5
    spare: float = 0.25
    checkpoints: Sequence[int] | None = None
    points: Sequence[int] | None = None
    distance: str | Distance = "l2"
    neighbours: int = 1
    audit: float = 0.05
    learn_from_stopped: bool = False
    sampler: SamplerLike = field(default_factory=RandomSampler)

    def __post_init__(self) -> None:
        whole("trials", self.trials, least=2)
        fraction("split", self.split)
        if fraction("stop", self.stop) == 1:
            raise ValueError("stop: must be below 1, or every later trial would be stopped, got 1")
        fraction("audit", self.audit)
        fraction("spare", self.spare)
        whole("neighbours", self.neighbours, least=1)
        boolean("learn_from_stopped", self.learn_from_stopped)
        if not callable(self.distance) and self.distance not in DISTANCES:
            names = ", ".join(DISTANCES)
            raise ValueError(f"distance: must be one of {names}, or in Python a function, got {self.distance!r}")
        if not (self.length is None or isinstance(self.length, str) or callable(self.length)):
            raise ValueError(f"length: must be a parameter's name, or in Python a function, got {self.length!r}")
        for name in ("checkpoints", "points"):
            values = getattr(self, name)
            if values is not None and not np.iterable(values):
                raise ValueError(f"{name}: must be a list of whole numbers, got {values!r}")
            object.__setattr__(self, name, values if values is None else tuple(values))
        self.looks()
        object.__setattr__(self, "sampler", read_sampler(self.sampler))

    def looks(self) -> tuple[list[int], set[int], Unit]:
        """Return the points of a curve with the end behind them, the checkpoints among them, and the unit."""
        length, unit = one_unit(epochs=self.epochs, steps=self.steps)
        quarters = sorted({length * i // 4 for i in (1, 2, 3)} - {0})
        checkpoints = quarters if self.checkpoints is None else _rising("checkpoints", self.checkpoints, length)
        every = math.ceil(length / 20)
        points = range(every, length, every) if self.points is None else _rising("points", self.points, length)
        return [*sorted({*points, *checkpoints}), length], set(checkpoints), unit

    @property
    def first(self) -> int:
        """How many trials make the first library."""
        return max(1, round(self.split * self.trials))

    def reads(self, name: str) -> bool:
        """Tell whether ``length`` depends on this parameter; a function may on any."""
        return callable(self.length) or name == self.length

    def length_of(self, config: Config) -> int:
        """Return how long the trial of a config trains; ValueError where that cannot be."""
        longest, unit = one_unit(epochs=self.epochs, steps=self.steps)
        given = longest if self.length is None else self._given_length(config)
        if given not in range(1, longest + 1):
            rule = f"must be a whole number from 1 to {unit} = {longest}"
            raise ValueError(f"length: {rule}, got {given!r}; with the config {config}")
        return int(given)

    def _given_length(self, config: Config) -> Any:
        if not callable(self.length):
            return config.get(str(self.length))
        try:
            return self.length(dict(config))
        except Exception as error:
            raise ValueError(f"length: {type(error).__name__}: {error}; with the config {config}") from error

    def _check_lengths(self, space: Space) -> None:
        """Raise ValueError unless the ends of the space and some random configs have lengths."""
        if isinstance(self.length, str) and self.length not in space.values:
            raise ValueError(f"length: must be in the space, which has {', '.join(space.values)}, got {self.length!r}")
        ends = (space.from_unit([end] * len(space.parameters)) for end in (0, 1))
        randoms = (space.sample(keyed(0, "length", probe)) for probe in range(_PROBES))
        for config in (*filter(space.allows, ends), *randoms):
            self.length_of(config)

    def _bind(self, space: Space, seed: int) -> Strategy:
        if self.length is not None:
            self._check_lengths(space)
        return Matching(self, seed, read_sampler(self.sampler).bind(space, seed, self.trials))


def _rising(name: str, values: Sequence[int], length: int) -> list[int]:
    places = [whole(f"{name}[{i}]", value, least=1) for i, value in enumerate(values)]
    if places != sorted(set(places)) or (places and places[-1] >= length):
        raise ValueError(f"{name}: must rise and stay below {length}, got {list(values)}")
    return places


@dataclass
class _Live:
    """A trial that has not ended."""

    places: Sequence[int]  # of its points: it reports there
    curve: list[float] = field(default_factory=list)  # its scores at the points passed


@dataclass(frozen=True)
class Audit:
    """A trial that would have been stopped and was trained on."""

    trial: int
    progress: int  # where it would have been stopped
    foretold: float
    score: float  # in the end


class Matching(Tracker):
    """Bound `LCM`.

    Attributes:
        audits: What became of the audited trials. One whose score is better than `best`'s at its end is what stopping
            would have cost.
    """

    asynchronous = True

    def __init__(self, search: LCM, seed: int, proposals: Proposals) -> None:
        self._points, self._checkpoints, unit = search.looks()
        super().__init__(unit)
        self._search, self._seed, self._proposals = search, seed, proposals
        self._library = Library(len(self._points))
        self._next = 0
        self._founders = search.first  # of the first trials, those that have not ended
        self._held: list[tuple[int, Report]] = []  # later ones that came to a checkpoint before the library: a heap
        self._live: dict[int, _Live] = {}
        self._audited: dict[int, tuple[int, float]] = {}  # where they would have been stopped, and why
        self.audits: list[Audit] = []

    def plan(self) -> Plan:
        """Return the plan; the budget is what all trials would take."""
        search, length = self._search, self._points[-1]
        distance = qualified(search.distance) if callable(search.distance) else search.distance
        span = length if search.length is None else f"at most {length}"
        looks = ", ".join(map(str, sorted(self._checkpoints))) or "never"
        spared = f", unless ahead of {1 - search.spare:.0%}" if search.spare else ""
        lines = (
            f"{search.trials} trials of {span} {self.unit}; the first {search.first} to the end, as the library",
            f"later ones looked at after {looks} {self.unit}, by {distance}, {search.neighbours} nearest",
            f"stopped if they match one of the worst {search.stop:.0%}{spared}; {search.audit:.0%} of those audited",
        )
        return Plan(search.trials, search.trials * length, self.unit, lines)

    @property
    def _exhausted(self) -> bool:
        return self._next == self._search.trials and not self._held

    def _fill(self, free_rows: int) -> Iterable[Order]:
        while self._held and not self._founders and free_rows > 0:
            order = self._look(heapq.heappop(self._held)[1])
            free_rows -= isinstance(order, Resume)
            yield order
        for _ in range(min(free_rows, self._search.trials - self._next)):
            yield self._start()

    def _start(self) -> Start:
        trial = self._next
        self._next += 1
        config = self._proposals.propose(trial)
        length, longest = self._search.length_of(config), self._points[-1]
        self._live[trial] = _Live([math.ceil(point * length / longest) for point in self._points])
        return Start(trial, config, self._live[trial].places[0])

    def _decide(self, report: Report) -> Iterable[Order]:
        live = self._live[report.trial]
        if report.diverged:
            return [self._end(report, "diverged")]
        passed = self._points[len(live.curve) : bisect_right(live.places, report.progress)]
        live.curve += [report.score] * len(passed)
        if report.progress == live.places[-1]:
            return [self._complete(report, live)]
        is_checked = not self._checkpoints.isdisjoint(passed) and report.trial >= self._search.first
        if is_checked and self._founders > 0:
            heapq.heappush(self._held, (report.trial, report))
            return [Pause(report.trial, "waits for the library")]
        return [self._look(report) if is_checked else self._go_on(report)]

    def _look(self, report: Report) -> Order:
        live = self._live[report.trial]
        foretold = None if report.trial in self._audited else self._condemned(live.curve)
        if foretold is None:
            return self._go_on(report)
        if not self._is_audited(report.trial):
            return self._give_up(report, live, foretold)
        self._audited[report.trial] = (report.progress, foretold)
        return self._go_on(report, f"{AUDITED}: {_like(foretold)}")

    def _go_on(self, report: Report, why: str = "continue") -> Order:
        self._observe(report, last=False)
        live = self._live[report.trial]
        return Resume(report.trial, live.places[len(live.curve)], why)

    def _condemned(self, curve: Sequence[float]) -> float | None:
        """Return the foretold ending if it is one to be stopped for."""
        if len(self._library) == 0 or self._library.ahead(curve) < self._search.spare:
            return None
        foretold = self._library.predict(np.array(curve), self._search.distance, self._search.neighbours)
        better = self._library.finals < foretold
        # Not "more than 1 - stop are better": 1 - 0.8 is rounded to less than 0.2. Of a NaN nothing is better.
        return foretold if float((~better).mean()) < self._search.stop else None

    def _is_audited(self, trial: int) -> bool:
        return bool(keyed(self._seed, "audit", trial).random() < self._search.audit)

    def _complete(self, report: Report, live: _Live) -> Stop:
        self._library.add(np.array(live.curve), report.score)
        if report.trial in self._audited:
            progress, foretold = self._audited.pop(report.trial)
            self.audits.append(Audit(report.trial, progress, foretold, report.score))
        return self._end(report, "completed")

    def _give_up(self, report: Report, live: _Live, foretold: float) -> Stop:
        if self._search.learn_from_stopped:
            rest = [foretold] * (len(self._points) - len(live.curve))
            self._library.add(np.array([*live.curve, *rest]), foretold)
        return self._end(report, _like(foretold))

    def _observe(self, report: Report, *, last: bool) -> None:
        """Tell the sampler, which compares scores at one progress, of the longest trial's point."""
        passed = bisect_right(self._live[report.trial].places, report.progress)
        self._proposals.observe(replace(report, progress=self._points[passed - 1]), last=last)

    def _end(self, report: Report, why: str) -> Stop:
        self._observe(report, last=True)
        del self._live[report.trial]
        self._founders -= report.trial < self._search.first
        self._audited.pop(report.trial, None)
        return Stop(report.trial, why)


def _like(foretold: float) -> str:
    return f"would end at {foretold:.6g}, as a curve like it"
