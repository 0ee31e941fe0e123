"""A strategy that says what a test tells it to, and a worker that notes what it is told."""

import numpy as np

from shoal.manager.manager import Manager
from shoal.search.protocol import Pause, Plan, Stop

HEADER = {"event": "study", "format": 1, "metric": "loss", "mode": "min", "unit": "steps"}


class Script:
    """``starts`` are given out as rows are free; ``answers`` by the (trial, progress) of a report."""

    unit = "steps"

    def __init__(self, starts, answers, donors_train=False):
        self.starts, self.answers, self.donors_train = list(starts), answers, donors_train
        self.asked, self.told, self.open = [], [], set()

    @property
    def finished(self):
        return not self.starts and not self.open

    @property
    def best(self):
        return None

    def ask(self, free_rows):
        self.asked.append(free_rows)
        given, self.starts = self.starts[:free_rows], self.starts[free_rows:]
        return self._give(given)

    def tell(self, report):
        self.told.append(report)
        self.open.discard(report.trial)
        return self._give(self.answers.get((report.trial, report.progress), [Stop(report.trial, "completed")]))

    def plan(self):
        return Plan(len(self.starts), 0, "steps")

    def _give(self, orders):
        self.open |= {order.trial for order in orders if not isinstance(order, Stop | Pause)}
        return orders


class Tape:
    """The loss is the config's value over progress, so 'weights' are (where they came from, progress)."""

    def __init__(self, rows):
        self.rows, self.calls, self.trials = rows, [], {}
        self.inherited = []  # (heir, progress)

    def start(self, trial, config):
        self.calls.append(("start", trial))
        self.trials[trial] = [config, f"{trial}", 0]

    def restore(self, trial, config, state):
        progress = int(state["progress"])
        self.trials[trial] = [config, f"{state['origin'].tobytes().decode()}>{trial}", progress]

    def inherit(self, moves, origins):
        self.calls.append(("inherit", *((heir, donor) for heir, donor, _ in moves)))
        states = [origins.get(donor) or self.state(donor) for _, donor, _ in moves]
        for (heir, _, config), state in zip(moves, states, strict=True):
            self.restore(heir, config, state)
            self.inherited.append((heir, int(state["progress"])))
        return {heir: layers for heir, _, config in reversed(moves) if (layers := config.get("layers"))}

    def set(self, trial, config):
        self.calls.append(("set", trial))
        self.trials[trial][0] = config

    def stop(self, trial):
        self.calls.append(("stop", trial))
        del self.trials[trial]

    def pause(self):
        return {}

    def train(self, targets):
        assert 0 < len(targets) <= self.rows
        self.calls.append(("train", dict(targets)))
        return {trial: self._train(trial, until) for trial, until in targets.items()}

    def _train(self, trial, until):
        config, _, progress = self.trials[trial]
        assert until > progress
        self.trials[trial][2] = until
        return {} if config["x"] is None else {"loss": config["x"] / until, "extra": 1.0}

    def state(self, trial):
        _, origin, progress = self.trials[trial]
        return {"origin": np.frombuffer(origin.encode(), np.uint8), "progress": np.array(progress)}

    def model(self, trial, config, state):
        return state

    @property
    def rounds(self):
        return [call[1] for call in self.calls if call[0] == "train"]


class Uneven(Tape):
    """Every trial trains by itself, as long as it has to, and comes back alone."""

    def __init__(self, rows):
        super().__init__(rows)
        self.now, self.flying = 0, {}  # by trial: when it comes, and until when it has trained then

    def train(self, targets):
        assert not targets.keys() & self.flying.keys(), "asked for again"
        self.calls.append(("train", dict(targets)))
        self.flying |= {trial: (self.now + until - self.trials[trial][2], until) for trial, until in targets.items()}
        assert 0 < len(self.flying) <= self.rows
        trial = min(self.flying, key=lambda trial: (self.flying[trial], trial))
        self.now, until = self.flying.pop(trial)
        return {trial: self._train(trial, until)}


def run(starts, answers=None, *, rows=2, every=None, header=HEADER, listener=None, donors_train=False, kind=Tape):
    """Return the manager, the strategy and the worker after a whole run."""
    strategy, worker = Script(starts, answers or {}, donors_train), kind(rows)
    manager = Manager(strategy, worker, header, record_every=every, listener=listener)
    assert manager.run() is None
    return manager, strategy, worker
