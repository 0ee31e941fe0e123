"""shoal in the race: the same interface as its peers', and the reference run that they are checked against."""

from __future__ import annotations

import os

import nets
import numpy as np

import shoal
import shoal.data
from shoal import _core, nn

ACTIVATIONS: dict[str, type[nn.Sigmoid | nn.Tanh]] = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


def network(net: nets.Net) -> nn.Sequential:
    """Return the net in shoal's words."""
    layers: list[nn.Layer] = []
    for _, units in net.layers:
        layers += [nn.Dense(units, init="xavier"), ACTIVATIONS[net.activation]()]
    return nn.Sequential(layers[:-1])


def population(net: nets.Net, rates: nets.Floats) -> shoal.Population:
    """Return a fresh population, one member for each learning rate."""
    hyperparameters: dict[str, object] = {"lr": rates, "batch_size": net.batch}
    if net.optimizer == "sgd":
        hyperparameters["momentum"] = nets.MOMENTUM
    else:
        hyperparameters |= {"beta1": nets.BETA1, "beta2": nets.BETA2, "epsilon": nets.EPSILON}
    return shoal.Population(
        network(net),
        members=len(rates),
        optimizer=net.optimizer,
        loss=net.loss,
        hyperparameters=hyperparameters,
        seed=nets.SEED,
        input_shape=net.widths[:1],
    )


def dataset(net: nets.Net, data: nets.Data) -> shoal.data.Dataset:
    """Return the data in shoal's words."""
    classes = net.widths[-1] if net.loss == "cross_entropy" else None
    return shoal.data.from_arrays(data.x, data.y, classes=classes, normalise=data.scale is not None)


class Shoal:
    """A population in one process, on a thread for every core it was given. It draws its own weights."""

    def __init__(self, net: nets.Net, data: nets.Data, weights: nets.Weights, rates: nets.Floats) -> None:
        self.population = population(net, rates)
        self.data = dataset(net, data)

    def prepare(self, order: nets.Ints) -> None:
        self.steps = order.shape[1]  # shoal shuffles by itself, while the clock runs

    def train(self) -> nets.Floats:
        return self.population.train(self.data, steps=self.steps)


def reference(net: nets.Net, data: nets.Data, members: int, steps: int) -> dict[str, np.ndarray]:
    """Train ``members`` for ``steps`` and return all that another implementation needs to do the same, and the losses.

    The arrays: ``losses`` and ``order`` as above, ``rates`` (P,), ``weight0`` (P, out, in), ``bias0`` (P, out), ...
    """
    rates = net.learning_rates(members)
    pop = population(net, rates)
    known: dict[str, np.ndarray] = {"rates": rates}
    for k in range(len(net.layers)):
        for kind in ("weight", "bias"):
            known[f"{kind}{k}"] = np.stack([pop.parameters(p)[f"dense{k + 1}.{kind}"] for p in range(members)])
    count = steps * net.batch  # within the first pass over the data
    orders = [np.asarray(_core.epoch_order(nets.SEED, id, 0, len(data.x)))[:count] for id in pop.ids]
    known["order"] = np.stack(orders).reshape(members, steps, net.batch).astype(np.int32)
    known["losses"] = pop.train(dataset(net, data), steps=steps, record=1)
    return known


FORMS = {"shoal": Shoal}
VERSIONS = {"shoal": shoal.__version__, "isa": os.environ.get("SHOAL_ISA", _core.instruction_sets()[0])}
