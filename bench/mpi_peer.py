"""One search by another package for mpi_peers.py, over two workers; prints what it took as a JSON line.

    mpiexec -n 2 python -m mpi4py bench/mpi_peer.py propulate '{"net": "b64", "trials": 16, "epochs": 4, ...}'
    mpiexec -n 3 python -m mpi4py bench/mpi_peer.py deephyper ...   # rank 0 hands out, and does not train
    python bench/mpi_peer.py ray ...
    python bench/mpi_peer.py compare ...                            # one training here and in shoal

All train by `mpi_training.py`. The clock runs from the call of the search to its end.
"""

from __future__ import annotations

import json
import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import torch
from mpi_study import parts, pin
from mpi_training import Training, gain, trained
from nets import MOMENTA, NETS

import shoal
from shoal.search import Random

WORKERS = 2

_T = TypeVar("_T")
Found: TypeAlias = tuple[float, float] | None  # seconds and the best loss; None on a rank that does not know


def timed(search: Callable[[], _T]) -> tuple[float, _T]:
    """Return the seconds that it took, and what it returned."""
    begun = time.perf_counter()
    found = search()
    return time.perf_counter() - begun, found


def propulate(case: Mapping[str, Any]) -> Found:
    """Search with Propulate's genetic algorithm, on two ranks."""
    from mpi4py import MPI
    from propulate import Propulator
    from propulate.utils import get_default_propagator

    comm = MPI.COMM_WORLD
    pin(comm.rank, 1)
    rates = NETS[case["net"]].rates
    limits = {"lr": tuple(map(math.log10, rates)), "momentum": MOMENTA}
    rng = random.Random(comm.rank)
    with tempfile.TemporaryDirectory() as folder:  # for its checkpoints
        propulator = Propulator(
            lambda trial: trained(case, 10 ** trial["lr"], trial["momentum"]),
            get_default_propagator(case["trials"] // 2, limits, rng=rng),
            rng,
            generations=case["trials"] // comm.size,
            checkpoint_path=comm.bcast(folder),
        )
        seconds, _ = timed(lambda: propulator.propulate(logging_interval=10**9, debug=0))
        comm.Barrier()
    return (seconds, min(each.loss for each in propulator.population)) if comm.rank == 0 else None


def deephyper(case: Mapping[str, Any]) -> Found:
    """Search at random with DeepHyper's MPI evaluator, on two ranks and one that hands out."""
    from mpi4py import MPI

    rank = MPI.COMM_WORLD.rank  # before DeepHyper says that nobody shall begin with MPI
    from deephyper.evaluator import Evaluator
    from deephyper.evaluator.storage import MemoryStorage
    from deephyper.hpo import HpProblem, RandomSearch

    if rank > 0:
        pin(rank - 1, 1)
    problem = HpProblem()
    problem.add_hyperparameter((*NETS[case["net"]].rates, "log-uniform"), "lr")
    problem.add_hyperparameter(MOMENTA, "momentum")

    # Its own storage, an MPI window, copies memory onto itself, which MPICH does not allow.
    options = {"storage": MemoryStorage(), "run_function_kwargs": {"case": case}}
    evaluator = Evaluator.create(gain, method="mpicomm", method_kwargs=options)
    with tempfile.TemporaryDirectory() as folder, evaluator:
        if rank > 0:
            return None
        search = RandomSearch(problem, random_state=0, log_dir=folder)
        seconds, results = timed(lambda: search.search(evaluator, case["trials"], max_evals_strict=True))
    return seconds, -float(results["objective"].max())


def ray(case: Mapping[str, Any]) -> Found:
    """Search with Ray Tune's population based training, by two of its actors."""
    import ray as cluster
    from ray import tune
    from ray.tune.schedulers import PopulationBasedTraining

    class Member(tune.Trainable):  # type: ignore[misc]
        def setup(self, config: dict[str, float]) -> None:
            self.training = Training(case, config["lr"], config["momentum"])

        def reset_config(self, new_config: dict[str, float]) -> bool:
            self.setup(new_config)
            return True

        def step(self) -> dict[str, float]:
            self.training.epoch()
            return {"loss": self.training.loss()}

        def save_checkpoint(self, folder: str) -> None:
            state = [self.training.model.state_dict(), self.training.optimizer.state_dict()]
            torch.save(state, Path(folder) / "state.pt")

        def load_checkpoint(self, folder: str) -> None:
            model, optimizer = torch.load(Path(folder) / "state.pt")
            self.training.model.load_state_dict(model)
            self.training.optimizer.load_state_dict(optimizer)
            self.training.optimizer.param_groups[0].update(self.config)

    rates = NETS[case["net"]].rates
    space = {"lr": tune.loguniform(*rates), "momentum": tune.uniform(*MOMENTA)}
    scheduler = PopulationBasedTraining("training_iteration", perturbation_interval=2, hyperparam_mutations=space)
    path = {"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}}
    cluster.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, runtime_env=path)
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(Member, {"cpu": 1}),
            param_space=space,
            tune_config=tune.TuneConfig(
                metric="loss", mode="min", scheduler=scheduler, num_samples=case["trials"], reuse_actors=True
            ),
            run_config=tune.RunConfig(stop={"training_iteration": case["epochs"]}, storage_path=folder, verbose=0),
        )
        seconds, results = timed(tuner.fit)
        best = float(results.get_best_result().metrics["loss"])
    cluster.shutdown()
    return seconds, best


def compared(case: Mapping[str, Any]) -> dict[str, float]:
    """Return the losses of one training, with the same hyperparameters, in PyTorch and in shoal."""
    net, momentum = NETS[case["net"]], MOMENTA[0]
    lr = net.rates[1]
    space = {"lr": lr, "momentum": momentum, "batch_size": net.batch}
    strategy = Random(1, epochs=case["epochs"])
    study = shoal.Study(lambda _: net.network, *parts(case), space=space, strategy=strategy, metric="loss", threads=1)
    return {"torch": trained(case, lr, momentum), "shoal": study.run(progress=False).best.score}


PEERS = {"propulate": propulate, "deephyper": deephyper, "ray": ray}


def main() -> None:
    name, case = sys.argv[1], json.loads(sys.argv[2])
    if name == "compare":
        print(json.dumps(compared(case)))
        return
    model = Training(case, 0.1, 0.5).model  # the data are loaded now, before the clock runs
    found = PEERS[name](case)
    if found is not None:
        seconds, best = found
        epochs = sum(path.stat().st_size for path in Path(case["count"]).iterdir())
        parameters = sum(each.numel() for each in model.parameters())
        line = {"seconds": seconds, "epochs": epochs, "loss": best, "parameters": parameters}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
