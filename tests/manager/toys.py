"""Small studies that are run, killed and compared; ``python -m tests.manager.toys KIND DIRECTORY`` runs one alone."""

import sys
import time
from pathlib import Path

import numpy as np

import shoal
from shoal import nn, search
from shoal.manager import StudyRecord
from shoal.manager.journal import encode, read_journal
from shoal.space import Choice, Float, Int


class Walk:
    """A noisy descent of x^2 whose noise comes from a generator, so that a resumed one must restore it."""

    def setup(self, config, seed, trial):
        self.lr, self.x, self.progress = config["lr"], np.full(3, 2.0), 0
        self.rng = np.random.default_rng([seed, trial])

    def train(self, until):
        for _ in range(until - self.progress):
            self.x -= self.lr * (2 * self.x + 0.1 * self.rng.normal(size=3))
        self.progress = until
        with np.errstate(over="ignore"):
            return {"score": float(self.x @ self.x), "first": float(self.x[0])}

    def save(self):
        state = self.rng.bit_generator.state["state"]
        words = [state[name] >> (64 * i) & (2**64 - 1) for name in ("state", "inc") for i in range(2)]
        return {"x": self.x, "progress": np.array(self.progress), "rng": np.array(words, np.uint64)}

    def load(self, arrays):
        self.x, self.progress = arrays["x"], int(arrays["progress"])
        low, high, inc_low, inc_high = map(int, arrays["rng"])
        state = self.rng.bit_generator.state
        state["state"] = {"state": high << 64 | low, "inc": inc_high << 64 | inc_low}
        self.rng.bit_generator.state = state


class SlowWalk(Walk):
    """Long enough to be killed in the middle."""

    def train(self, until):
        time.sleep(0.005)
        return super().train(until)


def trainables(directory=None, *, factory=Walk, **changes):
    """Some of these trials diverge: lr > 1 makes x^2 grow."""
    arguments = {
        "space": {"lr": Float(0.05, 5.0, log=True)},
        "strategy": search.PBT(population=6, steps=600, interval=200),
        "seed": 1,
        "directory": directory,
        "record_every": 60,
        "snapshot_interval": 0,
    }
    return shoal.Study.from_trainable(factory, **arguments | changes)


def network(config):
    more = [nn.Dense(8), nn.ReLU()] * config.get("depth", 0)
    layers = [nn.Dense(config["width"]), nn.ReLU(), *more, nn.Dropout(config["rate"]), nn.Dense(4)]
    return nn.Sequential([nn.Flatten(), *layers])


def images(samples, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, samples)
    x = rng.integers(0, 100, (samples, 5, 3)) + 30 * labels[:, None, None]
    return shoal.data.from_arrays(x.astype(np.uint8), labels, classes=4, name="toy")


def networks(directory=None, **changes):
    """Widths, batch sizes and dropout rates differ, and one learning rate is too high to live."""
    arguments = {
        "space": {
            "lr": Choice([0.02, 0.05, 0.1, 0.3, 1e30]),
            "momentum": 0.5,
            "batch_size": Choice([7, 16, 33]),
            "width": Int(3, 20),
            "depth": Int(0, 2),
            "rate": Float(0, 0.4),
        },
        "strategy": search.PBT(population=6, epochs=8, interval_epochs=2, explore={"rate": search.Factors(0.8, 1.2)}),
        "metric": "accuracy",
        "seed": 1,
        "directory": directory,
        "snapshot_interval": 0,
    }
    return shoal.Study(network, images(103, 0), images(50, 1), **arguments | changes)


STUDIES = {"trainables": trainables, "networks": networks}


def weights(result):
    """The best model's whole state, as bytes."""
    model = result.best.model
    arrays = {"all": model.state(0)} if isinstance(model, shoal.Population) else model.save()
    return {name: array.tobytes() for name, array in arrays.items()}


def story(directory):
    """The journal as text, without what may differ: snapshots, times, and how many rows were asked for."""
    events = [line.event for line in read_journal(Path(directory))]
    return [encode(event) for event in events if event["event"] not in ("snapshot", "ask", "end")]


def same(result, other):
    """Whether two studies came to the same end in the same way, bit for bit."""
    trials = [sorted(each.record.trials.items()) for each in (result, other)]
    return (
        repr(trials[0]) == repr(trials[1])  # repr: nan equals nan
        and result.record.best_report == other.record.best_report
        and result.record.best_schedule == other.record.best_schedule
        and weights(result) == weights(other)
    )


def read(directory):
    return StudyRecord.read(directory)


if __name__ == "__main__":
    kind, where = sys.argv[1:]
    slow = (
        {"factory": SlowWalk} if kind == "trainables" else {"strategy": search.PBT(6, epochs=200, interval_epochs=10)}
    )
    STUDIES[kind](where, **slow).run(progress=False)
