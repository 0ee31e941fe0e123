"""A sampler of the user's own: any object that is asked for configs and told their scores."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from shoal.search.protocol import Config, Report
from shoal.search.sampler import Proposals, Sampler
from shoal.space import Space


@runtime_checkable
class AskTell(Protocol):
    """What a user's sampler has."""

    def ask(self) -> Mapping[str, Any]:
        """Return the next config: a value for every parameter of the space; constants may be left out."""

    def tell(self, config: Mapping[str, Any], score: float) -> None:
        """Take the score that a config, the very object that ``ask`` returned, has come to."""


@dataclass(frozen=True)
class AskTellSampler(Sampler):
    """Configs from an object with ``ask() -> config`` and ``tell(config, score)`` (`shoal.search.asktell.AskTell`).

    Any scheduler takes such an object as its ``sampler`` as it stands. What it may rely on:

    - It is asked for one config a trial, and told of it once, when the trial has ended: several may be out at a time.
      Lower scores are better, whatever the metric's mode; a diverged trial's is infinite.
    - A trial that is stopped early is told with the score it had then. `ASHA` that promotes lets trials wait to the
      end of the search, so that few are told of before; its mode ``"stopping"`` tells of each at once.
    - Each run works on a deep copy of the object as it was given. A study that is resumed asks and tells a fresh copy
      all that has happened, so the same script must make the same object: its random numbers need a seed of their own.
    - A journal knows it by its class's name, and a study file cannot name it.

    Args:
        sampler: The object.
    """

    several: ClassVar[bool] = False  # it is told a score

    sampler: AskTell

    def __post_init__(self) -> None:
        if not isinstance(self.sampler, AskTell) or isinstance(self.sampler, type):
            raise ValueError(f"sampler: must be an object with the methods ask and tell, got {self.sampler!r}")

    def bind(self, space: Space, seed: int, trials: int) -> Proposals:  # noqa: ARG002  its draws are its own
        """Return the proposals of a copy."""
        name = type(self.sampler).__name__
        if space.begin_with:
            raise ValueError(f"space.begin_with: must be empty for {name}, whose ask says which configs come first")
        try:
            return _Told(space, copy.deepcopy(self.sampler))
        except Exception as error:  # whatever its pickling raises
            raise ValueError(f"sampler: must be an object that copy.deepcopy can copy, got {name}: {error}") from None

    def describe(self) -> dict[str, Any]:
        """Return the class's name; no one can make the object of it again."""
        return {"name": type(self).__name__, "sampler": type(self.sampler).__qualname__}


class _Told:
    def __init__(self, space: Space, sampler: AskTell) -> None:
        self._space, self._sampler = space, sampler
        self._asked: dict[int, Mapping[str, Any]] = {}  # of the live trials

    def propose(self, trial: int) -> Config:
        config = self._asked[trial] = self._sampler.ask()
        name = type(self._sampler).__name__
        if not isinstance(config, Mapping):
            raise ValueError(f"sampler {name}: ask must return a mapping of names to values, got {config!r}")
        try:
            return self._space.check(config)
        except ValueError as error:
            raise ValueError(f"sampler {name}: {error}") from None

    def observe(self, report: Report, *, last: bool) -> None:
        if last:
            self._sampler.tell(self._asked.pop(report.trial), float("inf") if report.diverged else report.score)
