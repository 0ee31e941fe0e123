"""What a population costs in memory, against what it must hold: weights, optimiser state and data.

    python bench/memory.py [--net b64] [--members 1000]
    python bench/memory.py --net d --members 32

The peak of resident memory while members are made and take some steps, so that buffers for batches, activations and
threads are counted; what Python and NumPy take is measured before. Ends with status 1 above the net's bound.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import math
import sys
from pathlib import Path

import contender_shoal
import machine
import nets

BOUNDS = {"b64": 1.2, "d": 1.3}  # of the peak over state and data


def resident(what: str) -> int:
    """Bytes of this process in memory: now (VmRSS), or at most since ``forget_peak`` (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status does not tell {what}")


def forget_peak() -> None:
    """Give back what is free but kept, and let VmHWM begin anew."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def state_bytes(net: nets.Net) -> int:
    """Of one member: its weights with momentum or two moments, and what it keeps of the batches."""
    arrays = 3 if net.optimizer == "adam" else 2
    return 4 * (arrays * net.parameters + sum(math.prod(shape) for shape in net.running.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", choices=list(nets.NETS), default="b64")
    parser.add_argument("--members", type=int, default=1000)
    options = parser.parse_args()
    net = nets.NETS[options.net]
    data = contender_shoal.dataset(net, net.load())
    data_bytes = data.x.nbytes + data.y.nbytes

    forget_peak()
    before = resident("VmRSS") - data_bytes
    population = contender_shoal.population(net, net.learning_rates(options.members))
    population.train(data, steps=2)
    peak = resident("VmHWM") - before

    state = options.members * state_bytes(net)
    bound = BOUNDS.get(net.name, math.inf)
    ratio = peak / (state + data_bytes)
    blocks = sum(len(population.state(p)) for p in range(options.members)) / state
    row = {
        "bench": "memory",
        "case": {"net": net.name, "members": options.members},
        "unit": "times state and data",
        "better": "lower",
        "metrics": {
            "peak": {"median": round(ratio, 4)},
            "blocks": {"median": round(blocks, 4)},  # over state: padded rows, counters
        },
        "state_mb": round(state / 1e6, 1),
        "data_mb": round(data_bytes / 1e6, 1),
        "bound": BOUNDS.get(net.name),
        "machine": machine.describe() | contender_shoal.VERSIONS,
    }
    print(json.dumps(row))
    print(
        f"net {net.name}, {options.members} members: at most {peak / 1e6:.0f} MB resident for {state / 1e6:.0f} MB of "
        f"state and {data_bytes / 1e6:.0f} MB of data, {ratio:.3f} times (bound {bound}); "
        f"the members' blocks are {blocks:.3f} times their state",
        file=sys.stderr,
    )
    sys.exit(not ratio <= bound)


if __name__ == "__main__":
    main()
