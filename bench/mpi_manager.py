"""How fast a study is decided: the manager and a strategy at work for simulated workers that train in no time.

    python bench/mpi_manager.py                                            # 64, 512 and 4096 workers
    python bench/mpi_manager.py --workers 4096 --strategies ASHA --repeats 7
    mpiexec -n 4 python -m mpi4py bench/mpi_manager.py                     # the same rounds, over ranks

Manager, strategy, record and journal are those of a study. A worker's metrics come from a formula, so what passes
between the return of one training and the call of the next is the manager's own time: its latency. Three forms:

- ``rounds``: all workers report together and wait for the decisions on all of them.
- ``replies``: one worker reports at a time, in the order of virtual time, while all others train; so a supervisor of
  that many would live. The latency is that of a single reply. PBT has no rounds there.
- ``rounds`` over ranks: the same manager on every rank, with the gathering of metrics and the comparison of digests
  before each round. More ranks than cores take turns, so this is an upper bound.

Decisions a second are reports a second of the manager's time. One JSON line a case goes to stdout or --out.
"""

from __future__ import annotations

import argparse
import heapq
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import machine
import numpy as np
from harness import Summary, rounded
from lines import put

from shoal.manager.journal import Event
from shoal.manager.manager import Manager
from shoal.manager.ranked import RankedWorker
from shoal.manager.rankedstore import RankedStore
from shoal.manager.record import FORMAT, Metrics
from shoal.manager.snapshot import State
from shoal.manager.store import Store
from shoal.manager.transport import Alone, Ranks, Transport, launched
from shoal.manager.worker import Worker
from shoal.population.room import Room, host
from shoal.search import ASHA, LCM, PBT, Search
from shoal.search.protocol import Config
from shoal.space import Float, Space

SPACE = Space({"lr": Float(1e-4, 1, log=True), "momentum": Float(0, 0.99)})
RARELY = 1e9  # seconds between snapshots: there is nothing to keep


class Case(NamedTuple):
    """What is measured."""

    form: str
    strategy: str
    workers: int
    ranks: int


class Virtual:
    """Simulated workers, one a row.

    Args:
        rows: How many.
        at_once: Whether all return together; else one does, while the others are in flight.

    Attributes:
        waits: Seconds between the return of a training and the call of the next.
    """

    def __init__(self, rows: int, at_once: bool) -> None:
        self.rows, self.waits = rows, list[float]()
        self._at_once, self._left = at_once, 0.0
        self._configs: dict[int, Config] = {}
        self._flying: list[tuple[float, int, int]] = []  # virtual end, trial, until
        self._clock = 0.0

    def start(self, trial: int, config: Config) -> None:
        self._configs[trial] = config

    def restore(self, trial: int, config: Config, state: State) -> None:
        self._configs[trial] = config

    def inherit(self, moves: Sequence[tuple[int, int, Config]], origins: Mapping[int, State]) -> dict[int, Any]:
        self._configs |= {heir: config for heir, _, config in moves}
        return {}

    def adopt(self, heir: int, config: Config, donor: int, donor_config: Config, state: State) -> None:
        self._configs[heir] = config

    def set(self, trial: int, config: Config) -> None:
        self._configs[trial] = config

    def stop(self, trial: int) -> None:
        del self._configs[trial]

    def pause(self) -> dict[int, Metrics]:
        return {}

    def state(self, trial: int, room: Room = host) -> State:
        return {}

    def model(self, trial: int, config: Config, state: State) -> None:
        return None

    def train(self, targets: Mapping[int, int]) -> dict[int, Metrics]:
        if self._left:
            self.waits.append(time.perf_counter() - self._left)
        metrics = {trial: self._metrics(trial, until) for trial, until in self._ended(targets).items()}
        self._left = time.perf_counter()
        return metrics

    def _ended(self, targets: Mapping[int, int]) -> Mapping[int, int]:
        if self._at_once:
            return targets
        for trial, until in targets.items():  # no two trials are equally quick
            heapq.heappush(self._flying, (self._clock + 1 + trial * 0.618 % 1, trial, until))
        self._clock, trial, until = heapq.heappop(self._flying)
        return {trial: until}

    def _metrics(self, trial: int, until: int) -> Metrics:
        config = self._configs[trial]
        return {"loss": abs(np.log10(config["lr"]) + 2) + config["momentum"] + 1 / until}


def search(name: str, workers: int, form: str) -> Search:
    """Return a strategy that keeps so many workers busy."""
    match name:
        case "PBT":
            return PBT(workers, epochs=5, interval_epochs=1, synchronous=form == "rounds")
        case "ASHA":
            return ASHA(4 * workers, max_epochs=27)
        case "LCM":
            return LCM(2 * workers, epochs=8)
    raise ValueError(f"strategy: must be PBT, ASHA or LCM, got {name!r}")


def decide(case: Case, transport: Transport, directory: Path) -> tuple[int, list[float]]:
    """Run a study; return the number of reports, and the manager's waits as this rank saw them."""
    strategy = search(case.strategy, case.workers, case.form)
    header: Event = {"event": "study", "format": FORMAT, "metric": "loss", "mode": "min", "unit": "epochs"}
    virtual, store = Virtual(case.workers, case.form == "rounds"), Store(directory, header, RARELY)
    worker: Worker = virtual
    if transport.size > 1:
        worker = RankedWorker(virtual, transport, case.workers, lambda _: 1.0)
    manager = Manager(
        strategy.bind(SPACE, seed=0),
        worker,
        header,
        store=RankedStore(store, transport) if transport.size > 1 else store,
        signals=transport.gather,
        quiet=transport.rank > 0,
    )
    manager.run()
    return sum(len(trial.reports) for trial in manager.record.trials.values()), virtual.waits


def line(case: Case, runs: Sequence[tuple[int, list[float]]]) -> dict[str, Any]:
    """Return the line of a case."""
    waits = [1e6 * wait for _, each in runs for wait in each]
    return {
        "bench": "mpi_manager",
        "case": case._asdict(),
        "unit": "decisions/s",
        "better": "higher",
        "metrics": {"shoal": Summary.of([reports / sum(each) for reports, each in runs]).as_json()},
        "latency_us": Summary.of(waits).as_json() | {"p99": rounded(float(np.quantile(waits, 0.99)))},
        "reports": runs[0][0],
    }


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=lambda text: [int(each) for each in text.split(",")], default=[64, 512, 4096])
    parser.add_argument("--strategies", type=lambda text: text.split(","), default=["PBT", "ASHA", "LCM"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="by default stdout")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options, transport, about = parse(arguments), Alone(), machine.describe()
    forms = ["rounds", "replies"]
    if launched() is not None:
        from mpi4py import MPI

        transport, forms = Ranks(MPI.COMM_WORLD), ["rounds"]
    for strategy in options.strategies:
        for workers in options.workers:
            for form in forms:
                case = Case(form, strategy, workers, transport.size)
                runs = []
                for _ in range(options.repeats):
                    with tempfile.TemporaryDirectory() as directory:  # that of rank 0 is used
                        runs.append(decide(case, transport, Path(directory)))
                if transport.rank == 0:
                    row = line(case, runs) | {"machine": about}
                    put(row, options.out)
                    speed, late = row["metrics"]["shoal"]["median"], row["latency_us"]
                    told = f"{speed:,} decisions/s, latency {late['median']:,} us, 99 % below {late['p99']:,} us"
                    print(f"{strategy}, {workers} workers, {form}, {transport.size} ranks: {told}", file=sys.stderr)


if __name__ == "__main__":
    main()
