"""Which strategy finds how good a config for how many epochs, on recorded learning curves of real networks.

    python bench/judge.py --curves lcbench_dev.npz                  # 12 data sets, 20 seeds, all peers: hours
    python bench/judge.py --curves lcbench_dev.npz --seeds 3 --budgets 10,30 --rules nearest --no-peers
    python bench/judge.py --curves lcbench_dev.npz --only asha,dehb,dehb/dehb

Costs are epochs, counted once where a trial goes on; the value is the best validation loss after any epoch trained so
far, its regret the distance to the best of the table, divided by that of the median config's final loss. Configs become
recorded ones by two rules: the nearest, repeats being charged again, and the nearest that the run has not had. For each
rule and budget (in full trainings): mean regret and mean rank over data sets and seeds, with bootstrap intervals.

Beside shoal's strategies run the peers of `judge_peers`, those that are installed (extra ``judge``); their names have
the package's before a slash. One JSON line a strategy, rule and budget goes to stdout or --out, with the regrets of its
runs, data set by data set; a table and the progress go to stderr. What takes long needs to be run only once: --beside
ranks a file's strategies along, if it is of the same data sets and seeds; and with --keep a judge that was stopped goes
on where it was.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import json
import multiprocessing
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path

import machine
import numpy as np
from judge_contenders import contenders
from judge_figures import layout, summary
from judge_kept import Job, Kept
from judge_peers import PEERS
from judge_runs import regret, run_peer, run_search

from shoal.simulate import Table, read_lcbench

RULES = ("nearest", "unused")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")


@functools.cache
def tables_of(curves: Path) -> list[Table]:
    return read_lcbench(curves)


def regret_of(job: Job) -> float:
    """Return the normalised regret of one run."""
    table = tables_of(job.curves)[job.table]
    epochs = job.budget * table.length
    if job.name in PEERS:
        peer = PEERS[job.name].start(table.space, table.length, epochs, job.seed)
        return regret(run_peer(peer, table, epochs, job.rule), table)
    search = contenders(table.length, job.budget)[job.name]
    return regret(run_search(search, table, epochs, job.seed, job.rule), table)


def chosen(only: str | None, peers: bool) -> list[str]:
    """Return the names to run; what is not installed is left out, and said on stderr."""
    known = [*contenders(51, 10), *(PEERS if peers else [])]
    wanted = only.split(",") if only else known
    for name in wanted:
        if name not in known:
            raise SystemExit(f"only: must be of {', '.join(known)}, got {name!r}")
    missing = [name for name in wanted if name in PEERS and PEERS[name].version is None]
    for name in missing:
        print(f"left out: {name}, {PEERS[name].package} is not installed", file=sys.stderr)
    return [name for name in wanted if name not in missing]


def shown(title: str, results: Iterable[float], total: int) -> Iterator[float]:
    """Pass the results on, with a line on stderr, at each per cent, of how far they have come."""
    started = time.monotonic()
    for done, result in enumerate(results, 1):
        if done * 100 // total > (done - 1) * 100 // total:
            left = (time.monotonic() - started) * (total - done) / done / 60
            end = "\r" if done < total else "\n"
            print(f"{title}: {done} of {total} runs, {left:.0f} min left ", end=end, file=sys.stderr, flush=True)
        yield result


def earlier(path: Path | None, runs: int) -> dict[tuple[str, int], dict[str, list[float]]]:
    """Return the regrets in a file of the judge by rule and budget, and strategy."""
    found: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(dict)
    for line in map(json.loads, path.read_text().splitlines() if path else []):
        case, regrets = line["case"], line["regrets"]
        if len(regrets) != runs:
            raise SystemExit(f"beside: must have the same {runs} runs, got {len(regrets)} of {case['strategy']}")
        found[case["rule"], case["budget"]][case["strategy"]] = regrets
    return found


def measure(pool: Executor, jobs: Sequence[Job], title: str, kept: Kept) -> np.ndarray:
    """Return the regrets, in the order of the jobs; they are run in another, for the time left to be right."""
    order = np.random.default_rng(0).permutation(len(jobs))
    left = [jobs[k] for k in order if jobs[k] not in kept]
    for job, found in zip(left, shown(title, pool.map(regret_of, left), len(left)), strict=True):
        kept.add(job, found)
    return np.array([kept[job] for job in jobs]).round(6)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--curves", type=Path, required=True, help="an extract of LCBench")
    parser.add_argument("--budgets", default="10,30,100", help="in full trainings")
    parser.add_argument("--rules", default=",".join(RULES), help="how configs become recorded ones")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--tables", type=int, help="of the first so many data sets only")
    parser.add_argument("--only", metavar="NAME,...", help="these strategies and peers")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="other packages too")
    parser.add_argument("--beside", type=Path, help="JSON lines of another run, whose strategies are ranked too")
    parser.add_argument("--keep", type=Path, help="file for the regret of each run, to go on from")
    parser.add_argument("--out", type=Path, help="file for the JSON lines")
    options = parser.parse_args(arguments)
    names = chosen(options.only, options.peers)
    runs = list(itertools.product(range(len(tables_of(options.curves)[: options.tables])), range(options.seeds)))
    others, kept = earlier(options.beside, len(runs)), Kept(options.keep)
    about = machine.describe()
    # Spawned processes inherit both: each run has one core, and some peers go through sets in the order of hashes.
    os.environ.update(dict.fromkeys(THREADS, "1"), PYTHONHASHSEED="0")
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(options.out.open("w")) if options.out else sys.stdout
        context = multiprocessing.get_context("spawn")
        pool = stack.enter_context(ProcessPoolExecutor(len(machine.cpus()), context))
        for rule, budget in itertools.product(options.rules.split(","), map(int, options.budgets.split(","))):
            title = f"{budget} full trainings, {rule}"
            # A seed for each data set too: the bootstrap takes runs for independent.
            jobs = [
                Job(options.curves, table, name, budget, rule, 1000 * table + seed)
                for name, (table, seed) in itertools.product(names, runs)
            ]
            regrets = dict(zip(names, measure(pool, jobs, title, kept).reshape(len(names), -1).tolist(), strict=True))
            rows = summary(others[rule, budget] | regrets)
            print(layout(title, rows), file=sys.stderr, flush=True)
            for row in rows:
                name = row.pop("strategy")
                if name in regrets:
                    line = {"bench": "judge", "case": {"budget": budget, "rule": rule, "strategy": name}, **row}
                    version = {"version": PEERS[name].version} if name in PEERS else {}
                    rest = {"seeds": options.seeds, "machine": about, "regrets": regrets[name]}
                    print(json.dumps(line | version | rest), file=out, flush=True)


if __name__ == "__main__":
    main()
