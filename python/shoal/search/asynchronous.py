"""Population based training without rounds: whoever has trained an interval decides at once and goes on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shoal.search.breeding import Individual
from shoal.search.heirs import Birth, Heirs
from shoal.search.keyed import keyed
from shoal.search.protocol import Config, Inherit, Order, Plan, Report, Resume, Start
from shoal.search.ranking import Standings
from shoal.search.tracker import Tracker, ended
from shoal.space import Space


@dataclass
class _Member:
    config: Config
    left: int  # that it may still train
    progress: int = 0  # of its weights when its present interval began
    intervals: int = 0  # that it has trained


class Asynchronous(Tracker):
    """Members of a population that compare themselves with what is known of the others when they report.

    Args:
        plan: What is planned.
        interval: After which a member reports.
        heirs: Decides who inherits.
        space: Of the configs.
        seed: Of the draws.
    """

    asynchronous = True

    def __init__(self, plan: Plan, interval: int, heirs: Heirs, space: Space, seed: int) -> None:
        super().__init__(plan.unit)
        self._plan, self._interval, self._heirs = plan, interval, heirs
        self._space, self._seed = space, seed
        self._most = plan.budget // plan.trials  # progress of a member
        self._vacant = [self._most] * plan.trials  # what trials that are to be started may train
        self._next = 0
        self._members: dict[int, _Member] = {}
        self._standings = Standings()  # of the reports of weights that members have

    @property
    def donors_train(self) -> bool:
        """A donor's weights are those of its last report, and by now it trains on."""
        return True

    def plan(self) -> Plan:
        """Return the plan."""
        return self._plan

    @property
    def _exhausted(self) -> bool:
        return not self._vacant

    def _fill(self, free_rows: int) -> Iterable[Order]:
        return [self._start(self._vacant.pop(0)) for _ in range(min(free_rows, len(self._vacant)))]

    def _start(self, left: int) -> Order:
        trial, self._next = self._next, self._next + 1
        member = self._members[trial] = _Member(self._space.initial(trial, keyed(self._seed, "sample", trial)), left)
        return Start(trial, member.config, self._target(member))

    def _decide(self, report: Report) -> Iterable[Order]:
        member = self._members[report.trial]
        member.left -= report.progress - member.progress
        member.progress = report.progress
        member.intervals += 1
        self._standings.put(report)
        self._heirs.learn(report, member.config)
        if self._target(member) == member.progress:
            return [self._end(report)]
        known = self._standings.ranked
        donor = self._heirs.donor(self._standings.place(report), member.intervals, known)
        if donor is not None:
            return [self._inherit(report, known[donor], known)]
        if report.diverged:
            self._vacant.append(member.left)
            return [self._end(report)]
        return [Resume(report.trial, self._target(member))]

    def _inherit(self, heir: Report, donor: Report, known: Iterable[Report]) -> Order:
        member = self._members[heir.trial]
        pool = (self._individual(report) for report in known if not report.diverged)
        others = (each.config for trial, each in self._members.items() if trial != heir.trial)
        birth = Birth(heir.trial, member.intervals, donor.progress, others)
        member.config = self._heirs.inherit(self._individual(donor), pool, birth)
        member.progress = donor.progress
        self._standings.drop(heir.trial)
        why = "diverged" if heir.diverged else "exploit"
        return Inherit(heir.trial, donor.trial, member.config, self._target(member), why)

    def _individual(self, report: Report) -> Individual:
        return Individual(report.trial, self._members[report.trial].config, report)

    def _target(self, member: _Member) -> int:
        """Return where a member's next interval ends; it has ended where that is where it stands."""
        return member.progress + min(self._interval, member.left, self._most - member.progress)

    def _end(self, report: Report) -> Order:
        del self._members[report.trial]
        self._standings.drop(report.trial)
        return ended(report)
