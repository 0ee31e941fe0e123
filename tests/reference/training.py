"""A member's training in float64: given batches, given dropout masks, everything else from the formulas."""

import numpy as np
from tests.reference.network import LOSSES, forward
from tests.reference.optimizers import OPTIMIZERS


class Trainer:
    """One member. ``parameters`` are copied as float64 and then trained; ``factor``: see network.Pass."""

    def __init__(self, network, parameters, *, optimizer, loss, factor=None):
        self.network = network
        self.parameters = {name: np.array(value, np.float64) for name, value in parameters.items()}
        self.optimizer, self.loss = OPTIMIZERS[optimizer], LOSSES[loss]
        self.state = {name: {} for name in parameters}
        self.steps, self.factor = 0, factor

    def step(self, x, y, hyperparameters, masks=()):
        """Take one step on a batch and return its loss before the step."""
        outputs, back = forward(self.network, self.parameters, x, masks, training=True, factor=self.factor)
        loss, dy = self.loss(outputs, y)
        gradients, _ = back(dy)
        for name, gradient in gradients.items():
            self.optimizer(self.parameters[name], gradient, self.state[name], self.steps, hyperparameters)
        self.steps += 1
        return loss

    def train(self, x, y, batches, hyperparameters):
        return np.array([self.step(x[rows], y[rows], hyperparameters) for rows in batches])


def batches(order, samples, batch_size, steps):
    """Yield the rows of ``steps`` batches; ``order(epoch)`` is a permutation; the last batch of a pass may be short."""
    epoch = 0
    while True:
        rows = order(epoch)
        for first in range(0, samples, batch_size):
            if steps == 0:
                return
            yield rows[first : first + batch_size]
            steps -= 1
        epoch += 1
