"""Checks of single values that the core takes: integers of 32 bits, numbers in single precision; NumPy's are welcome.

Each returns a plain Python value, or raises a ValueError naming place, rule and value. Those of spaces and strategies
are in `shoal.space.checks`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable

import numpy as np

_INTERVALS = {
    ">= 0": lambda v: v >= 0,
    "> 0": lambda v: v > 0,
    "in [0, 1)": lambda v: 0 <= v < 1,
}


def integer(value: object, place: str, low: int = 0, high: int = 2**31 - 1) -> int:
    """Return an integer in [low, high]; True and 3.0 are not integers."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{place}: must be an integer, got {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{place}: must be an integer in [{low}, {high}], got {value}")
    return operator.index(value)


def real(value: object, place: str, interval: str) -> float:
    """Return a finite number in the interval, one of ``">= 0"``, ``"> 0"``, ``"in [0, 1)"``."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise ValueError(f"{place}: must be a number {interval}, got {value!r}")
    single = _as_float32(value)
    if not (math.isfinite(single) and _INTERVALS[interval](single)):
        raise ValueError(f"{place}: must be {interval} and finite in single precision, got {value}")
    return float(value)


def _as_float32(value: float | np.integer | np.floating) -> float:
    # The core computes in float32, where 1e-50 is 0 and 0.99999999 is 1: the rule must hold there.
    try:
        with np.errstate(all="ignore"):
            return float(np.float32(value))
    except OverflowError:  # an integer beyond float64
        return math.inf


def boolean(value: object, place: str) -> bool:
    """Return True or False; 0 and 1 are not accepted."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{place}: must be True or False, got {value!r}")
    return bool(value)


def choice(value: object, place: str, options: Iterable[str]) -> str:
    """Return one of the strings in ``options``."""
    options = list(options)
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{place}: must be one of {', '.join(options)}; got {value!r}")
    return value
