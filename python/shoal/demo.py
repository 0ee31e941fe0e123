"""``shoal demo``: population based training of small networks on real images, and random search at the same budget."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from shoal import data as datasets
from shoal import nn, search
from shoal.data import Dataset
from shoal.errors import StudyError
from shoal.manager.journal import FILE as JOURNAL
from shoal.manager.record import StudyRecord
from shoal.population import devices
from shoal.report.axes import text
from shoal.search.protocol import Config
from shoal.space import Choice, Float, Int
from shoal.study import Result, Study

SPACE = {
    "lr": Float(1e-3, 1.0, log=True),
    "momentum": Float(0.0, 0.95),
    "weight_decay": Float(1e-6, 1e-2, log=True),
    "batch_size": Choice([16, 32, 64, 128]),
    "width": Int(16, 128, log=True),
    "dropout": Float(0.0, 0.5),
}
SAMPLES = 500_000  # that a member sees, about: many epochs of a small set, few of a large one
ROUNDS = 20  # of exploit and explore


def run(
    data: str = "digits",
    trials: int = 64,
    epochs: int | None = None,
    seed: int = 0,
    directory: Path | None = None,
    threads: int | None = None,
    progress: bool = True,
) -> None:
    """Run the demo, or go on with one that was stopped; one that has ended starts over.

    Args:
        data: A name that `shoal.data.load` knows, or a directory.
        trials: Members of the population; random search gets as many.
        epochs: For each member; by default so many that it sees about half a million samples.
        seed: Of everything random.
        directory: Where both studies and the report go; by default ``runs/demo-<data>``.
        threads: CPU threads, by default all.
        progress: Whether to show the table while it runs.
    """
    console = Console(width=None if sys.stdout.isatty() else 120)  # a log is not wrapped at 80
    train, valid, test = datasets.load(data, seed=seed)
    epochs = epochs or min(100, max(10, SAMPLES // len(train)))
    directory = directory or Path("runs") / f"demo-{Path(data).name}"
    _clear_finished(directory)
    console.print(
        f"[bold]{train.name}[/]: {len(train)} samples to train on, {len(valid)} to validate, {len(test)} to test"
    )
    console.print(f"{devices()[0]}; {trials} networks, {epochs} epochs each; {directory}\n")
    evolution = search.PBT(trials, epochs=epochs, interval_epochs=max(1, epochs // ROUNDS))
    plain = search.Random(trials, epochs=epochs)
    methods = {"PBT": (evolution, directory), "random search": (plain, directory / "random")}
    results = {}
    for method, (strategy, place) in methods.items():
        study = _study(train, valid, strategy, seed, place, threads)
        results[method] = study.run(progress=progress)
        console.print()
    results["random search"].report(test)
    report = results["PBT"].report(test)
    _tell(console, results, test)
    console.print(f"\n[bold]{report}[/] has the curves, the lineage and the schedules; the same as PNGs beside it.")


def _study(
    train: Dataset, valid: Dataset, strategy: search.Search, seed: int, directory: Path, threads: int | None
) -> Study:
    def network(config: Config) -> nn.Sequential:
        return nn.Sequential(
            [nn.Flatten(), nn.Dense(config["width"]), nn.ReLU(), nn.Dropout(config["dropout"]), nn.Dense(train.outputs)]
        )

    loss, metric = ("cross_entropy", "accuracy") if train.classification else ("mse", "loss")
    return Study(
        network,
        train,
        valid,
        space=SPACE,
        strategy=strategy,
        loss=loss,
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


def _tell(console: Console, results: dict[str, Result], test: Dataset) -> None:
    best = results["PBT"].best
    console.print(_steps(best.schedule, "The best network's hyperparameters over time"))
    metrics = ["accuracy", "loss"] if test.classification else ["loss"]
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("")
    for column in (*(f"{part} {metric}" for part in ("validation", "test") for metric in metrics), "epochs", "seconds"):
        table.add_column(column, justify="right")
    for method, result in results.items():
        tested = result.best.model.evaluate(test)
        scores = [*(result.best.metrics[metric] for metric in metrics), *(float(tested[m][0]) for m in metrics)]
        record = result.record
        table.add_row(method, *map("{:.4f}".format, scores), f"{record.spent:,}", f"{record.seconds:.1f}")
    console.print()
    console.print(table)


def _steps(schedule: list[tuple[int, Config]], title: str) -> Table:
    """One row for each change, unchanged values left out."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="dim", pad_edge=False)
    table.add_column("from epoch", justify="right")
    names = list(schedule[0][1])
    for name in names:
        table.add_column(name, justify="right")
    before: Config = {}
    for progress, config in schedule:
        changed = ["" if before.get(name) == config[name] else text(config[name]) for name in names]
        table.add_row(str(progress), *changed)
        before = config
    return table
