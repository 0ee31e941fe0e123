"""Hypothesis strategies for parameters, values and spaces."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from shoal.space import Bool, Choice, Float, Int, Ordinal, Parameter, Space

_TINY, _HUGE = 1e-150, 1e150
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


def _float(ends: list[float], log: bool) -> Float:
    return Float(*sorted(ends), log)


def _int(ends: list[int], log: bool) -> Int:
    return Int(*sorted(ends), log)


def _different(values: list[Any]) -> bool:
    return all(value not in values[:k] for k, value in enumerate(values))


def _two(numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(numbers, min_size=2, max_size=2, unique=True)


floats = st.builds(_float, _two(st.floats(-_HUGE, _HUGE)), st.just(False)) | st.builds(
    _float, _two(st.floats(_TINY, _HUGE)), st.just(True)
)
ints = st.builds(_int, _two(st.integers(-(2**40), 2**40)), st.just(False)) | st.builds(
    _int, _two(st.integers(1, 2**40) | st.integers(1, 9)), st.just(True)
)
lists = st.lists(plain, min_size=1, max_size=5).filter(_different)
parameters: st.SearchStrategy[Parameter] = (
    floats | ints | st.builds(Choice, lists) | st.builds(Ordinal, lists) | st.just(Bool())
)
spaces = st.builds(Space, st.dictionaries(st.text(min_size=1), parameters | plain, max_size=5))


def values_of(parameter: Parameter) -> st.SearchStrategy[Any]:
    """Any value of a parameter, with its bounds and ends more often than by chance."""
    match parameter:
        case Float(low, high):
            return st.sampled_from([low, high]) | st.floats(low, high)
        case Int(low, high):
            return st.sampled_from([low, high]) | st.integers(low, high)
        case Choice(values) | Ordinal(values):
            return st.sampled_from(values)
    raise AssertionError(parameter)


def configs_of(space: Space) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            name: values_of(value) if isinstance(value, Parameter) else st.just(value)
            for name, value in space.values.items()
        }
    )
