"""Small studies, supervised: ``python -m mpi4py -m tests.mpi.supervised SIZE DIRECTORY NAME...`` runs them over ranks.

With AT=WHAT:RANK:CALL in the environment this happens in the so-maniest training of the rank: WHAT is the number of a
signal that the rank gets, or ``wrong``: an error in what no user has written. With SLOW="networks RANK" each training
of networks takes longer there. Every rank says which trials it has taken over in flight.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
from tests.manager.toys import Walk, networks, trainables, weights

from shoal import search
from shoal.errors import StudyError
from shoal.manager import StudyRecord
from shoal.manager.journal import read_journal
from shoal.manager.native import NativeWorker
from shoal.manager.replay import replay
from shoal.manager.transport import launched
from shoal.manager.worker import TrainableWorker
from shoal.space import Choice, Float

RANK, _ = launched() or (0, 1)
PBT = search.PBT(6, epochs=12, interval_epochs=2, quantile=0.4, synchronous=False)
STRUCTURE = search.PBT(
    6, epochs=8, interval_epochs=2, quantile=0.5, explore={"depth": search.Resample(0.8)}, synchronous=False
)


def wait(what):
    time.sleep(1.5 if os.environ.get("SLOW") == f"{what} {RANK}" else 0.01)


class Slow(Walk):
    """On the rank that the environment calls slow, in what it says; says where it was trained."""

    def setup(self, config, seed, trial):
        wait("setup")
        super().setup(config, seed, trial)

    def train(self, until):
        wait("train")
        return {**super().train(until), "rank": RANK}


class Heavy(Walk):
    """Has a state of 4 MB, which no MPI buffers, and looks whether all of it has come."""

    def save(self):
        return {**super().save(), "bulk": np.full(500_000, self.x[0])}

    def load(self, arrays):
        super().load(arrays)
        assert (arrays["bulk"] == self.x[0]).all()


class Fails(Walk):
    """In one trial, by what the environment says."""

    def setup(self, config, seed, trial):
        super().setup(config, seed, trial)
        self.trial = trial

    def train(self, until):
        time.sleep(0.02)
        if self.trial == 9 and os.environ["FAILS"] == "train":
            raise ValueError("no")
        return super().train(until)

    def save(self):
        if self.trial == 9 and os.environ["FAILS"] == "save":
            raise ValueError("no")
        return super().save()


def measured(metrics):
    return metrics["score"] if os.environ["FAILS"] != "metric" else 1 / 0


LONG, SHORT = 4, 24  # trials: a long one takes more than 20 times the work of a short one
WIDTHS = Choice([*range(600, 600 + LONG), *range(3, 3 + SHORT)])
UNEVEN = {"strategy": search.Grid(epochs=1), "space": {"width": WIDTHS, "lr": 0.05, "batch_size": 16, "rate": 0.2}}
SLOW = {"strategy": search.Random(60, steps=120), "factory": Slow, "space": {"lr": Float(0.05, 0.5)}}
STUDIES = {
    "asha": (networks, {"strategy": search.ASHA(24, max_epochs=9), "rows": 5}),
    "asha-stopping": (networks, {"strategy": search.ASHA(14, max_epochs=9, mode="stopping"), "rows": 5}),
    "lcm": (networks, {"strategy": search.LCM(12, epochs=6, split=0.3), "rows": 4}),
    "median": (networks, {"strategy": search.Median(12, epochs=5), "rows": 4}),
    "dehb": (networks, {"strategy": search.DEHB(max_epochs=9, rounds=2), "rows": 6}),
    "random": (networks, {"strategy": search.Random(9, epochs=3), "metric": ["accuracy", "parameters"], "rows": 4}),
    "genetic": (networks, {"strategy": search.Full(12, epochs=2, sampler="genetic"), "rows": 4}),
    "pbt": (networks, {"strategy": PBT, "rows": 4}),
    "pbt-structure": (networks, {"strategy": STRUCTURE, "rows": 4}),
    "walk": (trainables, {"strategy": search.ASHA(20, max_steps=600, min_steps=60), "rows": 4}),
    "walk-pbt": (
        trainables,
        {"strategy": search.PBT(6, steps=900, interval=90, quantile=0.4, synchronous=False), "rows": 4},
    ),
    "uneven": (networks, {**UNEVEN, "rows": 16}),
    "uneven-end": (networks, {**UNEVEN, "rows": LONG + SHORT}),
    "heavy": (
        trainables,
        {
            "strategy": search.PBT(6, steps=1200, interval=60, quantile=0.5, synchronous=False),
            "factory": Heavy,
            "rows": 5,
        },
    ),
    "halving": (networks, {"strategy": search.SuccessiveHalving(12, max_epochs=9), "rows": 5}),
    "demes": (networks, {"strategy": search.Genetic(6, 4, epochs=2, demes=2, inherit_weights=True), "rows": 4}),
    "slow-train": (trainables, {**SLOW, "snapshot_interval": 0.2}),
    "slow-setup": (trainables, {**SLOW, "snapshot_interval": 30.0}),  # a snapshot waits for a set-up
    "fails": (trainables, {"strategy": search.Random(40, steps=120), "factory": Fails, "metric": measured}),
}


def make(name, directory, form="supervised"):
    kind, changes = STUDIES[name]
    return kind(directory and Path(directory) / name, form=form, **changes)


def check(name, directory):
    """The strategy lives through the journal to its end, and each curve is what the trial trains to alone."""
    study, record = make(name, directory), StudyRecord()
    strategy = study._settings.bind()
    replay(read_journal(directory / name), record, strategy)  # refuses reports that are not at their ``until``
    assert record.ended
    assert strategy.finished
    assert len(record.trials) >= study.plan.trials
    assert sorted(record.trials) == list(range(len(record.trials)))
    assert not any(trial.alive for trial in record.trials.values())
    for trial in record.trials.values():
        if not trial.parents:
            check_curve(study, trial)
    again = study.replay()
    assert again.metrics
    assert {**again.metrics, "rank": 0} == {**again.recorded, "rank": 0}
    if "pbt" in name:
        assert any(trial.parents for trial in record.trials.values()), name


def check_curve(study, trial):
    """A curve may end with a divergence, which has no point."""
    worker = study._task.worker(1, study.plan.unit, study._settings.seed, needs=())
    worker.start(trial.id, study._settings.space.check(trial.config))
    for progress, metrics in trial.curve:
        again = worker.train({trial.id: progress})[trial.id]
        names = again.keys() - {"rank"}
        assert [again[name] for name in names] == [metrics[name] for name in names], (trial.id, progress)
    assert [report.progress for report in trial.reports if not report.diverged] == [
        progress for progress, _ in trial.curve if progress in {report.progress for report in trial.reports}
    ]


def work():
    """Count the trainings of this rank, and let happen in them what shall."""
    calls = []
    what, rank, number = os.environ.get("AT", "::").split(":")

    def counted(train):
        def call(self, targets):
            calls.append(targets)
            if rank == str(RANK) and len(calls) == int(number):
                if what == "wrong":
                    raise ZeroDivisionError(f"on rank {rank}")
                os.kill(os.getpid(), int(what))
            if os.environ.get("SLOW") == f"networks {RANK}":
                time.sleep(0.5)
            return train(self, targets)

        return call

    def telling(restore):
        def call(self, trial, config, state):
            if "steps" in state:
                sys.stdout.write(f"rank {RANK} takes over trial {trial}\n")
            return restore(self, trial, config, state)

        return call

    for kind in (NativeWorker, TrainableWorker):
        kind.train = counted(kind.train)
    NativeWorker.restore = telling(NativeWorker.restore)
    return calls


if __name__ == "__main__":
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    size, directory, *names = sys.argv[1:]
    assert (comm.size, comm.rank) == (int(size), RANK)
    calls = work()
    for name in names:
        try:
            result = make(name, directory).run(progress=False, comm=comm)
        except StudyError as error:
            if name != "fails":
                raise
            sys.stdout.write(str(error).partition("; its config")[0] + "\n")  # in one piece, beside other ranks
            break
        found = comm.allgather((result.best.id, result.best.score, weights(result)))
        assert all(each == found[0] for each in found), "every rank has the same result"
    assert len(names) == 1 or all(comm.allgather(len(calls))), "every rank trains"
