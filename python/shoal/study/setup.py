"""A study as it is run: what it trains, how, what its journal begins with, and where it is kept."""

from __future__ import annotations

from shoal.manager.journal import Event
from shoal.manager.keeper import Keeper
from shoal.manager.listener import Listener
from shoal.manager.manager import Manager, Signals
from shoal.manager.record import FORMAT
from shoal.manager.store import Store
from shoal.manager.worker import Worker
from shoal.merit import describe_objectives
from shoal.population import __version__
from shoal.study.settings import Settings
from shoal.study.task import Task


class Setup:
    """Checks a task and its settings together; nothing is written before a run.

    Attributes:
        task: What is trained.
        settings: How.
        header: The ``study`` event.
        store: None keeps nothing.
    """

    def __init__(self, task: Task, settings: Settings) -> None:
        self.task, self.settings = task, settings
        self.header: Event = {
            "event": "study",
            "format": FORMAT,
            "version": __version__,
            "seed": settings.seed,
            **describe_objectives(settings.objectives),
            **({"record": list(settings.record)} if settings.record else {}),
            "unit": settings.plan.unit,
            "record_every": settings.record_every,
            "space": settings.space.describe(),
            "strategy": settings.strategy.describe(),
            "plan": vars(settings.plan),
            **task.check(settings.space, settings.strategy.reads),
        }
        directory, interval = settings.directory, settings.snapshot_interval
        self.store = None if directory is None else Store(directory, self.header, interval)

    @property
    def rows(self) -> int:
        """Trials in training at a time in one process."""
        return min(self.settings.rows or self.task.rows, self.settings.plan.trials)

    def manager(
        self,
        worker: Worker,
        store: Keeper | None,
        listener: Listener,
        signals: Signals = lambda caught: [caught],
        quiet: bool = False,
    ) -> Manager:
        """Return a manager of a fresh strategy."""
        return Manager(
            self.settings.bind(),
            worker,
            self.header,
            store=store,
            objectives=self.settings.objectives,
            record_every=self.settings.record_every,
            listener=listener,
            signals=signals,
            quiet=quiet,
        )
