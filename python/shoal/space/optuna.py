"""Exchange with the distributions of Optuna (Akiba et al. 2019, arXiv:1907.10902).

They have no conditions and no forbidden combinations, which are refused, and no order among categories, which an
ordinal loses. A constant is a category alone, and whatever has a single value is a constant. Steps are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal.space.lists import Bool, Choice
from shoal.space.numbers import Float, Int
from shoal.space.parameter import Parameter
from shoal.space.space import Space


def read(given: Any) -> Space:
    """Return the space of distributions by name."""
    if not isinstance(given, Mapping):
        raise ValueError(f"distributions: must map names to Optuna's distributions, got {given!r}")
    optuna = _package()
    return Space({name: _parameter(name, each, optuna) for name, each in given.items()})


def write(space: Space) -> dict[str, Any]:
    """Return the distributions of a space by name."""
    if space.forbidden:
        raise ValueError(f"forbidden: must be empty, for Optuna has no such thing, got {[*space.forbidden]}")
    optuna = _package()
    return {name: _distribution(name, value, optuna) for name, value in space.values.items()}


def _package() -> Any:
    try:
        import optuna
    except ImportError:
        raise ValueError("optuna: needs Optuna, which is not installed: pip install 'shoal[optuna]'") from None
    return optuna.distributions


def _parameter(name: str, given: Any, optuna: Any) -> Any:
    if not isinstance(given, optuna.BaseDistribution):
        raise ValueError(f"{name}: must be a distribution of Optuna, got {given!r}")
    if isinstance(given, optuna.CategoricalDistribution):
        values = given.choices
        return values[0] if len(values) == 1 else Bool() if values == (False, True) else Choice(values)
    whole = isinstance(given, optuna.IntDistribution)
    if given.step not in ((1,) if whole else (None,)):
        raise ValueError(f"{name}: must have no step, got {given}")
    return given.low if given.single() else (Int if whole else Float)(given.low, given.high, given.log)


def _distribution(name: str, value: Any, optuna: Any) -> Any:
    if isinstance(value, Parameter) and value.when:
        raise ValueError(
            f"{name}: must have no condition, for Optuna's distributions have none, got {dict(value.when)}"
        )
    match value:
        case Float():
            return optuna.FloatDistribution(value.low, value.high, log=value.log)
        case Int():
            return optuna.IntDistribution(value.low, value.high, log=value.log)
    values = value.grid() if isinstance(value, Parameter) else (value,)
    for each in values:
        if isinstance(each, tuple):
            raise ValueError(f"{name}: must have no lists among its values, for Optuna has none, got {each}")
    return optuna.CategoricalDistribution(values)
