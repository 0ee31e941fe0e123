"""What training costs: operations counted from the layers, and seconds measured in a moment of training."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from shoal import nn
from shoal.data import AnyDataset
from shoal.manager.costs import costs
from shoal.population import Population
from shoal.search.protocol import Unit

_LONG = 0.2  # seconds of training that say enough


@dataclass(frozen=True)
class Cost:
    """Of one epoch or one step of a trial, the mean over some configs.

    Attributes:
        seconds: That it takes, evaluation included, while others train beside it.
        flop: Operations of the products that it takes, evaluation left out.
        configs: How many the seconds were measured on.
    """

    seconds: float
    flop: float
    configs: int


def training_flop(network: nn.Sequential, shape: tuple[int, ...]) -> int:
    """Return the operations of the products that training takes for one sample of this shape.

    Each weighted layer has three, forward, by weights and by inputs, of a multiplication and an addition a term; what
    comes first needs none by inputs.
    """
    heads = (nn.Sequential(network.layers[:count]) for count in range(1, len(network.layers) + 1))
    first = next((terms for head in heads if (terms := costs(head, shape).multiply_adds)), 0)
    return 6 * costs(network, shape).multiply_adds - 2 * first


def measure(
    population: Population,
    train: AnyDataset,
    look: Callable[[NDArray[np.int64]], object],
    unit: Unit,
    every: int | None,
) -> Cost:
    """Return what an epoch or a step of a member costs while all of them train.

    Args:
        population: Whose members train; with learning rates of 0 none diverges.
        train: What they train on.
        look: Evaluates the members of these rows.
        unit: Of what.
        every: After how many units a member is evaluated; None for seldom.
    """
    sizes = np.array([population.hyperparameters(row)["batch_size"] for row in range(population.members)])
    length = -(-len(train) // sizes) if unit == "epochs" else np.ones(len(sizes))
    # First one member takes one step, then two do, then four: a large network has said enough before all have begun.
    # Then all of them train for the same share of an epoch, and for ever more.
    members, share, spent = 1, 1 / 64, 0.0
    while spent < _LONG:
        steps = np.where(np.arange(len(sizes)) < members, np.ceil(share * length), 0).astype(np.int64)
        spent = _seconds(partial(population.train, train, steps))
        members, share = (2 * members, share) if members < len(sizes) else (members, 2 * share)
    spent = min(spent, _seconds(partial(population.train, train, steps)))  # the first time memory was still cold
    trained = np.flatnonzero(steps)
    looks = 0.0 if every is None else _seconds(partial(look, trained)) / len(trained) / every
    samples = np.full(len(sizes), len(train)) if unit == "epochs" else np.minimum(sizes, len(train))
    flop = samples * [training_flop(network, train.shape) for network in population.networks]
    return Cost(spent / float((steps / length).sum()) + looks, float(flop.mean()), len(trained))


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def duration(seconds: float) -> str:
    """Return a time in words, to two digits, which is more than an estimate is worth."""
    for size, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.2g} {name}"
    return f"{seconds:.2g} s"
