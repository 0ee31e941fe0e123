"""How many samples a second a whole population trains on, with PyTorch and JAX beside it in the same run.

    python bench/train_throughput.py                                  # all: nets a, b, b64, e; 1, 8, 32, 128 members
    python bench/train_throughput.py --nets b64 --members 32 --peers jax --out results.jsonl

First right: from shoal's weights and batches every peer must reach shoal's losses over 50 steps. Then fast: after a
warm-up the contenders take turns, so that a machine that drifts drifts for all; figures are medians of the repeats
with quartiles, ratios are taken turn by turn. The peers' batch orders are drawn before the clock starts, shoal's while
it runs.

One JSON line a case goes to stdout or --out, a table to stderr. Real digits are used where SHOAL_DATA has MNIST.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import machine
import nets
from harness import Crew, Summary

PEERS = ["torch-loop", "torch-vmap", "torch-compile", "jax-map", "jax-vmap"]
CHECK_MEMBERS, CHECK_STEPS = 4, 50
# Sums of up to 784 float32 products in another order, carried through 50 steps with momentum. A wrong formula, batch
# or rate shows at 1e-3 and more.
TOLERANCE = 2e-5


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    about = machine.describe()
    rows: list[dict[str, Any]] = []
    with contextlib.ExitStack() as stack:
        shoal = stack.enter_context(Crew("shoal", machine.cpus()))
        peers = [stack.enter_context(Crew(name, machine.cpus())) for name in options.peers]
        for crew in (shoal, *peers):
            about |= crew.versions
        out = stack.enter_context(options.out.open("w")) if options.out else sys.stdout
        for name in options.nets:
            differences = check(name, shoal, peers)
            for members in options.members:
                row = case(nets.NETS[name], members, shoal, peers, options.repeats, options.seconds)
                row |= {"check": differences, "machine": about}
                print(json.dumps(row), file=out, flush=True)
                rows.append(row)
    print(table(rows), file=sys.stderr)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", type=_listed(list(nets.NETS)), default=list(nets.NETS), help="such as a,b64")
    parser.add_argument("--members", type=_counts, default=[1, 8, 32, 128], help="population sizes, such as 8,32")
    parser.add_argument("--peers", type=_peers, default=_peers("torch,jax"), help="torch, jax, their forms, or none")
    parser.add_argument("--repeats", type=int, default=9, help="turns of each contender")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a turn, about")
    parser.add_argument("--out", type=Path, help="file for the JSON lines")
    return parser.parse_args(arguments)


def _listed(known: list[str]) -> Any:
    def convert(text: str) -> list[str]:
        for name in text.split(","):
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(known)}")
        return text.split(",")

    return convert


def _counts(text: str) -> list[int]:
    return [int(count) for count in text.split(",")]


def _peers(text: str) -> list[str]:
    """Forms of the named peers that are installed."""
    if text == "none":
        return []
    named = _listed(["torch", "jax", *PEERS])(text)
    chosen = [peer for peer in PEERS if peer in named or peer.partition("-")[0] in named]
    return [peer for peer in chosen if importlib.util.find_spec(peer.partition("-")[0])]


def check(net: str, shoal: Crew, peers: Sequence[Crew]) -> dict[str, float]:
    """Return each peer's largest relative difference from shoal's losses; too large a one ends the run."""
    differences = {}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "reference.npz")
        fell = shoal.one("reference", net=net, members=CHECK_MEMBERS, steps=CHECK_STEPS, path=path)["fell"]
        if not fell > 0:
            raise SystemExit(f"net {net}: shoal's loss did not fall in {CHECK_STEPS} steps, but by {fell}")
        for peer in peers:
            difference = peer.one("check", net=net, path=path)["difference"]
            if not difference <= TOLERANCE:
                raise SystemExit(
                    f"net {net}: {peer.name}'s losses differ from shoal's by {difference:.1e} of their value"
                )
            differences[peer.name] = difference
    note(f"net {net}: losses of {CHECK_STEPS} steps agree within {max(differences.values(), default=0):.0e}")
    return differences


def case(
    net: nets.Net, members: int, shoal: Crew, peers: Sequence[Crew], repeats: int, seconds: float
) -> dict[str, Any]:
    """Time one net at one population size."""
    crews = [shoal, *peers]
    data = {crew.name: crew.build(net.name, members)["data"] for crew in crews}["shoal"]
    steps = {crew.name: crew.warm_up(seconds) for crew in crews}
    speeds: dict[str, list[float]] = {crew.name: [] for crew in crews}  # samples a second
    peaks = []
    for _ in range(repeats):
        for crew in crews:
            speeds[crew.name].append(members * net.batch * steps[crew.name] / crew.seconds())
        peak = shoal.one("peak")
        peaks.append(peak["gflops"])
    gflops = statistics.median(peaks)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    note(f"net {net.name}, {members} members: " + ", ".join(f"{n} {s / 1e3:.0f}k" for n, s in medians.items()))
    return {
        "bench": "train_throughput",
        "case": {"net": net.name, "members": members},
        "unit": "thousand samples/s",
        "better": "higher",
        "metrics": {name: Summary.of([s / 1e3 for s in values]).as_json() for name, values in speeds.items()},
        "ratios": {peer.name: _ratio(speeds["shoal"], speeds[peer.name]) for peer in peers},
        "share_of_peak": {name: round(speed * net.flops / gflops / 1e9, 4) for name, speed in medians.items()},
        "peak": {"gflops": round(gflops, 1), "how": peak["how"]},
        "steps": steps,
        "data": data,
    }


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    return Summary.of([a / b for a, b in zip(ours, theirs, strict=True)]).as_json()


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay the cases out for people: speeds with their share of peak, and shoal's ratio to the best peer."""
    names = list(rows[0]["metrics"])
    lines = ["thousand samples/s (share of peak); ratio to the best peer with quartiles"]
    lines.append(f"{'net':4}{'P':>5}" + "".join(f"{name:>18}" for name in names) + "   best peer")
    for row in rows:
        cells = [f"{row['metrics'][n]['median']:,.0f} ({row['share_of_peak'][n]:.1%})" for n in names]
        head = f"{row['case']['net']:4}{row['case']['members']:>5}"
        lines.append(head + "".join(f"{cell:>18}" for cell in cells) + "   " + _against_best(row))
    return "\n".join(lines)


def _against_best(row: dict[str, Any]) -> str:
    if not row["ratios"]:
        return "-"
    best = max(row["ratios"], key=lambda name: row["metrics"][name]["median"])
    ratio = row["ratios"][best]
    return f"{ratio['median']:.2f} [{ratio['q1']:.2f}, {ratio['q3']:.2f}] x {best}"


if __name__ == "__main__":
    main()
