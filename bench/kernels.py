"""How near to the machine's peak every product of the nets comes on one core, with PyTorch's (oneDNN) beside it.

    python bench/kernels.py                               # builds the core's side, kernels.cpp, into build/bench
    python bench/kernels.py --nets c,d --repeats 9 --out kernels.jsonl

The products of dense layers and convolutions: forward, backward by data, backward by weights, each on a batch of its
net. Both sides take turns on one core. shoal's times are of the kernels as the engine runs them: a convolution's with
bias, ReLU and the packing of its weights, a dense layer's weight gradient with the optimiser step. PyTorch's are of the
product alone, in the better of its layouts, contiguous and channels_last.

One JSON line a product goes to stdout or --out, a table to stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import machine
import nets
from harness import Summary
from shapes import Op

REPOSITORY = Path(__file__).parents[1]
PASSES = ("forward", "backward_data", "backward_weights")
SLICE = 16  # samples that the engine sends through a net with images at a time


@dataclass
class Product:
    """A product of one shape, and the layers that are of it."""

    op: Op
    batch: int
    slice: int
    passes: tuple[str, ...]
    layers: list[str] = field(default_factory=list)

    @property
    def numbers(self) -> tuple[int, ...]:
        """All that its time may depend on, in the order in which kernels.cpp reads them."""
        op, window = self.op, self.op.window
        if window is None:
            return (self.batch, self.slice, op.inputs_of_output, op.outputs[-1])
        before = (window.padding[0][0], window.padding[1][0])
        return (self.batch, self.slice, *op.inputs, *op.outputs, *window.kernel, *window.stride, *before)

    @property
    def kind(self) -> str:
        return "dense" if self.op.window is None else "conv"

    @property
    def text(self) -> str:
        """Such as "128 x 32x32x3 -> 32x32x32, 3x3 / 1"."""
        op = self.op
        if op.window is None:
            return f"{self.batch} x {op.inputs_of_output} -> {op.outputs[-1]}"
        x, y, kernel = ("x".join(map(str, sizes)) for sizes in (op.inputs, op.outputs, op.window.kernel))
        return f"{self.batch} x {x} -> {y}, {kernel} / {op.window.stride[0]}"


def products(chosen: Iterable[nets.Net]) -> list[Product]:
    """Return the products of these nets, each shape once."""
    found: dict[tuple[int, ...], Product] = {}
    for net in chosen:
        for i, op in enumerate(net.products):
            # Nobody wants the gradient by the net's input.
            product = Product(op, net.batch, SLICE if net.convolutional else net.batch, PASSES if i else PASSES[::2])
            known = found.setdefault(product.numbers, product)
            known.passes = max(known.passes, product.passes, key=len)
            known.layers.append(f"{net.name} {op.name}")
    return list(found.values())


class Shoal:
    """kernels.cpp in a process of its own."""

    def __init__(self, program: Path) -> None:
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Shoal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def ask(self, *words: object) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def seconds(self, product: Product, what: str) -> float:
        return float(self.ask(product.kind, what, *product.numbers)["seconds"])


def seconds_of(call: Callable[[], object]) -> float:
    """Time a call as kernels.cpp does."""
    call()
    runs, start, spent = 0, time.perf_counter(), 0.0
    while spent < 0.05:
        call()
        runs += 1
        spent = time.perf_counter() - start
    return spent / runs


def torch_ways(product: Product) -> dict[str, dict[str, Callable[[], object]]]:
    """Return PyTorch's ways to compute the same: layout, pass, function."""
    import kernels_torch  # not where the core is timed alone

    return kernels_torch.ways(product.op, product.batch)


def measure(product: Product, shoal: Shoal, repeats: int, with_torch: bool) -> list[dict[str, Any]]:
    """Return a row of figures for each pass."""
    ways = torch_ways(product) if with_torch else {}
    flops = product.batch * product.op.flops
    rows = []
    for what in product.passes:
        speeds: dict[str, list[float]] = {name: [] for name in ("shoal", *ways)}  # GFLOP/s
        peaks = []
        for _ in range(repeats):
            speeds["shoal"].append(flops / shoal.seconds(product, what) / 1e9)
            for layout, passes in ways.items():
                speeds[layout].append(flops / seconds_of(passes[what]) / 1e9)
            peaks.append(shoal.ask("peak")["gflops"])
        rows.append(row(product, what, speeds, statistics.median(peaks)))
    return rows


def row(product: Product, what: str, speeds: dict[str, list[float]], peak: float) -> dict[str, Any]:
    ours = speeds.pop("shoal")
    figures, ratios, layout = {"shoal": ours}, {}, None
    if speeds:
        layout = max(speeds, key=lambda name: statistics.median(speeds[name]))
        figures["torch"] = speeds[layout]
        ratios["torch"] = Summary.of([a / b for a, b in zip(ours, speeds[layout], strict=True)]).as_json()
    return {
        "bench": "kernels",
        "case": {"kernel": f"{product.kind}_{what}", "shape": product.text},
        "unit": "GFLOP/s",
        "better": "higher",
        "metrics": {name: Summary.of(values).as_json() for name, values in figures.items()},
        "ratios": ratios,
        "share_of_peak": {name: round(statistics.median(values) / peak, 4) for name, values in figures.items()},
        "peak": {"gflops": round(peak, 1), "how": "fma"},
        "torch_layout": layout,
        "layers": product.layers,
    }


def build() -> Path:
    """Compile the core's side; return the program."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    cmake = shutil.which("cmake", path=path)
    if cmake is None:
        raise SystemExit("cmake is not installed (pip install cmake)")
    folder = REPOSITORY / "build" / "bench"
    for arguments in (["-S", str(REPOSITORY), "-B", str(folder), "-DSHOAL_BENCH=ON"], ["--build", str(folder)]):
        subprocess.run([cmake, *arguments], check=True, stdout=sys.stderr)
    return folder / "shoal_kernels"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay the products out for people: share of peak of both sides, and their ratio."""
    lines = [f"{'shape':44}{'pass':18}{'shoal':>8}{'torch':>8}{'ratio':>7}  layers"]
    for row in rows:
        share, ratio = row["share_of_peak"], row["ratios"].get("torch", {"median": float("nan")})["median"]
        kind, _, what = row["case"]["kernel"].partition("_")
        lines.append(
            f"{kind + ' ' + row['case']['shape']:44}{what:18}{share['shoal']:>8.1%}"
            f"{share.get('torch', float('nan')):>8.1%}{ratio:>7.2f}  {_layers(row['layers'])}"
        )
    return "\n".join(lines)


def _layers(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} ... {names[-1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", default="a,b,b64,c,d,resnet20,resnet20-128", help="such as c,d")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each side")
    parser.add_argument("--program", type=Path, help="shoal_kernels, where it is built already")
    parser.add_argument("--without-torch", action="store_true", help="the core alone")
    parser.add_argument("--out", type=Path, help="file for the JSON lines")
    options = parser.parse_args()
    chosen = [nets.NETS[name] for name in options.nets.split(",")]
    program = options.program or build()
    os.sched_setaffinity(0, machine.cpus()[:1])
    about = machine.describe()
    rows = []
    with contextlib.ExitStack() as stack:
        shoal = stack.enter_context(Shoal(program))
        about["isa"] = shoal.ask("peak")["isa"]
        if not options.without_torch:
            about["torch"] = version("torch")
        out = stack.enter_context(options.out.open("w")) if options.out else sys.stdout
        for product in products(chosen):
            for row in measure(product, shoal, options.repeats, not options.without_torch):
                rows.append(row | {"machine": about})
                print(json.dumps(rows[-1]), file=out, flush=True)
    print(table(rows), file=sys.stderr)


if __name__ == "__main__":
    main()
