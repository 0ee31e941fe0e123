"""The study in words: the same tables for the page and the terminal."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.report.axes import text
from shoal.report.summary import Summary


@dataclass(frozen=True)
class Table:
    """Text in rows, the numbers of ``header`` columns each; the first column names the row."""

    header: list[str]
    rows: list[list[str]]


def title(summary: Summary) -> str:
    """What was done on what."""
    return f"{summary.method} on {summary.task}"


def subtitle(summary: Summary) -> str:
    """Size and cost of the study in one line."""
    record = summary.record
    parts = [
        f"{len(record.trials)} trials",
        f"{record.spent:,} {summary.unit} of training",
        f"{record.seconds:.1f} s",
        f"seed {record.header['seed']}",
    ]
    return " · ".join(parts if record.ended else [*parts, "not finished"])


def scores(summary: Summary, rival: Summary | None) -> Table:
    """What each method reached and what it cost."""
    studies = [summary] if rival is None else [summary, rival]
    tested = any(summary.metric in study.test for study in studies)
    header = ["", summary.metric_label, *([f"test {summary.metric}"] if tested else []), "trials", "diverged"]
    return Table([*header, summary.unit, "seconds"], [_scores(study, tested) for study in studies])


def config(summary: Summary) -> Table:
    """The best config, at the moment when it was the best."""
    schedule = summary.record.best_schedule
    return Table(
        ["", "best config"], [[name, text(value)] for name, value in schedule[-1][1].items()] if schedule else []
    )


def schedule(summary: Summary) -> Table | None:
    """What the best's weights were trained with, since when; None where nothing changed."""
    steps = summary.record.best_schedule
    if len(steps) < 2:
        return None
    changing = [name for name, value in steps[-1][1].items() if any(config[name] != value for _, config in steps)]
    rows = [[f"from {progress}", *(text(config[name]) for name in changing)] for progress, config in steps]
    return Table([summary.unit, *changing], rows)


def _scores(study: Summary, tested: bool) -> list[str]:
    record = study.record
    test = [text(study.test[study.metric]) if study.metric in study.test else "-"] if tested else []
    diverged = sum(strand.diverged for strand in study.strands)
    best = text(study.best) if record.best is not None else "-"
    return [
        study.method,
        best,
        *test,
        str(len(record.trials)),
        str(diverged),
        f"{record.spent:,}",
        f"{record.seconds:.1f}",
    ]
