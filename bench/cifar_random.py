"""Do random configurations reach the same accuracy in shoal as in PyTorch, on CIFAR-10?

    python bench/cifar_random.py                                      # 16 configs, 3 epochs: a quarter of an hour
    python bench/cifar_random.py --configs 4 --epochs 1 --samples 2000

Configs are drawn from the space of the demo's ``cifar_cnn``: learning rate, Adam's decay rates and epsilon, batch size,
kernels, strides, dropouts, number of dense layers. shoal trains all as one population; PyTorch each by itself from the
same initial weights, with another order of batches and other dropout masks. So a config should differ between the two
as it does between seeds: every config is trained with several, and the differences are held against that spread.

One JSON line a config and one for all go to stdout or --out, a table to stderr. Needs CIFAR-10, or a part of it, in
SHOAL_DATA.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import multiprocessing
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import machine
import numpy as np
from harness import Summary
from samples import Floats
from shapes import place

import shoal.data
from shoal import Population, networks
from shoal.demo import NETWORKS
from shoal.space import Config, Space

SEED = 0
ADAM = ("lr", "beta1", "beta2", "epsilon", "batch_size")


@dataclass(frozen=True)
class Run:
    """One training: a config, and which of its seeds."""

    number: int  # of the config
    config: Config
    seed: int


@cache
def load(samples: int) -> tuple[shoal.data.Dataset, shoal.data.Dataset]:
    """Return the training part, or some of it, and the test part."""
    train, _, test = shoal.data.load("cifar10")
    return train.take(np.arange(min(samples, len(train)))), test


def runs(configs: int, seeds: int) -> list[Run]:
    """Draw the configs; each comes with so many seeds."""
    space, rng = Space(NETWORKS["cifar_cnn"].space), np.random.default_rng(SEED)
    drawn = [space.sample(rng) for _ in range(configs)]
    return [Run(i, config, seed) for i, config in enumerate(drawn) for seed in range(seeds)]


def train_shoal(todo: Sequence[Run], epochs: int, samples: int) -> tuple[list[float], list[dict[str, Floats]]]:
    """Return the test accuracies, and the weights that training began with."""
    train, test = load(samples)
    population = Population(
        [networks.cifar_cnn(run.config) for run in todo],
        optimizer="adam",
        hyperparameters={name: [run.config[name] for run in todo] for name in ADAM},
        seed=SEED,
        input_shape=train.shape,
    )
    members = (population.parameters(p) for p in range(len(todo)))
    weights = [{name: array.copy() for name, array in member.items()} for member in members]
    population.train(train, epochs=epochs)
    return [float(accuracy) for accuracy in population.evaluate(test)["accuracy"]], weights


def train_torch(run: Run, weights: dict[str, Floats], epochs: int, samples: int) -> float:
    """Return the test accuracy."""
    import torch
    import torch_model
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(1)
    torch.manual_seed(1000 * run.number + run.seed)
    (x, y), (test_x, test_y) = (_tensors(part) for part in load(samples))
    config = run.config
    model = torch_model.sequential(place(networks.cifar_cnn(config).layers, load(samples)[0].shape), weights)
    betas = (config["beta1"], config["beta2"])
    optimizer = torch.optim.Adam(model.parameters(), config["lr"], betas, config["epsilon"], fused=True)
    for _ in range(epochs):
        for index in torch.split(torch.randperm(len(x)), config["batch_size"]):
            loss = cross_entropy(model(x[index]), y[index])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    model.eval()
    with torch.no_grad():
        correct = [model(part).argmax(1) for part in torch.split(test_x, 500)]
    return float((torch.cat(correct) == test_y).double().mean())


def _tensors(data: shoal.data.Dataset) -> tuple[Any, Any]:
    import torch

    x = torch.from_numpy(data.normalised()).permute(0, 3, 1, 2).contiguous()
    return x, torch.from_numpy(data.y.astype(np.int64))


def all_torch(todo: Sequence[Run], weights: Sequence[dict[str, Floats]], epochs: int, samples: int) -> list[float]:
    """Return the test accuracies; as many trainings at a time as there are cores."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(machine.cpus()), context) as pool:
        jobs = [pool.submit(train_torch, *job, epochs, samples) for job in zip(todo, weights, strict=True)]
        accuracies = []
        for i, job in enumerate(jobs):
            accuracies.append(job.result())
            print(f"PyTorch: {i + 1} of {len(jobs)}", file=sys.stderr, flush=True)
    return accuracies


def rows_of(todo: Sequence[Run], ours: Sequence[float], theirs: Sequence[float]) -> list[dict[str, Any]]:
    """Return a row for each config, over its seeds."""
    rows = []
    for number in sorted({run.number for run in todo}):
        mine = [i for i, run in enumerate(todo) if run.number == number]
        figures = {"shoal": [ours[i] for i in mine], "torch": [theirs[i] for i in mine]}
        rows.append(
            {
                "bench": "cifar_random",
                "case": {"config": number},
                "unit": "test accuracy",
                "better": "higher",
                "metrics": {name: Summary.of(values).as_json() for name, values in figures.items()},
                "accuracies": {name: [round(value, 4) for value in values] for name, values in figures.items()},
                "config": todo[mine[0]].config,
            }
        )
    return rows


def verdict(accuracies: Sequence[dict[str, list[float]]]) -> dict[str, Any]:
    """Hold the differences of all configs against the spread over seeds.

    A mean over k seeds has the variance of one training over k; the difference of two such has the sum of theirs. Where
    both sides do the same, their mean difference over the configs is within two of its standard deviations from 0, but
    for one case in twenty.
    """
    sides = ("shoal", "torch")
    seeds = len(accuracies[0]["shoal"])
    differences = [statistics.mean(each["shoal"]) - statistics.mean(each["torch"]) for each in accuracies]
    variances = {side: statistics.mean(statistics.variance(each[side]) for each in accuracies) for side in sides}
    of_difference = sum(variances.values()) / seeds
    deviation = math.sqrt(of_difference / len(accuracies))
    mean = statistics.mean(differences)
    return {
        "bench": "cifar_random",
        "case": {"config": "all"},
        "unit": "test accuracy",
        "better": "higher",
        "metrics": {
            side: {"median": statistics.median(chain.from_iterable(a[side] for a in accuracies))} for side in sides
        },
        "seeds": seeds,
        "spread_over_seeds": {side: round(math.sqrt(variance), 4) for side, variance in variances.items()},
        "mean_difference": round(mean, 4),
        "expected_deviation": round(deviation, 4),
        "largest_difference": round(max(map(abs, differences)), 4),
        "beyond_two_deviations": sum(abs(difference) > 2 * math.sqrt(of_difference) for difference in differences),
        "within": abs(mean) <= 2 * deviation,
    }


def table(rows: Sequence[dict[str, Any]], total: dict[str, Any]) -> str:
    """Lay the configs out for people."""
    lines = [f"{'config':>6} {'shoal':>17} {'torch':>17}  hyperparameters"]
    for row in rows:
        cells = (" ".join(f"{accuracy:.1%}" for accuracy in accuracies) for accuracies in row["accuracies"].values())
        values = " ".join(f"{name}={value:.4g}" for name, value in row["config"].items())
        lines.append(f"{row['case']['config']:>6} " + " ".join(f"{cell:>17}" for cell in cells) + f"  {values}")
    spread = total["spread_over_seeds"]
    lines.append(
        f"standard deviation over seeds {spread['shoal']:.2%} in shoal, {spread['torch']:.2%} in PyTorch; "
        f"{len(rows)} configs differ by {total['mean_difference']:+.2%} on average (expected 0 +- "
        f"{total['expected_deviation']:.2%}), by {total['largest_difference']:.2%} at most, "
        f"{total['beyond_two_deviations']} by more than two deviations: "
        + ("within the spread" if total["within"] else "NOT within the spread")
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--samples", type=int, default=12_000, help="of the training part")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each config, >= 2")
    parser.add_argument("--out", type=Path, help="file for the JSON lines")
    options = parser.parse_args()
    todo = runs(options.configs, options.seeds)
    start = time.perf_counter()
    ours, weights = train_shoal(todo, options.epochs, options.samples)
    between = time.perf_counter()
    theirs = all_torch(todo, weights, options.epochs, options.samples)
    seconds = {"shoal": round(between - start, 1), "torch": round(time.perf_counter() - between, 1)}

    rows = rows_of(todo, ours, theirs)
    total = verdict([row["accuracies"] for row in rows])
    about = {
        "epochs": options.epochs,
        "samples": len(load(options.samples)[0]),
        "seconds": seconds,
        "machine": machine.describe(),
    }
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(options.out.open("w")) if options.out else sys.stdout
        for row in (*rows, total):
            print(json.dumps(row | about), file=out)
    print(table(rows, total), file=sys.stderr)


if __name__ == "__main__":
    main()
