"""Where the time of a training step goes: each function's share of the time in the core, sampled by Linux perf.

    python bench/profile_step.py --net b --members 32

One thread, so that waiting does not hide work. Needs ``perf`` and a core that was not stripped.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import machine
import nets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", choices=list(nets.NETS), default="b")
    parser.add_argument("--members", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        train(nets.NETS[options.net], options.members, options.seconds)
    else:
        sample()


def train(net: nets.Net, members: int, seconds: float) -> None:
    """Train on one core for about that long."""
    import time

    import contender_shoal

    os.sched_setaffinity(0, machine.cpus()[:1])
    population = contender_shoal.population(net, net.learning_rates(members))
    data = contender_shoal.dataset(net, net.load())
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        population.train(data, steps=1 if net.convolutional else 100)


def core() -> str:
    """Return the file name of the native module."""
    spec = importlib.util.find_spec("shoal._core")
    if spec is None or spec.origin is None:
        raise SystemExit("shoal is not installed")
    return Path(spec.origin).name


def sample() -> None:
    """Run this script once more under perf and print what it saw in the core."""
    if shutil.which("perf") is None:
        raise SystemExit("perf is not installed (Debian: linux-perf)")
    with tempfile.TemporaryDirectory() as folder:
        record = str(Path(folder) / "perf.data")
        child = [sys.executable, *sys.argv, "--child"]
        # The clock, not cycles: virtual machines seldom have hardware counters.
        command = ["perf", "record", "--quiet", "--event=cpu-clock", "--freq=2000", f"--output={record}", "--", *child]
        subprocess.run(command, check=True, env=machine.clean_environment(dict(os.environ)))
        report = ["perf", "report", f"--input={record}", "--stdio", f"--dsos={core()}", "--percentage=relative"]
        found = subprocess.run([*report, "--fields=overhead,symbol"], check=True, capture_output=True, text=True).stdout
    functions = [line[:120] for line in found.splitlines() if "[.]" in line]
    print("\n".join(functions[:20]))


if __name__ == "__main__":
    main()
