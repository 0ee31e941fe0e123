"""Starts a module of the tests on several ranks, under a time limit."""

import os
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

MPIEXEC = next(
    filter(None, (shutil.which("mpiexec", path=str(Path(sys.executable).parent)), shutil.which("mpiexec"))), ""
)

needs_mpi = pytest.mark.skipif(
    not (MPIEXEC and find_spec("mpi4py")), reason="needs mpi4py and mpiexec: pip install 'shoal[mpi]'"
)


# Open MPI refuses to start as root, and more ranks than there are cores.
_OPEN_MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}


def start(ranks, *arguments, launcher=(), cwd=None, **environment):
    """Start ``python -m mpi4py ARGUMENTS`` on so many ranks, with more arguments for the launcher."""
    path = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH", "")]))
    command = [MPIEXEC, *launcher, "-n", str(ranks), sys.executable, "-m", "mpi4py", *map(str, arguments)]
    environment = {**os.environ, **_OPEN_MPI, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **environment}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=cwd, env=environment, start_new_session=True, **pipes)


def finish(process, limit=60):
    """Return its exit code, output and errors; a job that hangs is killed, and fails the test."""
    try:
        out, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"still running after {limit} s: {process.args}\n{process.communicate()}")
    return process.returncode, out, errors


def on_ranks(ranks, *arguments, limit=60, **environment):
    """Run to the end; it must succeed. Returns what it printed."""
    code, out, errors = finish(start(ranks, *arguments, **environment), limit)
    assert code == 0, errors
    return out
