"""Reads one parameter from the table that describes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from shoal.space.checks import known_keys
from shoal.space.lists import Bool, Choice, Ordinal
from shoal.space.numbers import Float, Int
from shoal.space.parameter import Parameter


def read_parameter(place: str, table: Mapping[str, Any]) -> Parameter:
    """Return the parameter that ``table`` describes; an error's message begins with ``place``."""
    try:
        for key, read in _LISTS.items():
            if key in table:
                known_keys(table, [key, "when"])
                return read(table[key], when=table.get("when", {}))
        return _read_number(table)
    except ValueError as error:
        raise ValueError(f"{place}.{error}") from None


def _read_number(table: Mapping[str, Any]) -> Parameter:
    known_keys(table, ["low", "high", "log", "type", "when"])
    for name in ("low", "high"):
        if name not in table:
            raise ValueError(f"{name}: missing")
    kind = table.get("type", "float")
    if kind not in ("float", "int"):
        raise ValueError(f'type: must be "float" or "int", got {kind!r}')
    number = Int if kind == "int" else Float
    return number(table["low"], table["high"], table.get("log", False), when=table.get("when", {}))


def _read_bool(value: Any, when: Any) -> Parameter:
    if value is not True:
        raise ValueError(f"bool: must be true, got {value!r}")
    return Bool(when=when)


_LISTS: dict[str, Callable[..., Parameter]] = {"choice": Choice, "ordinal": Ordinal, "bool": _read_bool}
