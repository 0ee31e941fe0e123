"""The settings that every study has, checked one by one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shoal import rules
from shoal.search import Search, Strategy
from shoal.space import Space


class Settings:
    """Arguments of `shoal.Study`, plain and checked; see there."""

    def __init__(
        self,
        space: Space | Mapping[str, Any],
        strategy: Search,
        metric: str,
        mode: str | None,
        seed: int,
        directory: str | os.PathLike[str] | None,
        rows: int | None,
        record_every: int | None,
        snapshot_interval: float,
    ) -> None:
        self.space = space if isinstance(space, Space) else Space(space)
        self.seed = rules.integer(seed, "seed", high=2**32 - 1)
        if not isinstance(strategy, Search):
            raise ValueError(f"strategy: must be a search strategy such as search.PBT(...), got {strategy!r}")
        self.strategy = strategy
        self.plan = self.bind().plan()
        self.metric, self.mode = metric, mode
        self.directory = None if directory is None else _directory(directory)
        self.rows = None if rows is None else rules.integer(rows, "rows", low=1)
        every = 1 if record_every is None and self.plan.unit == "epochs" else record_every
        self.record_every = None if every is None else rules.integer(every, "record_every", low=1)
        self.snapshot_interval = rules.real(snapshot_interval, "snapshot_interval", ">= 0")

    def bind(self) -> Strategy:
        """Return a fresh strategy."""
        try:
            return self.strategy.bind(self.space, self.seed)
        except ValueError as error:
            raise ValueError(f"strategy.{error}") from None

    def direction(self, known: Mapping[str, str] | None) -> str:
        """Return whether the metric's "min" or "max" is best; ``known`` are the task's metrics, if it knows them."""
        if known is None:
            if not isinstance(self.metric, str):
                raise ValueError(f"metric: must be the name of a metric, got {self.metric!r}")
            return rules.choice(self.mode, "mode", ("min", "max"))
        right = known[rules.choice(self.metric, "metric", known)]
        if self.mode not in (None, right):
            raise ValueError(f'mode: must be "{right}" for the metric {self.metric}, got {self.mode!r}')
        return right


def _directory(given: str | os.PathLike[str]) -> Path:
    if not isinstance(given, str | os.PathLike):
        raise ValueError(f"directory: must be a path, got {given!r}")
    path = Path(given)
    if path.exists() and not path.is_dir():
        raise ValueError(f"directory: must be a directory, got the file {path}")
    return path
