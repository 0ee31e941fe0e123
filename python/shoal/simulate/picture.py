"""Simulations in one picture, in the look of the reports."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.simulate.simulation import By, Simulation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_UNITS = {"epochs": "epochs, all trials together", "seconds": "seconds"}


def compare(runs: Mapping[str, Simulation], path: str | os.PathLike[str]) -> Path:
    """Draw several runs on one table: regret over epochs and over time, utilisation, and how far the trials came.

    Args:
        runs: By the names that the legend shall give them.
        path: Of the picture; its suffix says the format, as matplotlib knows it.

    Returns:
        The path.

    Raises:
        ValueError: A run has no report.
    """
    import matplotlib as mpl  # slow to load, like the report
    from matplotlib.figure import Figure

    from shoal.report.png import LOOK

    for name, simulation in runs.items():
        if not simulation.times:
            raise ValueError(f"runs: {name} has no report")
    with mpl.rc_context(LOOK):  # type: ignore[arg-type]  # its keys are typed one by one
        figure = Figure(figsize=(10, 7.2))
        (epochs, time), (workers, trials) = figure.subplots(2, 2)
        for (name, simulation), style in zip(runs.items(), cycle(_styles()), strict=False):
            _regret(epochs, simulation, "epochs", {**style, "label": name})
            _regret(time, simulation, "seconds", style)
            edges, share = simulation.activity()
            workers.stairs(share, edges, baseline=None, **style)
            trials.plot(*simulation.reached(), marker="o", markersize=4, **style)
        workers.set(xlabel=_UNITS["seconds"], ylim=(-0.02, 1.02), title="Share of the workers that train")
        trials.set(xlabel="epochs of a trial", yscale="log", xscale="log", title="Trials that trained so long")
        trials.xaxis.set_major_formatter("{x:g}")
        figure.legend(loc="outside lower center", ncols=4, fontsize=9)
        figure.savefig(path)
    return Path(path)


def _regret(ax: Axes, simulation: Simulation, by: By, style: Mapping[str, Any]) -> None:
    when, regret = simulation.regret(by)
    known = np.isfinite(regret)
    ax.step(when[known], regret[known], where="post", **style)
    ax.set(xscale="log", yscale="log", xlabel=_UNITS[by], title=f"Regret over {by}")


def _styles() -> list[dict[str, Any]]:
    from shoal.report.style import BEST, INK, KIN, RIVAL

    dashes = "-", (0, (5, 2)), "-", (0, (1, 1.5)), (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2)), "-"
    colours = BEST, RIVAL, KIN, INK, BEST, RIVAL, KIN, INK
    return [
        {"color": colour, "linestyle": dash, "linewidth": 1.8} for colour, dash in zip(colours, dashes, strict=True)
    ]
