"""Trainings a second of a search over two workers: shoal over two MPI ranks beside Propulate, DeepHyper and Ray Tune.

    python bench/mpi_peers.py                                  # in an environment with: pip install '.[bench-mpi]'
    python bench/mpi_peers.py --peers propulate --trials 32 --repeats 7

Everybody trains as many networks of the same kind for as many epochs on the same samples, each worker with one thread
on a core of its own; what a peer does not pin itself the system places. Propulate (genetic) and DeepHyper (random
search, MPI evaluator; a third process hands out) train each network from scratch to its end, as does shoal's random
search over two ranks, to which they are compared. Ray Tune's population based training is compared to shoal's. The
peers train one network at a time with PyTorch; shoal trains those of a rank together, which is what it is for. So this
is no comparison of how well they search.

Checked: one training with the same hyperparameters comes to the same loss in PyTorch and in shoal, within a quarter,
for first weights and orders differ; the networks have the same number of parameters; the epochs trained are counted
one by one and within a quarter of the budget (an heir of Ray's goes on from its donor's epoch). A search's clock runs
from its call to its end, without imports and, for Ray, without the start of its cluster. Peers that are not installed
are left out, and named. One JSON line goes to stdout or --out.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import machine
from harness import Summary
from lines import put

HERE = Path(__file__).parent
RANKS = {"shoal": 2, "shoal PBT": 2, "propulate": 2, "deephyper": 3, "ray": 0}  # 0: it starts its workers itself
RIVALS = {"propulate": "shoal", "deephyper": "shoal", "ray": "shoal PBT"}
STRATEGIES = {"shoal": "Random", "shoal PBT": "PBT"}
FACTOR = 1.25  # between losses of a training from other first weights


class Run(NamedTuple):
    """What a search has found."""

    seconds: float
    epochs: int
    loss: float
    parameters: int


def search(name: str, options: argparse.Namespace) -> Run:
    """Let one of them search."""
    if name in STRATEGIES:
        more = {"strategy": STRATEGIES[name], "population": options.trials, "threads": 1}
        found = launch(RANKS[name], ["mpi_study.py"], options, more)
    else:
        found = launch(RANKS[name], ["mpi_peer.py", name], options, {"trials": options.trials})
    return Run(*(found[name] for name in Run._fields))


def launch(ranks: int, script: Sequence[str], options: argparse.Namespace, more: Mapping[str, Any]) -> dict[str, Any]:
    """Start a script over ranks, or as it is, and return the object that it prints; others may print beside it."""
    with tempfile.TemporaryDirectory() as count:
        case = {name: getattr(options, name) for name in ("net", "epochs", "samples")} | {"count": count, **more}
        start = [options.mpiexec, "-n", str(ranks)] if ranks else []
        python = [sys.executable, *(["-m", "mpi4py"] if ranks else [])]
        command = [*start, *python, str(HERE / script[0]), *script[1:], json.dumps(case)]
        environment = machine.clean_environment(dict(os.environ)) | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"')]
    if done.returncode or not lines:
        raise SystemExit(f"{shlex.join(command)}: ended with status {done.returncode}\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def check(runs: Mapping[str, Sequence[Run]], epochs: int) -> None:
    """End the benchmark where they have not trained the same."""
    for name, each in runs.items():
        for run in each:
            first = runs["shoal"][0]
            if run.parameters != first.parameters:
                raise SystemExit(f"{name}: {run.parameters} parameters, but shoal has {first.parameters}")
            if abs(run.epochs - epochs) > epochs / 4:
                raise SystemExit(f"{name}: {run.epochs} epochs were trained instead of {epochs}")


def check_training(losses: Mapping[str, float]) -> None:
    """End the benchmark where one and the same training comes to different losses."""
    if not 1 / FACTOR <= losses["torch"] / losses["shoal"] <= FACTOR:
        raise SystemExit(f"one training: a loss of {losses['torch']:.4g}, but in shoal {losses['shoal']:.4g}")


def line(runs: Mapping[str, Sequence[Run]], options: argparse.Namespace) -> dict[str, Any]:
    """Return the line of results."""
    speeds = {name: [run.epochs / run.seconds for run in each] for name, each in runs.items()}
    pairs = {name: zip(speeds[RIVALS[name]], speeds[name], strict=True) for name in runs if name in RIVALS}
    return {
        "bench": "mpi_peers",
        "case": {name: getattr(options, name) for name in ("net", "trials", "epochs", "samples")} | {"workers": 2},
        "unit": "epochs/s",
        "better": "higher",
        "metrics": {name: Summary.of(each).as_json() for name, each in speeds.items()},
        "ratios": {
            name: Summary.of([ours / theirs for ours, theirs in each]).as_json() for name, each in pairs.items()
        },
        "epochs": {name: [run.epochs for run in each] for name, each in runs.items()},
        "losses": {name: [round(run.loss, 4) for run in each] for name, each in runs.items()},
        "parameters": runs["shoal"][0].parameters,
    }


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    beside = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or "mpiexec"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", type=lambda text: [each for each in text.split(",") if each], default=list(RIVALS))
    parser.add_argument("--net", default="b64")
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=4, help="of a trial")
    parser.add_argument("--samples", type=int, default=10_000, help="of an epoch")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--mpiexec", default=beside)
    parser.add_argument("--out", type=Path, help="by default stdout")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options, about = parse(arguments), machine.describe()
    peers = [name for name in options.peers if find_spec(name) and find_spec("torch")]
    for name in set(options.peers) - set(peers):
        print(f"{name} or PyTorch is not installed", file=sys.stderr)
    if peers:
        check_training(launch(0, ["mpi_peer.py", "compare"], options, {}))
    runs: dict[str, list[Run]] = {name: [] for name in (*STRATEGIES, *peers)}
    for _ in range(options.repeats):
        for name, each in runs.items():
            each.append(search(name, options))
    check(runs, options.trials * options.epochs)
    row = line(runs, options) | {"machine": about}
    put(row, options.out)
    for name, each in row["metrics"].items():
        ratio = f", {RIVALS[name]} {row['ratios'][name]['median']} times that" if name in RIVALS else ""
        print(f"{name}: {each['median']} epochs/s{ratio}; best losses {row['losses'][name]}", file=sys.stderr)


if __name__ == "__main__":
    main()
