"""The pictures as PNGs, with matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.report.axes import Axis, amount
from shoal.report.lineage import tree
from shoal.report.lines import Lines
from shoal.report.pareto import Pareto, pareto
from shoal.report.style import BEST, CROWD, FONTS, GRID, INK, KIN, QUIET, RIVAL, SCALE, shades
from shoal.report.summary import Summary, contest_window

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEW = 24  # points that can have a label each

LOOK: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": FONTS,
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "axes.titlepad": 15,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 160,
}


def write_pngs(summary: Summary, rival: Summary | None, directory: Path) -> None:
    """Write one PNG for each picture that the study has something for."""
    import matplotlib as mpl
    from matplotlib.figure import Figure  # without pyplot: no window system, no global state

    pictures: dict[str, Callable[[Figure], None]] = {}
    if summary.learned:
        pictures["learning_curves"] = lambda f: curves(f, summary)
    if rival is not None:
        pictures["comparison"] = lambda f: comparison(f, summary, rival)
    if summary.inherits:
        pictures["lineage"] = lambda f: lineage(f, summary)
    if summary.axes:
        pictures["schedules"] = lambda f: schedules(f, summary)
    if summary.axes and summary.learned:
        pictures["parallel"] = lambda f: parallel(f, summary)
    if len(summary.objectives) > 1 and summary.record.front:
        pictures["pareto"] = lambda f: front(f, summary)
    with mpl.rc_context(LOOK):  # type: ignore[arg-type]  # its keys are typed one by one
        for name, draw in pictures.items():
            figure = Figure(figsize=(8, 4.6))
            draw(figure)
            figure.savefig(directory / f"{name}.png")


def curves(figure: Figure, summary: Summary) -> None:
    """The metric of all trials, the best one's line of descent in front."""
    ax = figure.subplots()
    low, high = summary.window()
    _groups(ax, summary.curves(survived=False), summary.curves(survived=True), summary.best_curve())
    if len((single := summary.curves().single()).x):
        ax.plot(single.x, single.y, "o", color=CROWD, markersize=5)
    if len((diverged := summary.diverged()).x):
        seen = np.clip(diverged.y, low, high)  # NaN, which separates the points, stays NaN
        ax.plot(diverged.x, seen, "x", color=INK, markersize=6, clip_on=False, label="diverged")
    if summary.record.best is not None:
        _mark(
            ax,
            summary.record.best_progress,
            summary.best_height,
            f"trial {summary.record.best}: {amount(summary.best)}",
        )
    ax.set(ylim=(low, high), ylabel=summary.metric_label, title="Learning curves")
    _time(ax, summary)
    _legend(ax)


def comparison(figure: Figure, summary: Summary, rival: Summary) -> None:
    """The best and the median trial over time, of two methods."""
    ax = figure.subplots()
    for study, colour, dash in ((summary, BEST, "-"), (rival, RIVAL, (0, (5, 2)))):
        progress, best, median = study.crowd()
        ax.plot(progress, best, color=colour, linestyle=dash, linewidth=2.2, label=f"{study.method}: best")
        ax.plot(progress, median, color=colour, linestyle=dash, linewidth=1.0, label=f"{study.method}: median")
    ax.set(ylim=contest_window(summary, rival), ylabel=summary.metric_label)
    ax.set_title(f"{summary.method} and {rival.method}")
    _time(ax, summary)
    _legend(ax)


def front(figure: Figure, summary: Summary) -> None:
    """The first two objectives of every report, the Pareto front in front."""
    ax, picture = figure.subplots(), pareto(summary)
    ax.plot(picture.crowd.x, picture.crowd.y, "o", color=CROWD, markersize=4, label="reports")
    line: dict[str, Any] = {"drawstyle": "steps-pre" if picture.across.rises else "steps-post", "linewidth": 1.4}
    points: dict[str, Any] = {"marker": "o", "markersize": 6, "color": BEST, "label": "the front"}
    ax.plot(picture.front.x, picture.front.y, **points, **(line if picture.bounded else {"linestyle": "none"}))
    if len(picture.front.x) <= FEW:
        _names(ax, picture)
    for side, name in ((picture.across, "x"), (picture.up, "y")):
        values, words = zip(*side.ticks, strict=True)
        ax.set(**{f"{name}scale": "log" if side.log else "linear", f"{name}lim": (side.low, side.high)})
        ax.set(**{f"{name}ticks": values, f"{name}ticklabels": words, f"{name}label": side.label})
    ax.minorticks_off()
    ax.set(title="Pareto front")
    _legend(ax)


def _names(ax: Axes, picture: Pareto) -> None:
    """The trials of the front, on the side of it that nobody has reached."""
    right, above = picture.across.rises, picture.up.rises
    where: dict[str, Any] = {"ha": "left" if right else "right", "va": "bottom" if above else "top"}
    offset = 5 if right else -5, 3 if above else -3
    for x, y, trial in zip(picture.front.x, picture.front.y, picture.front.trial, strict=True):
        ax.annotate(str(trial), (x, y), offset, textcoords="offset points", **where, color=BEST, fontsize=8)


def lineage(figure: Figure, summary: Summary) -> None:
    """The family tree."""
    ax = figure.subplots()
    figure.set_figheight(6)
    family = tree(summary)
    _groups(ax, family.extinct, family.surviving, family.best)
    for trial, row in family.founders:
        ax.annotate(str(trial), (0, row), (-4, 0), textcoords="offset points", ha="right", va="center", fontsize=8)
    ax.set(yticks=[], xlabel=summary.unit, title="Lineage: who inherited from whom")
    ax.spines["left"].set_visible(False)
    ax.grid(visible=False)
    ax.margins(x=0.01, y=0.02)
    _whole(ax)
    _legend(ax)


def schedules(figure: Figure, summary: Summary) -> None:
    """Each hyperparameter over time."""
    lines, columns = summary.panels
    figure.set_size_inches(max(8, 3.6 * columns), 0.6 + 2.1 * lines)
    panels = list(figure.subplots(lines, columns, sharex=True, squeeze=False).flat)
    for ax, axis in zip(panels, summary.axes, strict=False):
        groups = (
            summary.schedule(axis, survived=False),
            summary.schedule(axis, survived=True),
            summary.best_schedule(axis),
        )
        _groups(ax, *groups, drawstyle="steps-post")
        _ticks(ax, axis)
        ax.set_title(axis.name, fontsize=10, pad=6)
        ax.margins(x=0.01)
    for ax in panels[len(summary.axes) :]:
        ax.set_visible(False)
    for ax in panels[len(summary.axes) - columns : len(summary.axes)]:  # the lowest of each column
        ax.tick_params(labelbottom=True)
    _whole(panels[0])  # and so all
    figure.suptitle("Hyperparameters over time", x=0.01, ha="left", fontsize=12)
    figure.supxlabel(summary.unit, fontsize=10)


def parallel(figure: Figure, summary: Summary) -> None:
    """Every config as a line across its hyperparameters to its metric."""
    from matplotlib.colors import LinearSegmentedColormap

    ax = figure.subplots()
    axes, table = summary.parallel()
    scale = LinearSegmentedColormap.from_list("shoal", SCALE)
    for positions, shade in zip(table, shades(len(table)), strict=True):
        ax.plot(positions, color=scale(shade), linewidth=0.6 + shade, alpha=0.8)

    for place, axis in enumerate(axes):
        ax.axvline(place, color=QUIET, linewidth=0.8)
        side, align = (5, "left") if axis is axes[-1] else (-5, "right")
        for position, label in axis.ticks:
            where = (place, position), (side, 0)
            ax.annotate(
                label, *where, textcoords="offset points", ha=align, va="center", fontsize=8, path_effects=_halo()
            )
    longest = max(len(axis.name) for axis in axes)
    figure.set_figwidth(max(8, 0.9 * len(axes)))
    slant: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if longest > 12 else {}
    ax.set_xticks(range(len(axes)), [axis.name for axis in axes], **slant)
    ax.set(yticks=[], ylim=(-0.03, 1.03), title="Every config and what it reached")
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.grid(visible=False)


def _groups(ax: Axes, extinct: Lines, surviving: Lines, best: Lines, **style: Any) -> None:
    """The three groups that every picture tells apart, the same way in each."""
    groups = [(extinct, CROWD, 0.7, "trials"), (best, BEST, 2.2, "the best")]
    if len(surviving.x):
        groups[:1] = [(extinct, CROWD, 0.7, "died out"), (surviving, KIN, 0.7, "led to the final population")]
    for lines, colour, width, label in groups:
        if len(lines.x):
            ax.plot(lines.x, lines.y, color=colour, linewidth=width, label=label, **style)


def _mark(ax: Axes, x: float, y: float, label: str) -> None:
    ax.plot([x], [y], "o", color=BEST, markersize=7, clip_on=False)
    ax.annotate(
        label, (x, y), (0, 9), textcoords="offset points", ha="right", color=BEST, fontsize=9, path_effects=_halo()
    )


def _ticks(ax: Axes, axis: Axis) -> None:
    ax.set_yticks([position for position, _ in axis.ticks], [label for _, label in axis.ticks])
    ax.set_ylim(-0.03, 1.03)


def _time(ax: Axes, summary: Summary) -> None:
    ax.set_xlabel(summary.unit)
    ax.margins(x=0.01)
    ax.set_xlim(left=0)
    _whole(ax)


def _whole(ax: Axes) -> None:
    """No half epochs."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _legend(ax: Axes) -> None:
    # A little above the axes: the mark of the best may stand out of them.
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0.8, fontsize=9, handlelength=1.6)


def _halo() -> list[Any]:
    """White around letters that stand on lines."""
    from matplotlib.patheffects import Normal, Stroke

    return [Stroke(linewidth=2.5, foreground="white"), Normal()]
