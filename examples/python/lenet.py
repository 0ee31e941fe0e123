"""LeNet-5, tuned by population based training while it trains: its learning rate, how far images are shifted, and more.

usage: python lenet.py [DATA]

DATA may be mnist, fashion-mnist or a directory of images. By default scikit-learn's digits stand in for MNIST, which
they resemble once they are enlarged; that takes a few seconds.
"""

import sys

import numpy as np

import shoal
from shoal import networks, nn, search
from shoal.space import Choice, Float, Int


def enlarged(data):
    """8 x 8 digits as 28 x 28: each pixel becomes 3 x 3, and a rim is added."""
    pixels = np.kron(data.x, np.ones((1, 3, 3), np.uint8)) * 15
    return shoal.data.from_arrays(np.pad(pixels, ((0, 0), (2, 2), (2, 2))), data.y, name="digits, enlarged")


ACTIVATIONS = {"relu": nn.ReLU(), "tanh": nn.Tanh()}


def network(config):
    return networks.lenet5(train.outputs, ACTIVATIONS[config["activation"]])


parts = shoal.data.load(sys.argv[1]) if len(sys.argv) > 1 else map(enlarged, shoal.data.load("digits"))
train, valid, test = parts
study = shoal.Study(
    network,
    train,
    valid,
    optimizer="sgd",
    space={
        "lr": Float(1e-3, 0.3, log=True),
        "momentum": Float(0, 0.95),
        "batch_size": Choice([16, 32, 64]),
        "augment_pad": Int(0, 3),  # hot: images are shifted by up to so many pixels, and PBT may change it
        "activation": Choice(list(ACTIVATIONS)),  # structural: an heir takes it over with the weights
    },
    strategy=search.PBT(population=12, epochs=10, interval_epochs=1),
    metric="accuracy",
    seed=0,
    directory="runs/lenet",
)
best = study.run().best
print(f"trial {best.id}: validation accuracy {best.score:.4f} after {best.progress} epochs")
print(f"test accuracy {best.model.evaluate(test)['accuracy'][0]:.4f}")
for epoch, config in best.schedule:
    values = [f"{value:.3g}" if isinstance(value, float) else value for value in config.values()]
    print(f"from epoch {epoch:2d}: " + ", ".join(f"{name} {value}" for name, value in zip(config, values, strict=True)))
