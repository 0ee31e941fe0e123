"""Record the table of learning curves that comes with shoal: dense networks on scikit-learn's digits.

    python bench/record_digits.py                                   # python/shoal/simulate/digits.npz: half a minute

A Sobol sequence of configs, each trained to the end by a study of its own kind: all of them, nothing stopped. Then what
an epoch of each costs, alone on one core: processor time, the least of three, after one epoch to warm up.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import shoal
from shoal import nn, search
from shoal.simulate import Table
from shoal.space import Float, Int

SPACE = {
    "lr": Float(1e-4, 1.0, log=True),
    "momentum": Float(0, 0.99),
    "batch_size": Int(8, 128, log=True),
    "units": Int(4, 128, log=True),
}
PLACE = Path(shoal.simulate.__file__).with_name("digits.npz")


def network(config: dict[str, Any]) -> nn.Sequential:
    return nn.Sequential([nn.Flatten(), nn.Dense(config["units"]), nn.ReLU(), nn.Dense(10)])


def seconds(config: dict[str, Any], data: shoal.data.Dataset) -> float:
    """Return the processor time of an epoch."""
    hot = {name: config[name] for name in ("momentum", "batch_size")}
    # A learning rate of 0 takes as long as any other, and never diverges.
    alone = shoal.Population(network(config), hyperparameters=hot | {"lr": 0.0}, threads=1, device="cpu")
    taken = []
    for _ in range(4):
        begun = time.process_time()
        alone.train(data, epochs=1)
        taken.append(time.process_time() - begun)
    return min(taken[1:])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", type=int, default=256, help="a power of two fills the space evenly")
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--out", type=Path, default=PLACE)
    options = parser.parse_args(arguments)
    train, valid, _ = shoal.data.load("digits")
    strategy = search.Full(options.configs, epochs=options.epochs, sampler="sobol")
    study = shoal.Study(network, train, valid, space=SPACE, strategy=strategy, metric="loss", device="cpu")
    result = study.run()
    table = Table.of_study(result.record, [seconds(trial.config, train) for trial in result.trials], "digits")
    # Seven digits are what float32 has, and what the numbers are worth; the file is half as large.
    rounded = [array.astype(np.float32).astype(float) for array in (table.positions, table.scores, table.seconds)]
    Table(table.space, *rounded, table.name).save(options.out)


if __name__ == "__main__":
    main()
