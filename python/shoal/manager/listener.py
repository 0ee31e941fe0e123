"""Whoever wants to watch a study."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.manager.record import StudyRecord
from shoal.search.protocol import Plan


@dataclass(frozen=True)
class Round:
    """What one round of training did."""

    number: int  # from 1, in this run
    seconds: float  # that the study has taken, all its runs together
    trained: tuple[int, ...]  # trials


class Listener:
    """Watches a study; override what you need. It must not change the record."""

    def on_start(self, record: StudyRecord, plan: Plan) -> None:
        """The study begins, or goes on: then the record has what was there before."""

    def on_round(self, record: StudyRecord, stats: Round) -> None:
        """Some trials were trained, and the strategy has decided what follows."""

    def on_end(self, record: StudyRecord) -> None:
        """The study has ended, or was interrupted: ``record.ended`` tells."""
