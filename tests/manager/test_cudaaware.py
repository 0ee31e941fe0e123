"""What an MPI says of itself, and the user of it."""

import ctypes
from types import SimpleNamespace

import pytest

from shoal.errors import StudyError
from shoal.manager.cudaaware import cuda_aware


@pytest.fixture
def mpi(monkeypatch):
    """Return a stand-in for an MPI with these memory kinds and, if it has that extension, this answer."""

    def make(kinds=None, answer=None):
        library = SimpleNamespace() if answer is None else SimpleNamespace(MPIX_Query_cuda_support=lambda: answer)
        monkeypatch.setattr(ctypes, "CDLL", {"MPI.so": library}.__getitem__)
        info = SimpleNamespace(Get={"mpi_memory_alloc_kinds": kinds}.get, Free=lambda: None)
        return SimpleNamespace(__file__="MPI.so", COMM_WORLD=SimpleNamespace(Get_info=lambda: info))

    return make


@pytest.mark.parametrize(
    ("kinds", "answer", "variables", "aware"),
    [
        (None, None, {}, False),
        ("mpi,system", 0, {}, False),
        ("mpi,system,cuda:device,cuda:host", None, {}, True),
        ("cuda", 0, {}, True),
        ("mpi,rocm:device", None, {}, False),
        (None, 1, {}, True),
        (None, None, {"MPICH_GPU_SUPPORT_ENABLED": "1"}, True),
        (None, None, {"MPICH_GPU_SUPPORT_ENABLED": "0"}, False),
        ("cuda", 1, {"SHOAL_MPI_CUDA": "0"}, False),
        (None, 0, {"SHOAL_MPI_CUDA": "1"}, True),
        (None, 1, {"SHOAL_MPI_CUDA": ""}, True),
    ],
)
def test_who_says_that_mpi_is_cuda_aware(kinds, answer, variables, aware, mpi):
    assert cuda_aware(mpi(kinds, answer), variables) is aware


def test_the_users_word_is_0_or_1(mpi):
    with pytest.raises(StudyError, match=r"^SHOAL_MPI_CUDA: must be 0 or 1, got 'yes'$"):
        cuda_aware(mpi(), {"SHOAL_MPI_CUDA": "yes"})


def test_a_library_that_cannot_be_opened(mpi, monkeypatch):
    def fail(_):
        raise OSError

    stand_in = mpi()
    monkeypatch.setattr(ctypes, "CDLL", fail)
    assert not cuda_aware(stand_in, {})
