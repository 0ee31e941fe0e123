"""Small studies: ``python -m mpi4py -m tests.mpi.studies SIZE DIRECTORY NAME...`` runs some over ranks, replicated.

With STOP=SIGNAL:ROUND in the environment rank 0 gets this signal after so many rounds. With APART=1 the first
rank of the world takes no part, and has something else to say. With SLOW=RANK that rank takes longer for each trial,
and says how many of the last study's it has trained.
"""

import os
import sys
import time
from collections import Counter
from pathlib import Path

from tests.manager.toys import networks, trainables, weights

from shoal import search
from shoal.manager.native import NativeWorker
from shoal.manager.transport import Ranks
from shoal.manager.worker import TrainableWorker
from shoal.space import Float, Int

STRUCTURE = search.PBT(6, epochs=8, interval_epochs=2, explore={"depth": search.Resample(0.8)})
DEMES = search.Genetic(8, 5, epochs=1, inherit_weights=True, demes=4, migration_interval=2)
WITHOUT_ROUNDS = search.PBT(5, epochs=8, interval_epochs=2, quantile=0.4, synchronous=False)
FLOATS = {"lr": Float(0.02, 0.3, log=True), "batch_size": 16, "width": Int(3, 20), "rate": Float(0, 0.4)}
TOURNAMENT = search.PBT(6, epochs=8, interval_epochs=2, exploit="tournament")
STUDIES = {
    "pbt": (networks, {}),
    "pbt-structure": (networks, {"strategy": STRUCTURE}),
    "tournament": (networks, {"strategy": TOURNAMENT}),
    "ltfb": (networks, {"strategy": search.LTFB(5, epochs=6, interval_epochs=2)}),
    "pb2": (networks, {"strategy": search.PB2(6, epochs=8, interval_epochs=2), "space": FLOATS}),
    "pbt-async": (networks, {"strategy": WITHOUT_ROUNDS, "rows": 4}),
    "halving": (networks, {"strategy": search.SuccessiveHalving(12, max_epochs=9)}),
    "hyperband": (networks, {"strategy": search.Hyperband(max_epochs=9)}),
    "topk": (networks, {"strategy": search.TopK(8, 3, epochs=4)}),
    "hypersearch": (networks, {"strategy": search.HyperSearch(6, 3, epochs=6)}),
    "genetic": (networks, {"strategy": search.Genetic(6, 4, epochs=2, inherit_weights=True, mutation_rate=0.4)}),
    "demes": (networks, {"strategy": DEMES}),
    "elitist": (networks, {"strategy": search.Elitist(6, 3, epochs=2, parents=3)}),
    "asha": (networks, {"strategy": search.ASHA(14, max_epochs=9), "rows": 5}),
    "front": (networks, {"strategy": search.Random(8, epochs=2), "metric": ["accuracy", "parameters"]}),
    "trainables": (trainables, {"rows": 4}),
}


def make(name, directory):
    kind, changes = STUDIES[name]
    return kind(directory and Path(directory) / name, form="replicated", **changes)


def work(worker):
    """Count the trials that this rank trains."""
    count, train = Counter(), worker.train

    def counted(self, targets):
        count["trials"] += len(targets)
        time.sleep(0.02 * len(targets) if SLOW else 0)
        return train(self, targets)

    worker.train = counted
    return count


def duplicates():
    """Keep the communicators that studies make."""
    made, duplicate = [], Ranks._duplicate

    def kept(self, comm):
        made.append(duplicate(self, comm))
        return made[-1]

    Ranks._duplicate = kept
    return made


def stopper(spec):
    number, last = map(int, spec.split(":"))

    def watch(record, stats):
        if stats.number == last:
            os.kill(os.getpid(), number)

    return watch


if __name__ == "__main__":
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    if "APART" in os.environ:
        comm = comm.Split(int(comm.rank == 0))
        if MPI.COMM_WORLD.rank == 0:
            MPI.COMM_WORLD.send("something else", 1, tag=0)
            sys.exit()
    size, directory, *names = sys.argv[1:]
    assert comm.size == int(size)
    SLOW = os.environ.get("SLOW") == str(comm.rank)
    counts, made = (work(NativeWorker), work(TrainableWorker)), duplicates()
    progress = stopper(os.environ["STOP"]) if "STOP" in os.environ else False
    for name in names:
        result = make(name, directory).run(progress=progress, comm=comm)
        found = comm.allgather((result.best.id, result.best.score, weights(result)))
        assert all(each == found[0] for each in found), "every rank has the same result"
        assert all(comm.allgather(sum(count["trials"] for count in counts))), "every rank trains"
    if SLOW:
        sys.stdout.write(f"{sum(count['trials'] for count in counts)}\n")
    assert [each == MPI.COMM_NULL for each in made] == [True] * len(names), "each study has freed its own"
    if "APART" in os.environ and comm.rank == 0:
        assert MPI.COMM_WORLD.recv(source=0, tag=0) == "something else"
