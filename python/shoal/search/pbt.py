"""Population based training: search and training in one, a schedule of hyperparameters instead of one config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shoal.search.base import Search, one_unit
from shoal.search.exploit import EXPLOIT, quantile_size
from shoal.search.explore import Explore, Factors, Scaling, read_rule
from shoal.search.keyed import keyed, pick
from shoal.search.protocol import Config, Plan, Report, Strategy, Unit, rank_key
from shoal.search.rounds import Rounds
from shoal.space import Space, is_hot
from shoal.space.checks import fraction, real, whole


@dataclass(frozen=True)
class PBT(Search):
    """Population based training (Jaderberg et al. 2017, arXiv:1711.09846), in synchronous rounds.

    All members train for an interval and report. Then the losers take over a winner's weights and config (*exploit*),
    and the config's hyperparameters change a little (*explore*); everyone else trains on as it is. The paper leaves
    open, and here it is so:

    - Rounds are synchronous: the decision waits for all reports, so it does not depend on who came first.
    - ``truncation`` rounds the quantile's size down, but replaces at least one. ``tournament`` lets every member meet
      one random other and inherit if that one ranks higher; a winner that itself inherits passes on what it got, so no
      heir is a donor. A diverged member always inherits and is never a donor.
    - A population of which every member has diverged is stopped, and new trials with new configs take its place for the
      rounds that remain.
    - The last round ends without exploiting: nothing would be trained after it.
    - A parameter is explored if it has a rule in ``explore``, or is hot (`shoal.space.is_hot`) and then by
      ``Factors(0.8, 1.2)``; all others, the structure above all, come along with the weights. Factors multiply, on a
      linear as on a log scale, and are clipped; whole numbers move by at least one, ordinals by one place; choices are
      drawn anew. An heir whose structure has changed takes over the layers that fit
      (`shoal.Population.inherit`).

    Args:
        population: Number of members, at least 2.
        steps: Budget of a member in steps.
        interval: Steps between rounds; the last interval is short where it does not divide ``steps``.
        epochs: Budget of a member in epochs, instead of ``steps``.
        interval_epochs: Epochs between rounds, with ``epochs``.
        quantile: Fraction of ``truncation`` that is replaced each round, and that may donate, in (0, 0.5].
        exploit: ``"truncation"`` or ``"tournament"``.
        explore: Parameter -> `Factors`, `FactorRange`, `Resample`, or None to leave it as it was inherited.
        resample: Probability that a parameter is drawn anew instead of multiplied, where its rule has none of its own.
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

    def __post_init__(self) -> None:
        whole("population", self.population, least=2)
        self.rounds()
        if not 0 < real("quantile", self.quantile) <= 0.5:
            raise ValueError(f"quantile: must be in (0, 0.5], got {self.quantile!r}")
        if self.exploit not in list(EXPLOIT):
            raise ValueError(f"exploit: must be one of {', '.join(EXPLOIT)}, got {self.exploit!r}")
        if not isinstance(self.explore, Mapping):
            raise ValueError(f"explore: must map parameters to rules, got {self.explore!r}")
        rules = {name: read_rule(rule, f"explore.{name}") for name, rule in self.explore.items()}
        object.__setattr__(self, "explore", rules)
        fraction("resample", self.resample)

    def rounds(self) -> tuple[Sequence[int], Unit]:
        """Return the progress at which each round ends, and its unit."""
        total, unit = one_unit(epochs=self.epochs, steps=self.steps)
        interval, unit_of_interval = one_unit(interval_epochs=self.interval_epochs, interval=self.interval)
        name = "interval_epochs" if unit == "epochs" else "interval"
        if unit != unit_of_interval:
            raise ValueError(f"{name}: must be given with {unit}, for all durations are in one unit")
        if interval > total:
            raise ValueError(f"{name}: must be at most {unit} = {total}, got {interval}")
        return [*range(interval, total, interval), total], unit

    def rules(self, space: Space) -> dict[str, Explore]:
        """Return the rule of each parameter of ``space`` that is explored."""
        space.require(self.explore, "explore")
        wanted = {name: Factors(0.8, 1.2) for name in space.parameters if is_hot(name)} | dict(self.explore)
        rules = {name: rule for name in space.parameters if (rule := wanted.get(name)) is not None}
        if not rules:
            raise ValueError(f"explore: must name a parameter, for none of {', '.join(space.parameters)} is explored")
        return {name: rule.settle(self.resample) if isinstance(rule, Scaling) else rule for name, rule in rules.items()}

    def _bind(self, space: Space, seed: int) -> Strategy:
        return Evolution(self, space, seed)


class Evolution(Rounds):
    """Bound `PBT`: losers inherit from winners."""

    def __init__(self, search: PBT, space: Space, seed: int) -> None:
        super().__init__(search.population, *search.rounds(), space, seed)
        self._search = search
        self._rules = search.rules(space)

    def plan(self) -> Plan:
        """Return the plan: its lines say rounds, selection, and what is explored."""
        search, ends = self._search, self._ends
        size = quantile_size(search.population, search.quantile)
        how = {
            "truncation": f"truncation: the worst {size} inherit from the best {size}",
            "tournament": "tournament: each meets one random other and inherits if that one is better",
        }
        kept = [name for name in self._space.parameters if name not in self._rules]
        lines = (
            f"{search.population} members, {len(ends)} rounds of {ends[0]} {self.unit} to {ends[-1]}",
            how[search.exploit],
            f"explored: {', '.join(self._rules)}" + (f"; inherited unchanged: {', '.join(kept)}" if kept else ""),
        )
        return Plan(search.population, search.population * ends[-1], self.unit, lines)

    def _donors(self, reports: Sequence[Report]) -> dict[int, int]:
        return EXPLOIT[self._search.exploit](sorted(reports, key=rank_key), self._search.quantile, self._pick)

    def _heir_config(self, heir: int, config: Config) -> Config:
        return self._space.perturb(config, self._rules, keyed(self._seed, "explore", heir, self._round))

    def _pick(self, member: int, others: Sequence[Report]) -> Report:
        return pick(keyed(self._seed, "exploit", member, self._round), others)
