"""Parameters that list their values; each value has an equal share of the unit interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from shoal.space.checks import jsonable, plain
from shoal.space.parameter import Ordered, Parameter


@dataclass(frozen=True)
class Listed(Parameter):
    """What `Choice`, `Ordinal` and `Bool` share.

    Args:
        values: Text, numbers, bools, None, or lists of these, all different. Lists become tuples.
        when: Other parameters -> lists of their values: the condition, see `Space`.
    """

    values: Sequence[Any]
    key: ClassVar[str]  # what a description calls the list

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.values, list | tuple) or not self.values:
            raise ValueError(f"{self.key}: must be a list of at least one value, got {self.values!r}")
        values = plain(self.key, self.values)
        for k, value in enumerate(values):
            if value in values[:k]:
                raise ValueError(f"{self.key}: values must differ, got {value!r} twice")
        object.__setattr__(self, "values", values)

    def check(self, value: Any, name: str = "value") -> Any:
        """Return ``value`` as it stands in the list."""
        return self.values[self._place(value, name)]

    def from_unit(self, position: float) -> Any:
        """Return the value whose share holds ``position``."""
        return self.values[min(int(position * len(self.values)), len(self.values) - 1)]

    def to_unit(self, value: Any) -> float:
        """Return the middle of the share of ``value``."""
        return (self._place(value) + 0.5) / len(self.values)

    def grid(self, count: int | None = None, name: str = "count") -> Sequence[Any]:
        """Return all values."""
        if count is not None:
            raise ValueError(f"{name}: must be left out, all {len(self.values)} values are used, got {count!r}")
        return self.values

    def _table(self) -> dict[str, Any]:
        return {self.key: jsonable(self.values)}

    def _place(self, value: Any, name: str = "value") -> int:
        try:
            return self.values.index(plain(name, value))
        except ValueError:
            raise ValueError(f"{name}: must be one of {list(self.values)}, got {value!r}") from None


@dataclass(frozen=True)
class Choice(Listed):
    """One of several values that have no order, such as names."""

    key = "choice"


@dataclass(frozen=True)
class Ordinal(Listed, Ordered):
    """One of several values in their order, such as batch sizes. A move is one place along the list."""

    key = "ordinal"

    def scaled(self, value: Any, factor: float) -> Any:
        """Return the next value for a factor above 1, the one before for a factor below; an end steps back inside."""
        here, last = self._place(value), len(self.values) - 1
        if factor == 1 or last == 0:
            return self.values[here]
        step = 1 if factor > 1 else -1
        return self.values[here + step if 0 <= here + step <= last else here - step]


@dataclass(frozen=True)
class Bool(Choice):
    """False or True."""

    values: Sequence[Any] = (False, True)
    key = "bool"

    def __post_init__(self) -> None:
        if self.values != (False, True):
            raise ValueError(f"bool: takes no values, got {self.values!r}")
        super().__post_init__()

    def _table(self) -> dict[str, Any]:
        return {"bool": True}
