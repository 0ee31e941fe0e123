"""How many samples a second a GPU could train on at most, by what a step computes and by what it carries.

    python bench/gpu_limit.py --gflops 60000 --gbytes 5500        # all nets on a GPU of these ceilings
    python bench/gpu_limit.py --gflops 495000 --gbytes 3350 --precision tf32 --memory HBM --how "data sheet"

A step computes the products of its net. It carries, between the multiprocessors and the memory that they share (mostly
L2), each tensor of a batch at least as often as an op writes or reads it: what comes into a product is written once and
read twice, forward and for the gradient of the weights; the gradient of what comes out is written once and read twice,
in the first product once, as nothing goes on to the data. Weights are read in these products, and once more, with the
optimiser's numbers, to be written; none of that counts where a member fits into one multiprocessor's shared memory. A
tiny network is there with its tensors too, so that only its samples are carried.
What lies between products costs nothing here, nor do waits, so that the limit is beyond reach, the more so for few and
small members. With the ceiling of the GPU's own memory it is what it would be if nothing stayed in L2.
`train_throughput.py --device cuda` gives its speeds as shares of the limit, with ceilings measured in the run.

Nothing is measured here: one JSON line a net, which says where the ceilings are from.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import lines
import machine
import nets

ON_CHIP = 227 * 1024  # bytes of shared memory that a block may have, from compute capability 9.0
TINY = 2048  # weights, of dense layers alone


class Ceilings(NamedTuple):
    """What a GPU does at best."""

    flops: float  # a second
    bytes: float  # a second, between multiprocessors and L2


def limit(net: nets.Net, ceilings: Ceilings) -> tuple[float, str]:
    """Return samples a second, and which ceiling it is that binds."""
    by = {"flops": net.flops / ceilings.flops, "bytes": carried(net) / net.batch / ceilings.bytes}
    binding = max(by, key=lambda name: by[name])
    return 1 / by[binding], binding


def carried(net: nets.Net) -> int:
    """Return the bytes that a step of one member carries at least."""
    if net.parameters <= TINY and not net.convolutional:
        return 4 * net.batch * math.prod(net.shape)
    slots = 2 if net.optimizer == "adam" else 1
    fits = 4 * net.parameters * (1 + slots) <= ON_CHIP
    floats = 0
    for i, op in enumerate(net.products):
        weights = sum(math.prod(shape) for shape in op.weights.values())
        back = i > 0  # a gradient goes on to the op before
        if not fits:
            floats += weights * (1 + back + 2 * (1 + slots))
        floats += net.batch * (3 * math.prod(op.inputs) + (2 + back) * math.prod(op.outputs))
    return 4 * floats


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gflops", type=float, required=True, help="of products, at the precision that is used")
    parser.add_argument("--gbytes", type=float, required=True, help="a second, between multiprocessors and L2")
    parser.add_argument("--precision", default="fp32", help="the one that --gflops is of")
    parser.add_argument("--memory", default="L2", help="the one that --gbytes is of")
    parser.add_argument("--how", default="given", help="where the ceilings are from")
    parser.add_argument("--out", type=Path, help="file for the JSON lines, added behind what it has")
    options = parser.parse_args(arguments)
    ceilings = Ceilings(options.gflops * 1e9, options.gbytes * 1e9)
    about = {"commit": machine.describe()["commit"]}  # no other machine takes part
    note(f"{'net':14}{'MFLOP a sample':>16}{'kB a sample':>14}{'million samples/s':>20}  bound by")
    for name, net in nets.NETS.items():
        most, binding = limit(net, ceilings)
        bytes_a_sample = carried(net) / net.batch
        note(f"{name:14}{net.flops / 1e6:>16.3g}{bytes_a_sample / 1e3:>14.3g}{most / 1e6:>20.3g}  {binding}")
        row = {
            "bench": "gpu_limit",
            "case": {"net": name, "precision": options.precision, "memory": options.memory},
            "limit": {"thousand_samples_per_s": round(most / 1e3, 1), "bound": binding},
            "a_sample": {"flops": net.flops, "bytes": round(bytes_a_sample)},
            "peak": {"gflops": options.gflops, "gbytes": options.gbytes, "how": options.how},
            "machine": about,
        }
        lines.put(row, options.out)


def note(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
