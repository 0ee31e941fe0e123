"""A smooth problem on which a search must be better than chance at equal budget."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.search.simulator import Problem, simulate

from shoal.search import Search
from shoal.space import Choice, Config, Float, Int, Space

SPACE = Space(
    {
        "lr": Float(1e-4, 1, log=True),
        "momentum": Float(0, 1),
        "dropout": Float(0, 0.5),
        "width": Int(1, 64, log=True),
        "activation": Choice(["relu", "tanh", "sigmoid"]),
    }
)
_BOTTOM = np.array([0.7, 0.9, 0.2, 0.6, 0.5])


class Bowl(Problem):
    """The squared distance to a point of the unit cube, and a ripple that training smooths out."""

    def __init__(self) -> None:
        super().__init__(lambda *_: 0.0)

    def train(self, state: Any, config: Config, start: int, until: int) -> Config:
        return config

    def score(self, trial: int, progress: int, state: Any) -> float:
        place = SPACE.to_unit(state)
        return depth(state) + 0.1 * (1 + float(np.sin(20 * place.sum()))) / progress


def depth(config: Config) -> float:
    return float(((SPACE.to_unit(config) - _BOTTOM) ** 2).sum())


def regrets(search: Search, seeds: int, rows: int) -> tuple[float, float]:
    """Return the mean depth of what a search finds, over seeds, and the mean budget that it spent."""
    depths, spent = [], []
    for seed in range(seeds):
        strategy = search.bind(SPACE, seed=seed)
        result = simulate(strategy, SPACE, Bowl(), rows=rows, arrival=seed)
        assert strategy.best is not None
        depths.append(depth(result.trials[strategy.best].config))
        spent.append(result.spent)
    return float(np.mean(depths)), float(np.mean(spent))
