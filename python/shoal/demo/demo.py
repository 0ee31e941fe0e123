"""Both studies of the demo, one after the other, and what is said of them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
from rich.console import Console

from shoal import data as datasets
from shoal import nn, rules, search
from shoal.data import Dataset
from shoal.demo.entries import NETWORKS, Entry
from shoal.demo.words import tell
from shoal.errors import StudyError
from shoal.manager.journal import FILE as JOURNAL
from shoal.manager.record import StudyRecord
from shoal.population import Population, devices
from shoal.search.protocol import Config
from shoal.space import Space
from shoal.study import Study

ROUNDS = 20  # of exploit and explore, at most
LEAST, MOST = 5, 100  # epochs


def run(
    network: str = "mlp",
    data: str | None = None,
    trials: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    directory: Path | None = None,
    threads: int | None = None,
    progress: bool = True,
) -> None:
    """Run the demo, or go on with one that was stopped; one that has ended starts over.

    Args:
        network: A name in `NETWORKS`.
        data: A name that `shoal.data.load` knows, or a directory; by default one that suits the network.
        trials: Members of the population; random search gets as many.
        epochs: For each member, on all of the data; by default so many that the demo takes a few minutes, and of data
            that are too large for that, a part.
        seed: Of everything random.
        directory: Where both studies and the report go; by default one in ``runs``, named after network and data.
        threads: CPU threads, by default all.
        progress: Whether to show the table while it runs.

    Raises:
        ValueError: An argument breaks its rule, or the network cannot take the data.
    """
    entry = NETWORKS[rules.choice(network, "network", NETWORKS)]
    data, trials = data or entry.data, trials or entry.trials
    train, valid, test = datasets.load(data, seed=seed)
    _check_fits(network, entry, train)
    whole = len(train)
    if epochs is None:
        train, valid, epochs = _shorten(train, valid, entry.samples, seed)
    directory = directory or Path("runs") / _name(network, Path(data).name)
    _clear_finished(directory)
    console = Console(width=None if sys.stdout.isatty() else 120)  # a log is not wrapped at 80
    size = f"{len(train)}" if len(train) == whole else f"{len(train)} of its {whole}"
    console.print(f"[bold]{train.name}[/]: {size} samples to train on, {len(valid)} to validate, {len(test)} to test")
    console.print(f"{devices()[0]}; {trials} networks ({network}), {epochs} epochs each; {directory}\n")
    evolution = search.PBT(trials, epochs=epochs, interval_epochs=max(1, epochs // ROUNDS))
    plain = search.Random(trials, epochs=epochs)
    methods = {"PBT": (evolution, directory), "random search": (plain, directory / "random")}
    results = {}
    for method, (strategy, place) in methods.items():
        study = _study(entry, train, valid, strategy, seed, place, threads)
        results[method] = study.run(progress=progress)
        if progress and sys.stderr.isatty():  # below the live table
            console.print()
    results["random search"].report(test)
    report = results["PBT"].report(test)
    tell(console, results, test)
    console.print(f"\n[bold]{report}[/] has the curves, the lineage and the schedules; the same as PNGs beside it.")


def _check_fits(network: str, entry: Entry, data: Dataset) -> None:
    config = Space(entry.space).from_unit(np.zeros(len(entry.space)))
    try:
        Population(entry.build(config, data.outputs), input_shape=data.shape)
    except ValueError as error:
        reason = str(error).removeprefix("member 0: ")
        raise ValueError(f"{network}: cannot take the samples of {data.name}, {data.shape}: {reason}") from None


def _shorten(train: Dataset, valid: Dataset, samples: int, seed: int) -> tuple[Dataset, Dataset, int]:
    """As much of the data, and as many epochs, as let a member see about so many samples."""
    train = _part(train, samples // LEAST, seed)
    valid = _part(valid, len(train) // 2, seed)  # which every member is tested on after every epoch
    return train, valid, min(MOST, max(LEAST, samples // len(train)))


def _part(data: Dataset, most: int, seed: int) -> Dataset:
    return data if len(data) <= most else datasets.split(data, most, seed=seed)[1]


def _name(network: str, data: str) -> str:
    return f"demo-{data}" if network == "mlp" else f"demo-{network}-{data}"


def _study(
    entry: Entry,
    train: Dataset,
    valid: Dataset,
    strategy: search.Search,
    seed: int,
    directory: Path,
    threads: int | None,
) -> Study:
    def network(config: Config) -> nn.Sequential:
        return entry.build(config, train.outputs)

    loss, metric = ("cross_entropy", "accuracy") if train.classification else ("mse", "loss")
    return Study(
        network,
        train,
        valid,
        space=entry.space,
        strategy=strategy,
        loss=loss,
        optimizer=entry.optimizer,
        metric=metric,
        seed=seed,
        directory=directory,
        threads=threads,
    )


def _clear_finished(directory: Path) -> None:
    """Remove the studies of a demo that has ended; leave one that was stopped, and everything else."""
    try:
        finished = StudyRecord.read(directory / "random").ended
    except (StudyError, OSError):
        return
    if finished:
        shutil.rmtree(directory / "random")
        for pattern in (JOURNAL, "snapshot-*.safetensors", "best.safetensors"):  # what a study writes, and no more
            for path in directory.glob(pattern):
                path.unlink()
