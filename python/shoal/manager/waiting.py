"""How a thread waits for what others do, without keeping a core from those that train."""

from __future__ import annotations

import time
from collections.abc import Callable

# Seconds between two looks: at first; where nothing comes, and something else wants the core; or nothing does.
_FIRST, _BUSY, _IDLE = 50e-6, 2e-3, 200e-6


def until(
    done: Callable[[], bool],
    look: Callable[[], bool],
    *,
    busy: Callable[[], bool] = lambda: True,
    nap: Callable[[float], object] = time.sleep,
) -> None:
    """Look again and again until it is done; more seldom where a look finds nothing, and most so while ``busy``."""
    pause = _FIRST
    while not done():
        if look():
            pause = _FIRST
        else:
            nap(pause)
            pause = min(2 * pause, _BUSY if busy() else _IDLE)
