"""Elitist genetic search: the best of all time breed on, trained from scratch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shoal.search.base import Search, one_unit
from shoal.search.breeding import Individual, bred, ranked
from shoal.search.keyed import keyed
from shoal.search.protocol import Config, Order, Plan, Report, Start, Strategy
from shoal.search.tracker import Tracker, ended
from shoal.space import Space
from shoal.space.checks import fraction, whole


@dataclass(frozen=True)
class Elitist(Search):
    """Elitist genetic search, as a study of networks for CIFAR-10 did it with 20 entities.

    The first generation is random. The parents of each later one are the best ``parents`` of the generation before, the
    best ``parents`` of all time and one new random config. Each child has two different parents, drawn uniformly, takes
    each hyperparameter from either with equal chances, and has it mutated with the probability ``mutation_rate``. Every
    child is a new trial, trained from scratch for the full length. What the source leaves open:

    - Configs count once among the parents if they are equal, whichever trials had them.
    - The random config is new in each generation, and is not trained: it only breeds.
    - Mutation is that of `Genetic`. A child may be equal to a parent; it is trained all the same.
    - Diverged trials are never parents; until one has not diverged, generations are random.

    Args:
        population: Trials of a generation, at least 2; 20 in the study.
        generations: Number of generations, at least 1.
        epochs: Length of a trial in epochs.
        steps: Length of a trial in steps, instead of ``epochs``.
        parents: How many of the best of a generation, and of all time, may breed; at most the population.
        mutation_rate: Probability that a hyperparameter is mutated.
    """

    population: int
    generations: int
    epochs: int | None = None
    steps: int | None = None
    parents: int = 10
    mutation_rate: float = 0.05

    def __post_init__(self) -> None:
        whole("population", self.population, least=2)
        whole("generations", self.generations, least=1)
        one_unit(epochs=self.epochs, steps=self.steps)
        if whole("parents", self.parents, least=1) > self.population:
            raise ValueError(f"parents: must be at most the population of {self.population}, got {self.parents}")
        fraction("mutation_rate", self.mutation_rate)

    def _bind(self, space: Space, seed: int) -> Strategy:
        return Generations(self, space, seed)


class Generations(Tracker):
    """Bound `Elitist`."""

    def __init__(self, search: Elitist, space: Space, seed: int) -> None:
        self._length, unit = one_unit(epochs=search.epochs, steps=search.steps)
        super().__init__(unit)
        self._search, self._space, self._seed = search, space, seed
        self._generation = 0
        self._next = 0  # trial
        self._configs: dict[int, Config] = {}  # of the live trials
        self._reported: list[Individual] = []  # of the present generation
        self._ever: list[Individual] = []  # the best of all time
        self._parents: list[Config] = []  # of the present generation

    def plan(self) -> Plan:
        """Return the plan."""
        search = self._search
        trials = search.population * search.generations
        lines = (
            f"{search.generations} generations of {search.population} trials, {self._length} {self.unit} each",
            f"parents: the best {search.parents} of the last generation and of all time, and a random one; "
            f"mutation {search.mutation_rate:g}",
        )
        return Plan(trials, trials * self._length, self.unit, lines, initial=search.population)

    @property
    def _exhausted(self) -> bool:
        return self._next == self._search.population * self._search.generations

    def _fill(self, free_rows: int) -> Iterable[Order]:
        generation = min(self._generation + 1, self._search.generations)
        first, self._next = self._next, min(self._next + free_rows, generation * self._search.population)
        self._configs |= {trial: self._config(trial) for trial in range(first, self._next)}
        return [Start(trial, self._configs[trial], self._length) for trial in range(first, self._next)]

    def _config(self, trial: int) -> Config:
        if not self._parents:
            return self._space.initial(trial, keyed(self._seed, "sample", trial))
        rng = keyed(self._seed, "breed", trial)
        pair = rng.choice(len(self._parents), 2, replace=len(self._parents) == 1)
        first, second = (self._parents[int(place)] for place in pair)
        return self._space.repair(bred(self._space, first, second, 0.5, self._search.mutation_rate, rng), rng)

    def _decide(self, report: Report) -> Iterable[Order]:
        self._reported.append(Individual(report.trial, self._configs.pop(report.trial), report))
        if len(self._reported) == self._search.population:
            self._turn()
        return [ended(report)]

    def _turn(self) -> None:
        """Choose the parents of the next generation."""
        most = self._search.parents
        best = ranked([each for each in self._reported if not each.report.diverged])[:most]
        self._ever = ranked([*self._ever, *best])[:most]
        self._reported.clear()
        self._generation += 1
        if self._ever:
            newcomer = self._space.sample(keyed(self._seed, "newcomer", self._generation))
            self._parents = _distinct([*(each.config for each in (*best, *self._ever)), newcomer])


def _distinct(configs: Sequence[Config]) -> list[Config]:
    return [config for place, config in enumerate(configs) if config not in configs[:place]]
