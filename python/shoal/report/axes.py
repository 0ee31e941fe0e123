"""Axes for values of any kind: a position in [0, 1] on the parameter's own scale, and ticks with their words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shoal.space import Float, Int, Parameter

Tick = tuple[float, str]  # position in [0, 1], label

FEW = 8  # values that are listed one by one
FOOT = 0.15  # of an axis, for what is not active


@dataclass(frozen=True)
class Axis:
    """One dimension of a picture; ``listed`` when its values are a few words or numbers and not a range."""

    name: str
    position: Callable[[Any], float]
    ticks: tuple[Tick, ...]
    listed: bool = False

    def of(self, values: Mapping[str, Any]) -> float:
        """The position of a config's value; a parameter that is not active is at the foot of its axis."""
        return self.position(values[self.name]) if self.name in values else 0.0


def parameter_axis(name: str, parameter: Parameter) -> Axis:
    """The axis of a parameter of the space; one with a condition has a foot, for configs in which it is not active."""
    axis = _scale(name, parameter)
    if not parameter.when:
        return axis
    ticks = ((0.0, "inactive"), *((_above_foot(position), label) for position, label in axis.ticks))
    return Axis(name, lambda value: _above_foot(axis.position(value)), ticks, axis.listed)


def _above_foot(position: float) -> float:
    return FOOT + (1 - FOOT) * position


def _scale(name: str, parameter: Parameter) -> Axis:
    if not isinstance(parameter, Float | Int) or (isinstance(parameter, Int) and parameter.high - parameter.low < FEW):
        ticks = tuple((parameter.to_unit(value), text(value)) for value in parameter.grid())
        return Axis(name, parameter.to_unit, ticks, listed=True)
    values: Sequence[float] = (log_ticks if parameter.log else linear_ticks)(parameter.low, parameter.high)
    if isinstance(parameter, Int):
        values = [int(value) for value in values if value.is_integer()]
    return Axis(name, parameter.to_unit, tuple((parameter.to_unit(value), text(value)) for value in values))


def range_axis(name: str, low: float, high: float, whole: bool = False) -> Axis:
    """A linear axis from ``low`` to ``high``, with ticks at ``whole`` numbers only; values outside are at its ends."""
    span = (high - low) or 1.0

    def position(value: float) -> float:
        return min(max((value - low) / span, 0.0), 1.0)

    ticks = [value for value in linear_ticks(low, high) if not whole or value.is_integer()]
    return Axis(name, position, tuple((position(value), text(value)) for value in ticks))


def linear_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most ``most`` multiples of 1, 2 or 5 times a power of ten in [low, high]."""
    if not low < high:
        return [low]
    exponent = math.floor(math.log10((high - low) / most))
    steps = (digit * 10.0 ** (exponent + e) for e in (0, 1) for digit in (1, 2, 5))
    step = next(s for s in steps if (high - low) / s <= most - 1)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten in [low, high], with 2 and 5 between them where there are few; low and high are above 0."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1,) if len(decades) > 4 else (1, 2, 5)
    ticks = [float(f"{digit}e{exponent}") for exponent in decades for digit in digits]
    inside = [tick for tick in ticks if low <= tick <= high]
    return inside if len(inside) > 1 else linear_ticks(low, high, 4)


def entry(config: Mapping[str, Any], name: str) -> str:
    """A value of a config for people; nothing for one that is not active."""
    return text(config[name]) if name in config else ""


def text(value: Any) -> str:
    """A value of a config or a metric for people: four digits are enough."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def amount(value: float) -> str:
    """A figure of merit for people: counts in full, and infinity is a target that was not reached."""
    if math.isinf(value):
        return "not reached"
    return f"{value:,.0f}" if abs(value) >= 1e4 and value == int(value) else text(value)
