"""The study in words: the same tables for the page and the terminal."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shoal.manager.timesheet import in_words
from shoal.report.axes import amount, entry, text
from shoal.report.summary import Summary
from shoal.search.ranking import rank

FRESH = "fresh layers"  # of an heir whose structure is not its donor's


@dataclass(frozen=True)
class Table:
    """Text in columns; the first one names the rows."""

    header: list[str]
    rows: list[list[str]]


def lines(table: Table) -> str:
    """A table as text, its columns aligned to the right."""
    rows = [table.header, *table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def title(summary: Summary) -> str:
    """What was done on what."""
    return f"{summary.method} on {summary.task}"


def subtitle(summary: Summary) -> str:
    """The size of the study in one line."""
    record = summary.record
    size = f"{len(record.trials)} trials, {record.spent:,} {summary.unit} of training in {record.seconds:.1f} s"
    ranks = f"; {in_words(summary.utilisation)}" if summary.utilisation else ""
    return f"{size}, seed {record.header['seed']}" + ("" if record.ended else ", not finished") + ranks


def scores(summary: Summary, rival: Summary | None) -> Table:
    """What each method reached, and what it cost."""
    studies = [summary] if rival is None else [summary, rival]
    tested = [f"test {_tested(summary)}"] if any(study.test for study in studies) else []
    reached = [summary.label(place) for place in range(len(summary.objectives))]
    header = ["", *reached, *tested, "trials", "diverged", summary.unit, "seconds"]
    return Table(header, [_scores(study, bool(tested)) for study in studies])


def caption(summary: Summary) -> str:
    """What ``config`` and ``schedule`` show."""
    best = "The best" if len(summary.objectives) == 1 else f"The best in {summary.objectives[0].label}"
    who = f"{best} is trial {summary.record.best} after {summary.record.best_progress} {summary.unit}"
    if len(summary.record.best_schedule) < 2:
        return f"{who}. Its config:"
    return f"{who}. Its config, and the schedule that its weights were trained with, inheritance followed back:"


def config(summary: Summary, most: int = 9) -> list[Table]:
    """The best config, as it was when it was the best, in tables of at most so many rows."""
    rows = [[name, text(value)] for name, value in summary.record.best_schedule[-1][1].items()]
    return [Table(["", "config"], rows[first : first + most]) for first in range(0, len(rows), most)]


def schedule(summary: Summary) -> Table | None:
    """What the best's weights were trained with, since when; None where nothing changed."""
    steps = summary.record.best_schedule
    names = dict.fromkeys(name for _, config in reversed(steps) for name in config)
    values = {name: [config.get(name, ...) for _, config in steps] for name in names}  # ...: not active
    changing = [name for name in names if any(value != values[name][-1] for value in values[name])]
    births = {(life := summary.strands[i]).start: life.changes[0].fresh for i in summary.ancestors}
    fresh = [", ".join(births.get(progress, ())) for progress, _ in steps]
    rows = [[f"from {progress}", *(entry(config, name) for name in changing)] for progress, config in steps]
    table = Table([summary.unit, *changing], rows)
    return _with_column(table, FRESH, fresh) if changing else None


def structures(summary: Summary) -> str:
    """How often an heir's structure was not its donor's, and what became of the layers; nothing where it never was."""
    births = [strand.changes[0] for strand in summary.strands if strand.parent is not None]
    changed = [birth.layers for birth in births if birth.layers is not None]
    layers, inherited = sum(map(len, changed)), sum(sum(each.values()) for each in changed)
    how = f"In {len(changed)} of {len(births)} copies the structure changed: of {layers} layers {inherited}"
    return f"{how} were inherited, the others started fresh." if changed else ""


def audits(summary: Summary) -> str:
    """What stopping trials has cost, as far as some that would have been stopped show; nothing without such."""
    record = summary.record
    if not record.audits:
        return ""
    count, cost = len(record.audits), record.audit_regret
    who = f"{count} {'trials' if count > 1 else 'trial'} that would have been stopped trained on"
    return f"{who}: to stop would have cost {f'{cost:.4g} of {summary.label(0)}' if cost else 'nothing'}."


def trials(summary: Summary, most: int = 20) -> Table:
    """The best trials by their last report, and what they were trained with in the end."""
    record, names = summary.record, [axis.name for axis in summary.axes]
    last = [trial.reports[-1] for trial in record.trials.values() if trial.reports]
    labels = [each.label for each in summary.objectives]
    rows, fresh = [], []
    for report in rank(last)[:most]:
        trial = record.trials[report.trial]
        reached = ["diverged"] * len(labels) if trial.diverged else list(map(amount, record.figures(report)))
        donor = [str(trial.parents[-1][1] if trial.parents else "")] if summary.inherits else []
        config = [entry(trial.config, name) for name in names]
        rows.append([str(trial.id), *reached, str(trial.progress), trial.status, *donor, *config])
        fresh.append(", ".join(next((each.fresh for each in reversed(trial.changes) if each.donor is not None), ())))
    heir_of = ["heir of"] if summary.inherits else []
    return _with_column(Table(["trial", *labels, summary.unit, "status", *heir_of, *names], rows), FRESH, fresh)


def front(summary: Summary) -> Table | None:
    """The Pareto front of a study with several objectives, numbered as its files are; None where there is one."""
    if len(summary.objectives) == 1:
        return None
    record, names = summary.record, [axis.name for axis in summary.axes]
    rows = []
    for place, leader in enumerate(record.front, 1):
        config, reached = leader.schedule[-1][1], map(amount, record.figures(leader.report))
        values = [entry(config, name) for name in names]
        rows.append([str(place), str(leader.report.trial), *reached, str(leader.report.progress), *values])
    return Table(["", "trial", *(each.label for each in summary.objectives), summary.unit, *names], rows)


def _tested(study: Summary) -> str:
    """The metric of the test that speaks for the first objective."""
    return study.objectives[0].merit.metric


def _with_column(table: Table, name: str, cells: list[str]) -> Table:
    """The table with one more column, if there is anything in it."""
    if not any(cells):
        return table
    return Table([*table.header, name], [[*row, cell] for row, cell in zip(table.rows, cells, strict=True)])


def _scores(study: Summary, tested: bool) -> list[str]:
    record = study.record
    cells = [study.method, *(map(amount, study.reached) if study.reached else ["-"] * len(study.objectives))]
    if tested:
        cells.append(_test_score(study))
    diverged = sum(strand.diverged for strand in study.strands)
    return [*cells, str(len(record.trials)), str(diverged), f"{record.spent:,}", f"{record.seconds:.1f}"]


def _test_score(study: Summary) -> str:
    """With its standard error where it is a proportion: on a few hundred samples, a per cent may be chance."""
    score, samples = study.test.get(_tested(study)), study.test.get("samples")
    if score is None:
        return "-"
    if _tested(study) != "accuracy" or not samples:
        return text(score)
    return f"{score:.4f} ± {math.sqrt(score * (1 - score) / samples):.4f}"
