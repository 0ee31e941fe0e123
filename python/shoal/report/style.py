"""The look of the page and the PNGs: few colours, told apart by lightness too, so that a grey print still reads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

INK = "#1f2933"  # text
QUIET = "#7b8794"  # axes, captions
GRID = "#e8ecf0"
CROWD = "#c3cdd8"  # the many
KIN = "#7fa3c7"  # those of them that matter to the end
BEST = "#0b3c6f"  # the one: darkest and thickest
RIVAL = "#c2702a"  # another method, always dashed
SCALE = [(0.0, "#e3eaf1"), (0.6, KIN), (1.0, BEST)]  # worst to best, by rank
FONTS = ["Inter", "Segoe UI", "Helvetica Neue", "Liberation Sans", "Arial", "DejaVu Sans"]


def shades(ranks: int) -> NDArray[np.float64]:
    """Places on the scale for the worst to the best, (ranks,): dark ones are few, however many there are."""
    return np.linspace(0.0, 1.0, ranks) ** 3 if ranks > 1 else np.ones(ranks)
