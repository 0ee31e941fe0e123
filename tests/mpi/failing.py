"""A study that fails on one rank: ``python -m mpi4py -m tests.mpi.failing HOW DIRECTORY``."""

import sys

from mpi4py import MPI
from tests.manager.toys import Walk, trainables

from shoal.errors import StudyError
from shoal.manager.job import job
from shoal.manager.ranked import RankedWorker
from shoal.manager.store import Store


class Fails(Walk):
    """By an error of its own, in one trial."""

    def setup(self, config, seed, trial):
        super().setup(config, seed, trial)
        self.trial = trial

    def train(self, until):
        if self.trial == 4:
            raise ValueError("no")
        return super().train(until)


def break_rank(rank, kind):
    """Break what no user has written."""
    train = RankedWorker.train

    def broken(self, targets):
        if MPI.COMM_WORLD.rank == rank:
            raise kind(f"on rank {rank}")
        return train(self, targets)

    RankedWorker.train = broken


def fill_disk(rank):
    """The second snapshot finds no room there."""
    write = Store.write

    def full(self, *arguments):
        if MPI.COMM_WORLD.rank == rank and self._number == 1:
            raise OSError(28, "No space left on device")
        write(self, *arguments)

    Store.write = full


def by_rank(metrics):
    """What no two ranks agree on."""
    return metrics["score"] * (-1) ** MPI.COMM_WORLD.rank


AGREED = {"trainable": {"factory": Fails}, "metric": {"metric": by_rank}, "disk": {}}

if __name__ == "__main__":
    how, directory = sys.argv[1:]
    if how in AGREED:
        if how == "disk":
            fill_disk(1)
        try:
            trainables(directory, rows=6, **AGREED[how]).run(progress=False, comm=MPI.COMM_WORLD)
        except StudyError as error:
            sys.stdout.write(str(error).partition("; its config")[0] + "\n")  # in one piece, beside other ranks
    else:
        break_rank(1, ValueError if how == "value" else ZeroDivisionError)
        if how != "script":
            with job() as comm:
                trainables(directory, rows=6).run(progress=False, comm=comm)
        trainables(directory, rows=6).run(progress=False, comm=MPI.COMM_WORLD)
