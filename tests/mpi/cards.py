"""``shoal run`` on ranks that see one GPU each, cuda:0: ``python -m mpi4py -m tests.mpi.cards DIRECTORY UUID...``.

The GPUs are stand-ins, one UUID for each rank; the networks train on the processor.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

from mpi4py import MPI

from shoal.cli import main
from shoal.population import native
from shoal.population.room import host
from shoal.study import seats

_devices, _population = native.devices, native.population


def seen(uuid):
    """Return what a rank lists that sees this GPU."""
    return [SimpleNamespace(name="cuda:0", uuid=uuid), *_devices()]


def on_the_processor(*arguments, **options):
    """Return a population that is said to be on a GPU."""
    assert options["device"] == "cuda:0"
    return _population(*arguments, **options | {"device": "cpu"})


if __name__ == "__main__":
    directory, uuid = Path(sys.argv[1]), sys.argv[2 + MPI.COMM_WORLD.rank]
    native.devices = seats.devices = lambda: seen(uuid)
    native.population, native.pinned_memory = on_the_processor, lambda device, size: host(size)
    main(["run", str(directory / "study.toml"), "--directory", str(directory / "run")])
