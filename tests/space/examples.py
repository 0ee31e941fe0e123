"""Hypothesis strategies for parameters, values and spaces."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import reject
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
names = st.text(min_size=1).filter(lambda name: name not in ("forbidden", "begin_with"))
spaces = st.builds(Space, st.dictionaries(names, parameters | plain, max_size=5))


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
    """Any config of a space, those with forbidden combinations too."""
    return st.composite(lambda draw: space.compose(lambda _, parameter: draw(values_of(parameter))))()


@st.composite
def constrained_spaces(draw: st.DrawFn) -> Space:
    """Spaces with conditions, some in chains and some before their parents, and with forbidden combinations."""

    def clause(chosen: list[str]) -> dict[str, Any]:
        values = {name: st.lists(values_of(found[name]), min_size=1, max_size=3) for name in chosen}
        return draw(st.fixed_dictionaries(values))

    found: dict[str, Any] = {}
    for name in draw(st.lists(names, min_size=1, max_size=6, unique=True)):
        listed = [other for other, value in found.items() if not isinstance(value, Float)]
        parents = draw(st.lists(st.sampled_from(listed), max_size=2, unique=True)) if listed else []
        found[name] = replace(draw(parameters), when=clause(parents))
    listed = [name for name, value in found.items() if not isinstance(value, Float)]
    forbidden = []
    while listed and draw(st.booleans()) and len(forbidden) < 3:
        forbidden.append(clause(draw(st.lists(st.sampled_from(listed), min_size=1, max_size=3, unique=True))))
    values = {"a constant": 1} | {name: found[name] for name in draw(st.permutations(list(found)))}
    try:
        return Space(values, forbidden)
    except ValueError as error:
        if "leaves none of 1,000 random configs" not in str(error):
            raise
        reject()
