"""What a study has to show: ``report.html`` and PNGs of its curves, lineage, schedules and configs.

The journal has everything but how well its ranks were used, and what happened after the study: the best network's test
score, and which study it is to be compared with. These lie beside it, in ``report.json``, so that a report can be
written again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shoal.errors import StudyError
from shoal.manager.journal import FILE
from shoal.manager.record import StudyRecord
from shoal.report.html import write_html
from shoal.report.png import write_pngs
from shoal.report.summary import Summary

__all__ = ["Summary", "note", "summaries", "write"]

PAGE = "report.html"
NOTES = "report.json"
RIVAL = "random"


def note(
    directory: Path,
    *,
    test: Mapping[str, float] | None = None,
    against: Path | None = None,
    utilisation: Sequence[float] = (),
) -> None:
    """Keep what a report shall show beside the journal.

    Args:
        directory: Of the study.
        test: The best network's metrics on data that the study has not seen.
        against: Directory of a study to compare with.
        utilisation: The share of the time in which each rank trained.

    Raises:
        StudyError: The two cannot be compared, or there is no study; nothing is kept then.
    """
    notes = _notes(directory)
    if test is not None:
        notes["test"] = {name: float(value) for name, value in test.items()}
    if against is not None:
        _rival(directory, _summary(directory), against)
        notes["against"] = os.path.relpath(against, directory)
    if utilisation:
        notes["utilisation"] = list(utilisation)
    (directory / NOTES).write_text(json.dumps(notes) + "\n", encoding="utf-8")


def summaries(directory: Path) -> tuple[Summary, Summary | None]:
    """Read a study, and the one that it is compared with: as noted, else one in its folder ``random``, else none.

    Raises:
        StudyError: There is no study, or something in its directory cannot be read.
    """
    notes = _notes(directory)
    study = _summary(directory)
    if "against" in notes:
        return study, _rival(directory, study, directory / notes["against"])
    other = directory / RIVAL
    if not (other / FILE).exists():
        return study, None
    rival = _summary(other)
    return study, rival if _comparable(study, rival) else None


def _summary(directory: Path) -> Summary:
    notes = _notes(directory)
    return Summary(StudyRecord.read(directory), notes.get("test", {}), notes.get("utilisation", ()))


def _comparable(study: Summary, rival: Summary) -> bool:
    return (rival.objectives, rival.unit) == (study.objectives, study.unit)


def _rival(directory: Path, study: Summary, other: Path) -> Summary:
    rival = _summary(other)
    if not _comparable(study, rival):
        mine, theirs = (
            f"{', '.join(objective.label for objective in each.objectives)} over {each.unit}" for each in (study, rival)
        )
        raise StudyError(f"{other}: cannot be compared with {directory}: {theirs}, not {mine}")
    return rival


def write(
    directory: Path,
    record: StudyRecord | None = None,
    *,
    test: Mapping[str, float] | None = None,
    utilisation: Sequence[float] = (),
) -> Path:
    """Write the page and the PNGs; return the page's path.

    Args:
        directory: Of the study; or any, where the ``record`` is given of a study that was not kept.
        record: What happened; by default the directory's journal is read.
        test: See `note`.
        utilisation: See `note`.
    """
    if record is not None:
        directory.mkdir(parents=True, exist_ok=True)
    if test is not None or utilisation:
        note(directory, test=test, utilisation=utilisation)
    study, rival = summaries(directory) if record is None else (Summary(record, test or {}, utilisation), None)
    write_pngs(study, rival, directory)
    write_html(study, rival, directory / PAGE)
    return directory / PAGE


def _notes(directory: Path) -> dict[str, Any]:
    path = directory / NOTES
    try:
        notes = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        notes = None
    if not isinstance(notes, dict):
        raise StudyError(f"{path}: must hold a JSON object")
    return notes
