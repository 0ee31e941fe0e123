"""What a thousand members cost in memory, against what they must hold: weights and momentum, as plain float32.

    python bench/memory.py [--net b64] [--members 1000]

Resident memory is read after a step of training, so that buffers for batches, activations and threads are counted; what
Python, NumPy and the data take is measured before, with a population of one. Ends with status 1 above the bound.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import contender_shoal
import machine
import nets

BOUND = 1.2  # resident growth over state


def resident() -> int:
    """Bytes of this process in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return 1024 * int(line.split()[1])
    raise OSError("/proc/self/status does not tell VmRSS")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", choices=list(nets.NETS), default="b64")
    parser.add_argument("--members", type=int, default=1000)
    options = parser.parse_args()
    net = nets.NETS[options.net]
    data = contender_shoal.dataset(net, nets.load(net))

    contender_shoal.population(net, net.learning_rates(1)).train(data, steps=1)  # starts the threads
    before = resident()
    population = contender_shoal.population(net, net.learning_rates(options.members))
    population.train(data, steps=1)
    growth = resident() - before

    arrays = 3 if net.optimizer == "adam" else 2  # weights and momentum, or two moments
    state = options.members * 4 * arrays * net.parameters
    blocks = sum(len(population.state(p)) for p in range(options.members))
    row = {
        "bench": "memory",
        "case": {"net": net.name, "members": options.members},
        "unit": "times the state",
        "better": "lower",
        "metrics": {
            "resident": {"median": round(growth / state, 4)},
            "blocks": {"median": round(blocks / state, 4)},  # as the population lays them out: padded rows, counters
        },
        "state_mb": round(state / 1e6, 1),
        "bound": BOUND,
        "machine": machine.describe() | contender_shoal.VERSIONS,
    }
    print(json.dumps(row))
    print(
        f"net {net.name}, {options.members} members: {growth / 1e6:.0f} MB resident for {state / 1e6:.0f} MB of state, "
        f"{growth / state:.3f} times (bound {BOUND}); their blocks alone {blocks / state:.3f} times",
        file=sys.stderr,
    )
    sys.exit(growth > BOUND * state)


if __name__ == "__main__":
    main()
