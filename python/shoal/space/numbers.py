"""Numeric parameters on a linear or a log scale.

A factor multiplies the value on either scale: what the literature on population based training does, and a shift of the
logarithm on a log scale. So a linear parameter that has reached zero stays there until it is drawn anew.

A whole number and a float's bounds come back from the unit interval as they were, other floats to rounding: where an
interval has more floats than [0, 1] has places, no map could do better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from shoal.space.checks import boolean, real, whole
from shoal.space.parameter import Ordered

_LARGEST = 2**40  # whole numbers up to here survive the rounding of the unit interval, on both scales
_N = TypeVar("_N", int, float)


@dataclass(frozen=True)
class Float(Ordered):
    """A real number in [low, high].

    Args:
        low: Lower bound; above 0 on a log scale.
        high: Upper bound, above ``low``.
        log: Uniform in the logarithm.
        when: Other parameters -> lists of their values: the condition, see `Space`.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("low", "high"):
            object.__setattr__(self, name, real(name, getattr(self, name)))
        _check_scale(self.low, self.high, self.log)

    def check(self, value: Any, name: str = "value") -> float:
        """Return ``value`` as a float; it must lie inside the bounds."""
        return _inside(name, real(name, value), self.low, self.high)

    def from_unit(self, position: float) -> float:
        """Return the value at ``position``; 0 and 1 give the bounds exactly."""
        return _clip(_between(self.low, self.high, self.log, position), self.low, self.high)

    def to_unit(self, value: Any) -> float:
        """Return the position of ``value``."""
        return _locate(self.low, self.high, self.log, self.check(value))

    def scaled(self, value: Any, factor: float) -> float:
        """Return ``value * factor``, clipped."""
        return _clip(self.check(value) * factor, self.low, self.high)

    def grid(self, count: int | None = None, name: str = "count") -> Sequence[float]:
        """Return ``count`` values from low to high; without a count a continuous parameter has no grid."""
        if count is None:
            raise ValueError(f"{name}: missing; a continuous parameter needs one")
        return [self.from_unit(position) for position in _positions(name, count)]

    def _table(self) -> dict[str, Any]:
        return {"type": "float", "low": self.low, "high": self.high, "log": self.log}


@dataclass(frozen=True)
class Int(Ordered):
    """A whole number in [low, high], both included; each owns the half unit on either side of it.

    Args:
        low: Lower bound; at least 1 on a log scale.
        high: Upper bound, above ``low``. Bounds lie within +-2**40.
        log: Uniform in the logarithm.
        when: Other parameters -> lists of their values: the condition, see `Space`.
    """

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("low", "high"):
            bound = whole(name, getattr(self, name))
            if abs(bound) > _LARGEST:
                raise ValueError(f"{name}: must lie within +-2**40, got {bound}")
            object.__setattr__(self, name, bound)
        _check_scale(self.low, self.high, self.log)

    def check(self, value: Any, name: str = "value") -> int:
        """Return ``value`` as an int; it must lie inside the bounds."""
        return _inside(name, whole(name, value), self.low, self.high)

    def from_unit(self, position: float) -> int:
        """Return the number that owns ``position``."""
        return _clip(round(_between(self.low - 0.5, self.high + 0.5, self.log, position)), self.low, self.high)

    def to_unit(self, value: Any) -> float:
        """Return the position of ``value``."""
        return _locate(self.low - 0.5, self.high + 0.5, self.log, self.check(value))

    def scaled(self, value: Any, factor: float) -> int:
        """Return ``value * factor``, rounded and clipped, and at least one away from ``value`` unless the factor is 1.

        By rounding alone a small number would never leave its place. One that is at its bound steps back inside.
        """
        here = self.check(value)
        moved = round(_clip(here * factor, float(self.low), float(self.high)))
        if moved != here or factor == 1:
            return moved
        step = 1 if (factor > 1) == (here >= 0) else -1
        return here + step if self.low <= here + step <= self.high else here - step

    def grid(self, count: int | None = None, name: str = "count") -> Sequence[int]:
        """Return ``count`` values from low to high, fewer where some round to the same number; or all of them."""
        if count is None:
            return range(self.low, self.high + 1)
        spaced = (round(_between(self.low, self.high, self.log, position)) for position in _positions(name, count))
        return list(dict.fromkeys(spaced))

    def _table(self) -> dict[str, Any]:
        return {"type": "int", "low": self.low, "high": self.high, "log": self.log}


def _check_scale(low: float, high: float, log: bool) -> None:
    if boolean("log", log) and low <= 0:
        raise ValueError(f"low: must be > 0 on a log scale, got {low:g}")
    if not low < high:
        raise ValueError(f"high: must be above low = {low:g}, got {high:g}")
    if not math.isfinite((high - low) / low if log else high - low):
        raise ValueError(f"high: {'high / low' if log else 'high - low'} must be finite, got {low:g} to {high:g}")


def _between(low: float, high: float, log: bool, position: float) -> float:
    # Both forms give the ends exactly at 0 and 1 and cannot overflow between them.
    return float(low ** (1 - position) * high**position) if log else low * (1 - position) + high * position


def _locate(low: float, high: float, log: bool, value: float) -> float:
    if log:  # log1p tells even neighbouring floats apart, which a difference of logarithms does not
        return math.log1p((value - low) / low) / math.log1p((high - low) / low)
    return (value - low) / (high - low)


def _positions(name: str, count: Any) -> Sequence[float]:
    number = whole(name, count, least=2)
    return [k / (number - 1) for k in range(number)]


def _clip(value: _N, low: _N, high: _N) -> _N:
    return min(max(value, low), high)


def _inside(name: str, value: _N, low: _N, high: _N) -> _N:
    if not low <= value <= high:
        raise ValueError(f"{name}: must be in [{low}, {high}], got {value}")
    return value
