"""Checks of single values of spaces and strategies, which a journal carries as JSON: integers of any size, float64.

Each returns a plain Python value or raises ValueError: ``name: rule, got value``. Those of what the core takes are in
`shoal.rules`: other bounds, and so other words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np


def real(name: str, value: Any) -> float:
    """Return ``value`` as a float; it must be a finite number."""
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    except OverflowError:  # an int beyond the floats
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name}: must be a finite number, got {value!r}")
    return number


def fraction(name: str, value: Any) -> float:
    """Return ``value`` as a float; it must be a number in [0, 1]."""
    if not 0 <= real(name, value) <= 1:
        raise ValueError(f"{name}: must be in [0, 1], got {value!r}")
    return float(value)


def whole(name: str, value: Any, least: int | None = None) -> int:
    """Return ``value`` as an int; it must be a whole number, not below ``least``."""
    if isinstance(value, bool) or not isinstance(value, Integral) or (least is not None and value < least):
        rule = "a whole number" if least is None else f"a whole number >= {least}"
        raise ValueError(f"{name}: must be {rule}, got {value!r}")
    return int(value)


def boolean(name: str, value: Any) -> bool:
    """Return ``value``; it must be True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name}: must be true or false, got {value!r}")
    return value


def plain(name: str, value: Any) -> Any:
    """Return ``value`` as text, a bool, a whole or finite number, None, or a tuple of these: what JSON can carry."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, list | tuple):
        return tuple(plain(name, each) for each in value)
    raise ValueError(f"{name}: must be text, a finite number, true, false, None or a list of these, got {value!r}")


def known_keys(table: Mapping[str, Any], known: Iterable[str]) -> None:
    """Every key of ``table`` must be among ``known``."""
    known = list(known)
    for key in table:
        if key not in known:
            raise ValueError(f"{key}: unknown key; expected {', '.join(known)}")


def values_by_name(place: str, table: Any) -> dict[str, tuple[Any, ...]]:
    """Return ``table`` in plain values; it must map names to lists of at least one value."""
    if not isinstance(table, Mapping):
        raise ValueError(f"{place}: must map parameters to lists of their values, got {table!r}")
    for name, values in table.items():
        if not isinstance(values, list | tuple) or not values:
            raise ValueError(f"{place}.{name}: must be a list of at least one value, got {values!r}")
    return {name: plain(f"{place}.{name}", values) for name, values in table.items()}


def jsonable(value: Any) -> Any:
    """Return a plain value with its tuples as lists, as JSON reads them."""
    return [jsonable(each) for each in value] if isinstance(value, tuple) else value
