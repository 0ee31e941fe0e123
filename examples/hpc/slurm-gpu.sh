#!/bin/bash
#SBATCH --job-name=shoal
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=01:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append

cd "$SLURM_SUBMIT_DIR" || exit
source .venv/bin/activate
export OMP_NUM_THREADS=1
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK

srun --cpu-bind=cores --gpu-bind=none python -m mpi4py -m shoal run study.toml
code=$?
if [ $code -eq 143 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
