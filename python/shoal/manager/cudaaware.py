"""Whether an MPI is CUDA-aware: whether it sends and receives what is in a GPU's memory.

No single question is answered by every MPI, and a wrong yes ends in a crash. So only a clear yes counts, and the user's
word before that of any library: ``SHOAL_MPI_CUDA``, 0 or 1.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from typing import Any

from shoal.errors import StudyError

SETTING = "SHOAL_MPI_CUDA"


def cuda_aware(mpi: Any, environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether an MPI that has begun is CUDA-aware.

    Args:
        mpi: The module ``mpi4py.MPI``.
        environment: Of the process.

    Raises:
        StudyError: The user's word is neither 0 nor 1.
    """
    said = environment.get(SETTING, "")
    if said not in ("", "0", "1"):
        raise StudyError(f"{SETTING}: must be 0 or 1, got {said!r}")
    if said:
        return said == "1"
    return _lists_kinds(mpi) or _answers(mpi) or environment.get("MPICH_GPU_SUPPORT_ENABLED") == "1"  # Cray's MPICH


def _lists_kinds(mpi: Any) -> bool:
    """The memory allocation kinds of MPI 4.1 (11.4.3), called ``cuda``, or ``cuda:device`` and alike, if supported."""
    info = mpi.COMM_WORLD.Get_info()
    kinds = info.Get("mpi_memory_alloc_kinds") or ""
    info.Free()
    return any(kind.partition(":")[0] == "cuda" for kind in kinds.split(","))


def _answers(mpi: Any) -> bool:
    """An extension of Open MPI, MPICH and MVAPICH that mpi4py does not have, but the library that it has loaded."""
    try:
        query = ctypes.CDLL(mpi.__file__).MPIX_Query_cuda_support
    except (OSError, AttributeError):
        return False
    return bool(query() == 1)
