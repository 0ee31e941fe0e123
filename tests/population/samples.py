"""Data, networks and comparisons that the tests of the population share."""

import numpy as np
from tests.reference.training import Trainer, batches

from shoal import _core, data, nn

# Either side of the size up to which members train in the lanes of vectors.
TINY = nn.Sequential([nn.Dense(9), nn.Tanh(), nn.Dense(3)])
LARGE = nn.Sequential([nn.Dense(65), nn.Tanh(), nn.Dense(33), nn.Sigmoid(), nn.Dense(3)])


def labelled(samples=57, shape=(7,), classes=3, seed=0):
    """Return float32 inputs with a label that depends on them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, *shape)).astype(np.float32)
    y = (x.reshape(samples, -1) @ rng.normal(size=(x[0].size, classes))).argmax(axis=1)
    return data.from_arrays(x, y, classes=classes, name="labelled")


def regression(samples=57, shape=(7,), targets=3, seed=0):
    """Return float32 inputs with targets that depend on them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, *shape)).astype(np.float32)
    y = np.tanh(x.reshape(samples, -1) @ rng.normal(size=(x[0].size, targets)))
    return data.from_arrays(x, y.astype(np.float32), name="regression")


def goal_of(loss):
    return {"cross_entropy": labelled, "mse": regression}[loss]


def weights(population, member):
    """Return copies of a member's parameters."""
    return {name: view.copy() for name, view in population.parameters(member).items()}


def blocks(population):
    """Return every member's whole state."""
    return [bytes(population.state(p)) for p in range(population.members)]


def reference_run(population, member, dataset, steps, *, optimizer, loss, seed=0):
    """Train the reference as the population would train this fresh member; return it and its losses."""
    h = population.hyperparameters(member)
    key = population.ids[member]
    trainer = Trainer(population.networks[member], weights(population, member), optimizer=optimizer, loss=loss)
    order = batches(
        lambda epoch: np.array(_core.epoch_order(seed, key, epoch, len(dataset))), len(dataset), h["batch_size"], steps
    )
    return trainer, trainer.train(dataset.normalised(), dataset.y, order, with_defaults(h))


def with_defaults(h):
    """Return hyperparameters with the neutral value of those that the optimiser does not have."""
    return {"momentum": 0.0, "nesterov": False} | h
