"""The strategy for those who do not want to choose one."""

from __future__ import annotations

from bisect import bisect_right

from shoal.search.halving import Bracket, SuccessiveHalving
from shoal.search.rungs import rungs
from shoal.space.checks import whole

_ETA = 3


def default(trainings: int = 30, epochs: int = 50) -> SuccessiveHalving:
    """Return what is recommended where nothing is known: successive halving of as many configs as a budget allows.

    The configs are a Sobol sequence's, all are trained for an epoch, and each rung keeps a third. On recorded learning
    curves of twelve data sets, twenty seeds each (``bench/results/judge_20_seeds_2026-11-22.jsonl``), at budgets of 10,
    30 and 100 trainings nothing here or among Optuna's TPE, SMAC, Syne Tune's ASHA and DEHB has a lesser mean regret by
    more than chance, and no other package a better mean rank: what models add is not seen there. Of the strategies here
    one has a better mean rank by more than chance, in one of six cases: a genetic sampler under halving, where 10
    trainings are all and no config comes twice. The default needs no settings and no package, and its result does not
    depend on the number of rows.

    Args:
        trainings: The budget, in trainings to the end. Of 50 epochs, fifteen times as many configs are tried.
        epochs: What the best configs are trained for.
    """
    ends = rungs(1, whole("epochs", epochs, least=1), _ETA)
    budget = whole("trainings", trainings, least=1) * epochs
    counts = range(1, budget + 1)  # each trains for an epoch at least
    trials = bisect_right(counts, budget, key=lambda trials: Bracket.of(trials, ends, _ETA).budget)
    return SuccessiveHalving(max(1, trials), max_epochs=epochs, eta=_ETA, sampler="sobol")
