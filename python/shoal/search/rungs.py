"""Where trials are compared, in whole numbers: rounded logarithms lose rungs."""

from __future__ import annotations

from shoal.search.base import one_unit
from shoal.search.protocol import Unit
from shoal.space.checks import whole


def span(
    min_epochs: int | None, max_epochs: int | None, min_steps: int | None, max_steps: int | None
) -> tuple[int, int, Unit]:
    """Return the shortest training, 1 where none is given, the longest one, and the unit of both."""
    most, unit = one_unit(max_epochs=max_epochs, max_steps=max_steps)
    given, other = (min_epochs, min_steps) if unit == "epochs" else (min_steps, min_epochs)
    name, wrong = ("min_epochs", "min_steps") if unit == "epochs" else ("min_steps", "min_epochs")
    if other is not None:
        raise ValueError(f"{wrong}: must be given with max_{wrong[4:]}, for all durations are in one unit")
    least = 1 if given is None else whole(name, given, least=1)
    if least > most:
        raise ValueError(f"{name}: must be at most max_{unit} = {most}, got {least}")
    return least, most, unit


def rungs(least: int, most: int, eta: int) -> list[int]:
    """Return ``least * eta^k`` as far as it is below ``most``, and ``most``."""
    ends = []
    end = least
    while end < most:
        ends.append(end)
        end *= eta
    return [*ends, most]
