"""What every parameter can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from shoal.space.checks import jsonable, values_by_name


@dataclass(frozen=True)
class Parameter(ABC):
    """One dimension of a space.

    Args:
        when: Other parameters -> lists of their values, all of which must be met, or this one is left out of a config.
    """

    when: Mapping[str, Sequence[Any]] = field(default_factory=dict, kw_only=True, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "when", values_by_name("when", self.when))

    @abstractmethod
    def check(self, value: Any, name: str = "value") -> Any:
        """Return ``value`` as a plain Python value; ValueError, which says ``name``, when it is not the parameter's."""

    @abstractmethod
    def from_unit(self, position: float) -> Any:
        """Return the value at ``position`` in [0, 1]."""

    @abstractmethod
    def to_unit(self, value: Any) -> float:
        """Return the position of ``value`` in [0, 1]."""

    @abstractmethod
    def grid(self, count: int | None = None, name: str = "count") -> Sequence[Any]:
        """Return ``count`` values evenly spaced on the scale, ends included; all of them where they can be counted."""

    def describe(self) -> dict[str, Any]:
        """Return the JSON-able table that `Space.from_description` reads."""
        when = {name: jsonable(values) for name, values in self.when.items()}
        return self._table() | ({"when": when} if when else {})

    @abstractmethod
    def _table(self) -> dict[str, Any]:
        """Return the description without the condition."""

    def sample(self, rng: np.random.Generator) -> Any:
        """Return a value drawn uniformly on the scale."""
        return self.from_unit(rng.random())


class Ordered(Parameter):
    """A parameter whose values have a direction, so that a factor can move them."""

    @abstractmethod
    def scaled(self, value: Any, factor: float) -> Any:
        """Return ``value`` moved by a positive factor, inside the bounds."""


#: How a value changes: ``rule(parameter, value, rng) -> value``. `shoal.search` has the rules of its strategies.
Rule: TypeAlias = Callable[[Parameter, Any, np.random.Generator], Any]
