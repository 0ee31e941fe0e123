"""How a study scales over ranks, beside one process with as many threads, and how well both use their cores.

    python bench/mpi_scaling.py                                  # 1 and 2 ranks of one core each
    python bench/mpi_scaling.py --ranks 1,2,4,8 --strategies PBT --repeats 7
    python bench/mpi_scaling.py --launcher "srun -n" --ranks 64

Strong scaling keeps the population, weak scaling keeps it for each rank; `mpi_study.py` is the study. Every run is a
launch of its own, pinned to its cores: over n ranks of one thread ("ranks"), and in one process of n threads
("threads", as far as this machine has the cores). Both take turns. Where decisions do not depend on who reports first
(PBT), both must come to the same best score for the same number of epochs, or the run ends.

Utilisation is the share of the wall time of `Study.run` in which a rank trained, the mean over ranks, and of the one
process the same; that some of its threads wait for others inside of `train` is not seen there, but in the epochs a
second. Efficiency compares epochs a second with those of the smallest number of ranks, rank by rank. The aim: at 2
ranks 97 % or more, and no fewer epochs a second than in the one process. One JSON line a case goes to stdout or --out.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import machine
from harness import Summary, rounded
from lines import put

STUDY = Path(__file__).with_name("mpi_study.py")
AIM = 0.97


class Case(NamedTuple):
    """What is compared."""

    net: str
    strategy: str
    scaling: str
    ranks: int
    population: int


class Run(NamedTuple):
    """What a launch has found."""

    seconds: float
    busy: list[float]
    epochs: int
    best: float

    @property
    def speed(self) -> float:
        """Epochs a second."""
        return self.epochs / self.seconds

    @property
    def utilisation(self) -> float:
        """The mean over ranks."""
        return statistics.mean(self.busy) / self.seconds


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """Yield the cases; both scalings begin at the same one."""
    least = min(options.ranks)
    for strategy in options.strategies:
        for ranks in options.ranks:
            yield Case(options.net, strategy, "strong", ranks, options.population)
        for ranks in options.ranks:
            if ranks > least:
                yield Case(options.net, strategy, "weak", ranks, options.population * ranks // least)


def launch(case: Case, form: str, options: argparse.Namespace) -> Run:
    """Run the study of a case over ranks or threads."""
    study = {name: getattr(case, name) for name in ("net", "strategy", "population")}
    study |= {"epochs": options.epochs, "samples": options.samples, "threads": 1 if form == "ranks" else case.ranks}
    start = [*shlex.split(options.launcher), str(case.ranks)] if form == "ranks" else []
    module = ["-m", "mpi4py"] if form == "ranks" else []
    command = [*start, sys.executable, *module, str(STUDY), json.dumps(study)]
    environment = machine.clean_environment(dict(os.environ)) | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)}: ended with status {done.returncode}")
    found = json.loads(done.stdout.splitlines()[-1])
    return Run(*(found[name] for name in Run._fields))


def check(case: Case, runs: Mapping[str, Sequence[Run]]) -> None:
    """End the benchmark where forms that must agree do not."""
    found = {(run.epochs, run.best) for each in runs.values() for run in each}
    if case.strategy == "PBT" and len(found) > 1:
        raise SystemExit(f"{case}: over ranks and in one process studies must be the same, got {sorted(found)}")


def line(case: Case, runs: Mapping[str, Sequence[Run]], base: float) -> dict[str, Any]:
    """Return the line of a case; ``base``: epochs a second and rank of the smallest number of ranks."""
    speeds = {form: Summary.of([run.speed for run in each]) for form, each in runs.items()}
    used = {form: Summary.of([run.utilisation for run in each]).as_json() for form, each in runs.items()}
    pairs = zip(runs["ranks"], runs.get("threads", ()), strict=False)
    ratios = [over.speed / alone.speed for over, alone in pairs]
    return {
        "bench": "mpi_scaling",
        "case": case._asdict(),
        "unit": "epochs/s",
        "better": "higher",
        "metrics": {form: each.as_json() for form, each in speeds.items()},
        "ratios": {"threads": Summary.of(ratios).as_json()} if ratios else {},
        "utilisation": used,
        "efficiency": rounded(speeds["ranks"].median / (base * case.ranks)),
        "epochs": {form: each[0].epochs for form, each in runs.items()},
    }


def told(row: Mapping[str, Any]) -> str:
    """Return the line for people."""
    case, used = Case(**row["case"]), {form: each["median"] for form, each in row["utilisation"].items()}
    words = [f"{form} {row['metrics'][form]['median']} epochs/s, utilisation {used[form]:.1%}" for form in used]
    times = [f"{ratio['median']} times those of threads" for ratio in row["ratios"].values()]
    reached = used["ranks"] >= AIM and all(ratio["median"] >= 1 for ratio in row["ratios"].values())
    aim = f"; aim of {AIM:.0%}, no slower than one process: {'reached' if reached else 'missed'}"
    place = f"{case.strategy}, {case.scaling}, {case.ranks} x 1 core, population {case.population}"
    return f"{place}: {'; '.join(words + times)}; efficiency {row['efficiency']:.1%}{aim if case.ranks == 2 else ''}"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    beside = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or "mpiexec"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=lambda text: [int(each) for each in text.split(",")], default=[1, 2])
    parser.add_argument("--strategies", type=lambda text: text.split(","), default=["PBT", "ASHA", "LCM"])
    parser.add_argument("--net", default="b64")
    parser.add_argument("--population", type=int, default=64, help="trials at a time, of the smallest number of ranks")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--samples", type=int, default=10_000, help="of an epoch")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--launcher", default=f"{shlex.quote(beside)} -n", help="the number of ranks is put behind it")
    parser.add_argument("--out", type=Path, help="by default stdout")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    about = machine.describe()
    bases: dict[str, float] = {}  # by strategy
    for case in cases(options):
        forms = ["ranks", "threads"] if case.ranks <= len(machine.cpus()) else ["ranks"]
        runs: dict[str, list[Run]] = {form: [] for form in forms}
        for _ in range(options.repeats):
            for form in forms:
                runs[form].append(launch(case, form, options))
        check(case, runs)
        base = bases.setdefault(case.strategy, statistics.median(run.speed for run in runs["ranks"]) / case.ranks)
        row = line(case, runs, base) | {"machine": about}
        put(row, options.out)
        print(told(row), file=sys.stderr)


if __name__ == "__main__":
    main()
