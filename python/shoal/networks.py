"""Ready networks: functions that return an `nn.Sequential`, short enough to copy and change.

    pop = shoal.Population(networks.lenet5(), members=32)

Parameters are counted for the images of MNIST (28 x 28) or CIFAR-10 (32 x 32 x 3) and 10 classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shoal import nn, rules

__all__ = ["cifar_cnn", "cuda_convnet", "lenet5", "mlp", "resnet", "small_cnn", "softmax"]

RELU = nn.ReLU()
HALVE = nn.MaxPool2d(2, padding="same")  # ceil(size / 2), so that it fits any image


def softmax(outputs: int = 10) -> nn.Sequential:
    """Softmax regression: one dense layer. 7,850 parameters on MNIST.

    Args:
        outputs: Number of classes or targets.
    """
    return nn.Sequential([nn.Dense(outputs)])


def mlp(outputs: int, widths: Sequence[int], activation: nn.Layer = RELU) -> nn.Sequential:
    """Dense layers, each but the last followed by the activation.

    Args:
        outputs: Number of classes or targets.
        widths: Units of the hidden layers.
        activation: Such as ``nn.Sigmoid()``.
    """
    hidden = [layer for width in widths for layer in (nn.Dense(width), activation)]
    return nn.Sequential([*hidden, nn.Dense(outputs)])


def lenet5(outputs: int = 10, activation: nn.Layer = RELU, pooling: nn.Layer = HALVE) -> nn.Sequential:
    """LeNet-5 after LeCun et al. 1998, with all connections between its convolutions. 61,706 parameters on MNIST.

    28 x 28 images become 28 x 28 x 6, 14 x 14 x 6, 10 x 10 x 16 and 5 x 5 x 16, then 120, 84 and the outputs.

    Args:
        outputs: Number of classes or targets.
        activation: The original has ``nn.Tanh()``.
        pooling: The original has ``nn.AvgPool2d(2)``, with a factor and a bias for each channel.
    """
    return nn.Sequential([
        nn.Conv2d(6, 5), activation, pooling,
        nn.Conv2d(16, 5, padding="valid"), activation, pooling,
        nn.Dense(120), activation,
        nn.Dense(84), activation,
        nn.Dense(outputs),
    ])  # fmt: skip


def cifar_cnn(config: Mapping[str, Any], outputs: int = 10) -> nn.Sequential:
    """Four convolutions, 32-32-pool-64-64-pool, and dense layers of 128. 591,274 parameters on CIFAR-10 as it is.

    All that may vary comes from the config, by these names; what it does not name is as in brackets:

    - ``kernel1`` to ``kernel4`` [3] and ``stride1`` to ``stride4`` [1] of the convolutions,
    - ``dropout1`` [0.25] and ``dropout2`` [0.25] after the poolings, ``dropout3`` [0.5] after each hidden dense layer,
    - ``dense_layers`` [2], the last one with the outputs among them: with 1 there is no hidden layer.

    Convolutions and poolings are padded ("same"), so every kernel and stride fits every image, down to a single pixel.

    Args:
        config: Such as a study draws from a space; other names in it are not read.
        outputs: Number of classes or targets.
    """

    def conv(i: int, filters: int) -> list[nn.Layer]:
        return [nn.Conv2d(filters, config.get(f"kernel{i}", 3), config.get(f"stride{i}", 1)), RELU]

    def dropout(i: int, rate: float) -> nn.Layer:
        return nn.Dropout(config.get(f"dropout{i}", rate))

    dense: list[nn.Layer] = [nn.Dense(128), RELU, dropout(3, 0.5)]
    dense_layers = rules.integer(config.get("dense_layers", 2), "cifar_cnn: dense_layers", low=1)
    return nn.Sequential([
        *conv(1, 32), *conv(2, 32), HALVE, dropout(1, 0.25),
        *conv(3, 64), *conv(4, 64), HALVE, dropout(2, 0.25),
        *dense * (dense_layers - 1),
        nn.Dense(outputs),
    ])  # fmt: skip


def cuda_convnet(outputs: int = 10) -> nn.Sequential:
    """The three convolutions of cuda-convnet (Krizhevsky 2012, "layers-80sec"). 89,578 parameters on CIFAR-10.

    32 x 32 x 3 images become 16 x 16 x 32, 8 x 8 x 32 and 4 x 4 x 64 after the poolings, 3 x 3 with stride 2. The
    original is 32 - max - ReLU, 32 - ReLU - mean, 64 - ReLU - mean, and starts from smaller weights.

    Args:
        outputs: Number of classes or targets.
    """
    return nn.Sequential([
        nn.Conv2d(32, 5), nn.MaxPool2d(3, 2, "same"), RELU,
        nn.Conv2d(32, 5), RELU, nn.AvgPool2d(3, 2, "same"),
        nn.Conv2d(64, 5), RELU, nn.AvgPool2d(3, 2, "same"),
        nn.Dense(outputs),
    ])  # fmt: skip


def small_cnn(
    outputs: int = 10,
    filters: Sequence[int] = (16, 32),
    kernel: nn.Size = 3,
    widths: Sequence[int] = (),
    activation: nn.Layer = RELU,
) -> nn.Sequential:
    """As many convolutions as there are filters, each followed by a pooling that halves the image, and dense layers.

    25,578 parameters on CIFAR-10 as it is: 16 x 16 x 16, 8 x 8 x 32, then the outputs.

    Args:
        outputs: Number of classes or targets.
        filters: Of each convolution.
        kernel: Of all convolutions; padded, so that it fits any image.
        widths: Units of the hidden dense layers.
        activation: After every layer but the last.
    """
    convolutions = [layer for f in filters for layer in (nn.Conv2d(f, kernel), activation, HALVE)]
    return nn.Sequential([*convolutions, *mlp(outputs, widths, activation).layers])


def resnet(depth: int = 20, outputs: int = 10, shortcut: str = "identity") -> nn.Sequential:
    """The residual networks of He et al. 2016 for CIFAR, of 6 n + 2 layers: 20, 32, 44, 56, 110.

    A convolution, then n blocks each on 32 x 32 x 16, 16 x 16 x 32 and 8 x 8 x 64, the mean of each channel, the
    outputs. With 20 layers 269,722 parameters on CIFAR-10, 272,474 with projections, running statistics not counted.

    Args:
        depth: 6 n + 2.
        outputs: Number of classes or targets.
        shortcut: Of the two blocks that halve the image. ``"identity"``: every second pixel, and zeros for new channels
            (the paper's option A). ``"projection"``: a convolution 1 x 1 and a `BatchNorm` (option B).
    """
    blocks, rest = divmod(rules.integer(depth, "resnet: depth", low=8) - 2, 6)
    if rest:
        raise ValueError(f"resnet: depth: must be 6 n + 2, such as 20, 32, 44, 56 or 110, got {depth}")
    projection = rules.choice(shortcut, "resnet: shortcut", ("identity", "projection")) == "projection"

    def conv(filters: int, stride: int = 1, kernel: int = 3) -> list[nn.Layer]:
        return [nn.Conv2d(filters, kernel, stride, padding=kernel // 2, bias=False), nn.BatchNorm()]

    layers = [*conv(16), RELU]
    for filters, first in ((16, 1), (32, 2), (64, 2)):
        for stride in (first, *[1] * (blocks - 1)):
            branch = [*conv(filters, stride), RELU, *conv(filters)]
            projected = conv(filters, stride, kernel=1) if projection and stride > 1 else []
            layers += [nn.Residual(branch, projected), RELU]
    return nn.Sequential([*layers, nn.GlobalAvgPool2d(), nn.Dense(outputs)])
