"""The page: one file that opens without a network, plotly's script included once."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from shoal.report import tables
from shoal.report.summary import Summary
from shoal.report.tables import Table

BUTTONS = [["zoom2d", "pan2d", "resetScale2d", "toImage"]]
CONFIG = {"displaylogo": False, "responsive": True, "modeBarButtons": BUTTONS}


def write_html(summary: Summary, rival: Summary | None, path: Path) -> None:
    """Write the page."""
    from plotly.offline import get_plotlyjs

    template = Template(files("shoal.report").joinpath("page.html").read_text(encoding="utf-8"))
    page = template.substitute(
        title=escape(tables.title(summary)),
        subtitle=escape(tables.subtitle(summary)),
        sections="\n".join([*_words(summary, rival), *_pictures(summary, rival), *_trials(summary)]),
        version=escape(str(summary.record.header["version"])),
        plotly=get_plotlyjs(),
    )
    path.write_text(page, encoding="utf-8")


def _words(summary: Summary, rival: Summary | None) -> Iterator[str]:
    yield _table(tables.scores(summary, rival))
    if summary.record.best is None:
        yield '<p class="lone">Every trial diverged: there is no best one.</p>'
        return
    yield "<h2>The best</h2>"
    schedule = tables.schedule(summary)
    best = [*tables.config(summary), *([] if schedule is None else [schedule])]
    caption = tables.caption(summary)
    yield f'<p class="quiet">{escape(caption)}</p>\n<div class="beside">{"".join(map(_table, best))}</div>'


def _pictures(summary: Summary, rival: Summary | None) -> Iterator[str]:
    from shoal.report import figures

    unit = escape(summary.unit)
    if rival is not None:
        name = escape(rival.method)
        yield _picture(
            f"Compared with {name}",
            "The best and the median trial at each moment.",
            figures.comparison(summary, rival),
        )
    if (front := tables.front(summary)) is not None and summary.record.front:
        words = "Reports that no other beats in one objective without losing in another."
        words += " The picture shows the first two." if len(summary.objectives) > 2 else ""
        yield _picture("Pareto front", words, figures.front(summary)) + f'\n<div class="many">{_table(front)}</div>'
    if summary.learned:
        heirs = " An heir's line leaves its donor's where it took over the weights." if summary.inherits else ""
        yield _picture(
            "Learning curves",
            f"Every trial.{heirs} The dark line is the way of the best.",
            figures.curves(summary),
        )
    if summary.inherits:
        changes = tables.structures(summary)
        yield _picture(
            "Lineage",
            "Who inherited from whom. A horizontal line is one life of weights, a vertical one a copy. "
            "The numbers are the first trials whose descendants live to the end." + (f" {changes}" if changes else ""),
            figures.lineage(summary),
        )
    if summary.axes:
        yield _picture(
            "Hyperparameters over time", f"What the trials were trained with, in {unit}.", figures.schedules(summary)
        )
    if summary.axes and summary.learned:
        yield _picture(
            "Every config and what it reached",
            "A line is one config, the darker the better. Drag along an axis to select, drag a name to move its axis.",
            figures.parallel(summary),
        )


def _trials(summary: Summary) -> Iterator[str]:
    table = tables.trials(summary)
    if table.rows:
        shown = f"{len(table.rows)} of {len(summary.record.trials)}, by their last report"
        words = escape(" ".join(filter(None, [f"The best {shown}.", tables.audits(summary)])))
        yield f'<h2>Trials</h2>\n<p class="quiet">{words}</p>\n<div class="many">{_table(table)}</div>'


def _picture(title: str, caption: str, figure: Any) -> str:
    plot = figure.to_html(full_html=False, include_plotlyjs=False, config=CONFIG)
    return f'<h2>{title}</h2>\n<p class="quiet">{caption}</p>\n<div class="plot">{plot}</div>'


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    rows = "\n".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    return f'<div class="wide"><table>\n<tr>{head}</tr>\n{rows}\n</table></div>'
