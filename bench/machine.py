"""What a figure was measured on: commit, processor, versions, and the peak that shares are given of."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

DEVICE = "SHOAL_BENCH_DEVICE"
PRECISION = "SHOAL_BENCH_PRECISION"


def clean_environment(environment: dict[str, str]) -> dict[str, str]:
    """Return a copy without what would make NumPy's BLAS pick a slower core than the machine has."""
    return {name: value for name, value in environment.items() if not name.startswith("OPENBLAS_")}


def device() -> str:
    """Return what is measured, "cpu" or "cuda"; workers are told by the environment."""
    return os.environ.get(DEVICE, "cpu")


def precision() -> str:
    """Return what shoal's products compute in, "fp32" or one of a GPU's others; workers are told by the environment."""
    return os.environ.get(PRECISION, "fp32")


def cpus() -> list[int]:
    """Return the CPUs this process may use."""
    return sorted(os.sched_getaffinity(0))


def describe() -> dict[str, Any]:
    """Return commit and machine, for a line of results."""
    return {
        "commit": _commit(),
        "cpu": _cpu_model(),
        "cores": len(cpus()),
        "load": round(os.getloadavg()[0], 2),  # of others, where taken before the first timing
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    } | ({"gpu": _gpu()} if device() == "cuda" else {})


def _commit() -> str:
    here = Path(__file__).parent
    return _said("git", "-C", str(here), "describe", "--always", "--dirty", "--exclude=*")


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _gpu() -> str:
    return _said("nvidia-smi", "--query-gpu=name,driver_version,clocks.sm", "--format=csv,noheader")


def _said(*command: str) -> str:
    """Return what a command prints; it need not be installed."""
    with contextlib.suppress(FileNotFoundError):
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    return "unknown"


def peak_gflops(threads: int) -> tuple[float, str]:
    """Return the fused multiply-adds the machine does at best, in GFLOP/s now, and how that was measured."""
    if device() == "cuda":
        return _cuda_gflops(), f"product of 8192 in {precision()}, PyTorch"
    try:
        from shoal import _core
    except ImportError:
        return _sgemm_gflops(), f"sgemm 2048 ({_blas_core()})"
    return _core.peak_gflops(threads), "fma"


def _cuda_gflops(n: int = 8192) -> float:
    import torch

    torch.backends.cuda.matmul.allow_tf32 = precision().startswith("tf32")
    kind = torch.bfloat16 if precision() == "bf16" else torch.float32
    a = torch.randn(n, n, device="cuda", dtype=kind)  # equal numbers take less power, and so run faster
    best = float("inf")
    for _ in range(3):
        torch.cuda.synchronize()
        start = time.perf_counter()
        a @ a
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    products = 3 if precision() == "tf32x3" else 1
    return 2 * n**3 / best / products / 1e9


def carried_gbytes(mebibytes: int = 8, copies: int = 50) -> float:
    """Return what a GPU's multiprocessors read and write in L2, in GB/s: copies of what fits there, in one launch."""
    import torch

    a = torch.zeros(mebibytes << 20, dtype=torch.uint8, device="cuda")
    b = torch.empty_like(a)
    graph = torch.cuda.CUDAGraph()
    b.copy_(a)  # what it needs is there before the capture
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        for _ in range(copies):
            b.copy_(a)
    best = float("inf")
    for _ in range(3):
        torch.cuda.synchronize()
        start = time.perf_counter()
        graph.replay()
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return copies * 2 * a.nbytes / best / 1e9


def _sgemm_gflops(n: int = 2048) -> float:
    import numpy as np

    a = np.ones((n, n), np.float32)
    a @ a  # starts the threads
    start = time.perf_counter()
    a @ a
    return 2 * n**3 / (time.perf_counter() - start) / 1e9


def _blas_core() -> str:
    """Ask the OpenBLAS that NumPy has loaded which kernels it chose."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "openblas" in line:
            library = ctypes.CDLL(line.split()[-1])
            for name in ("scipy_openblas_get_corename64_", "openblas_get_corename64_", "openblas_get_corename"):
                if hasattr(library, name):
                    function = getattr(library, name)
                    function.restype = ctypes.c_char_p
                    return str(function().decode())
    return "unknown BLAS"
