"""How a thread waits for what others do, without keeping a core from those that train."""

from __future__ import annotations

import time
from collections.abc import Callable

_SHORT, _LONG = 50e-6, 2e-3  # seconds between two looks: at first, and where nothing comes


def until(done: Callable[[], bool], look: Callable[[], bool]) -> None:
    """Look again and again, more seldom where a look finds nothing, until it is done."""
    pause = _SHORT
    while not done():
        if look():
            pause = _SHORT
        else:
            time.sleep(pause)
            pause = min(2 * pause, _LONG)
