"""How an heir's hyperparameters change: one rule per parameter.

A rule takes a parameter, its value and a generator, and returns the new value, inside the bounds. A factor multiplies a
number and moves an ordinal by one place; a choice has no direction, so whatever moves it draws it anew.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shoal.search.keyed import pick
from shoal.space import Ordered, Parameter, Space, is_hot
from shoal.space.checks import fraction, known_keys, real


class Explore(ABC):
    """Base of the rules."""

    @abstractmethod
    def __call__(self, parameter: Parameter, value: Any, rng: np.random.Generator) -> Any:
        """Return the value that follows ``value``."""

    @abstractmethod
    def describe(self) -> Any:
        """Return what `read_rule` reads back, JSON-able."""


class Scaling(Explore):
    """Base of the rules that draw a factor, or with the probability ``resample`` a new value."""

    resample: float | None

    def __call__(self, parameter: Parameter, value: Any, rng: np.random.Generator) -> Any:
        """Return ``value`` moved by a factor, or a new draw."""
        if not isinstance(parameter, Ordered) or rng.random() < (self.resample or 0):
            return parameter.sample(rng)
        return parameter.scaled(value, self._factor(rng))

    @abstractmethod
    def settle(self, resample: float) -> Explore:
        """Return this rule with a probability of its own, ``resample`` where it has none."""

    @abstractmethod
    def _factor(self, rng: np.random.Generator) -> float:
        """Draw a factor."""

    def _probability(self) -> dict[str, float]:
        return {} if self.resample is None else {"resample": float(self.resample)}


@dataclass(frozen=True, init=False)
class Factors(Scaling):
    """Multiply by one of several factors, each equally likely: ``Factors(0.8, 1.2)``.

    Args:
        factors: One or more numbers above 0.
        resample: Probability of drawing anew instead; None takes the strategy's.
    """

    factors: tuple[float, ...]
    resample: float | None

    def __init__(self, *factors: float, resample: float | None = None) -> None:
        if not factors:
            raise ValueError("factors: must be at least one number, got none")
        object.__setattr__(self, "factors", tuple(_positive("factors", factor) for factor in factors))
        object.__setattr__(self, "resample", resample if resample is None else fraction("resample", resample))

    def settle(self, resample: float) -> Explore:
        """Return this rule with a probability of its own."""
        return self if self.resample is not None else Factors(*self.factors, resample=resample)

    def describe(self) -> Any:
        """Return ``{factors, resample}``."""
        return {"factors": list(self.factors)} | self._probability()

    def _factor(self, rng: np.random.Generator) -> float:
        return pick(rng, self.factors)


@dataclass(frozen=True)
class FactorRange(Scaling):
    """Multiply by a factor drawn uniformly from [low, high): ``FactorRange(0.9, 1.1)``.

    Args:
        low: Smallest factor, above 0.
        high: Largest factor, above ``low``.
        resample: Probability of drawing anew instead; None takes the strategy's.
    """

    low: float
    high: float
    resample: float | None = None

    def __post_init__(self) -> None:
        if not _positive("range", self.low) < _positive("range", self.high):
            raise ValueError(f"range: must rise, got {self.low!r} to {self.high!r}")
        if self.resample is not None:
            fraction("resample", self.resample)

    def settle(self, resample: float) -> Explore:
        """Return this rule with a probability of its own."""
        return self if self.resample is not None else FactorRange(self.low, self.high, resample)

    def describe(self) -> Any:
        """Return ``{range, resample}``."""
        return {"range": [float(self.low), float(self.high)]} | self._probability()

    def _factor(self, rng: np.random.Generator) -> float:
        return self.low + (self.high - self.low) * rng.random()


@dataclass(frozen=True)
class Resample(Explore):
    """Draw anew with a probability, else keep: ``Resample(0.25)``."""

    probability: float

    def __post_init__(self) -> None:
        fraction("resample", self.probability)

    def __call__(self, parameter: Parameter, value: Any, rng: np.random.Generator) -> Any:
        """Return a new draw, or ``value``."""
        return parameter.sample(rng) if rng.random() < self.probability else value

    def describe(self) -> Any:
        """Return ``{resample}``."""
        return {"resample": float(self.probability)}


def read_rule(rule: Any, place: str) -> Explore | None:
    """Return the rule that a table of a study file describes; rules, and None for no change, are returned as they are.

    Args:
        rule: ``{factors}`` or ``{range}``, each with ``resample`` or without; ``{resample}``; ``"keep"`` for None.
        place: Begins an error's message.
    """
    if rule is None or rule == "keep" or isinstance(rule, Explore):
        return rule if isinstance(rule, Explore) else None
    try:
        return _read(rule)
    except ValueError as error:
        raise ValueError(f"{place}.{error}") from None


def read_rules(rules: Any) -> dict[str, Explore | None]:
    """Return the ``explore`` of a strategy: parameter -> rule, each as `read_rule` reads it."""
    if not isinstance(rules, Mapping):
        raise ValueError(f"explore: must map parameters to rules, got {rules!r}")
    return {name: read_rule(rule, f"explore.{name}") for name, rule in rules.items()}


def explored(space: Space, rules: Mapping[str, Explore | None], resample: float) -> dict[str, Explore]:
    """Return the rule of each parameter of ``space`` that is explored: those in ``rules``, and what is hot.

    Args:
        space: Of the configs.
        rules: Parameter -> rule, or None to leave it out.
        resample: Of rules that have no probability of their own.
    """
    space.require(rules, "explore")
    wanted = {name: Factors(0.8, 1.2) for name in space.parameters if is_hot(name)} | dict(rules)
    found = {name: rule for name in space.parameters if (rule := wanted.get(name)) is not None}
    if not found:
        raise ValueError(f"explore: must name a parameter, for none of {', '.join(space.parameters)} is explored")
    return {name: rule.settle(resample) if isinstance(rule, Scaling) else rule for name, rule in found.items()}


def _read(table: Any) -> Explore:
    if not isinstance(table, Mapping):
        raise ValueError(f'rule: must be a table with factors, range or resample, or "keep", got {table!r}')
    if "factors" in table:
        known_keys(table, ["factors", "resample"])
        return Factors(*_numbers("factors", table), resample=table.get("resample"))
    if "range" in table:
        known_keys(table, ["range", "resample"])
        low, high = _numbers("range", table, 2)
        return FactorRange(low, high, table.get("resample"))
    known_keys(table, ["factors", "range", "resample"])
    if not table:
        raise ValueError("factors: missing, as are range and resample")
    return Resample(table["resample"])


def _numbers(name: str, table: Mapping[str, Any], size: int | None = None) -> Sequence[Any]:
    numbers = table[name]
    if not isinstance(numbers, list | tuple) or size not in (None, len(numbers)):
        raise ValueError(f"{name}: must be a list of {size or 'some'} numbers, got {numbers!r}")
    return numbers


def _positive(name: str, value: Any) -> float:
    if real(name, value) <= 0:
        raise ValueError(f"{name}: must be > 0, got {value!r}")
    return float(value)
