"""``python -m shoal``, also under ``mpiexec -n 4 python -m mpi4py -m shoal``."""

from shoal.cli import main

if __name__ == "__main__":
    main()
