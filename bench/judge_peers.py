"""Other packages' searches, as the judge drives them (extra ``judge``): each asks for trainings and is sent scores.

All have their packages' defaults, but for what is said at each, are seeded, and write nothing that stays. A peer is
told of every epoch where its interface takes them. Budgets between two epochs are rounded.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import logging
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from judge_runs import Peer, Training

from shoal.space import Float, Int, Parameter, Space


def optuna_tpe(space: Space, length: int, budget: int, seed: int, pruner: str | None = None) -> Peer:
    """TPE by `Study.ask`; full trainings, or pruned after any epoch, never to go on.

    Both pruners have the rungs 1, 3, 9, 27, ...; each trial is judged by the earlier ones of its bracket. Hyperband
    draws a trial's bracket by a hash of the study's name, which therefore has the seed, and TPE learns from the trials
    of the same bracket only.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruners = {
        None: optuna.pruners.NopPruner,
        "hyperband": partial(optuna.pruners.HyperbandPruner, min_resource=1, max_resource=length, reduction_factor=3),
        "halving": partial(optuna.pruners.SuccessiveHalvingPruner, min_resource=1, reduction_factor=3),
    }
    sampler = optuna.samplers.TPESampler(seed=seed)
    study = optuna.create_study(sampler=sampler, pruner=pruners[pruner](), study_name=f"judge {seed}")
    while True:
        trial = study.ask()
        config = {name: _suggest(trial, name, parameter) for name, parameter in space.parameters.items()}
        for epoch in range(1, length + 1) if pruner else [length]:
            score = yield Training(trial.number, config, epoch)
            trial.report(score, epoch)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, score)


def _suggest(trial: Any, name: str, parameter: Parameter) -> Any:
    kind, low, high, log = _number(parameter)
    return (trial.suggest_int if kind is int else trial.suggest_float)(name, low, high, log=log)


def syne_tune(space: Space, length: int, budget: int, seed: int, method: str = "ASHA") -> Peer:
    """A scheduler of Syne Tune in the unit cube, without its tuner and backend; one worker.

    Version 0.16 has ASHA in its stopping form only: after an epoch that is a rung (1, 3, 9, 27, ...) a trial goes on at
    once if it is in the best third of those that were there, and is gone otherwise. Its BOHB is the same with a kernel
    density estimator for configs, which is the reason for the cube: it is blind to log scales, and lets whole numbers
    leave their bounds.
    """
    from syne_tune.backend.trial_status import Trial
    from syne_tune.config_space import uniform
    from syne_tune.optimizer import baselines
    from syne_tune.optimizer.scheduler import SchedulerDecision

    logging.getLogger("syne_tune").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="After 0.17", category=FutureWarning)  # of statsmodels, at each config
    np.random.seed(seed)  # some of its draws are NumPy's global ones
    scheduler = getattr(baselines, method)(
        {name: uniform(0.0, 1.0) for name in space.parameters},
        metric="loss",
        time_attr="epoch",
        max_t=length,
        grace_period=1,
        reduction_factor=3,
        random_seed=seed,
    )
    for number in itertools.count():
        trial = Trial(number, scheduler.suggest().config, datetime.now())
        scheduler.on_trial_add(trial)
        config = space.from_unit([trial.config[name] for name in space.parameters])
        for epoch in range(1, length + 1):
            score = yield Training(number, config, epoch)
            if scheduler.on_trial_result(trial, {"loss": score, "epoch": epoch}) == SchedulerDecision.STOP:
                break
        scheduler.on_trial_remove(trial)


def dehb(space: Space, length: int, budget: int, seed: int) -> Peer:
    """DEHB by ``ask`` and ``tell``, in the unit cube.

    It knows no trials, only configs and budgets: length / 3^k, those not below 1. The configs that it promotes in its
    first round of brackets are trained on; later it promotes none, and each new config is trained from scratch.
    """
    import loguru
    from dehb import DEHB

    with tempfile.TemporaryDirectory() as folder:
        optimizer = DEHB(
            dimensions=len(space.parameters),
            min_fidelity=1,
            max_fidelity=length,
            eta=3,
            seed=seed,
            n_workers=1,
            output_path=folder,
            save_freq="end",
            log_level="CRITICAL",
        )
        try:
            while True:
                job = optimizer.ask()
                point = tuple(job["config"].tolist())
                score = yield Training(point, space.from_unit(point), round(job["fidelity"]))
                optimizer.tell(job, {"fitness": score, "cost": job["fidelity"]})
        finally:
            loguru.logger.remove()  # closes the log in the folder


def smac(space: Space, length: int, budget: int, seed: int) -> Peer:
    """SMAC's multi-fidelity facade by ``ask`` and ``tell``: Hyperband over a random forest.

    Budgets are length / 3^k, those not below 1; equal configs are trained on. The trials it expects, of which its
    random beginning is a quarter at most, are as many trainings as Hyperband's brackets have for the budget.
    """
    import ConfigSpace
    from smac import MultiFidelityFacade, Scenario
    from smac.runhistory.dataclasses import TrialValue

    def hyperparameter(name: str, parameter: Parameter) -> Any:
        kind, low, high, log = _number(parameter)
        return (ConfigSpace.Integer if kind is int else ConfigSpace.Float)(name, (low, high), log=log)

    logging.getLogger("smac").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(
            ConfigSpace.ConfigurationSpace(space=[hyperparameter(*each) for each in space.parameters.items()]),
            deterministic=True,
            min_budget=1,
            max_budget=length,
            n_trials=_hyperband_trainings(length, budget),
            seed=seed,
            output_directory=Path(folder),
        )
        optimizer = MultiFidelityFacade(scenario, logging_level=False)
        while True:
            trial = optimizer.ask()
            config = dict(trial.config)
            score = yield Training(tuple(config.values()), config, round(trial.budget))
            optimizer.tell(trial, TrialValue(cost=score), save=False)


def _hyperband_trainings(length: int, budget: int) -> int:
    """Return how many trainings Hyperband has for so many epochs."""
    from shoal.search import Hyperband

    brackets = Hyperband(max_epochs=length).brackets()
    trainings = sum(sum(bracket.sizes) for bracket in brackets)
    return max(1, round(trainings * budget / sum(bracket.budget for bracket in brackets)))


def _number(parameter: Parameter) -> tuple[type, Any, Any, bool]:
    if not isinstance(parameter, Float | Int):
        raise ValueError(f"space: must have numbers only, got {parameter!r}")
    return type(parameter.low), parameter.low, parameter.high, parameter.log


@dataclass(frozen=True)
class Packaged:
    """A peer, ``start(space, length, budget, seed)`` with lengths in epochs, and the package that it needs."""

    package: str
    start: Callable[[Space, int, int, int], Peer]

    @property
    def version(self) -> str | None:
        """None where it is not installed."""
        try:
            return importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            return None


PEERS = {
    "optuna/tpe": Packaged("optuna", optuna_tpe),
    "optuna/tpe+hyperband": Packaged("optuna", partial(optuna_tpe, pruner="hyperband")),
    "optuna/tpe+halving": Packaged("optuna", partial(optuna_tpe, pruner="halving")),
    "syne-tune/asha": Packaged("syne-tune", syne_tune),
    "syne-tune/bohb": Packaged("syne-tune", partial(syne_tune, method="BOHB")),
    "dehb/dehb": Packaged("dehb", dehb),
    "smac/hyperband": Packaged("smac", smac),
}
