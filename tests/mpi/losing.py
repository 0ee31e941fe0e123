"""A study some of whose ranks die: ``python -m mpi4py -m tests.mpi.losing DIRECTORY NAME PLACE:RANK:CALL...``.

``RankedWorker.train:2:3`` lets rank 2 kill itself as it makes its third call of that, ``RankedWorker.train+:2:3`` when
the call has returned. With FREEZE=1 in the environment it stops answering instead, with KEEP=0 nothing is kept. NAME is
a study of ``tests.mpi.studies``, with FORM=supervised of ``tests.mpi.supervised``, or a study file in the directory.
"""

import os
import signal
import sys
from functools import wraps
from itertools import count

from mpi4py import MPI
from tests.mpi import studies, supervised

from shoal.cli import main
from shoal.manager.follower import Follower
from shoal.manager.job import job
from shoal.manager.mortal import MortalRanks
from shoal.manager.ranked import RankedWorker
from shoal.manager.rankedstore import RankedStore
from shoal.manager.store import Store
from shoal.manager.supervised import SupervisingWorker
from shoal.manager.transport import Ranks
from shoal.study.study import Study

TYPES = Follower, MortalRanks, RankedStore, RankedWorker, Ranks, Store, Study, SupervisingWorker
KINDS = {each.__name__: each for each in TYPES}


def make(name, directory):
    if os.environ.get("FORM") == "supervised":
        return supervised.make(name, directory, form=None)  # that of one rank, if no other is left, is the other one
    return studies.make(name, directory)


def die_at(place, last):
    kind, name = place.rstrip("+").split(".")
    method, calls = getattr(KINDS[kind], name), count(1)

    @wraps(method)  # orders name it
    def fatal(self, *arguments, **options):
        number = next(calls)
        if number == last and not place.endswith("+"):
            die()
        result = method(self, *arguments, **options)
        if number == last:
            die()
        return result

    setattr(KINDS[kind], name, fatal)


def die():
    os.kill(os.getpid(), signal.SIGSTOP if "FREEZE" in os.environ else signal.SIGKILL)


if __name__ == "__main__":
    directory, name, *deaths = sys.argv[1:]
    for place, rank, last in (death.split(":") for death in deaths):
        if MPI.COMM_WORLD.rank == int(rank):
            die_at(place, int(last))
    if name.endswith(".toml"):
        main(["run", f"{directory}/{name}", "--directory", f"{directory}/run"])
    with job() as comm:
        study = make(name, directory if os.environ.get("KEEP") != "0" else None)
        sys.stdout.write(f"{study.run(comm=comm).best.score!r}\n")  # in one piece, beside other ranks
