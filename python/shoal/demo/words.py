"""What the demo found, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.table import Table

from shoal.data import Dataset
from shoal.report.axes import text
from shoal.search.protocol import Config
from shoal.study import Result


def tell(console: Console, results: Mapping[str, Result], test: Dataset) -> None:
    """Print the best network's hyperparameters, and what the methods reached."""
    for part in _schedule(results["PBT"].best.schedule):
        console.print(part)
    console.print()
    console.print(_scores(results, test))


def _schedule(steps: list[tuple[int, Config]]) -> Iterator[Table | str]:
    """One row for each change, unchanged values left out; then those that never changed, all structure among them."""
    names = list(steps[0][1])
    changing = [name for name in names if any(config[name] != steps[0][1][name] for _, config in steps)]
    title = "The best network's hyperparameters"
    if changing:
        yield _steps(steps, changing, f"{title} over time")
    fixed = ", ".join(f"{name} {text(steps[0][1][name])}" for name in names if name not in changing)
    if fixed:
        yield f"throughout: {fixed}" if changing else f"[bold italic]{title}[/]\n{fixed}"


def _steps(steps: list[tuple[int, Config]], names: list[str], title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="dim", pad_edge=False)
    table.add_column("from epoch", justify="right")
    for name in names:
        table.add_column(name, justify="right")
    before: Config = {}
    for progress, config in steps:
        changed = ["" if before.get(name) == config[name] else text(config[name]) for name in names]
        table.add_row(str(progress), *changed)
        before = config
    return table


def _scores(results: Mapping[str, Result], test: Dataset) -> Table:
    metrics = ["accuracy", "loss"] if test.classification else ["loss"]
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("", no_wrap=True)
    for column in (*(f"{part} {metric}" for part in ("validation", "test") for metric in metrics), "epochs", "seconds"):
        table.add_column(column, justify="right")
    for method, result in results.items():
        tested = result.best.model.evaluate(test)
        scores = [*(result.best.metrics[metric] for metric in metrics), *(float(tested[m][0]) for m in metrics)]
        record = result.record
        table.add_row(method, *map("{:.4f}".format, scores), f"{record.spent:,}", f"{record.seconds:.1f}")
    return table
