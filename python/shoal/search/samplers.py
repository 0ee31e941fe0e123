"""All samplers, by the names that study files and strategies call them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeAlias

from shoal.search.asktell import AskTell, AskTellSampler
from shoal.search.geneticsampler import GeneticSampler
from shoal.search.optuna import OptunaSampler
from shoal.search.sampler import GridSampler, RandomSampler, Sampler, SobolSampler
from shoal.space.checks import known_keys

SAMPLERS: dict[str, type[Sampler]] = {
    "random": RandomSampler,
    "grid": GridSampler,
    "sobol": SobolSampler,
    "genetic": GeneticSampler,
    "optuna": OptunaSampler,
}

#: What a scheduler takes as its ``sampler``.
SamplerLike: TypeAlias = Sampler | AskTell | str | Mapping[str, Any]


def read_sampler(given: Any) -> Sampler:
    """Return a sampler from a sampler, its name, its description, or an object with ``ask`` and ``tell``."""
    names = SAMPLERS | {cls.__name__: cls for cls in SAMPLERS.values()}
    if isinstance(given, Sampler):
        return given
    if isinstance(given, AskTell):
        return AskTellSampler(given)
    if isinstance(given, str):
        given = {"name": given}
    if not isinstance(given, Mapping) or given.get("name") not in list(names):
        rule = f"one of {', '.join(SAMPLERS)}, a table with its name, or in Python an object with ask and tell"
        raise ValueError(f"sampler: must be {rule}, got {given!r}")
    arguments = {name: value for name, value in given.items() if name != "name"}
    sampler = names[given["name"]]
    try:
        known_keys(arguments, [field.name for field in fields(sampler)])
        return sampler(**arguments)
    except ValueError as error:
        raise ValueError(f"sampler.{error}") from None
