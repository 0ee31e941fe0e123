"""The pictures for the page, with plotly: the same as the PNGs, but one can point at a line and zoom into a crowd."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from shoal.report.axes import Axis, amount
from shoal.report.lineage import tree
from shoal.report.lines import Lines
from shoal.report.pareto import pareto
from shoal.report.style import BEST, CROWD, FONTS, GRID, INK, KIN, QUIET, RIVAL, SCALE, shades
from shoal.report.summary import Summary, contest_window

SVG_POINTS = 30_000  # beyond these, lines are drawn by WebGL: less sharp, but the page stays quick
LETTER = 7.0  # pixels, about
WIDTH = 900  # of a picture on a wide screen, in pixels

AXIS = {
    "gridcolor": GRID,
    "linecolor": QUIET,
    "ticks": "outside",
    "tickcolor": QUIET,
    "showline": True,
    "zeroline": False,
    "title": {"font": {"size": 13}},
}
LAYOUT = {
    "font": {"family": ", ".join([*FONTS, "sans-serif"]), "color": INK, "size": 13},
    "paper_bgcolor": "white",
    "plot_bgcolor": "white",
    "hoverlabel": {"bgcolor": "white", "bordercolor": QUIET, "font": {"color": INK}},
    "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
    "margin": {"l": 64, "r": 24, "t": 40, "b": 52},
    "xaxis": AXIS,
    "yaxis": AXIS,
}


def curves(summary: Summary) -> go.Figure:
    """The metric of all trials, the best one's line of descent in front."""
    figure = _figure(height=440)
    low, high = summary.window()
    groups = summary.curves(survived=False), summary.curves(survived=True), summary.best_curve()
    hover = f"trial %{{customdata}}<br>%{{x}} {summary.unit}: %{{y:.4f}}<extra></extra>"
    _groups(figure, *groups, hover=hover)
    if len((single := summary.curves().single()).x):
        figure.add_scatter(
            x=single.x, y=single.y, customdata=single.trial, mode="markers", marker={"color": CROWD, "size": 7},
            showlegend=False, hovertemplate=hover,
        )  # fmt: skip
    if len((gone := summary.diverged()).x):
        crosses = {"symbol": "x-thin", "size": 8, "line": {"width": 1.5, "color": INK}}
        hover = f"trial %{{customdata}} diverged after %{{x}} {summary.unit}<extra></extra>"
        figure.add_scatter(
            x=gone.x, y=np.clip(gone.y, low, high), customdata=gone.trial, mode="markers", marker=crosses,
            name="diverged", hovertemplate=hover, cliponaxis=False,
        )  # fmt: skip
    if summary.record.best is not None:
        _mark(
            figure,
            summary.record.best_progress,
            summary.best_height,
            f"trial {summary.record.best}: {amount(summary.best)}",
        )
    figure.update_yaxes(range=[low, high], title_text=summary.metric_label)
    figure.update_xaxes(title_text=summary.unit, rangemode="tozero", **_whole(summary))
    return figure


def comparison(summary: Summary, rival: Summary) -> go.Figure:
    """The best and the median trial over time, of two methods."""
    figure = _figure(height=400)
    for study, colour, dash in ((summary, BEST, "solid"), (rival, RIVAL, "7px,3px")):
        progress, best, median = study.crowd()
        for values, width, name in ((best, 2.6, "best"), (median, 1.2, "median")):
            line = {"color": colour, "width": width, "dash": dash}
            label = f"{study.method}: {name}"
            hover = f"{label}<br>%{{x}} {study.unit}: %{{y:.4f}}<extra></extra>"
            figure.add_scatter(x=progress, y=values, mode="lines", line=line, name=label, hovertemplate=hover)
    figure.update_yaxes(range=contest_window(summary, rival), title_text=summary.metric_label)
    figure.update_xaxes(title_text=summary.unit, rangemode="tozero", **_whole(summary))
    return figure


def front(summary: Summary) -> go.Figure:
    """The first two objectives of every report, the Pareto front in front."""
    figure, picture = _figure(height=440), pareto(summary)
    hover = "trial %{customdata}<br>%{x:,.4~g}, %{y:,.4~g}<extra></extra>"
    crowd, best = ({"x": each.x, "y": each.y, "customdata": each.trial} for each in (picture.crowd, picture.front))
    marker = {"color": CROWD, "size": 6}
    figure.add_scatter(**crowd, mode="markers", marker=marker, name="reports", hovertemplate=hover)
    line = {"color": BEST, "width": 1.6, "shape": "vh" if picture.across.rises else "hv"}
    figure.add_scatter(
        **best, mode="lines+markers" if picture.bounded else "markers", line=line, marker={"color": BEST, "size": 9},
        name="the front", hovertemplate=hover,
    )  # fmt: skip
    for side, update in ((picture.across, figure.update_xaxes), (picture.up, figure.update_yaxes)):
        ends = np.log10([side.low, side.high]) if side.log else [side.low, side.high]
        values, words = zip(*side.ticks, strict=True)
        update(range=ends, type="log" if side.log else "linear", tickvals=values, ticktext=words, title_text=side.label)
    return figure


def lineage(summary: Summary) -> go.Figure:
    """The family tree."""
    figure = _figure(height=600)
    family = tree(summary)
    _groups(figure, family.extinct, family.surviving, family.best, hover="trial %{customdata}<extra></extra>")
    for trial, row in family.founders:
        figure.add_annotation(x=0, y=row, text=str(trial), xanchor="right", showarrow=False, font={"size": 11})
    figure.update_yaxes(visible=False, range=[-2, family.height + 1])
    figure.update_xaxes(title_text=summary.unit, showgrid=False, **_whole(summary))
    return figure


def schedules(summary: Summary) -> go.Figure:
    """Each hyperparameter over time."""
    rows, columns = summary.panels
    titles = [axis.name for axis in summary.axes]
    gaps = {"vertical_spacing": 0.25 / rows, "horizontal_spacing": 0.1}
    figure = make_subplots(rows=rows, cols=columns, shared_xaxes="all", subplot_titles=titles, **gaps)
    figure.update_layout(**{**LAYOUT, "height": 60 + 210 * rows})
    for place, axis in enumerate(summary.axes):
        row, col = place // columns + 1, place % columns + 1
        groups = (
            summary.schedule(axis, survived=False),
            summary.schedule(axis, survived=True),
            summary.best_schedule(axis),
        )
        _groups(
            figure, *groups, hover="trial %{customdata}<extra></extra>", shape="hv", legend=place == 0, row=row, col=col
        )
        figure.update_yaxes(**AXIS, **_ticks(axis), range=[-0.03, 1.03], row=row, col=col)
    figure.update_xaxes(**AXIS, **_whole(summary))
    for place in range(len(summary.axes) - columns, len(summary.axes)):  # the lowest of each column
        row, col = place // columns + 1, place % columns + 1
        figure.update_xaxes(title_text=summary.unit, showticklabels=True, row=row, col=col)
    figure.update_layout(legend={"y": 1 + 40 / (210 * rows)})
    for title, axis in zip(figure.layout.annotations, figure.select_xaxes(), strict=False):
        title.update(x=axis.domain[0], xanchor="left", font={"size": 14})
    return figure


def parallel(summary: Summary) -> go.Figure:
    """Every config as a line across its hyperparameters to its metric."""
    axes, table = summary.parallel()
    slanted = max(len(axis.name) for axis in axes) * LETTER > WIDTH / len(axes)
    figure = _figure(height=540 if slanted else 480)
    dimensions = [
        {"label": axis.name, "values": table[:, i], "range": [0, 1], **_ticks(axis)} for i, axis in enumerate(axes)
    ]
    line = {"color": shades(len(table)), "colorscale": SCALE, "cmin": 0, "cmax": 1}
    figure.add_parcoords(dimensions=dimensions, line=line, labelfont={"size": 13}, tickfont={"size": 11})
    figure.update_traces(labelangle=-30 if slanted else 0)
    figure.update_layout(margin={"l": 56, "r": 84 if slanted else 56, "t": 130 if slanted else 76, "b": 24})
    return figure


def _figure(height: int) -> go.Figure:
    return go.Figure(layout={**LAYOUT, "height": height})


def _groups(
    figure: go.Figure,
    extinct: Lines,
    surviving: Lines,
    best: Lines,
    hover: str,
    shape: str = "linear",
    legend: bool = True,
    row: int | None = None,
    col: int | None = None,
) -> None:
    """The three groups that every picture tells apart, the same way in each."""
    groups = [(extinct, CROWD, 0.8, "trials"), (best, BEST, 2.6, "the best")]
    if len(surviving.x):
        groups[:1] = [(extinct, CROWD, 0.8, "died out"), (surviving, KIN, 0.8, "led to the final population")]
    # One kind for all: whatever WebGL draws lies above the rest.
    trace = go.Scatter if max(len(lines.x) for lines, *_ in groups) < SVG_POINTS else go.Scattergl
    for lines, colour, width, name in groups:
        if not len(lines.x):
            continue
        line = {"color": colour, "width": width, "shape": shape}
        data = {"x": lines.x, "y": lines.y, "customdata": lines.trial}
        words = {"name": name, "legendgroup": name, "showlegend": legend, "hovertemplate": hover}
        figure.add_trace(trace(**data, **words, mode="lines", line=line), row=row, col=col)


def _mark(figure: go.Figure, x: float, y: float, label: str) -> None:
    figure.add_scatter(
        x=[x], y=[y], mode="markers", marker={"size": 9, "color": BEST},
        showlegend=False, hoverinfo="skip", cliponaxis=False,
    )  # fmt: skip
    clear = {"bgcolor": "rgba(255,255,255,0.8)", "borderpad": 1}  # it may stand on lines
    figure.add_annotation(
        x=x, y=y, text=label, xanchor="right", yshift=16, showarrow=False, font={"color": BEST}, **clear
    )


def _whole(summary: Summary) -> dict[str, Any]:
    """Of an axis of time: no half epochs."""
    last = max((strand.end for strand in summary.strands), default=0)
    return {"dtick": 1} if last < 10 else {}


def _ticks(axis: Axis) -> dict[str, Any]:
    return {"tickvals": [position for position, _ in axis.ticks], "ticktext": [label for _, label in axis.ticks]}
