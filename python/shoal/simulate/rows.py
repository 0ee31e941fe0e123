"""Which row of a table a config becomes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.search.protocol import Config
from shoal.simulate.table import Table

Snap = Literal["nearest", "unused"]


class Rows:
    """The recorded configs, as those of a run become them.

    Args:
        table: The curves.
        snap: A config becomes the nearest row in the unit cube: ``"nearest"``, so that several trials may be one row;
            or ``"unused"``: the nearest that `row` has not given before.
    """

    def __init__(self, table: Table, snap: Snap = "nearest") -> None:
        if snap not in ("nearest", "unused"):
            raise ValueError(f"snap: must be one of nearest, unused, got {snap!r}")
        self._space, self._positions = table.space, table.positions
        self._used = np.zeros(len(table), bool) if snap == "unused" else None
        self._plant(np.arange(len(table)))

    def _plant(self, rows: NDArray[np.int64]) -> None:
        """Make the tree in which is searched, of these rows."""
        from scipy.spatial import cKDTree

        self._planted, self._tree, self._left = rows, cKDTree(self._positions[rows]), len(rows)

    def row(self, config: Config) -> int:
        """Return the nearest row; ValueError if all are used."""
        position = self._space.to_unit(config)
        return self._nearest(position) if self._used is None else self._unused(position, self._used)

    def _nearest(self, position: NDArray[np.float64]) -> int:
        return int(self._tree.query(position)[1])

    def _unused(self, position: NDArray[np.float64], used: NDArray[np.bool_]) -> int:
        if used.all():
            raise ValueError(f"snap: all {len(used)} rows of the table are used")
        if 2 * self._left <= len(self._planted):  # else ever more used ones would have to be passed by
            self._plant(np.flatnonzero(~used))
        count = 1
        while True:
            near: NDArray[Any] = np.atleast_1d(self._tree.query(position, k=min(count, len(self._planted)))[1])
            free = [row for row in self._planted[near] if not used[row]]
            if free:
                used[free[0]] = True
                self._left -= 1
                return int(free[0])
            count *= 4
