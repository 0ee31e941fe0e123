"""An application lends a study some of its ranks, and works on with the others.

    mpiexec -n 3 python -m mpi4py lend_ranks.py

Rank 0 is the application, here a Monte Carlo estimate of pi; all other ranks run the study. When it is done, its first
rank sends what was found to the application, which has looked for that message all the time. Takes a few seconds.
"""

import numpy as np
from mpi4py import MPI

import shoal
from shoal import nn, search
from shoal.space import Choice, Float, Int

APPLICATION, STUDY = range(2)
FOUND = 7  # the message's tag


def network(config):
    return nn.Sequential([nn.Flatten(), nn.Dense(config["width"]), nn.ReLU(), nn.Dense(10)])


def study():
    """The same on every rank that runs it."""
    train, valid, _ = shoal.data.load("digits")
    return shoal.Study(
        network,
        train,
        valid,
        space={"lr": Float(1e-3, 0.5, log=True), "batch_size": Choice([16, 32, 64]), "width": Int(16, 64, log=True)},
        strategy=search.PBT(population=16, epochs=12, interval_epochs=2),
        metric="accuracy",
        seed=0,
    )


def lent(comm):
    """On the study's ranks. The study speaks over a duplicate of the communicator: no message of it goes astray."""
    best = study().run(progress=False, comm=comm).best
    if comm.rank == 0:
        MPI.COMM_WORLD.send((best.id, best.score, best.config), dest=0, tag=FOUND)


def work():
    """On the application's rank."""
    rng, inside, points = np.random.default_rng(0), 0, 0
    while not MPI.COMM_WORLD.iprobe(tag=FOUND):
        x, y = rng.random((2, 10_000))
        inside += np.count_nonzero(x**2 + y**2 < 1)
        points += 10_000
    trial, accuracy, config = MPI.COMM_WORLD.recv(tag=FOUND)
    print(f"meanwhile {points:,} points were drawn: pi is about {4 * inside / max(1, points):.3f}")
    print(f"trial {trial} is the best, validation accuracy {accuracy:.4f}, with {config}")


if __name__ == "__main__":
    world = MPI.COMM_WORLD
    if world.size < 2:
        raise SystemExit("start it on two ranks or more: mpiexec -n 3 python -m mpi4py lend_ranks.py")
    part = APPLICATION if world.rank == 0 else STUDY
    group = world.Split(part, key=world.rank)
    if part == STUDY:
        lent(group)
    else:
        work()
    group.Free()
