"""Journals of studies that never ran: a model of learning stands in for training."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Event = dict[str, Any]
SPACE = {
    "lr": {"low": 1e-3, "high": 1.0, "log": True},
    "momentum": {"low": 0.0, "high": 0.99},
    "batch_size": {"choice": [16, 32, 64]},
    "width": {"low": 16, "high": 128, "type": "int", "log": True},
    "dropout": {"low": 0.0, "high": 0.5},
    "nesterov": {"bool": True},
    "weight_decay": 1e-4,
}


class Learner:
    """A member whose skill grows with a well-chosen lr, and which diverges above a limit."""

    def __init__(self, config: dict[str, Any], rng: np.random.Generator) -> None:
        self.config, self.rng, self.skill, self.epoch, self.changes = config, rng, 0.0, 0, 1
        self.accuracy = 0.0

    def train(self, epochs: int) -> Iterator[tuple[int, dict[str, float]]]:
        for _ in range(epochs):
            self.epoch += 1
            step = self.config["lr"] / (1.0 - self.config["momentum"])
            best = 0.6 * math.exp(-self.epoch / 25)  # large steps help early, small ones late
            self.skill += 0.35 * math.exp(-(math.log(step / best) ** 2) / 4) if step < 2 else math.nan
            ceiling = 0.955 + 0.02 * math.log2(self.config["width"] / 16) / 3 - 0.05 * abs(self.config["dropout"] - 0.2)
            self.accuracy = 0.1 + (ceiling - 0.1) * (1 - math.exp(-self.skill)) + self.rng.normal(0, 0.002)
            yield self.epoch, {"loss": 2.3 * math.exp(-self.skill) + 0.1, "accuracy": self.accuracy}


def sample(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "lr": float(10 ** rng.uniform(-3, 0)),
        "momentum": float(rng.uniform(0, 0.99)),
        "batch_size": int(rng.choice([16, 32, 64])),
        "width": int(2 ** rng.uniform(4, 7)),
        "dropout": float(rng.uniform(0, 0.5)),
        "nesterov": bool(rng.integers(2)),
        "weight_decay": 1e-4,
    }


def header(name: str, **strategy: Any) -> Event:
    return {
        "event": "study", "format": 1, "seed": 0, "space": SPACE, "strategy": {"name": name, **strategy},
        "metric": "accuracy", "mode": "max", "unit": "epochs", "data": {"train": {"name": "digits", "samples": 1150}},
        "version": "0.1.0",
    }  # fmt: skip


def advance(member: int, learner: Learner, epochs: int) -> list[Event]:
    """Points and the report of one quantum; not-finite numbers are null, as the journal writes them."""
    events: list[Event] = []
    for epoch, values in learner.train(epochs):
        metrics = {k: v if math.isfinite(v) else None for k, v in values.items()}
        events.append({"event": "point", "trial": member, "progress": epoch, "metrics": metrics})
    accuracy = events[-1]["metrics"]["accuracy"]
    events[-1] |= {"event": "report", "score": None if accuracy is None else -accuracy}
    return events


def order(kind: str, trial: int, why: str = "", **fields: Any) -> Event:
    return {"event": "order", "order": kind, "trial": trial, "why": why, **fields}


def pbt_events(members: int = 64, rounds: int = 20, interval: int = 3, seed: int = 0) -> list[Event]:
    rng = np.random.default_rng(seed)
    learners = [Learner(sample(rng), rng) for _ in range(members)]
    events = [header("PBT", population=members, epochs=rounds * interval, interval_epochs=interval)]
    events += [
        order("start", m, config=learner.config, until=interval, progress=0) for m, learner in enumerate(learners)
    ]
    for done in range(1, rounds + 1):
        for m, learner in enumerate(learners):
            events += advance(m, learner, interval)
        if done < rounds:
            events += evolve(learners, done * interval, interval, rng)
    events += [order("stop", m, why="completed", progress=rounds * interval) for m in range(members)]
    return [*events, {"event": "end", "seconds": 2.5}]


def evolve(learners: list[Learner], epoch: int, interval: int, rng: np.random.Generator) -> list[Event]:
    ranked = sorted(range(len(learners)), key=lambda m: -math.inf if math.isnan(s := learners[m].accuracy) else s)
    quantile = len(learners) // 5
    events: list[Event] = []
    for m in range(len(learners)):
        if m not in ranked[:quantile]:
            events.append(order("resume", m, until=epoch + interval, progress=epoch))
            continue
        donor = int(rng.choice(ranked[-quantile:]))
        old, config = learners[m].config, dict(learners[donor].config)
        for name, low, high in [("lr", 1e-3, 1.0), ("momentum", 0.0, 0.99), ("dropout", 0.0, 0.5)]:
            config[name] = float(np.clip(config[name] * rng.choice([0.8, 1.25]), low, high))
        heir = Learner(config, rng)
        heir.skill, heir.epoch, heir.changes = learners[donor].skill, epoch, learners[m].changes + 1
        past = {"donor": donor, "donor_progress": epoch, "donor_changes": learners[donor].changes}
        events.append(
            order("inherit", m, "exploit", config=config, old=old, until=epoch + interval, progress=epoch, **past)
        )
        learners[m] = heir
    return events


def random_events(trials: int = 64, epochs: int = 60, seed: int = 1) -> list[Event]:
    rng = np.random.default_rng(seed)
    events = [header("Random", trials=trials, epochs=epochs)]
    for trial in range(trials):
        learner = Learner(sample(rng), rng)
        events.append(order("start", trial, config=learner.config, until=epochs, progress=0))
        events += advance(trial, learner, epochs)
        why = "diverged" if math.isnan(learner.skill) else "completed"
        events.append(order("stop", trial, why=why, progress=epochs))
    return [*events, {"event": "end", "seconds": 2.5}]


Writer = Callable[[list[Event], str], Path]


@pytest.fixture
def journal(tmp_path: Path) -> Writer:
    """Write events as a study's journal; returns the study's directory."""

    def write(events: list[Event], name: str = "study") -> Path:
        directory = tmp_path / name
        directory.mkdir()
        text = "".join(json.dumps(event, allow_nan=False) + "\n" for event in events)
        (directory / "journal.jsonl").write_text(text, encoding="utf-8")
        return directory

    return write


@pytest.fixture(name="pbt_events")
def _pbt_events() -> Callable[..., list[Event]]:
    return pbt_events


@pytest.fixture(name="random_events")
def _random_events() -> Callable[..., list[Event]]:
    return random_events
