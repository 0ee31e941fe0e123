"""Train and evolve whole populations of small neural networks at once.

    net = nn.Sequential([nn.Dense(64), nn.ReLU(), nn.Dense(10)])
    pop = shoal.Population(net, members=256, hyperparameters={"lr": np.geomspace(1e-4, 1e-1, 256)})
    loss = pop.train(train, steps=1200)

Everything is loaded when first used, so ``import shoal`` costs little.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal import data, errors, merit, networks, nn, report, search, simulate, space
    from shoal.errors import DataError, DeviceError, ShoalError, StudyError
    from shoal.population import Population, __version__, devices
    from shoal.study import Study

_MODULES = ("data", "errors", "merit", "networks", "nn", "report", "search", "simulate", "space")
_HOMES = {
    "DataError": "shoal.errors",
    "DeviceError": "shoal.errors",
    "Population": "shoal.population",
    "ShoalError": "shoal.errors",
    "Study": "shoal.study",
    "StudyError": "shoal.errors",
    "__version__": "shoal.population",
    "devices": "shoal.population",
}

__all__ = [
    "DataError",
    "DeviceError",
    "Population",
    "ShoalError",
    "Study",
    "StudyError",
    "__version__",
    "data",
    "devices",
    "errors",
    "merit",
    "networks",
    "nn",
    "report",
    "search",
    "simulate",
    "space",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"shoal.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'shoal' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
