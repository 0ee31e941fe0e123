"""Genetic search as a sampler: children of the best configs so far, under any scheduler."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import ClassVar

from shoal.search.breeding import Individual, bred, mutate, two_parents
from shoal.search.keyed import keyed, pick
from shoal.search.protocol import Config, Report, rank_key
from shoal.search.sampler import Proposals, Sampler
from shoal.space import Space
from shoal.space.checks import fraction, whole


@dataclass(frozen=True)
class GeneticSampler(Sampler):
    """Steady-state genetic search: there are no generations, and each proposal is a child of the best seen so far.

    Parents are two different winners of tournaments between two, as in `Genetic`; a child is the first's config with
    each hyperparameter replaced by the second's with the probability ``crossover_rate``, and then mutated with the
    probability ``mutation_rate``. Every child is trained from scratch. The choices:

    - Scores are compared at one progress only: the greatest at which ``population`` configs have a finite score, as
      BOHB (Falkner et al. 2018, arXiv:1807.01774) chooses the budget of its model. The best ``population`` there are
      who may breed; until there are so many, proposals are random, the same as `RandomSampler`'s.
    - A child that has been proposed before has one hyperparameter mutated, drawn uniformly.
    - Diverged configs never breed.
    - Proposals depend on the order of the reports. With as many rows as trials nothing is known when they are made.

    Args:
        population: How many configs may breed, at least 2.
        crossover_rate: Probability that a hyperparameter is the second parent's.
        mutation_rate: Probability that a hyperparameter is mutated.
    """

    several: ClassVar[bool] = False  # it keeps the best of each progress in their order

    population: int = 20
    crossover_rate: float = 0.33
    mutation_rate: float = 0.05

    def __post_init__(self) -> None:
        whole("population", self.population, least=2)
        fraction("crossover_rate", self.crossover_rate)
        fraction("mutation_rate", self.mutation_rate)

    def bind(self, space: Space, seed: int, trials: int) -> Proposals:  # noqa: ARG002
        """Return proposals that have seen nothing."""
        return _Children(self, space, seed)


class _Children:
    def __init__(self, sampler: GeneticSampler, space: Space, seed: int) -> None:
        self._sampler, self._space, self._seed = sampler, space, seed
        self._configs: dict[int, Config] = {}  # by trial
        self._proposed: set[str] = set()  # the same, as text: a value may be a list
        self._best: dict[int, list[Individual]] = {}  # by progress: the best who may breed, best first
        self._progress: dict[int, int] = {}  # of each trial's last report

    def propose(self, trial: int) -> Config:
        parents = self._parents() if trial >= len(self._space.begin_with) else []
        rng = keyed(self._seed, "sample", trial)
        config = self._child(parents, trial) if parents else self._space.initial(trial, rng)
        self._configs[trial] = config
        self._proposed.add(repr(config))
        return config

    def observe(self, report: Report, *, last: bool) -> None:  # noqa: ARG002
        """Rank a report among those at its progress; a scheduler may tell of one again when its trial ends."""
        is_new = self._progress.get(report.trial) != report.progress
        self._progress[report.trial] = report.progress
        if is_new and not report.diverged:
            best = self._best.setdefault(report.progress, [])
            individual = Individual(report.trial, self._configs[report.trial], report)
            bisect.insort(best, individual, key=lambda each: rank_key(each.report))
            del best[self._sampler.population :]

    def _parents(self) -> list[Individual]:
        full = [progress for progress, best in self._best.items() if len(best) == self._sampler.population]
        return self._best[max(full)] if full else []

    def _child(self, parents: list[Individual], trial: int) -> Config:
        rng = keyed(self._seed, "breed", trial)
        first, second = two_parents(parents, rng)
        rates = self._sampler.crossover_rate, self._sampler.mutation_rate
        config = self._space.repair(bred(self._space, first.config, second.config, *rates, rng), rng)
        if self._space.parameters and repr(config) in self._proposed:
            name = pick(rng, [name for name in self._space.parameters if name in config])
            config[name] = mutate(self._space.parameters[name], config[name], rng)
        return self._space.repair(config, rng)
