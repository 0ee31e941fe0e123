"""One study of mpi_scaling.py or mpi_peers.py, over ranks or in one process; rank 0 prints what it took as a JSON line.

    python bench/mpi_study.py '{"net": "b64", "strategy": "PBT", "population": 64, "epochs": 12, "samples": 10000,
                                "threads": 2}'
    mpiexec -n 2 python -m mpi4py bench/mpi_study.py '{... "threads": 1}'

A process takes as many cores as it has threads, in the order of the ranks on its node, and stays on them. The seconds
in which it trained are taken around the worker's `train`, the same in both forms; the wall time is that of
`Study.run`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import nets

import shoal
from shoal import search
from shoal.manager.native import NativeWorker
from shoal.space import Float


def strategy(name: str, population: int, epochs: int) -> search.Search:
    """Return a strategy that keeps about ``population`` trials in training."""
    match name:
        case "PBT":
            return search.PBT(population, epochs=epochs, interval_epochs=2)
        case "Random":
            return search.Random(population, epochs=epochs)
        case "ASHA":
            return search.ASHA(2 * population, max_epochs=epochs)
        case "LCM":
            return search.LCM(2 * population, epochs=epochs)
    raise ValueError(f"strategy: must be PBT, Random, ASHA or LCM, got {name!r}")


def parts(case: Mapping[str, Any]) -> list[shoal.data.Dataset]:
    """Return what the net of a case is trained on, and a quarter as many samples that tell how good it is."""
    net, count = nets.NETS[case["net"]], case["samples"]
    data = net.load()
    return [
        shoal.data.from_arrays(data.x[part], data.y[part], classes=net.outputs, normalise=data.scale is not None)
        for part in (slice(0, count), slice(count, count + count // 4))
    ]


def study(case: Mapping[str, Any]) -> shoal.Study:
    """Return the study of a case, kept in memory."""
    net = nets.NETS[case["net"]]
    return shoal.Study(
        lambda config: net.network,
        *parts(case),
        space={"lr": Float(*net.rates, log=True), "momentum": Float(*nets.MOMENTA), "batch_size": net.batch},
        strategy=strategy(case["strategy"], case["population"], case["epochs"]),
        metric="accuracy",
        rows=case["population"],
        threads=case["threads"],
    )


class Meter:
    """Takes the seconds in which this process trains."""

    def __init__(self) -> None:
        self.busy, train = 0.0, NativeWorker.train

        def timed(worker: NativeWorker, targets: Mapping[int, int]) -> Any:
            begun = time.perf_counter()
            metrics = train(worker, targets)
            self.busy += time.perf_counter() - begun
            return metrics

        NativeWorker.train = timed  # type: ignore[method-assign]


def pin(place: int, threads: int) -> None:
    """Stay on the cores of the ``place``-th process of this node; where there are too few, share them."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[k % len(cores)] for k in range(place * threads, (place + 1) * threads)})


def main() -> None:
    case, comm = json.loads(sys.argv[1]), None
    if "mpi4py" in sys.modules:
        from mpi4py import MPI

        comm = MPI.COMM_WORLD
        pin(comm.Split_type(MPI.COMM_TYPE_SHARED).rank, case["threads"])
        comm.Barrier()
    else:
        pin(0, case["threads"])
    prepared, meter = study(case), Meter()
    if comm is not None:
        comm.Barrier()
    begun = time.perf_counter()
    result = prepared.run(progress=False, comm=comm)
    seconds = time.perf_counter() - begun
    busy = [meter.busy] if comm is None else comm.gather(meter.busy)
    if comm is None or comm.rank == 0:
        best = result.best
        found = {"seconds": seconds, "busy": busy, "epochs": result.record.spent, "best": best.score}
        size = sum(array.size for array in best.model.parameters(0).values())
        print(json.dumps(found | {"loss": best.metrics["loss"], "parameters": size}), flush=True)


if __name__ == "__main__":
    main()
