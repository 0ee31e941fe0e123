"""Search strategies: descriptions that a user writes, and the state machines they bind to.

``search.PBT(64, steps=1200, interval=120)`` is a description, checked at once; ``.bind(space, seed)`` makes of it what
a manager drives (`shoal.search.protocol`). So a strategy has two classes: a `Search` with the fields that a user sets,
and a `Tracker` that decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from shoal.search.asha import ASHA
from shoal.search.asktell import AskTellSampler
from shoal.search.base import Search
from shoal.search.default import default
from shoal.search.dehb import DEHB
from shoal.search.elitist import Elitist
from shoal.search.explore import FactorRange, Factors, Resample
from shoal.search.full import Full
from shoal.search.genetic import Genetic
from shoal.search.geneticsampler import GeneticSampler
from shoal.search.grid import Grid
from shoal.search.halving import Hyperband, SuccessiveHalving
from shoal.search.hypersearch import HyperSearch
from shoal.search.lcm import LCM
from shoal.search.ltfb import LTFB
from shoal.search.median import Median
from shoal.search.optuna import OptunaSampler
from shoal.search.pb2 import PB2
from shoal.search.pbt import PBT
from shoal.search.protocol import Strategy
from shoal.search.random import Random
from shoal.search.sampler import GridSampler, RandomSampler, Sampler, SobolSampler
from shoal.search.topk import TopK
from shoal.space.checks import known_keys

__all__ = [
    "ASHA",
    "DEHB",
    "LCM",
    "LTFB",
    "PB2",
    "PBT",
    "AskTellSampler",
    "Elitist",
    "FactorRange",
    "Factors",
    "Full",
    "Genetic",
    "GeneticSampler",
    "Grid",
    "GridSampler",
    "HyperSearch",
    "Hyperband",
    "Median",
    "OptunaSampler",
    "Random",
    "RandomSampler",
    "Resample",
    "Sampler",
    "Search",
    "SobolSampler",
    "Strategy",
    "SuccessiveHalving",
    "TopK",
    "default",
    "from_description",
]

_SEARCHES: dict[str, type[Search]] = {
    cls.__name__: cls
    for cls in (
        Random,
        Grid,
        Full,
        TopK,
        SuccessiveHalving,
        Hyperband,
        DEHB,
        ASHA,
        LCM,
        Median,
        PBT,
        PB2,
        LTFB,
        Genetic,
        Elitist,
        HyperSearch,
    )
}


def from_description(description: Mapping[str, Any], place: str = "strategy") -> Search:
    """Read what `Search.describe` wrote, or the strategy of a study file: its name and arguments.

    The name ``"default"`` is that of `default`, which makes a strategy of another name.

    Args:
        description: ``{"name": "PBT", "population": 64, ...}``.
        place: Begins an error's message: ``strategy.population: must be a whole number >= 2, got 1``.
    """
    if not isinstance(description, Mapping):
        raise ValueError(f"{place}: must be a table, got {description!r}")
    arguments = dict(description)
    name = arguments.pop("name", None)
    if name not in (*_SEARCHES, "default"):
        raise ValueError(f"{place}.name: must be one of default, {', '.join(_SEARCHES)}, got {name!r}")
    try:
        if name == "default":
            known_keys(arguments, ["trainings", "epochs"])
            return default(**arguments)
        search = _SEARCHES[name]
        known_keys(arguments, [field.name for field in fields(search)])
        for field in fields(search):
            if field.name not in arguments and field.default is MISSING and field.default_factory is MISSING:
                raise ValueError(f"{field.name}: missing")
        return search(**arguments)
    except ValueError as error:
        raise ValueError(f"{place}.{error}") from None
