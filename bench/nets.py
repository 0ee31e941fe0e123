"""The nets that are timed, their weights and batch orders: the same for shoal and for its peers.

Weights are stacked over members, ``{"conv1.weight": (P, filters, height, width, channels), ...}``, by the names and in
the shapes that shoal gives them; a batch order is ``(P, steps, B)``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import samples
from samples import SEED, Data, Floats, Ints
from shapes import Op, Shape, place, walk

from shoal import networks, nn

Weights: TypeAlias = dict[str, Floats]

MOMENTUM = 0.9
MOMENTA = 0.5, 0.95  # that searches choose from
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Check:
    """How closely and how long a peer must follow shoal's losses.

    Sums of float32 products in another order, carried through the steps with momentum: the tolerance is some times what
    was seen between implementations. A wrong formula, batch or rate shows at 1e-3 and more. ReLU, max pooling and batch
    normalisation let a rounding grow from step to step, the faster the larger the learning rate.
    """

    members: int = 4
    steps: int = 50
    tolerance: float = 2e-5  # relative to the loss
    rate: float = 1  # factor on the learning rates


@dataclass(frozen=True)
class Net:
    """A network and how it is trained."""

    name: str
    network: nn.Sequential
    shape: Shape  # of a sample
    data: str
    loss: str
    optimizer: str
    batch: int
    rates: tuple[float, float]  # slowest and fastest member
    weight_decay: float = 0
    members: tuple[int, ...] = (1, 8, 32, 128)  # of the populations that are timed
    check: Check = Check()

    @cached_property
    def ops(self) -> tuple[Op, ...]:
        """The layers in their places."""
        return place(self.network.layers, self.shape)

    @property
    def products(self) -> list[Op]:
        """The dense layers and the convolutions."""
        return [op for op in walk(self.ops) if op.flops]

    @property
    def convolutional(self) -> bool:
        """Whether there is a convolution."""
        return any(isinstance(op.layer, nn.Conv2d) for op in self.products)

    @property
    def dropouts(self) -> bool:
        """Whether anything random happens in a step."""
        return any(isinstance(op.layer, nn.Dropout) and op.layer.rate > 0 for op in walk(self.ops))

    @property
    def outputs(self) -> int:
        """Classes or targets."""
        return self.ops[-1].outputs[-1]

    @property
    def flops(self) -> int:
        """Of one sample: outputs and weight gradients of every product, input gradients of all but the first."""
        forward = [op.flops for op in self.products]
        return 3 * sum(forward) - forward[0]

    @property
    def weights(self) -> dict[str, Shape]:
        """What one member learns: names and shapes of its arrays."""
        return {name: shape for op in walk(self.ops) for name, shape in op.weights.items()}

    @property
    def running(self) -> dict[str, Shape]:
        """What one member keeps of the batches it saw."""
        return {name: shape for op in walk(self.ops) for name, shape in op.running.items()}

    @property
    def parameters(self) -> int:
        """How many numbers one member learns."""
        return sum(int(np.prod(shape)) for shape in self.weights.values())

    def learning_rates(self, members: int) -> Floats:
        """Return one rate a member, (P,)."""
        return np.geomspace(*self.rates, members).astype(np.float32)

    def load(self) -> Data:
        """Return what it is trained on."""
        return samples.load(self.data).shaped(self.shape)

    def checked(self) -> Net:
        """Return the net as it is checked: nothing random in a step, and rates at which roundings do not grow."""
        rates = (self.rates[0] * self.check.rate, self.rates[1] * self.check.rate)
        return dataclasses.replace(self, network=nn.Sequential(self.network.structure), rates=rates)


def mlp(units: Sequence[int], activation: nn.Layer) -> nn.Sequential:
    """Return dense layers with the activation between them."""
    layers: list[nn.Layer] = []
    for width in units:
        layers += [nn.Dense(width, init="xavier"), activation]
    return nn.Sequential(layers[:-1])


def _dense_nets() -> list[Net]:
    digits = ((784,), "mnist", "cross_entropy", "sgd", 32)
    return [
        Net("a", mlp([10], nn.Sigmoid()), *digits, (1e-3, 3e-2)),
        Net("b", mlp([128, 128, 128, 10], nn.Sigmoid()), *digits, (1e-3, 1e-1)),
        Net("b64", mlp([64, 64, 10], nn.Sigmoid()), *digits, (1e-3, 1e-1)),
        Net("e", mlp([20, 20, 10, 2], nn.Tanh()), (8,), "regression", "mse", "adam", 64, (1e-4, 1e-2)),
    ]


def _image_nets() -> list[Net]:
    lenet5 = Net(
        *("c", networks.lenet5(), (28, 28, 1), "mnist", "cross_entropy", "sgd", 64, (1e-3, 3e-2)),
        members=(1, 8, 32),
        check=Check(members=4, steps=6, rate=0.1),
    )
    cifar_cnn = Net(
        *("d", networks.cifar_cnn({}), (32, 32, 3), "cifar10", "cross_entropy", "adam", 128, (1e-4, 1e-3)),
        members=(1, 8, 32),
        check=Check(members=2, steps=6, rate=0.03),
    )
    resnet = Net(
        *("resnet20", networks.resnet(20), (32, 32, 3), "cifar10", "cross_entropy", "sgd", 32, (1e-2, 1e-1)),
        weight_decay=1e-4,
        members=(1, 8, 32),
        check=Check(members=2, steps=6, rate=0.002),
    )
    return [lenet5, cifar_cnn, resnet]


def _of_batch(net: Net, batch: int) -> Net:
    return dataclasses.replace(net, name=f"{net.name}-{batch}", batch=batch)


_OWN = [*_dense_nets(), *_image_nets()]
_OTHER_BATCHES = [_of_batch(net, batch) for net in _OWN for batch in (32, 128) if net.batch != batch]
NETS = {net.name: net for net in _OWN + _OTHER_BATCHES}
TIMED = [*(net.name for net in _OWN), "resnet20-128"]  # unless others are asked for


def draw_weights(net: Net, members: int, first: int = 0) -> Weights:
    """Return fresh weights for members ``first`` on; a member's do not depend on who else is drawn."""
    streams = [np.random.default_rng([SEED, first + p]) for p in range(members)]
    drawn = {name: np.zeros((members, *shape), np.float32) for name, shape in (net.weights | net.running).items()}
    for op in net.products:
        weight = drawn[f"{op.name}.weight"]
        gain = 2 if isinstance(op.layer, nn.Dense | nn.Conv2d) and op.layer.init == "he" else 1
        for p, rng in enumerate(streams):
            weight[p] = rng.standard_normal(weight.shape[1:], np.float32) * (gain / op.inputs_of_output) ** 0.5
    for op in walk(net.ops):
        if isinstance(op.layer, nn.BatchNorm):
            drawn[f"{op.name}.weight"][:] = drawn[f"{op.name}.running_var"][:] = 1
    return drawn


def draw_order(net: Net, samples: int, members: int, steps: int, first: int = 0) -> Ints:
    """Return every member's own order of batches, (P, steps, B): whole passes, each shuffled anew."""
    per_pass = samples // net.batch
    order = np.empty((members, steps, net.batch), np.int32)
    for p in range(members):
        rng = np.random.default_rng([SEED, first + p, 1])
        for start in range(0, steps, per_pass):
            count = min(per_pass, steps - start)
            shuffled = rng.permutation(samples)[: count * net.batch]
            order[p, start : start + count] = shuffled.reshape(count, net.batch)
    return order
