"""How many decisions a second a strategy makes by itself: asks and tells, with scores drawn at random and no training.

    python bench/decisions.py --trials 100000 --rows 500

One JSON line a strategy.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import time

import machine

from shoal.search import ASHA, Full, Hyperband, Median, Search
from shoal.search.protocol import Order, Pause, Report, Stop
from shoal.space import Float, Space

SPACE = Space({"lr": Float(1e-4, 1, log=True), "momentum": Float(0, 0.99)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=500)
    options = parser.parse_args()
    searches: dict[str, Search] = {
        "full": Full(options.trials, epochs=1),
        "asha": ASHA(options.trials, max_epochs=81),
        "asha-stopping": ASHA(options.trials, max_epochs=81, mode="stopping"),
        "hyperband": Hyperband(max_epochs=3**9),
        "median": Median(options.trials // 10, epochs=9),
    }
    for name, search in searches.items():
        reports, spent, sampling = drive(search, options.rows)
        line = {
            "bench": "decisions",
            "case": {"strategy": name, "trials": options.trials, "rows": options.rows},
            "unit": "decisions/s",
            "better": "higher",
            "metrics": {"all": round(reports / spent), "without drawing configs": round(reports / (spent - sampling))},
            "reports": reports,
            "machine": machine.describe(),
        }
        print(json.dumps(line), flush=True)


def drive(search: Search, rows: int) -> tuple[int, float, float]:
    """Return the reports told, the seconds spent in the strategy, and those that its configs alone take."""
    strategy, rng = search.bind(SPACE), random.Random(0)
    training: list[tuple[float, int, int]] = []  # time of the report, trial, until
    reports, spent, clock = 0, 0.0, 0.0

    def carry_out(orders: list[Order]) -> None:
        for order in orders:
            if not isinstance(order, Stop | Pause):
                heapq.heappush(training, (clock + rng.random(), order.trial, order.until))

    while not strategy.finished:
        start = time.perf_counter()
        orders = strategy.ask(max(0, rows - len(training)))
        spent += time.perf_counter() - start
        carry_out(orders)
        clock, trial, until = heapq.heappop(training)
        report = Report(trial, until, rng.random())
        start = time.perf_counter()
        orders = strategy.tell(report)
        spent += time.perf_counter() - start
        carry_out(orders)
        reports += 1
    trials = strategy.plan().trials
    start = time.perf_counter()
    Full(trials, epochs=1).bind(SPACE).ask(trials)
    return reports, spent, time.perf_counter() - start


if __name__ == "__main__":
    main()
