"""Which strategy finds how good a config for how many epochs, on recorded learning curves of real networks.

    python bench/judge.py --curves lcbench_dev.npz                  # 12 data sets, 20 seeds: minutes
    python bench/judge.py --curves lcbench_dev.npz --seeds 3 --budgets 10,30

Costs are epochs, counted once where a trial goes on; the value is the best validation loss seen so far, its regret the
distance to the best of the table, divided by that of the median config's final loss. Configs become recorded ones by
two rules: the nearest, repeats being charged again, and the nearest that the run has not had. For each rule and budget
(in full trainings): mean regret and mean rank over data sets and seeds, with bootstrap intervals.

One JSON line a strategy, rule and budget goes to stdout or --out, a table to stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import machine
import numpy as np

from shoal.search import ASHA, LCM, Full, Hyperband, Median, OptunaSampler, Random, Search, SuccessiveHalving
from shoal.simulate import Table, read_lcbench, run

RULES = ("nearest", "unused")


def contenders(length: int, budget: int) -> dict[str, Callable[[], Search]]:
    """Return the strategies that have so many full trainings; each is given more trials than it can use up."""
    epochs = budget * length
    # Rungs at 1, 3, 9, 27 and the end: n trials cost about n (1 + 2/3 + 6/9 + 18/27 + 24/81).
    halved = max(2, round(epochs / 3.3))
    top = max(1, (epochs - epochs // 3) // (length - 1))
    return {
        "random": lambda: Random(budget, epochs=length),
        "one epoch, then the top": lambda: SuccessiveHalving(
            top * (epochs // 3 // top), max_epochs=length, min_epochs=1, eta=max(2, epochs // 3 // top)
        ),
        "halving": lambda: SuccessiveHalving(min(halved, 1900), max_epochs=length),
        "hyperband": lambda: Hyperband(max_epochs=length, rounds=50),
        "asha": lambda: ASHA(1900, max_epochs=length),
        "asha, stopping": lambda: ASHA(1900, max_epochs=length, mode="stopping"),
        "asha, tpe": lambda: ASHA(1900, max_epochs=length, sampler=OptunaSampler()),
        "median": lambda: Median(1900, epochs=length),
        "lcm": lambda: LCM(1900, epochs=length, split=3 / 1900, stop=0.8, checkpoints=[2, 5, 13, 26]),
        "optuna tpe": lambda: Full(budget, epochs=length, sampler=OptunaSampler()),
    }


def regret_of(job: tuple[Table, str, int, str, int]) -> float:
    """Return the normalised regret of one run."""
    table, name, budget, rule, seed = job
    search = contenders(table.length, budget)[name]()
    epochs = budget * table.length
    found = run(search, table, seed=seed, budget=epochs, snap=rule)  # type: ignore[arg-type]
    finals = np.where(np.isfinite(table.scores), table.scores, np.inf)
    best, middle = float(finals.min()), float(np.median(finals[:, -1]))
    value = min(found.best_after(epochs), float(np.max(finals[np.isfinite(finals)])))
    return (value - best) / (middle - best)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--curves", type=Path, required=True, help="an extract of LCBench")
    parser.add_argument("--budgets", default="10,30,100", help="in full trainings")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--tables", type=int, help="of the first so many data sets only")
    parser.add_argument("--out", type=Path, help="file for the JSON lines")
    options = parser.parse_args(arguments)
    tables = read_lcbench(options.curves)[: options.tables]
    budgets = [int(budget) for budget in options.budgets.split(",")]
    about = machine.describe()
    names = list(contenders(tables[0].length, budgets[0]))
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(options.out.open("w")) if options.out else sys.stdout
        pool = stack.enter_context(ProcessPoolExecutor(len(machine.cpus())))
        for rule, budget in itertools.product(RULES, budgets):
            cases = list(itertools.product(names, tables, range(options.seeds)))
            jobs = [(table, name, budget, rule, seed) for name, table, seed in cases]
            regrets = np.array(list(pool.map(regret_of, jobs, chunksize=8))).reshape(len(names), -1)
            for row in summary(names, regrets):
                line = {
                    "bench": "judge",
                    "case": {"budget": budget, "rule": rule, "strategy": row.pop("strategy")},
                    **row,
                }
                print(json.dumps(line | {"seeds": options.seeds, "machine": about}), file=out, flush=True)
            print(table_of(rule, budget, names, regrets), file=sys.stderr, flush=True)


def ranks(regrets: np.ndarray) -> np.ndarray:
    """Return the rank of each strategy (rows) in each run, 1 the best; equals share the mean."""
    below = (regrets[:, None] > regrets[None]).sum(axis=1)
    equal = (regrets[:, None] == regrets[None]).sum(axis=1)
    return below + (equal + 1) / 2


def interval(values: np.ndarray, draws: int = 1000) -> list[float]:
    """Return the bootstrap interval of 95 % of the mean."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(draws, len(values)))].mean(axis=1)
    return [float(f"{edge:.4g}") for edge in np.quantile(means, [0.025, 0.975])]


def summary(names: Sequence[str], regrets: np.ndarray) -> list[dict[str, Any]]:
    """Return a row for each strategy."""
    return [
        {
            "strategy": name,
            "regret": float(f"{mine.mean():.4g}"),
            "regret_interval": interval(mine),
            "rank": float(f"{rank.mean():.4g}"),
            "rank_interval": interval(rank),
        }
        for name, mine, rank in zip(names, regrets, ranks(regrets), strict=True)
    ]


def table_of(rule: str, budget: int, names: Sequence[str], regrets: np.ndarray) -> str:
    """Lay a rule and budget out for people, the best mean rank first."""
    lines = [f"{budget} full trainings, {rule}: mean regret, mean rank (95 %)"]
    for row in sorted(summary(names, regrets), key=lambda row: row["rank"]):
        low, high = row["rank_interval"]
        lines.append(f"  {row['strategy']:26}{row['regret']:10.4f}{row['rank']:8.2f} [{low:.2f}, {high:.2f}]")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
