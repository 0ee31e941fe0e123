"""Carries out what a strategy decides: feeds it reports, orders workers, keeps the journal and the snapshots."""

from shoal.manager.listener import Listener, Round
from shoal.manager.record import Change, Leader, Step, StudyRecord, Trial

__all__ = ["Change", "Leader", "Listener", "Round", "Step", "StudyRecord", "Trial"]
