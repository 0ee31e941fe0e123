"""What a study over many ranks would wait for, from figures measured on a few: the table of docs/scaling.md.

    python bench/mpi_model.py bench/results/mpi_*.jsonl --seconds 10 --per-rank 1

Reads the lines of mpi_exchange.py and mpi_manager.py: the time of a small message (alpha: the smallest pickled state)
and of a byte (beta: the largest state as in a study), of a decision in a round of all trials (delta), and of a single
reply (rho). The model is that of docs/scaling.md: a balanced load, one exploit a rank and round at most.
"""

from __future__ import annotations

import argparse
import json
import math
import pickle
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COLLECTIVES = 8  # of small messages, in a round: three gatherings of pickles, each of sizes and data, and a broadcast
RANKS = [2, 16, 128, 1024, 10_000]


@dataclass(frozen=True)
class Figures:
    """What was measured, in seconds.

    Attributes:
        message: Of a small message from rank to rank.
        byte: Of each byte of a large one.
        decision: Of the manager on a trial, in a round of all.
        reply: Of the manager on a trial that comes alone.
    """

    message: float
    byte: float
    decision: float
    reply: float

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> Figures:
        """Take the figures from lines of results; of several strategies and sizes the slowest decision and reply."""
        moves = [row for row in rows if row["bench"] == "mpi_exchange" and row["case"]["members"] == 1]
        managed = [row for row in rows if row["bench"] == "mpi_manager" and row["case"]["ranks"] == 1]
        if not moves or not managed:
            raise SystemExit("the files must have lines of mpi_exchange.py with 1 member, and of mpi_manager.py")
        small, large = (end(moves, key=lambda row: row["case"]["bytes"]) for end in (min, max))
        forms = {form: [row for row in managed if row["case"]["form"] == form] for form in ("rounds", "replies")}
        return cls(
            message=small["metrics"]["pickle"]["median"] * 1e-6,
            byte=large["metrics"]["shoal"]["median"] * 1e-6 / large["case"]["bytes"],
            decision=max(1 / row["metrics"]["shoal"]["median"] for row in forms["rounds"]),
            reply=max(1 / row["metrics"]["shoal"]["median"] for row in forms["replies"]),
        )


def metrics_bytes() -> float:
    """Return the bytes that a trial's metrics take in a gathering."""
    metrics = {trial: {"train_loss": 0.5, "loss": 0.5, "accuracy": 0.5} for trial in range(1000)}
    return len(pickle.dumps(metrics)) / 1000


def replicated(figures: Figures, ranks: int, trials: int, state: int) -> float:
    """Return the seconds of a round in which nobody trains: collectives, metrics, one state, decisions."""
    stages = math.ceil(math.log2(ranks))
    moved = (trials * metrics_bytes() + state) * figures.byte
    return COLLECTIVES * stages * figures.message + moved + trials * figures.decision


def supervised(figures: Figures, ranks: int, trials: int, seconds: float) -> float:
    """Return the share of the time in which rank 0 answers, if all trials report once in so many seconds; 1: all."""
    return (trials * figures.reply + 2 * min(trials, 4 * ranks) * figures.message) / seconds


def table(figures: Figures, seconds: float, per_rank: int, state: int) -> Iterable[str]:
    """Yield the lines of a table in Markdown."""
    yield "| ranks | trials | replicated: seconds a round without training | utilisation | supervised: rank 0 answers |"
    yield "| --- | --- | --- | --- | --- |"
    for ranks in RANKS:
        trials = ranks * per_rank
        idle = replicated(figures, ranks, trials, state)
        share = supervised(figures, ranks, trials, seconds)
        answers = f"{share:.2%} of the time" if share < 1 else "not fast enough"
        yield f"| {ranks:,} | {trials:,} | {idle:.3g} | {seconds / (seconds + idle):.1%} | {answers} |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--seconds", type=float, default=10.0, help="that a rank trains between two reports")
    parser.add_argument("--per-rank", type=int, default=1, help="trials")
    parser.add_argument("--state", type=float, default=1e6, help="bytes of a state")
    options = parser.parse_args(arguments)
    rows = [json.loads(line) for path in options.files for line in path.read_text().splitlines()]
    figures = Figures.of(rows)
    print(
        f"A message {1e6 * figures.message:.3g} us, a megabyte {1e3 * 1e6 * figures.byte:.3g} ms, a decision"
        f" {1e6 * figures.decision:.3g} us, a single reply {1e6 * figures.reply:.3g} us.\n"
    )
    print("\n".join(table(figures, options.seconds, options.per_rank, int(options.state))))


if __name__ == "__main__":
    main()
