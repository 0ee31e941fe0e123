"""What rounds have taken, measured, so that all ranks are done with the next one at the same time.

Where costs of configs are known, as multiply-adds are, it is the ranks that differ: each has its pace, the seconds that
a unit of cost has taken there, in all rounds so far, for in a single one it depends on how many trials filled the
threads. Where nothing is known, as of a user's trainables, it is the trials that differ: each costs the seconds that it
took last.

Rounds of less than a hundredth of a second say little, and moving trials would take as long. Nor does the first one of
a run count: it has made the population, or has opened files. Every rank notes the same, and so expects the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from statistics import fmean
from typing import TypeAlias

from shoal.search.protocol import Config

Cost: TypeAlias = Callable[[Config], float]
Trained: TypeAlias = Sequence[tuple[float, Collection[int]]]  # seconds, and the trials that trained together in them

_LEAST, _TICK = 0.01, 1e-9  # seconds: of a round that tells something; of a training, as the clock may stand still


class Paces:
    """What to expect of a round.

    Args:
        ranks: How many there are.
        cost: What training a config costs, compared to others, > 0; None where nobody knows.
    """

    def __init__(self, ranks: int, cost: Cost | None) -> None:
        self._cost = cost
        self._costs: dict[int, float] = {}  # by trial; where they are not known, of those that have been measured
        self._is_first = True  # round
        self._seconds, self._work = [0.0] * ranks, [0.0] * ranks

    def configure(self, trial: int, config: Config) -> None:
        """Note the config that a trial trains with from now on."""
        if self._cost is not None:
            self._costs[trial] = self._cost(config)

    def forget(self, trial: int) -> None:
        """Forget a trial."""
        self._costs.pop(trial, None)

    def costs(self, trials: Collection[int]) -> Mapping[int, float]:
        """Return what each trial is expected to cost; one that was never measured as much as the others, on average."""
        usual = fmean(self._costs.values()) if self._costs else 1.0
        return {trial: self._costs.get(trial, usual) for trial in trials}

    @property
    def paces(self) -> list[float]:
        """The expected seconds for a unit of cost on each rank, up to a factor, (ranks,); alike where none is known."""
        if not all(self._work):
            return [1.0] * len(self._work)
        return [seconds / work for seconds, work in zip(self._seconds, self._work, strict=True)]

    def note(self, ranks: Sequence[Trained]) -> None:
        """Take note of what each rank has trained in a round."""
        is_first, self._is_first = self._is_first, False
        if is_first or max(sum(seconds for seconds, _ in parts) for parts in ranks) < _LEAST:
            return
        for rank, parts in enumerate(ranks):
            for seconds, trials in parts:
                if self._cost is None:
                    self._costs |= dict.fromkeys(trials, max(seconds, _TICK) / len(trials))
                else:
                    self._seconds[rank] += max(seconds, _TICK)
                    self._work[rank] += sum(self._costs[trial] for trial in trials)
