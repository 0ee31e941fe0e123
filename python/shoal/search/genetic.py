"""Genetic search with demes: generations that breed among themselves, on islands that exchange their best."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from shoal.search.base import Search, one_unit
from shoal.search.breeding import Individual, bred, ranked, tournament, two_parents
from shoal.search.keyed import keyed
from shoal.search.protocol import Config, Inherit, Order, Plan, Report, Resume, Start, Strategy, Unit
from shoal.search.tracker import Tracker, ended
from shoal.space import Space, is_hot
from shoal.space.checks import boolean, fraction, whole

Alike: TypeAlias = Mapping[tuple[Any, ...], Sequence[Individual]]  # by structure


@dataclass(frozen=True)
class Genetic(Search):
    """Genetic search with demes and three parents.

    After Vose et al. 2019, "Recombination of Artificial Neural Networks".

    In each generation all members of a deme are ranked. The ``elites`` stay as they are; every other place is taken by
    a child. Its hyperparameters come from two parents, different winners of tournaments between two: the first's, each
    replaced by the second's with the probability ``crossover_rate``, and then mutated with the probability
    ``mutation_rate``. A third parent, another tournament's winner, gives the weights if weights are inherited. What the
    source leaves open:

    - Without ``inherit_weights`` a child is a new trial, trained from scratch for one generation; an elite has been
      trained already and is not trained again. With it a child goes on from its third parent's weights and structure,
      only hot hyperparameters (`shoal.space.is_hot`) are bred, elites train on, and a schedule emerges.
    - With ``breed_structure`` all hyperparameters are bred. The third parent is then a tournament's winner among the
      members of the child's structure, whose hyperparameters are equal but for hot ones; where there is none, among
      all, and the child takes over the layers whose shapes agree and starts the others fresh
      (`shoal.Population.inherit`).
    - Every ``migration_interval`` generations the best of each deme takes the place of the worst of the next one, in a
      ring, before the children are bred. Where it is an elite, it goes on there as well as where it came from.
    - Mutation moves a number by a Gaussian of a tenth of its scale, reflected at the bounds, whole numbers and ordinals
      by at least one; a choice becomes any other one.
    - Diverged members are never parents. A deme in which all have diverged is bred from the whole population; if all
      have diverged everywhere, new trials take their place.

    Args:
        population: Number of members, at least 2 a deme.
        generations: Number of generations, at least 1.
        epochs: Length of a generation in epochs.
        steps: Length of a generation in steps, instead of ``epochs``.
        demes: Number of demes, which must divide the population.
        elites: Best members of a deme that stay, fewer than it has.
        crossover_rate: Probability that a hyperparameter is the second parent's.
        mutation_rate: Probability that a hyperparameter is mutated.
        migration_interval: Generations between migrations.
        inherit_weights: Whether children go on from a parent's weights.
        breed_structure: Whether structure is bred too where weights are inherited; without them it always is.
    """

    population: int
    generations: int
    epochs: int | None = None
    steps: int | None = None
    demes: int = 1
    elites: int = 1
    crossover_rate: float = 0.33
    mutation_rate: float = 0.05
    migration_interval: int = 5
    inherit_weights: bool = False
    breed_structure: bool = False

    def __post_init__(self) -> None:
        whole("population", self.population, least=2)
        whole("generations", self.generations, least=1)
        one_unit(epochs=self.epochs, steps=self.steps)
        demes = whole("demes", self.demes, least=1)
        if self.population % demes or self.population < 2 * demes:
            raise ValueError(f"demes: must divide the population of {self.population} into parts of >= 2, got {demes}")
        if whole("elites", self.elites, least=0) >= self.population // demes:
            size = self.population // demes
            raise ValueError(f"elites: must be fewer than a deme's {size} members, got {self.elites}")
        fraction("crossover_rate", self.crossover_rate)
        fraction("mutation_rate", self.mutation_rate)
        whole("migration_interval", self.migration_interval, least=1)
        boolean("inherit_weights", self.inherit_weights)
        if boolean("breed_structure", self.breed_structure) and not self.inherit_weights:
            raise ValueError("breed_structure: must go with inherit_weights, for without it structure is bred anyway")

    def _bind(self, space: Space, seed: int) -> Strategy:
        length, unit = one_unit(epochs=self.epochs, steps=self.steps)
        return (Continuing if self.inherit_weights else Restarting)(self, space, seed, length, unit)


class _Generations(Tracker):
    """What both forms share: places in demes, and a decision when the last report of a generation has come."""

    def __init__(self, search: Genetic, space: Space, seed: int, length: int, unit: Unit) -> None:
        super().__init__(unit)
        self._search, self._space, self._seed, self._length = search, space, seed, length
        self._generation = 0
        self._next = 0  # trial
        self._pending: list[tuple[int, Config]] = []  # places whose trials are to be started, the next one last
        self._members: dict[int, Individual] = {}  # by place, of the present generation
        self._place: dict[int, int] = {}  # of each live trial
        self._config: dict[int, Config] = {}
        self._found([*range(search.population)])

    @property
    def _exhausted(self) -> bool:
        return self._generation == self._search.generations

    def _found(self, places: Sequence[int]) -> None:
        """Let initial configs take these places; those after the first generation are random."""
        before = self._generation * self._search.population
        rng = [keyed(self._seed, "found", self._generation, place) for place in places]
        configs = [self._space.initial(before + place, each) for place, each in zip(places, rng, strict=True)]
        self._await([*zip(places, configs, strict=True)])

    def _await(self, configs: Sequence[tuple[int, Config]]) -> None:
        self._pending = [*reversed(configs), *self._pending]

    def _fill(self, free_rows: int) -> Iterable[Order]:
        orders: list[Order] = []
        while self._pending and len(orders) < free_rows:
            place, config = self._pending.pop()
            self._place[self._next], self._config[self._next] = place, config
            orders.append(Start(self._next, config, self._length))
            self._next += 1
        return orders

    def _decide(self, report: Report) -> Iterable[Order]:
        trial = report.trial
        self._members[self._place[trial]] = Individual(trial, self._config[trial], report)
        if len(self._members) < self._search.population:
            return []
        self._generation += 1
        return self._end() if self._exhausted else self._advance()

    @abstractmethod
    def _end(self) -> Iterable[Order]:
        """End the trials of the last generation."""

    @abstractmethod
    def _advance(self) -> Iterable[Order]:
        """Breed the next generation."""

    def _demes(self) -> list[list[Individual]]:
        """Return the members of each deme, best first, after migration."""
        size = self._search.population // self._search.demes
        demes = [
            ranked([self._members[place] for place in range(deme * size, (deme + 1) * size)])
            for deme in range(self._search.demes)
        ]
        if self._search.demes > 1 and self._generation % self._search.migration_interval == 0:
            best = [deme[0] for deme in demes]
            demes = [
                deme if best[d - 1].report.diverged else ranked([*deme[:-1], best[d - 1]])
                for d, deme in enumerate(demes)
            ]
        return demes

    def _pools(self, demes: Sequence[Sequence[Individual]]) -> list[list[Individual]]:
        """Return whom each deme breeds from, best first; empty lists if all have diverged."""
        everyone = ranked([each for each in self._members.values() if not each.report.diverged])
        alive = [[each for each in deme if not each.report.diverged] for deme in demes]
        return [deme or everyone for deme in alive]

    def _bred(self, pool: Sequence[Individual], place: int, only_hot: bool) -> tuple[Config, Individual]:
        """Return a child's config, and the parent of its weights."""
        rng = keyed(self._seed, "breed", self._generation, place)
        first, second = two_parents(pool, rng)
        weights = tournament(pool, rng)
        rates = self._search.crossover_rate, self._search.mutation_rate
        config = bred(self._space, first.config, second.config, *rates, rng)
        if only_hot:
            config = weights.config | {name: value for name, value in config.items() if is_hot(name)}
        return self._space.repair(config, rng, [*filter(is_hot, config)] if only_hot else None), weights

    def _lines(self) -> tuple[str, ...]:
        search = self._search
        kept = "trained on" if search.inherit_weights else "kept"
        islands = (
            f"{search.demes} demes; the best moves on every {search.migration_interval} generations"
            if search.demes > 1
            else "one deme"
        )
        rates = f"crossover {search.crossover_rate:g}, mutation {search.mutation_rate:g}"
        rates += ", structure too" if search.breed_structure else ""
        return (
            f"{search.population} members, {search.generations} generations of {self._length} {self.unit}; {islands}",
            f"{rates}; elites a deme: {search.elites}, {kept}",
        )


class Restarting(_Generations):
    """Bound `Genetic`: every child is a new trial."""

    def plan(self) -> Plan:
        """Return the plan."""
        search = self._search
        children = search.population - search.demes * search.elites
        trials = search.population + (search.generations - 1) * children
        return Plan(trials, trials * self._length, self.unit, self._lines(), initial=search.population)

    def _end(self) -> Iterable[Order]:
        orders = [ended(each.report) for each in self._members.values() if each.trial in self._place]
        self._place.clear()
        return orders

    def _advance(self) -> Iterable[Order]:
        orders = self._end()
        size, elites = self._search.population // self._search.demes, self._search.elites
        demes = self._demes()
        pools = self._pools(demes)
        self._members.clear()
        for d, (deme, pool) in enumerate(zip(demes, pools, strict=True)):
            places = range(d * size, (d + 1) * size)
            for place, elite in zip(places, deme[:elites], strict=False):
                self._members[place] = elite  # trained already
            if pool:
                self._await([(place, self._bred(pool, place, only_hot=False)[0]) for place in places[elites:]])
            else:
                self._found(places[elites:])
        return orders


class Continuing(_Generations):
    """Bound `Genetic` with inherited weights: a trial is a place in the population."""

    def plan(self) -> Plan:
        """Return the plan."""
        search = self._search
        budget = search.population * search.generations * self._length
        return Plan(search.population, budget, self.unit, self._lines())

    def __init__(self, search: Genetic, space: Space, seed: int, length: int, unit: Unit) -> None:
        super().__init__(search, space, seed, length, unit)
        self._born = 0  # generation in which the present trials were started

    def _end(self) -> Iterable[Order]:
        return [ended(each.report) for each in self._members.values()]

    def _advance(self) -> Iterable[Order]:
        demes = self._demes()
        pools = self._pools(demes)
        if not any(pools):
            orders = self._end()
            self._members.clear()
            self._born = self._generation
            self._found([*range(self._search.population)])
            return orders
        until = (self._generation - self._born + 1) * self._length
        size = self._search.population // self._search.demes
        elites, mates = self._elites(demes), [(pool, self._alike(pool)) for pool in pools]
        heirs: list[Order] = []
        others: list[Order] = []
        for place, member in sorted(self._members.items()):
            elite = elites.get(place)
            if elite is member:
                others.append(Resume(member.trial, until, "elite"))
                continue
            config, weights = (elite.config, elite) if elite else self._child(*mates[place // size], place)
            heirs.append(Inherit(member.trial, weights.trial, config, until, "migrated" if elite else "bred"))
            self._config[member.trial] = config
        self._members.clear()
        return [*heirs, *others]

    def _elites(self, demes: Sequence[Sequence[Individual]]) -> dict[int, Individual]:
        """Return who trains on at which place: its own, or that of the member it has ousted from another deme."""
        elites = {}
        for d, deme in enumerate(demes):
            places = range(d * len(deme), (d + 1) * len(deme))
            left = {each.trial for each in deme}
            ousted = [place for place in places if self._members[place].trial not in left]
            for each in deme[: self._search.elites]:
                own = self._place[each.trial]
                if not each.report.diverged:
                    elites[own if own in places else ousted[0]] = each
        return elites

    def _child(self, pool: Sequence[Individual], alike: Alike, place: int) -> tuple[Config, Individual]:
        config, weights = self._bred(pool, place, only_hot=not self._search.breed_structure)
        if self._search.breed_structure:
            rng = keyed(self._seed, "weights", self._generation, place)
            weights = tournament(alike.get(self._structure(config), pool), rng)
        return config, weights

    def _alike(self, pool: Sequence[Individual]) -> Alike:
        """Return those of the same structure, best first."""
        alike: dict[tuple[Any, ...], list[Individual]] = {}
        for each in pool:
            alike.setdefault(self._structure(each.config), []).append(each)
        return alike

    def _structure(self, config: Config) -> tuple[Any, ...]:
        return tuple(config.get(name, ...) for name in self._space.parameters if not is_hot(name))  # ...: not active
