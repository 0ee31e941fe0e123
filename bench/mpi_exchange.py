"""How long an exploit takes that crosses ranks: a donor's state on its way to an heir elsewhere.

    mpiexec -n 2 python -m mpi4py bench/mpi_exchange.py
    mpiexec -n 2 python -m mpi4py bench/mpi_exchange.py --sizes 10000,1000000 --members 8 --repeats 100 --disk /scratch

States go from rank 0 to the last rank, which is on another node where the launcher spreads ranks over several, and back
again; half of that is the time. They travel in four ways that take turns: as in a study (`held.deliver`: one gathering
of what comes, then buffers into the heirs' arrays); pickled, by mpi4py's lower-case send and recv; and through
safetensors files in shared memory, where both ranks must be on one node, and on a disk that both see. Files are not
flushed to the disk, so that on one node the page cache serves them. Every byte that came back is compared.

Bandwidths are given as shares of the machine's: how fast one thread copies 256 MB. One JSON line a size and number of
states goes to stdout or --out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import machine
import numpy as np
from harness import Summary, rounded
from lines import put
from mpi4py import MPI
from safetensors.numpy import load_file, save_file

from shoal.manager.held import Held, deliver
from shoal.manager.snapshot import State
from shoal.manager.transport import Ranks

SIZES = [10_000, 100_000, 1_000_000, 4_000_000, 16_000_000]  # bytes; net b64 has 0.43 MB, net b 1.1 MB
COPIED = 256_000_000


class Way(Protocol):
    """A way for states from one rank to another."""

    def move(self, states: Sequence[State], count: int, source: int, target: int) -> Sequence[State]:
        """Move the states that source has; return them on target. Every rank calls this."""


class Delivered:
    """As in a study."""

    def __init__(self, comm: MPI.Intracomm) -> None:
        self.transport = Ranks(comm)

    def move(self, states: Sequence[State], count: int, source: int, target: int) -> Sequence[State]:
        here = states if self.transport.rank == source else [State()] * count
        return deliver(self.transport, [(Held(source, state), target) for state in here])


class Pickled:
    """By mpi4py's own pickling."""

    def __init__(self, comm: MPI.Intracomm) -> None:
        self.comm = comm

    def move(self, states: Sequence[State], count: int, source: int, target: int) -> Sequence[State]:
        if self.comm.rank == source:
            for state in states:
                self.comm.send(state, target)
        return [self.comm.recv(source=source) for _ in range(count)] if self.comm.rank == target else []


class Filed:
    """By a file for each state, and a message when they are there."""

    def __init__(self, comm: MPI.Intracomm, folder: Path) -> None:
        self.comm, self.folder = comm, folder

    def move(self, states: Sequence[State], count: int, source: int, target: int) -> Sequence[State]:
        paths = [self.folder / f"{place}.safetensors" for place in range(count)]
        if self.comm.rank == source:
            for state, path in zip(states, paths, strict=True):
                save_file(state, path)
            self.comm.send(None, target)
        elif self.comm.rank == target:
            self.comm.recv(source=source)
            return [load_file(path) for path in paths]
        return []


def there_and_back(comm: MPI.Intracomm, way: Way, states: Sequence[State], count: int) -> float:
    """Return half the seconds of a journey to the last rank and back, on rank 0; end the run if a byte has changed."""
    last = comm.size - 1
    comm.Barrier()
    begun = time.perf_counter()
    away = way.move(states, count, 0, last)
    home = way.move(away, count, last, 0)
    seconds = time.perf_counter() - begun
    if comm.rank == 0:
        for before, after in zip(states, home, strict=True):
            if not np.array_equal(before["member"], after["member"]):
                raise SystemExit(f"{type(way).__name__}: a state did not come back as it was")
    return seconds / 2


def copy_bandwidth() -> float:
    """Return the bytes that one thread copies a second, at best."""
    source, target = np.ones(COPIED, np.uint8), np.zeros(COPIED, np.uint8)
    best = float("inf")
    for _ in range(5):
        begun = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - begun)
    return COPIED / best


def measure(comm: MPI.Intracomm, ways: dict[str, Way], size: int, members: int, repeats: int) -> dict[str, list[float]]:
    """Return the seconds a state of each way and repeat; the ways take turns."""
    rng = np.random.default_rng([size, members])
    states = [{"member": rng.integers(0, 256, size, np.uint8)} for _ in range(members if comm.rank == 0 else 0)]
    times: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, way in ways.items():
            seconds = there_and_back(comm, way, states, members)
            if repeat > 0:  # the first finds cold memory
                times[name].append(seconds / members)
    return times


def line(size: int, members: int, ranks: int, times: dict[str, list[float]], bandwidth: float) -> dict[str, Any]:
    """Return the line of a case."""
    found = {name: Summary.of([1e6 * each for each in seconds]) for name, seconds in times.items()}
    speeds = {name: size / (each.median * 1e-6) for name, each in found.items()}
    first, *peers = times
    pairs = {name: zip(times[name], times[first], strict=True) for name in peers}
    ratios = {name: Summary.of([theirs / ours for theirs, ours in each]).as_json() for name, each in pairs.items()}
    return {
        "bench": "mpi_exchange",
        "case": {"bytes": size, "members": members, "ranks": ranks},
        "unit": "us a state",
        "better": "lower",
        "metrics": {name: each.as_json() for name, each in found.items()},
        "ratios": ratios,
        "gb_per_s": {name: rounded(each / 1e9) for name, each in speeds.items()},
        "share_of_copy": {name: rounded(each / bandwidth) for name, each in speeds.items()},
        "copy_gb_per_s": rounded(bandwidth / 1e9),
        "mpi": " ".join(MPI.Get_library_version().split()[:3]),
    }


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    def numbers(text: str) -> list[int]:
        return [int(float(each)) for each in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=numbers, default=SIZES, help="of a state, in bytes")
    parser.add_argument("--members", type=numbers, default=[1, 8], help="states at a time")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--disk", type=Path, default=Path(), help="a folder that all ranks see")
    parser.add_argument("--out", type=Path, help="by default stdout")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options, comm = parse(arguments), MPI.COMM_WORLD
    if comm.size < 2:
        raise SystemExit("start it on two ranks or more: mpiexec -n 2 python -m mpi4py bench/mpi_exchange.py")
    about, bandwidth = machine.describe(), copy_bandwidth()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory, tempfile.TemporaryDirectory(dir=options.disk) as disk:
        folders = [Path(each) for each in comm.bcast((memory, disk))]
        ways: dict[str, Way] = {"shoal": Delivered(comm), "pickle": Pickled(comm)}
        if len(set(comm.allgather(MPI.Get_processor_name()))) == 1:
            ways["file in shared memory"] = Filed(comm, folders[0])
        ways["file on disk"] = Filed(comm, folders[1])
        for size in options.sizes:
            for members in options.members:
                times = measure(comm, ways, size, members, options.repeats)
                if comm.rank == 0:
                    row = line(size, members, comm.size, times, bandwidth) | {"machine": about}
                    put(row, options.out)
                    told = ", ".join(f"{name} {each['median']} us" for name, each in row["metrics"].items())
                    print(f"{members} x {size / 1e6:g} MB: {told} a state", file=sys.stderr)
        comm.Barrier()  # before a folder goes


if __name__ == "__main__":
    main()
