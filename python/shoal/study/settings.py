"""The settings that every study has, checked one by one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shoal import rules
from shoal.merit import COSTS, TIMES, objectives
from shoal.search import Sampler, Search, Strategy, default
from shoal.space import Space

FORMS = ("replicated", "supervised")  # of a study over ranks


class Settings:
    """Arguments of `shoal.Study`, plain and checked; see there. ``known``: the task's metrics, if it knows them."""

    def __init__(
        self,
        *,
        space: Space | Mapping[str, Any],
        strategy: Search | None,
        metric: Any,
        mode: Any,
        known: Mapping[str, str | None] | None,
        record: Any,
        seed: int,
        directory: str | os.PathLike[str] | None,
        rows: int | None,
        record_every: int | None,
        snapshot_interval: float,
        form: str | None,
    ) -> None:
        self.space = space if isinstance(space, Space) else Space(space)
        self.seed = rules.integer(seed, "seed", high=2**32 - 1)
        if not isinstance(strategy, Search | None):
            raise ValueError(f"strategy: must be a search strategy such as search.PBT(...), got {strategy!r}")
        self.strategy = default() if strategy is None else strategy
        self.plan = self.bind().plan()
        costs = dict.fromkeys((*COSTS, *TIMES), "min")
        names = None if known is None else {**known, **costs}
        self.objectives = objectives(metric, mode, names)
        self.record = _names(record, names or ())
        self._check_several()
        self.directory = None if directory is None else _directory(directory)
        self.rows = None if rows is None else rules.integer(rows, "rows", low=1)
        every = 1 if record_every is None and self.plan.unit == "epochs" else record_every
        self.record_every = None if every is None else rules.integer(every, "record_every", low=1)
        self.snapshot_interval = rules.real(snapshot_interval, "snapshot_interval", ">= 0")
        self.form = None if form is None else rules.choice(form, "form", FORMS)

    def bind(self) -> Strategy:
        """Return a fresh strategy."""
        try:
            return self.strategy.bind(self.space, self.seed)
        except ValueError as error:
            raise ValueError(f"{error}" if f"{error}".startswith("space.") else f"strategy.{error}") from None

    def supervised(self, ranks: int) -> bool:
        """Tell whether rank 0 alone decides."""
        form = self.form or ("supervised" if self.bind().asynchronous and ranks > 1 else "replicated")
        return form == "supervised"

    @property
    def partial(self) -> bool:
        """Tell whether one process may return trials as they come, and not in the rounds that it has over ranks."""
        return self.form != "replicated" and self.bind().asynchronous

    @property
    def needs(self) -> set[str]:
        """The metrics that the objectives are made of, as far as one can tell, and those to be recorded."""
        return {*self.record, *(name for each in self.objectives for name in each.merit.needs)}

    def _check_several(self) -> None:
        if len(self.objectives) == 1:
            return
        rule = f"needs a single score to rank by, and metric has {len(self.objectives)} objectives"
        if not self.strategy.several:
            raise ValueError(f"strategy: {type(self.strategy).__name__} {rule}")
        sampler = getattr(self.strategy, "sampler", None)
        if isinstance(sampler, Sampler) and not sampler.several:
            raise ValueError(f"strategy.sampler: {type(sampler).__name__} {rule}")


def _names(given: Any, known: Iterable[str]) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ValueError(f"record: must be a list of metrics, got {given!r}")
    return tuple(rules.choice(name, f"record[{i}]", known) for i, name in enumerate(given))


def _directory(given: str | os.PathLike[str]) -> Path:
    if not isinstance(given, str | os.PathLike):
        raise ValueError(f"directory: must be a path, got {given!r}")
    path = Path(given)
    if path.exists() and not path.is_dir():
        raise ValueError(f"directory: must be a directory, got the file {path}")
    return path
