"""Tournament training: pairs of members meet, and the loser goes on from the winner's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shoal.search.base import Search, intervals
from shoal.search.explore import Explore, explored, read_rules
from shoal.search.keyed import keyed, pick
from shoal.search.protocol import Config, Plan, Report, Strategy
from shoal.search.ranking import rank
from shoal.search.rounds import Rounds
from shoal.space import Space
from shoal.space.checks import fraction, whole

HYPERPARAMETERS = ("keep", "take", "explore")


@dataclass(frozen=True)
class LTFB(Search):
    """Livermore tournament fast batch, LTFB.

    Jacobs et al. 2017, "Towards scalable parallel training of deep neural networks".
    All members train for an interval; then they are paired at random, and in each pair the loser takes over the
    winner's weights. Winners, and with an odd number the one who is left over, train on. The pairs come from a shuffle
    that is keyed by seed and round, so members that are far apart agree on them without a message. What the source
    leaves open, or is otherwise there:

    - In LBANN, its authors' library, members train on parts of the data, and each compares both models of its pair on
      its own part; here the study's figure of merit decides. Of equal members the lower id wins.
    - The loser keeps its own hyperparameters, as LBANN's does by default; ``hyperparameters`` says otherwise. That is
      about those that `shoal.search.PBT` would explore: all others, the structure above all, come with the weights.
    - A diverged member always takes, hyperparameters included, for its own led it there; it takes from its opponent, or
      where that one has diverged as well, or there is none, from one of the winners.
    - A population of which every member has diverged is stopped and replaced, and the last round has no tournament, as
      under PBT.

    Args:
        population: Number of members, at least 2.
        steps: Budget of a member in steps.
        interval: Steps between tournaments; the last interval is short where it does not divide ``steps``.
        epochs: Budget of a member in epochs, instead of ``steps``.
        interval_epochs: Epochs between tournaments, with ``epochs``.
        hyperparameters: What a loser trains on with: ``"keep"`` its own, ``"take"`` the winner's, or ``"explore"``: the
            winner's, changed a little.
        explore: As for PBT: parameter -> rule. Names also what is kept beside the hot hyperparameters.
        resample: As for PBT.
    """

    population: int
    steps: int | None = None
    interval: int | None = None
    epochs: int | None = None
    interval_epochs: int | None = None
    hyperparameters: str = "keep"
    explore: Mapping[str, Explore | None] = field(default_factory=dict)
    resample: float = 0.25

    def __post_init__(self) -> None:
        whole("population", self.population, least=2)
        intervals(self.epochs, self.interval_epochs, self.steps, self.interval)
        if self.hyperparameters not in HYPERPARAMETERS:
            raise ValueError(
                f"hyperparameters: must be one of {', '.join(HYPERPARAMETERS)}, got {self.hyperparameters!r}"
            )
        object.__setattr__(self, "explore", read_rules(self.explore))
        fraction("resample", self.resample)

    def _bind(self, space: Space, seed: int) -> Strategy:
        return Tournaments(self, space, seed)


class Tournaments(Rounds):
    """Bound `LTFB`."""

    def __init__(self, search: LTFB, space: Space, seed: int) -> None:
        ends = intervals(search.epochs, search.interval_epochs, search.steps, search.interval)
        super().__init__(search.population, *ends, space, seed)
        self._search = search
        self._rules = explored(space, search.explore, search.resample)
        self._diverged: set[int] = set()  # in this round

    def plan(self) -> Plan:
        """Return the plan."""
        search, ends = self._search, self._ends
        how = {"keep": "keeps its own", "take": "takes the winner's", "explore": "explores from the winner's"}
        lines = (
            f"{search.population} members, {len(ends)} rounds of {ends[0]} {self.unit} to {ends[-1]}",
            f"pairs at random: the loser takes the winner's weights, and {how[search.hyperparameters]} "
            f"{', '.join(self._rules)}",
        )
        return Plan(search.population, search.population * ends[-1], self.unit, lines)

    def _donors(self, reports: Sequence[Report]) -> dict[int, int]:
        self._diverged = {report.trial for report in reports if report.diverged}
        place = {report.trial: place for place, report in enumerate(rank(reports))}
        pairs = [sorted(pair, key=lambda each: place[each.trial]) for pair in self._pairs(reports)]
        donors = {loser.trial: winner.trial for winner, loser in pairs}
        winners = [each for each in reports if not each.diverged and each.trial not in donors]
        for trial in self._diverged:
            if donors.get(trial, trial) in self._diverged:
                donors[trial] = pick(keyed(self._seed, "rescue", trial, self._round), winners).trial
        return donors

    def _pairs(self, reports: Sequence[Report]) -> list[tuple[Report, Report]]:
        """Return the pairs of this round; ``reports`` are by trial, so everyone gets the same ones."""
        order = keyed(self._seed, "pairs", self._round).permutation(len(reports))
        shuffled = [reports[int(place)] for place in order]
        return list(zip(shuffled[::2], shuffled[1::2], strict=False))

    def _heir_config(self, heir: int, donor: int) -> Config:
        own, config, how = self._configs[heir], self._configs[donor], self._search.hyperparameters
        rng = keyed(self._seed, "explore", heir, self._round)
        if how == "explore":
            return self._space.perturb(config, self._rules, rng)
        if how == "take" or heir in self._diverged:
            return config
        kept = {name: own[name] for name in self._rules if name in own}
        return self._space.repair({**config, **kept}, rng, self._rules)
