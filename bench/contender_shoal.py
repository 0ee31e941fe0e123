"""shoal in the race: the same interface as its peers', and the reference run that they are checked against."""

from __future__ import annotations

import os

import machine
import nets
import numpy as np
from samples import SEED, Data, Floats, Ints

import shoal
import shoal.data
from shoal import _core


def population(net: nets.Net, rates: Floats, precision: str = "fp32") -> shoal.Population:
    """Return a fresh population, one member for each learning rate."""
    hyperparameters: dict[str, object] = {"lr": rates, "batch_size": net.batch, "weight_decay": net.weight_decay}
    if net.optimizer == "sgd":
        hyperparameters["momentum"] = nets.MOMENTUM
    else:
        hyperparameters |= {"beta1": nets.BETA1, "beta2": nets.BETA2, "epsilon": nets.EPSILON}
    return shoal.Population(
        net.network,
        members=len(rates),
        optimizer=net.optimizer,
        loss=net.loss,
        hyperparameters=hyperparameters,
        seed=SEED,
        input_shape=net.shape,
        device=machine.device(),
        precision=precision,
    )


def dataset(net: nets.Net, data: Data) -> shoal.data.Dataset:
    """Return the data in shoal's words."""
    classes = net.outputs if net.loss == "cross_entropy" else None
    return shoal.data.from_arrays(data.x, data.y, classes=classes, normalise=data.scale is not None)


class Shoal:
    """A population in one process, on a thread for every core it was given."""

    draws_itself = True

    def __init__(self, net: nets.Net, data: Data, weights: nets.Weights, rates: Floats) -> None:
        self.population = population(net, rates, machine.precision())
        self.data = dataset(net, data)

    def prepare(self, order: Ints) -> None:
        self.steps = order.shape[1]  # shoal shuffles by itself, while the clock runs

    def train(self) -> Floats:
        return self.population.train(self.data, steps=self.steps)


def reference(net: nets.Net, data: Data) -> dict[str, np.ndarray]:
    """Train as the net's check says and return all that another implementation needs to do the same, and the losses.

    The arrays: ``losses`` and ``order`` as above, ``rates`` (P,), and the weights by name, (P, ...); and ``untrained``,
    the losses that the same batches have where nothing is learnt.
    """
    checked, check = net.checked(), net.check
    rates = checked.learning_rates(check.members)
    pop = population(checked, rates)
    members = [pop.parameters(p) for p in range(check.members)]
    known = {name: np.stack([member[name] for member in members]) for name in members[0]}
    count = check.steps * net.batch  # within the first pass over the data
    orders = [_core.epoch_order(SEED, id, 0, len(data.x))[:count] for id in pop.ids]
    order = np.array(orders, np.int32).reshape(check.members, check.steps, net.batch)
    losses, untrained = (
        each.train(dataset(net, data), steps=check.steps, record=1) for each in (pop, population(checked, 0 * rates))
    )
    return known | {"rates": rates, "order": order, "losses": losses, "untrained": untrained}


FORMS = {"shoal": Shoal}
VERSIONS = {"shoal": shoal.__version__, "isa": os.environ.get("SHOAL_ISA", _core.instruction_sets()[0])}
