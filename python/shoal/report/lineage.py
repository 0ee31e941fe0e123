"""The family tree: one row per strand, so that no copy crosses a living line, and rows are reused.

Each strand is a horizontal line over its life, each inheritance a vertical line from donor to heir. Heirs sit above
their donor, the latest closest: when an earlier heir leaves for a row further out, the later ones do not exist yet, so
its vertical line meets nobody. A family is known by its outline alone: how many rows it takes at each moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.report.lines import Lines, Point, merge
from shoal.report.strands import Strand
from shoal.report.summary import Summary

MOST_LABELS = 36  # one above the other

Outline = NDArray[np.int64]  # (moments,) rows that a family takes, 0 where nobody of it lives


@dataclass(frozen=True)
class Tree:
    """Lines of progress against row.

    ``founders``: (trial, row) of those whose descendants live to the end, from the top; where labels would
    overlap, only the larger family's.
    """

    extinct: Lines
    surviving: Lines
    best: Lines
    height: int
    founders: list[tuple[int, int]]


def tree(summary: Summary) -> Tree:
    """Draw every strand as a line: up from its donor's row, then along its own."""
    pieces, row, survivors = summary.strands, rows(summary.strands), summary.survivors

    def lines(chosen: Sequence[tuple[int, int]]) -> Lines:
        return merge((pieces[i].trial, _branch(pieces, row, i, end)) for i, end in chosen)

    whole = [(i, piece.end) for i, piece in enumerate(pieces)]
    height = max(row, default=0)
    return Tree(
        lines([branch for branch in whole if branch[0] not in survivors]),
        lines([branch for branch in whole if branch[0] in survivors]),
        lines(summary.line_of_descent()),
        height,
        _apart([(pieces[i].trial, row[i]) for i in survivors if pieces[i].parent is None], height / MOST_LABELS),
    )


def _apart(founders: Sequence[tuple[int, int]], distance: float) -> list[tuple[int, int]]:
    """The (trial, row) from the top whose rows keep a distance."""
    kept: list[tuple[int, int]] = []
    for trial, row in sorted(founders, key=lambda founder: -founder[1]):
        if not kept or kept[-1][1] - row >= distance:
            kept.append((trial, row))
    return kept


def rows(pieces: Sequence[Strand]) -> list[int]:
    """The row of every strand, from 0 at the bottom; the founders with the largest families are on top."""
    moments = {t: i for i, t in enumerate(sorted({t for piece in pieces for t in (piece.start, piece.end)}))}
    offset = [0] * len(pieces)  # rows above the donor, for a founder above the bottom
    outlines: dict[int, Outline] = {}
    eldest_first = sorted(range(len(pieces)), key=lambda i: pieces[i].start)
    for i in reversed(eldest_first):  # an heir is younger than its donor, so its family is complete before
        own = np.zeros(len(moments), dtype=np.int64)
        own[moments[pieces[i].start] : moments[pieces[i].end] + 1] = 1
        latest_first = sorted(pieces[i].children, key=lambda c: -pieces[c].start)
        outlines[i] = _stack(own, latest_first, outlines, offset)
    founders = sorted((i for i in eldest_first if pieces[i].parent is None), key=lambda i: int(outlines[i].sum()))
    _stack(np.zeros(len(moments), dtype=np.int64), founders, outlines, offset)
    for i in eldest_first:
        parent = pieces[i].parent
        offset[i] += 0 if parent is None else offset[parent]
    return offset


def _stack(below: Outline, families: Sequence[int], outlines: dict[int, Outline], offset: list[int]) -> Outline:
    """Put families one after the other onto ``below``, each as low as it goes; returns the outline of the whole."""
    for family in families:
        outline = outlines.pop(family)
        alive = outline > 0
        offset[family] = int(below[alive].max())
        below = np.where(alive, offset[family] + outline, below)
    return below


def _branch(pieces: Sequence[Strand], row: Sequence[int], index: int, end: int) -> list[Point]:
    piece = pieces[index]
    along: list[Point] = [(piece.start, row[index]), (end, row[index])]
    return along if piece.parent is None else [(piece.start, row[piece.parent]), *along]
