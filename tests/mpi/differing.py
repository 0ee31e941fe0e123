"""``shoal run`` on ranks that differ: ``python -m tests.mpi.differing WHAT DIRECTORY``, in the seed or the version."""

import sys
from pathlib import Path

from mpi4py import MPI

from shoal.cli import main
from shoal.study import setup

if __name__ == "__main__":
    what, directory, rank = sys.argv[1], Path(sys.argv[2]), MPI.COMM_WORLD.rank
    path = directory / str(rank) / "study.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"seed = {rank if what == 'seed' else 0}\n" + (directory / "study.toml").read_text())
    if what == "version":
        setup.__version__ = f"0.1.{rank}"
    main(["run", str(path), "--directory", str(directory / "run")])
