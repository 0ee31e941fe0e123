"""How far the trials of a round train where they do not wait for each other.

A round in which each trial trains to its target lasts as long as the longest training, while the rows of the short ones
stand idle. So it ends for all at the lower quartile of the work that is left. Three quarters of the trials train all
through the round: even if each has a processor of its own, these are busy for three quarters of the time or more. And a
quarter of the trials is back after each round, so there are few rounds. The work is counted: no clock decides.
"""

from __future__ import annotations

from collections.abc import Mapping


def quantum(left: Mapping[int, int], costs: Mapping[int, int]) -> dict[int, int]:
    """Return how many steps each trial takes in this round.

    Args:
        left: How many steps each has to its target.
        costs: Of a step of each, > 0.
    """
    work = sorted(steps * costs[trial] for trial, steps in left.items())
    share = work[(len(work) - 1) // 4]
    return {trial: min(steps, -(-share // costs[trial])) for trial, steps in left.items()}
