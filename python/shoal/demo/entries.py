"""The networks that the demo can tune, each with the space of its hyperparameters and its share of a few minutes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shoal import networks, nn
from shoal.search.protocol import Config
from shoal.space import Bool, Choice, Float, Int, Ordinal

ACTIVATIONS: dict[str, nn.Layer] = {"relu": nn.ReLU(), "tanh": nn.Tanh()}
POOLINGS: dict[str, nn.Layer] = {"max": nn.MaxPool2d(2, padding="same"), "average": nn.AvgPool2d(2, padding="same")}

SGD = {
    "lr": Float(1e-3, 1.0, log=True),
    "momentum": Float(0.0, 0.95),
    "weight_decay": Float(1e-6, 1e-2, log=True),
    "batch_size": Choice([16, 32, 64, 128]),
}
SHIFTED = SGD | {"augment_pad": Int(0, 2)}
CROPPED = SGD | {
    "lr": Float(1e-3, 0.3, log=True),
    "momentum": Float(0.5, 0.95),
    "augment_pad": Ordinal([0, 1, 2, 4]),
    "augment_flip": Bool(),
}

CIFAR_CNN = {
    "lr": Float(1e-3, 1e-2),
    "beta1": Float(0.85, 0.95),
    "beta2": Float(0.985, 0.995),
    "epsilon": Ordinal([1e-8, 1e-7, 5e-7, 1e-6, 5e-6]),
    "batch_size": Ordinal([32, 64, 96, 144, 192, 288, 376, 512]),
    **{f"dropout{i}": Ordinal([0.1, 0.2, 0.3, 0.4, 0.5]) for i in (1, 2, 3)},
    **{f"kernel{i}": Int(2, 5 if i <= 2 else 4) for i in (1, 2, 3, 4)},
    **{f"stride{i}": Int(1, 2) for i in (1, 2, 3, 4)},
    "dense_layers": Int(1, 3),
}


@dataclass(frozen=True)
class Entry:
    """A network, and how it is tuned.

    Attributes:
        build: Returns the network of a config, with so many outputs.
        space: Its hyperparameters.
        trials: Members of the population.
        samples: That a member sees, about; as many as make a few minutes on two cores.
        optimizer: As `shoal.Study` knows it.
        data: What it is tried on where nothing else is said.
    """

    build: Callable[[Config, int], nn.Sequential]
    space: Mapping[str, Any]
    trials: int
    samples: int
    optimizer: str = "sgd"
    data: str = "digits"


def _mlp(config: Config, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        [nn.Flatten(), nn.Dense(config["width"]), nn.ReLU(), nn.Dropout(config["dropout"]), nn.Dense(outputs)]
    )


def _softmax(_: Config, outputs: int) -> nn.Sequential:
    return networks.softmax(outputs)


def _lenet5(config: Config, outputs: int) -> nn.Sequential:
    return networks.lenet5(outputs, ACTIVATIONS[config["activation"]], POOLINGS[config["pooling"]])


def _small_cnn(config: Config, outputs: int) -> nn.Sequential:
    filters = [config["filters"] * 2**layer for layer in range(config["layers"])]
    return networks.small_cnn(outputs, filters, config["kernel"])


def _cuda_convnet(_: Config, outputs: int) -> nn.Sequential:
    return networks.cuda_convnet(outputs)


def _resnet20(config: Config, outputs: int) -> nn.Sequential:
    return networks.resnet(20, outputs, config["shortcut"])


NETWORKS: Mapping[str, Entry] = {
    "mlp": Entry(_mlp, SGD | {"width": Int(16, 128, log=True), "dropout": Float(0.0, 0.5)}, 64, 500_000),
    "softmax": Entry(_softmax, SGD, 64, 500_000),
    "lenet5": Entry(
        _lenet5,
        SHIFTED | {"activation": Choice(list(ACTIVATIONS)), "pooling": Choice(list(POOLINGS))},
        trials=24,
        samples=250_000,
        data="mnist",  # its kernels are too large for the digits
    ),
    "small_cnn": Entry(
        _small_cnn,
        SHIFTED | {"layers": Int(1, 3), "filters": Int(4, 16, log=True), "kernel": Int(2, 5)},
        trials=24,
        samples=60_000,
    ),
    "cifar_cnn": Entry(networks.cifar_cnn, CIFAR_CNN, 16, 25_000, optimizer="adam"),
    "cuda_convnet": Entry(_cuda_convnet, CROPPED, 16, 20_000),
    "resnet20": Entry(_resnet20, CROPPED | {"shortcut": Choice(["identity", "projection"])}, 8, 12_000),
}
