"""``shoal run`` on ranks whose study files differ in the seed: ``python -m tests.mpi.differing DIRECTORY``."""

import sys
from pathlib import Path

from mpi4py import MPI

from shoal.cli import main

if __name__ == "__main__":
    directory, rank = Path(sys.argv[1]), MPI.COMM_WORLD.rank
    path = directory / str(rank) / "study.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"seed = {rank}\n" + (directory / "study.toml").read_text())
    main(["run", str(path), "--directory", str(directory / "run")])
