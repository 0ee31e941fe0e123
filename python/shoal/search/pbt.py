"""Population based training: search and training in one, a schedule of hyperparameters instead of one config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from shoal.search.asynchronous import Asynchronous
from shoal.search.base import Search, intervals
from shoal.search.breeding import Individual
from shoal.search.exploit import LEVEL, NAMES, SCORES, all_donors, quantile_size
from shoal.search.explore import Explore, explored, read_rules
from shoal.search.heirs import Birth, Explorer, Heirs, Perturb
from shoal.search.protocol import Config, Plan, Report, Strategy, Unit
from shoal.search.ranking import rank
from shoal.search.rounds import Rounds
from shoal.space import Space
from shoal.space.checks import boolean, fraction, real, whole


@dataclass(frozen=True)
class PBT(Search):
    """Population based training (Jaderberg et al. 2017, arXiv:1711.09846), in synchronous rounds or asynchronous.

    All members train for an interval and report. Then the losers take over a winner's weights and config (*exploit*),
    and the config's hyperparameters change a little (*explore*); everyone else trains on as it is. The paper leaves
    open, and here it is so:

    - Rounds are synchronous: the decision waits for all reports, so it does not depend on who came first.
    - ``truncation`` rounds the quantile's size down, but replaces at least one. ``tournament`` lets every member meet
      one random other and inherit if that one ranks higher; a winner that itself inherits passes on what it got, so no
      heir is a donor. A diverged member always inherits and is never a donor.
    - ``t-test`` is a tournament in which the other must be significantly better: the mean of its last 10 scores lower,
      with p < 0.05 in Welch's two-sided test. The paper compares 10 episodes; here scores are the reports, one an
      interval, along the lineage of the weights: an heir takes over its donor's. With fewer than two there is no test.
    - A population of which every member has diverged is stopped, and new trials with new configs take its place for the
      rounds that remain.
    - The last round ends without exploiting: nothing would be trained after it.
    - A parameter is explored if it has a rule in ``explore``, or is hot (`shoal.space.is_hot`) and then by
      ``Factors(0.8, 1.2)``; all others, the structure above all, come along with the weights. Factors multiply, on a
      linear as on a log scale, and are clipped; whole numbers move by at least one, ordinals by one place; choices are
      drawn anew. An heir whose structure has changed takes over the layers that fit
      (`shoal.Population.inherit`).
    - ``recombine``, which is not the paper's, takes what is explored from two other parents before it is explored: the
      winners of two binary tournaments among the finite members, each parameter the second's with probability 0.33.

    With ``synchronous=False`` a member decides when it reports, as the paper's does, and nobody waits:

    - It compares itself with the last reports of the others, those that have inherited and not reported since left
      out. Reports count as they are, whatever the progress they were made at: one who is further ahead may win by that
      alone, and a slow member leaps forward.
    - The heir gets the weights of the report that it was compared with, not what the donor has made of them since, and
      goes on from their progress, which may be behind its own.
    - A member ends when it has trained for ``steps`` itself, or its weights have, whichever is first.
    - A diverged member without any other to inherit from is stopped, and a new trial takes over what it had left.
    - Decisions depend on the order in which reports arrive, and so on the number of rows.

    Args:
        population: Number of members, at least 2.
        steps: Budget of a member in steps.
        interval: Steps between rounds; the last interval is short where it does not divide ``steps``.
        epochs: Budget of a member in epochs, instead of ``steps``.
        interval_epochs: Epochs between rounds, with ``epochs``.
        quantile: Fraction of ``truncation`` that is replaced each round, and that may donate, in (0, 0.5].
        exploit: ``"truncation"``, ``"tournament"`` or ``"t-test"``.
        explore: Parameter -> `Factors`, `FactorRange`, `Resample`, or None to leave it as it was inherited.
        resample: Probability that a parameter is drawn anew instead of multiplied, where its rule has none of its own.
        recombine: Take what is explored from two parents, and only the rest from the donor.
        synchronous: Decide in rounds; otherwise at every report.
    """

    population: int
    steps: int | None = None
    interval: int | None = None
    epochs: int | None = None
    interval_epochs: int | None = None
    quantile: float = 0.2
    exploit: str = "truncation"
    explore: Mapping[str, Explore | None] = field(default_factory=dict)
    resample: float = 0.25
    recombine: bool = False
    synchronous: bool = True

    def __post_init__(self) -> None:
        whole("population", self.population, least=2)
        self.rounds()
        if not 0 < real("quantile", self.quantile) <= 0.5:
            raise ValueError(f"quantile: must be in (0, 0.5], got {self.quantile!r}")
        if self.exploit not in NAMES:
            raise ValueError(f"exploit: must be one of {', '.join(NAMES)}, got {self.exploit!r}")
        object.__setattr__(self, "explore", read_rules(self.explore))
        fraction("resample", self.resample)
        boolean("recombine", self.recombine)
        boolean("synchronous", self.synchronous)

    def rounds(self) -> tuple[Sequence[int], Unit]:
        """Return the progress at which each round ends, and its unit."""
        return intervals(self.epochs, self.interval_epochs, self.steps, self.interval)

    def rules(self, space: Space) -> dict[str, Explore]:
        """Return the rule of each parameter of ``space`` that is explored."""
        return explored(space, self.explore, self.resample)

    def explorer(self, space: Space, seed: int) -> Explorer:
        """Return who changes the configs of heirs."""
        return Perturb(space, self.rules(space), seed)

    def heirs(self, space: Space, seed: int) -> Heirs:
        """Return who decides which member inherits what."""
        recombined = self.rules(space) if self.recombine else ()
        explorer = self.explorer(space, seed)
        return Heirs(space, seed, explorer, exploit=self.exploit, quantile=self.quantile, recombined=recombined)

    def plan(self, space: Space) -> Plan:
        """Return the plan: its lines say rounds, selection, and what is explored."""
        ends, unit = self.rounds()
        rounds = "rounds" if self.synchronous else "intervals, each member at its own pace,"
        size = f"{self.population} members, {len(ends)} {rounds} of {ends[0]} {unit} to {ends[-1]}"
        return Plan(self.population, self.population * ends[-1], unit, (size, *self._how(space)))

    def _how(self, space: Space) -> Iterator[str]:
        if self.exploit == "truncation":
            size = quantile_size(self.population, self.quantile)
            yield f"truncation: the worst {size} inherit from the best {size}"
        else:
            test = f" in its last {SCORES} scores, p < {LEVEL}" if self.exploit == "t-test" else ""
            yield f"{self.exploit}: each meets one random other and inherits if that one is better{test}"
        if self.recombine:
            yield "recombined: what is explored comes from two tournament winners, the weights from a third"
        rules = self.rules(space)
        kept = [name for name in space.parameters if name not in rules]
        yield f"explored: {', '.join(rules)}" + (f"; inherited unchanged: {', '.join(kept)}" if kept else "")

    def _bind(self, space: Space, seed: int) -> Strategy:
        if self.synchronous:
            return Evolution(self, space, seed)
        ends, _ = self.rounds()
        return Asynchronous(self.plan(space), ends[0], self.heirs(space, seed), space, seed)


class Evolution(Rounds):
    """Bound `PBT`: losers inherit from winners."""

    def __init__(self, search: PBT, space: Space, seed: int) -> None:
        super().__init__(search.population, *search.rounds(), space, seed)
        self._plan, self._heirs = search.plan(space), search.heirs(space, seed)
        self._pool: dict[int, Individual] = {}  # the finite members of this round, as they were, best first
        self._settled: list[Config] = []  # with which members train on

    def plan(self) -> Plan:
        """Return the plan."""
        return self._plan

    def _donors(self, reports: Sequence[Report]) -> dict[int, int]:
        for report in reports:
            self._heirs.learn(report, self._configs[report.trial])
        ranked = rank(reports)
        donors = all_donors(ranked, lambda place: self._heirs.donor(place, self._round, ranked))
        alive = [each for each in ranked if not each.diverged]
        self._pool = {each.trial: Individual(each.trial, self._configs[each.trial], each) for each in alive}
        self._settled = [self._configs[each.trial] for each in reports if each.trial not in donors]
        return donors

    def _heir_config(self, heir: int, donor: int) -> Config:
        birth = Birth(heir, self._round, self._pool[donor].report.progress, self._settled)
        config = self._heirs.inherit(self._pool[donor], self._pool.values(), birth)
        self._settled.append(config)
        return config
