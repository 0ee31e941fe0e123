"""Figures of the judge: means and ranks of regrets, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def ranks(regrets: np.ndarray) -> np.ndarray:
    """Return the rank of each strategy (rows) in each run, 1 the best; equals share the mean."""
    below = (regrets[:, None] > regrets[None]).sum(axis=1)
    equal = (regrets[:, None] == regrets[None]).sum(axis=1)
    return below + (equal + 1) / 2


def interval(values: np.ndarray, draws: int = 1000) -> list[float]:
    """Return the bootstrap interval of 95 % of the mean."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(draws, len(values)))].mean(axis=1)
    return [float(f"{edge:.4g}") for edge in np.quantile(means, [0.025, 0.975])]


def summary(regrets: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """Return a row for each strategy, from its regrets in the same runs."""
    values = np.array(list(regrets.values()))
    return [
        {
            "strategy": name,
            "regret": float(f"{mine.mean():.4g}"),
            "regret_interval": interval(mine),
            "rank": float(f"{rank.mean():.4g}"),
            "rank_interval": interval(rank),
        }
        for name, mine, rank in zip(regrets, values, ranks(values), strict=True)
    ]


def layout(title: str, rows: Sequence[dict[str, Any]]) -> str:
    """Lay out what `summary` returns for people, the best mean rank first."""
    lines = [f"{title}: mean regret, mean rank (95 %)"]
    for row in sorted(rows, key=lambda row: row["rank"]):
        (low, high), (first, last) = row["regret_interval"], row["rank_interval"]
        regret = f"{row['regret']:8.4f} [{low:.4f}, {high:.4f}]"
        lines.append(f"  {row['strategy']:24}{regret}{row['rank']:8.2f} [{first:.2f}, {last:.2f}]")
    return "\n".join(lines)
