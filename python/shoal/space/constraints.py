"""What ties the parameters of a space to each other: conditions, and forbidden combinations.

Both name values of parameters, ``{name: [values]}``. So these must be values that can be listed: a float has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from shoal.space.checks import values_by_name
from shoal.space.numbers import Float
from shoal.space.parameter import Parameter

Clause: TypeAlias = Mapping[str, Sequence[Any]]
Parameters: TypeAlias = Mapping[str, Parameter]


def words(clause: Clause) -> str:
    """Return a condition as people write it."""
    return " and ".join(f"{name} in {[*values]}" for name, values in clause.items())


def holds(clause: Clause, config: Mapping[str, Any]) -> bool:
    """Tell whether ``config`` has one of the values for every name; what is not active is not in it."""
    return all(name in config and config[name] in values for name, values in clause.items())


def behind(names: Iterable[str], parameters: Parameters) -> list[str]:
    """Return the names and, each once, those of their conditions, of the conditions of these, and so on."""
    found = dict.fromkeys(names)
    queue = list(found)
    for name in queue:
        queue += [parent for parent in parameters[name].when if parent not in found]
        found.update(dict.fromkeys(queue))
    return list(found)


def parents_first(parameters: Parameters) -> list[str]:
    """Return the names in their order, except that each comes after those of its condition; no circles are allowed."""
    order: dict[str, None] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circle = " -> ".join([*path[path.index(name) :], name])
            raise ValueError(f"space.{name}.when: must not lead back to {name}, got {circle}")
        for parent in parameters[name].when:
            visit(parent, (*path, name))
        order[name] = None

    for name, parameter in parameters.items():
        check_clause(f"space.{name}.when", parameter.when, parameters)
    for name in parameters:
        visit(name, ())
    return list(order)


def read_forbidden(clauses: Any, parameters: Parameters) -> tuple[Clause, ...]:
    """Return the combinations in plain values; ValueError names what is wrong in them."""
    if not isinstance(clauses, list | tuple):
        raise ValueError(f"space.forbidden: must be a list of combinations, got {clauses!r}")
    places = [f"space.forbidden[{k}]" for k in range(len(clauses))]
    read = tuple(values_by_name(place, clause) for place, clause in zip(places, clauses, strict=True))
    for place, clause in zip(places, read, strict=True):
        if not clause:
            raise ValueError(f"{place}: must name a parameter, got {{}}")
        check_clause(place, clause, parameters)
    return read


def check_clause(place: str, clause: Clause, parameters: Parameters) -> None:
    """Every name must be a parameter whose values can be listed, and every value must be one of them."""
    for name, values in clause.items():
        if name not in parameters:
            raise ValueError(f"{place}.{name}: no such parameter; the space has {', '.join(parameters)}")
        if isinstance(parameters[name], Float):
            raise ValueError(f"{place}.{name}: must be a parameter whose values can be listed, got a float")
        for value in values:
            parameters[name].check(value, f"{place}.{name}")
