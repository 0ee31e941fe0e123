"""The strategies of shoal that the judge compares, sized for a budget."""

from __future__ import annotations

from shoal.search import (
    ASHA,
    DEHB,
    LCM,
    Elitist,
    Full,
    Genetic,
    Hyperband,
    Median,
    OptunaSampler,
    Random,
    Search,
    SuccessiveHalving,
    TopK,
    default,
)

MOST = 1900  # trials: LCBench has 2000 rows, and a row may be had once only


def contenders(length: int, budget: int) -> dict[str, Search]:
    """Return the strategies for so many full trainings of ``length`` epochs, where it can be chosen: as they come.

    Those that end by themselves are sized for the budget, the others have more trials than they can use up. PBT, PB2,
    LTFB, `HyperSearch` and `Genetic` with inherited weights are missing, for a table has no weights; so is `Grid`,
    which has 128 configs at least in seven dimensions.
    """
    epochs = budget * length
    keep = max(1, 2 * budget // 3)  # one epoch, then the top: a third of the budget is for the look
    looked = max(keep, min(MOST, epochs - keep * (length - 1)))
    # Rungs at 1, 3, 9, 27 and the end: n trials cost about n (1 + 2/3 + 6/9 + 18/27 + 24/81).
    halved = max(2, min(MOST, round(epochs / 3.3)))
    population = min(20, max(4, budget // 5))
    generations = 2 + budget // (population - 1)
    return {
        "default": default(budget, length),
        "random": Random(budget, epochs=length),
        "sobol": Full(budget, epochs=length, sampler="sobol"),
        "tpe": Full(budget, epochs=length, sampler=OptunaSampler()),
        "topk": TopK(looked, keep, epochs=length, look=1),
        "halving": SuccessiveHalving(halved, max_epochs=length),
        "halving+genetic": SuccessiveHalving(halved, max_epochs=length, sampler="genetic"),
        "hyperband": Hyperband(max_epochs=length, rounds=50),
        "dehb": DEHB(max_epochs=length, rounds=50),
        "asha": ASHA(MOST, max_epochs=length),
        "asha-stopping": ASHA(MOST, max_epochs=length, mode="stopping"),
        "asha+sobol": ASHA(MOST, max_epochs=length, sampler="sobol"),
        "asha+genetic": ASHA(MOST, max_epochs=length, sampler="genetic"),
        "asha+tpe": ASHA(MOST, max_epochs=length, sampler=OptunaSampler()),
        "median": Median(MOST, epochs=length),
        "lcm": LCM(MOST, epochs=length, split=3 / MOST, stop=0.8, checkpoints=[2, 5, 13, 26]),
        "genetic": Genetic(population, generations, epochs=length),
        "elitist": Elitist(population, generations, epochs=length, parents=population // 2),
    }
