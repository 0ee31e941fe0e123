"""Both transports do the same."""

import sys

import pytest
from tests.mpi.conformance import check
from tests.mpi.ranks import needs_mpi, on_ranks

from shoal.errors import StudyError
from shoal.manager.transport import Alone, Ranks, launched


def test_alone():
    check(Alone())


@needs_mpi
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_ranks(ranks):
    assert on_ranks(ranks, "-m", "tests.mpi.conformance", ranks).split() == ["ok"] * ranks


@needs_mpi
@pytest.mark.parametrize("ranks", [2, 3])
def test_arrays_of_gpus(ranks):
    """With stand-ins, and only that they are sent as they are: no MPI here knows GPUs."""
    assert on_ranks(ranks, "-m", "tests.mpi.gpuarrays").split() == ["ok"] * ranks
    assert on_ranks(ranks, "-m", "tests.mpi.gpuarrays", "aware", SHOAL_MPI_CUDA="1").split() == ["ok"] * ranks


def test_mpi_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(StudyError, match=r"^MPI: cannot be used \(.*\); pip install 'shoal\[mpi\]' brings it$"):
        Ranks(None)


@needs_mpi
def test_no_communicator():
    with pytest.raises(
        ValueError, match=r"^comm: must be an mpi4py intracommunicator that was not freed, got 'world'$"
    ):
        Ranks("world")


def test_what_launchers_say(monkeypatch):
    monkeypatch.delitem(sys.modules, "mpi4py", raising=False)
    assert launched({}) is None
    assert launched({"PMI_SIZE": "1", "PMI_RANK": "0"}) is None
    assert launched({"PMI_SIZE": "3", "PMI_RANK": "2"}) == (2, 3)
    assert launched({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}) == (1, 2)
    assert launched({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "1"}) is None, "srun starts many things"
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    assert launched({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "1"}) == (1, 4)
    assert launched({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "8"}) is None
