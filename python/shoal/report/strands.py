"""A study as strands: what the curves, the lineage and the schedules are all drawn from.

Under PBT a trial is a slot whose weights are replaced now and then. A *strand* is one unbroken life of weights: from
the moment they were made, or copied from another strand, until they were replaced or the study ended. A trial that
never inherits is one strand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from shoal.manager.record import Change, StudyRecord, Trial


@dataclass
class Strand:
    """One unbroken life of weights in trial ``trial``, from progress ``start`` to ``end``."""

    trial: int
    start: int
    end: int
    changes: list[Change]  # its configs; the first is its birth
    points: list[tuple[int, float]]  # (progress, metric as the user reads it)
    diverged: bool
    parent: int | None = None  # index of the strand that it was copied from
    children: list[int] = field(default_factory=list)


def strands(record: StudyRecord, metric: str) -> list[Strand]:
    """Cut every trial at its inheritances, and link each piece to the one that it was copied from."""
    pieces: list[Strand] = []
    index: dict[tuple[int, int], int] = {}  # (trial, how often it had inherited) -> strand
    for _, trial in sorted(record.trials.items()):
        for life, piece in enumerate(_cut(trial, metric)):
            index[trial.id, life] = len(pieces)
            pieces.append(piece)
    for child, piece in enumerate(pieces):
        birth = piece.changes[0]
        if birth.donor is not None:
            past = record.trials[birth.donor].changes[: birth.donor_changes]
            piece.parent = index[birth.donor, _inherited(past)]
            pieces[piece.parent].children.append(child)
    return pieces


def descent(record: StudyRecord, pieces: Sequence[Strand]) -> list[int]:
    """The strands that led to the best report, oldest first."""
    if not record.front:
        return []
    leader = record.front[0]
    lives = [i for i, piece in enumerate(pieces) if piece.trial == leader.report.trial]
    index: int | None = lives[_inherited(record.trials[leader.report.trial].changes[: leader.changes])]
    line = []
    while index is not None:
        line.append(index)
        index = pieces[index].parent
    return line[::-1]


def _cut(trial: Trial, metric: str) -> list[Strand]:
    """The strands of one trial, in order."""
    births = [i for i, change in enumerate(trial.changes) if i == 0 or change.donor is not None]
    pieces = []
    for first, after in zip(births, [*births[1:], len(trial.changes)], strict=True):
        birth, death = trial.changes[first], trial.changes[after] if after < len(trial.changes) else None
        curve = trial.curve[birth.points : death.points if death else None]
        points = [(progress, metrics.get(metric, math.nan)) for progress, metrics in curve]
        reports = trial.reports[birth.reports : death.reports if death else None]
        diverged = not all(math.isfinite(report.score) for report in reports)
        end = death.before if death else trial.progress
        pieces.append(Strand(trial.id, birth.progress, end, trial.changes[first:after], points, diverged))
    return pieces


def _inherited(changes: Sequence[Change]) -> int:
    return sum(change.donor is not None for change in changes)
