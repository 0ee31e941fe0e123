"""How many samples a second a whole population trains on, with PyTorch and JAX beside it in the same run.

    python bench/train_throughput.py                                  # all nets, each with several numbers of members
    python bench/train_throughput.py --nets b64,c --members 32 --peers jax --out results.jsonl
    python bench/train_throughput.py --device cuda --nets a,b64-128 --precision tf32

First right: from shoal's weights and batches every peer must reach shoal's losses, step by step, without dropout. Then
fast: after a warm-up the contenders take turns, so that a machine that drifts drifts for all; figures are medians of
the repeats with quartiles, ratios are taken turn by turn. The peers' batch orders are drawn before the clock starts,
shoal's while it runs. ``--precision`` is that of shoal's timed products; the check, and the peers, stay at float32. A
contender too slow or too large for all members trains fewer, which its line tells; its speed is per sample. A peer that
fails, or computes something else, is left out of this net; then, or where shoal fails, the run goes on and ends with 1.

One JSON line a case goes to stdout or --out, a table to stderr, also of a run that is interrupted. Real images are used
where SHOAL_DATA has MNIST and CIFAR-10 (a part of it will do).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gpu_limit
import machine
import nets
from harness import Crew, Summary

_TORCH = ["torch-loop", "torch-last", "torch-vmap", "torch-compile", "torch-graphs", "torch-vgraph"]
PEERS = [*_TORCH, "jax-map", "jax-vmap"]
ON_GPU = [1, 32, 256, 1024]  # members
PRECISIONS = ["fp32", "tf32", "bf16", "tf32x3"]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    os.environ |= {machine.DEVICE: options.device, machine.PRECISION: options.precision}
    rows: list[dict[str, Any]] = []
    failures: list[str] = []
    with options.out.open("w") if options.out else contextlib.nullcontext(sys.stdout) as out:
        try:
            for row in measure(options, failures):
                print(json.dumps(row), file=out, flush=True)
                rows.append(row)
        except KeyboardInterrupt:
            failures.append("interrupted")
    print(table(rows), file=sys.stderr)
    if failures:
        raise SystemExit("\n".join(failures))


class Field:
    """shoal and its peers: of those that fail, and why, it is told once, and they are left out of a net."""

    def __init__(self, shoal: Crew, peers: Sequence[Crew], failures: list[str]) -> None:
        self.shoal, self.peers, self.failures = shoal, peers, failures
        self.left_out: dict[str, str] = {}

    def able(self) -> list[Crew]:
        """Return shoal, which is never left out, and the peers that still run."""
        return [self.shoal, *(peer for peer in self.peers if peer.name not in self.left_out)]

    @contextlib.contextmanager
    def without_failures(self, crew: Crew) -> Iterator[None]:
        """Go on without a peer that fails."""
        try:
            yield
        except RuntimeError as error:
            if crew is self.shoal:
                raise
            self.left_out[crew.name] = _last_line(error)
            self.failures.append(f"{crew.name}: {_last_line(error)}")
            note(f"without {crew.name}: {error}")
            crew.renew()


def _last_line(error: RuntimeError) -> str:
    return str(error).splitlines()[-1]


def measure(options: argparse.Namespace, failures: list[str]) -> Iterator[dict[str, Any]]:
    """Go through all cases, past those that fail, which go to ``failures``."""
    about = machine.describe()
    with contextlib.ExitStack() as stack:
        shoal, *peers = [stack.enter_context(Crew(name, machine.cpus())) for name in ("shoal", *options.peers)]
        starting = Field(shoal, peers, failures)
        for crew in starting.able():
            with starting.without_failures(crew):
                about |= crew.hello()
        for name in options.nets:
            field = Field(shoal, starting.able()[1:], failures)
            try:
                for row in race(nets.NETS[name], field, options):
                    yield row | {"machine": about}
            except RuntimeError as error:
                failures.append(f"net {name}: {_last_line(error)}")
                note(f"net {name}: {error}")
                shoal.renew()


def race(net: nets.Net, field: Field, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Check and time one net at every population size."""
    field.left_out |= refusals(net.name, field.peers)
    differences = check(net.name, field)
    for members in options.members or (net.members if options.device == "cpu" else ON_GPU):
        row = case(net, members, field, options.repeats, options.seconds)
        yield row | {"left_out": dict(field.left_out), "check": differences}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", type=_listed(list(nets.NETS)), default=nets.TIMED, help="such as a,b64-128")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of shoal's products on a GPU")
    parser.add_argument("--members", type=_counts, help="population sizes, such as 8,32; by default the net's own")
    parser.add_argument("--peers", type=_peers, default=_peers("torch,jax"), help="torch, jax, their forms, or none")
    parser.add_argument("--repeats", type=int, default=9, help="turns of each contender")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn, about")
    parser.add_argument("--out", type=Path, help="file for the JSON lines")
    options = parser.parse_args(arguments)
    if options.device == "cpu" and options.precision != "fp32":
        parser.error(f"--precision {options.precision}: needs --device cuda")
    return options


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


def refusals(net: str, peers: Sequence[Crew]) -> dict[str, str]:
    """Return why some peers do not train this net."""
    reasons = {peer.name: peer.one("refuses", net=net)["reason"] for peer in peers}
    left_out = {name: reason for name, reason in reasons.items() if reason}
    for name, reason in left_out.items():
        note(f"net {net}: without {name}: {reason}")
    return left_out


def check(net: str, field: Field) -> dict[str, float]:
    """Return each peer's largest relative difference from shoal's losses; with too large a one it is left out."""
    differences = {}
    rule = nets.NETS[net].check
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "reference.npz")
        fell = field.shoal.one("reference", net=net, path=path)["fell"]
        if not fell > 0:
            raise RuntimeError(f"{rule.steps} steps did not lower shoal's loss, but by {fell}")
        for peer in field.able()[1:]:
            with field.without_failures(peer):
                difference = peer.one("check", net=net, path=path)["difference"]
                if not difference <= rule.tolerance:
                    raise RuntimeError(f"net {net}: its losses differ from shoal's by {difference:.1e} of their value")
                differences[peer.name] = difference
    note(f"net {net}: losses of {rule.steps} steps agree within {max(differences.values(), default=0):.0e}")
    return differences


def case(net: nets.Net, members: int, field: Field, repeats: int, seconds: float) -> dict[str, Any]:
    """Time one net at one population size."""
    for crew in field.able():
        crew.drop()
    loads, speeds, peaks = {}, {}, []  # speeds: samples a second
    for crew in field.able():
        with field.without_failures(crew):
            loads[crew.name], speeds[crew.name] = crew.load(net.name, members, seconds), []
        if crew is field.shoal:
            crew.one("peak")  # has its memory on a GPU before the peers take theirs
    for _ in range(repeats):
        for crew in field.able():
            load = loads[crew.name]
            with field.without_failures(crew):
                speeds[crew.name].append(load.members * net.batch * load.steps / crew.seconds())
        peaks.append(field.shoal.one("peak"))
    loads, speeds = ({crew.name: of[crew.name] for crew in field.able()} for of in (loads, speeds))
    peak = {name: statistics.median(each[name] for each in peaks) for name in ("gflops", "gbytes") if name in peaks[0]}
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    precision = {} if machine.precision() == "fp32" else {"precision": machine.precision()}
    note(f"net {net.name}, {members} members: " + ", ".join(f"{n} {s / 1e3:.3g}k" for n, s in medians.items()))
    return {
        "bench": "train_throughput",
        "case": {"net": net.name, "members": members} | precision,
        "device": machine.device(),
        "unit": "thousand samples/s",
        "better": "higher",
        "metrics": {name: Summary.of([s / 1e3 for s in values]).as_json() for name, values in speeds.items()},
        "ratios": {name: _ratio(speeds["shoal"], theirs) for name, theirs in speeds.items() if name != "shoal"},
        "share_of_peak": {name: round(speed * net.flops / peak["gflops"] / 1e9, 4) for name, speed in medians.items()},
        "peak": {name: round(figure, 1) for name, figure in peak.items()} | {"how": peaks[0]["how"]},
        **(_limit(net, peak, medians) if machine.device() == "cuda" else {}),
        "steps": {name: load.steps for name, load in loads.items()},
        "cores": {name: load.cores for name, load in loads.items()},
        "fewer_members": {name: load.members for name, load in loads.items() if load.members < members},
        "data": field.shoal.one("data")["name"],
    }


def _limit(net: nets.Net, peak: Mapping[str, float], speeds: Mapping[str, float]) -> dict[str, Any]:
    most, binding = gpu_limit.limit(net, gpu_limit.Ceilings(peak["gflops"] * 1e9, peak["gbytes"] * 1e9))
    return {
        "limit": {"thousand_samples_per_s": round(most / 1e3, 1), "bound": binding},
        "share_of_limit": {name: round(speed / most, 4) for name, speed in speeds.items()},
    }


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    return Summary.of([a / b for a, b in zip(ours, theirs, strict=True)]).as_json()


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay the cases out for people: speeds with their share of what is possible, and shoal's ratio to the best peer."""
    names = list(dict.fromkeys(name for row in rows for name in row["metrics"]))
    lines = ["thousand samples/s (share of peak, of a GPU's limit); ratio to the best peer with quartiles"]
    lines.append(f"{'net':12}{'P':>5}" + "".join(f"{name:>18}" for name in names) + "   best peer")
    for row in rows:
        cells = [_cell(row, name) for name in names]
        head = f"{row['case']['net']:12}{row['case']['members']:>5}"
        lines.append(head + "".join(f"{cell:>18}" for cell in cells) + "   " + _against_best(row))
    return "\n".join(lines)


def _cell(row: dict[str, Any], name: str) -> str:
    if name not in row["metrics"]:
        return "-"
    speed = row["metrics"][name]["median"]
    share = row.get("share_of_limit", row["share_of_peak"])[name]
    return f"{speed:,.{0 if speed >= 100 else 2}f} ({share:.1%})"


def _against_best(row: dict[str, Any]) -> str:
    if not row["ratios"]:
        return "-"
    best = max(row["ratios"], key=lambda name: row["metrics"][name]["median"])
    ratio = row["ratios"][best]
    return f"{ratio['median']:.2f} [{ratio['q1']:.2f}, {ratio['q3']:.2f}] x {best}"


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with it ignored
    main()
