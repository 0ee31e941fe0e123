"""Figures of merit: what a study ranks its trials by, where the last value of one metric does not say it.

shoal.Study(..., metric=merit.Penalised("accuracy", 0.01))              # accuracy - 0.01 log10(parameters)
shoal.Study(..., metric=merit.TimeToReach("accuracy", 0.95))            # the sooner the better
shoal.Study(..., metric=merit.CostAt("multiply_adds", "accuracy", 0.95))  # the cheapest that is good enough
shoal.Study(..., metric=["accuracy", "parameters"])                     # several: the Pareto front
"""

from shoal.merit.figures import CostAt, Merit, Penalised, TimeToReach
from shoal.merit.objective import COSTS, TIMES, Objective, describe_objectives, objectives, read_objectives

__all__ = [
    "COSTS",
    "TIMES",
    "CostAt",
    "Merit",
    "Objective",
    "Penalised",
    "TimeToReach",
    "describe_objectives",
    "objectives",
    "read_objectives",
]
