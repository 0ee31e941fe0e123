#!/bin/bash
#PBS -N shoal
#PBS -l select=2:ncpus=32:ngpus=4:mpiprocs=4:ompthreads=1
#PBS -l walltime=01:00:00
#PBS -j oe

cd "$PBS_O_WORKDIR" || exit
source .venv/bin/activate

mpiexec -n 8 --map-by ppr:4:node:PE=8 --bind-to core \
  timeout --foreground --preserve-status --signal=TERM 58m \
  python -m mpi4py -m shoal run study.toml
code=$?
if [ $code -eq 143 ]; then
  qsub pbs-gpu.sh
fi
exit $code
