"""A population that trains together: all members report, then some take over others' weights, in synchronous rounds."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence

from shoal.search.keyed import keyed
from shoal.search.protocol import Config, Inherit, Order, Report, Resume, Start, Unit
from shoal.search.tracker import Tracker, ended
from shoal.space import Space


class Rounds(Tracker):
    """Collects the reports of a round, and decides when the last has come.

    Args:
        population: Number of members.
        ends: Progress at which each round ends.
        unit: Of ``ends``.
        space: Of the configs.
        seed: Of the draws.
    """

    def __init__(self, population: int, ends: Sequence[int], unit: Unit, space: Space, seed: int) -> None:
        super().__init__(unit)
        self._population, self._ends, self._space, self._seed = population, ends, space, seed
        self._round = 0
        self._first = 0  # id of the first member; a population that died out is followed by the next ids,
        self._offset = 0  # whose progress counts from the end of the round in which it died
        self._configs: dict[int, Config] = {}
        self._reports: dict[int, Report] = {}

    @abstractmethod
    def _donors(self, reports: Sequence[Report]) -> dict[int, int]:
        """Return heir -> donor; the reports are by trial, and at least one of them is finite."""

    @abstractmethod
    def _heir_config(self, heir: int, donor: int) -> Config:
        """Return the config that an heir trains on with, for its donor's structure."""

    @property
    def _exhausted(self) -> bool:
        return self._round == len(self._ends)

    def _fill(self, free_rows: int) -> Iterable[Order]:
        first = self._first + len(self._configs)
        last = min(first + free_rows, self._first + self._population)
        for trial in range(first, last):
            self._configs[trial] = self._space.initial(trial, keyed(self._seed, "sample", trial))
        return [Start(trial, self._configs[trial], self._target) for trial in range(first, last)]

    def _decide(self, report: Report) -> Iterable[Order]:
        self._reports[report.trial] = report
        if len(self._reports) < self._population:
            return []
        reports = [self._reports.pop(trial) for trial in sorted(self._reports)]
        self._round += 1
        if self._exhausted:
            return [ended(report) for report in reports]
        return self._replace(reports) if all(report.diverged for report in reports) else self._evolve(reports)

    def _replace(self, reports: Sequence[Report]) -> Iterable[Order]:
        self._first += self._population
        self._offset = self._ends[self._round - 1]
        self._configs.clear()  # so that the next ``ask`` starts new trials
        return [ended(report) for report in reports]

    def _evolve(self, reports: Sequence[Report]) -> Iterable[Order]:
        donors = self._donors(reports)
        heirs = [self._inherit(report, donors[report.trial]) for report in reports if report.trial in donors]
        others = [Resume(report.trial, self._target) for report in reports if report.trial not in donors]
        return [*heirs, *others]  # copies come before any donor trains on

    def _inherit(self, heir: Report, donor: int) -> Order:
        config = self._configs[heir.trial] = self._heir_config(heir.trial, donor)
        return Inherit(heir.trial, donor, config, self._target, "diverged" if heir.diverged else "exploit")

    @property
    def _target(self) -> int:
        """Progress at which the current round ends, for the members there are."""
        return self._ends[self._round] - self._offset
