"""Exchange with ConfigSpace (Lindauer et al. 2019, arXiv:1908.06756), the spaces of SMAC and of many benchmarks.

Its conditions "in" and "equals", alone or joined by "and", are `Parameter.when`; its forbidden "in" and "equals" are
combinations. A constant that is active only sometimes is a choice of one value. What it has beyond that, such as other
distributions than the uniform, is refused by name. What shoal has it can express, except bounds beyond 13 decimals. Its
order is its own: the names' alphabet, parents first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from shoal.space.constraints import Clause
from shoal.space.lists import Bool, Choice, Ordinal
from shoal.space.numbers import Float, Int
from shoal.space.parameter import Parameter
from shoal.space.space import Space


def read(given: Any) -> Space:
    """Return the space of a ``ConfigurationSpace``."""
    cs = _package()
    if not isinstance(given, cs.ConfigurationSpace):
        raise ValueError(f"configspace: must be a ConfigurationSpace, got {given!r}")
    values = {name: _parameter(given[name], _clause(given.parent_conditions_of[name], cs), cs) for name in given}
    return Space(values, [_clause([each], cs) for each in given.forbidden_clauses])


def write(space: Space, name: str | None = None) -> Any:
    """Return the ``ConfigurationSpace`` of a space; its default config is near the middle."""
    cs = _package()
    written = cs.ConfigurationSpace(name=name)
    middle = space.from_unit([0.5] * len(space.parameters))
    default = space.repair(middle, np.random.default_rng(0))  # which ConfigSpace does not take if it is forbidden
    for each, value in space.values.items():
        written.add(_hyperparameter(each, value, default, cs))
    for child, parameter in space.parameters.items():
        if parameter.when:
            conditions = [cs.InCondition(written[child], written[p], [*v]) for p, v in parameter.when.items()]
            written.add(conditions[0] if len(conditions) == 1 else cs.AndConjunction(*conditions))
    for combination in space.forbidden:
        clauses = [cs.ForbiddenInClause(written[each], [*values]) for each, values in combination.items()]
        written.add(clauses[0] if len(clauses) == 1 else cs.ForbiddenAndConjunction(*clauses))
    return written


def _package() -> Any:
    try:
        import ConfigSpace
    except ImportError:
        raise ValueError(
            "configspace: needs ConfigSpace, which is not installed: pip install 'shoal[configspace]'"
        ) from None
    return ConfigSpace


def _parameter(given: Any, when: Clause, cs: Any) -> Any:
    match given:
        case cs.UniformFloatHyperparameter():
            return Float(given.lower, given.upper, given.log, when=when)
        case cs.UniformIntegerHyperparameter():
            return Int(given.lower, given.upper, given.log, when=when)
        case cs.OrdinalHyperparameter():
            return Ordinal(given.sequence, when=when)
        case cs.Constant():
            return Choice([given.value], when=when) if when else given.value
        case cs.CategoricalHyperparameter() if np.ptp(given.probabilities) == 0:
            values = tuple(given.choices)
            return Bool(when=when) if values in ((False, True), (True, False)) else Choice(values, when=when)
    raise ValueError(f"{given.name}: must be uniform, ordinal or a constant, got {given}")


def _hyperparameter(name: str, value: Any, default: Mapping[str, Any], cs: Any) -> Any:
    if not isinstance(value, Parameter):
        return cs.Constant(name, value)
    middle = default.get(name, value.from_unit(0.5))
    match value:
        case Float():
            _check_decimals(name, value)
            return cs.UniformFloatHyperparameter(name, value.low, value.high, middle, log=value.log)
        case Int():
            return cs.UniformIntegerHyperparameter(name, value.low, value.high, middle, log=value.log)
        case Ordinal():
            return cs.OrdinalHyperparameter(name, value.values, middle)
        case _:
            return cs.CategoricalHyperparameter(name, value.grid(), middle)


def _check_decimals(name: str, value: Float) -> None:
    bounds = value.low, value.high
    with np.errstate(over="ignore"):
        rounded = tuple(np.round(bounds, 13).tolist())
    if rounded != bounds:
        raise ValueError(f"{name}: must have bounds of 13 decimals, to which ConfigSpace rounds, got {bounds}")


def _clause(given: Iterable[Any], cs: Any) -> Clause:
    """Return the values that meet several conditions or forbidden clauses."""
    clause: dict[str, Any] = {}
    for each in given:
        for name, values in _literals(each, cs):
            clause[name] = [value for value in values if value in clause.get(name, values)]
    return clause


def _literals(given: Any, cs: Any) -> Iterator[tuple[str, list[Any]]]:
    match given:
        case cs.AndConjunction() | cs.ForbiddenAndConjunction():
            for each in given.components:
                yield from _literals(each, cs)
        case cs.EqualsCondition():
            yield given.parent.name, [given.value]
        case cs.InCondition():
            yield given.parent.name, [*given.values]
        case cs.ForbiddenEqualsClause():
            yield given.hyperparameter.name, [given.value]
        case cs.ForbiddenInClause():
            yield given.hyperparameter.name, [*given.values]
        case _:
            raise ValueError(f"configspace: must have conditions and clauses of in, equals and and, got {given}")
