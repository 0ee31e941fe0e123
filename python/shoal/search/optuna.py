"""Optuna's samplers: models that learn from the reports which configs to try next (extra ``optuna``)."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from shoal.search.keyed import keyed
from shoal.search.protocol import Config, Report
from shoal.search.sampler import Proposals, Sampler
from shoal.space import Float, Int, Ordinal, Parameter, Space

_NEEDED = {"gp": "torch", "cmaes": "cmaes"}  # that Optuna does not bring along, and asks for when a model begins
_KINDS = {"tpe": "TPESampler", "gp": "GPSampler", "cmaes": "CmaEsSampler", "nsgaii": "NSGAIISampler"}


@dataclass(frozen=True)
class OptunaSampler(Sampler):
    """A sampler of Optuna (Akiba et al. 2019), driven by ask and tell.

    Intermediate scores are reported too. A trial that ends before the longest training seen is told as pruned, a
    diverged one as failed. Numbers keep their scale; an ordinal is a whole number, its place; choices are categories.
    Only active parameters are asked for. A proposal with a forbidden combination is told as failed, and its repaired
    form (`shoal.space.Space.repair`) takes its place. Proposals depend on the order of the reports.

    Args:
        kind: ``"tpe"`` (tree of Parzen estimators), ``"gp"`` (Gaussian process; needs PyTorch), ``"cmaes"`` or
            ``"nsgaii"``.
        settings: Further arguments of Optuna's class, such as ``{"n_startup_trials": 20}``; the seed is the study's.
    """

    several: ClassVar[bool] = False  # it learns from the score

    kind: str = "tpe"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in list(_KINDS):  # which takes what cannot be hashed, too
            raise ValueError(f"kind: must be one of {', '.join(_KINDS)}, got {self.kind!r}")
        if not isinstance(self.settings, Mapping) or "seed" in self.settings:
            raise ValueError(f"settings: must map arguments of Optuna's class, without seed; got {self.settings!r}")
        object.__setattr__(self, "settings", dict(self.settings))

    def bind(self, space: Space, seed: int, trials: int) -> Proposals:  # noqa: ARG002
        """Return a fresh Optuna study."""
        try:
            import optuna
        except ImportError:
            raise ValueError("sampler: needs Optuna, which is not installed: pip install 'shoal[optuna]'") from None
        package = _NEEDED.get(self.kind)
        if package is not None and importlib.util.find_spec(package) is None:
            missing = f"{package}, which is not installed: pip install {package}"
            raise ValueError(f"sampler: kind {self.kind} needs {missing}")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            try:
                sampler = getattr(optuna.samplers, _KINDS[self.kind])(
                    seed=int(keyed(seed, "optuna").integers(2**31)), **self.settings
                )
            except (TypeError, ImportError) as error:
                raise ValueError(f"sampler: {error}") from None
            study = optuna.create_study(sampler=sampler)
            for config in space.begin_with:
                study.enqueue_trial(_told(space, config))
            return _Asked(space, seed, study)


class _Asked:
    """An Optuna study that is asked and told."""

    def __init__(self, space: Space, seed: int, study: Any) -> None:
        self._space, self._seed, self._study = space, seed, study
        self._trials: dict[int, Any] = {}
        self._reported: dict[int, int] = {}  # the latest progress of each
        self._longest = 0

    def propose(self, trial: int) -> Config:
        """Return Optuna's next config."""
        from optuna.trial import TrialState

        asked, config = self._ask()
        if not self._space.allows(config):
            self._study.tell(asked, state=TrialState.FAIL)
            repaired = self._space.repair(config, keyed(self._seed, "repair", trial))
            self._study.enqueue_trial(_told(self._space, repaired))
            asked, config = self._ask()
        self._trials[trial] = asked
        return config

    def _ask(self) -> tuple[Any, Config]:
        asked = self._study.ask()
        return asked, self._space.compose(lambda name, parameter: _suggest(asked, name, parameter))

    def observe(self, report: Report, *, last: bool) -> None:
        """Tell Optuna."""
        from optuna.trial import TrialState

        trial = self._trials[report.trial]
        self._longest = max(self._longest, report.progress)
        if not report.diverged and self._reported.get(report.trial) != report.progress:
            trial.report(report.score, report.progress)
            self._reported[report.trial] = report.progress
        if not last:
            return
        del self._trials[report.trial]
        self._reported.pop(report.trial, None)
        if report.diverged:
            self._study.tell(trial, state=TrialState.FAIL)
        elif report.progress < self._longest:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, report.score)


def _suggest(asked: Any, name: str, parameter: Parameter) -> Any:
    match parameter:
        case Float():
            return asked.suggest_float(name, parameter.low, parameter.high, log=parameter.log)
        case Int():
            return asked.suggest_int(name, parameter.low, parameter.high, log=parameter.log)
        case Ordinal():
            return parameter.values[asked.suggest_int(name, 0, len(parameter.values) - 1)]
        case _:
            values = parameter.grid()
            return values[asked.suggest_categorical(name, list(range(len(values))))]


def _told(space: Space, config: Config) -> dict[str, Any]:
    """Return what Optuna suggests where it means this config."""
    active = {name: parameter for name, parameter in space.parameters.items() if name in config}
    return {
        name: config[name] if isinstance(parameter, Float | Int) else parameter.grid().index(config[name])
        for name, parameter in active.items()
    }
