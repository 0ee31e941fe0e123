"""Does a study over MPI ranks lose anything when processes are killed at random moments?

    python bench/faults.py --seeds 50             # ended by a kill, and resumed on another number of ranks
    python bench/faults.py --seeds 50 --survive   # Open MPI with ULFM: the job must end well by itself

A seed takes one of the test suite's studies. It is killed up to three times, one random rank or all of them, and then
left alone; afterwards its journal and its weights are compared with those of a run in one process. One JSON line a
study: trials that are lost, results that differ, jobs that hang, jobs that fail though nobody has killed them (or, with
--survive, though they should outlive it). Exit code 1 if there is any of these.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import machine

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests is beside bench
from tests.manager.toys import read, story
from tests.mpi.ranks import start
from tests.mpi.studies import make

KILLS, LIMIT = 3, 60.0  # kills of a study at most; seconds that a job may take
FAULTS = "lost", "differ", "hang", "failed"


def same_story(directory: Path, alone: Path) -> bool:
    """Whether all happened alike in two runs: events, and weights of the best."""
    weights = [(each / "best.safetensors").read_bytes() for each in (directory, alone)]
    return story(directory) == story(alone) and weights[0] == weights[1]


# How each study is compared; one whose decisions depend on timing would have a rule of its own.
COMPARE: dict[str, Callable[[Path, Path], bool]] = dict.fromkeys(
    ("pbt", "pbt-async", "genetic", "asha", "pbt-structure", "halving", "trainables"), same_story
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--studies", nargs="+", choices=COMPARE, default=list(COMPARE))
    parser.add_argument("--survive", action="store_true", help="kill one rank, and expect the job to go on")
    options = parser.parse_args()
    found = {name: Counter[str]() for name in options.studies}
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        for name in options.studies:
            make(name, base / "alone").run(progress=False)
        for seed in range(options.seeds):
            name = options.studies[seed % len(options.studies)]
            found[name] += disturb(name, base, seed, options.survive)
    for name, count in found.items():
        line = {
            "bench": "faults",
            "case": {"study": name, "survive": options.survive, "seeds": count["seeds"]},
            "unit": "events",
            "better": "lower",
            "metrics": {each: count[each] for each in FAULTS},
            "kills": count["kills"],
            "machine": machine.describe(),
        }
        print(json.dumps(line), flush=True)
    sys.exit(any(count[each] for count in found.values() for each in FAULTS))


def disturb(name: str, base: Path, seed: int, survive: bool) -> Counter[str]:
    """Run a study with kills until it has ended; count what went wrong."""
    rng, directory, alone = random.Random(seed), base / str(seed) / name, base / "alone" / name
    count = Counter({"seeds": 1})
    for kills in (1,) if survive else (*(1,) * rng.randint(1, KILLS), 0):
        count += attempt(name, directory, rng, kills, survive)
    if count["hang"] + count["failed"]:
        return count
    trials = [set(read(each).trials) for each in (directory, alone)]
    count["lost"] += len(trials[1] - trials[0])
    count["differ"] += not COMPARE[name](directory, alone)
    if count["differ"]:
        print(f"seed {seed}: {name} differs", file=sys.stderr)
    return count


def attempt(name: str, directory: Path, rng: random.Random, kills: int, survive: bool) -> Counter[str]:
    """Start a job on some ranks, kill one or all of them at some moment, and wait for its end."""
    ranks, count = rng.choice([2, 3, 4]), Counter[str]()
    launcher = ("--with-ft", "ulfm") if survive else ()
    job = start(ranks, "-m", "tests.mpi.losing", directory.parent, name, launcher=launcher)
    if kills:
        wait(job, lambda: (directory / "journal.jsonl").exists())
        pause = time.monotonic() + rng.expovariate(5)
        wait(job, lambda: time.monotonic() > pause)
        for victim in victims(job.pid, rng, everybody=not survive and rng.random() < 0.3):
            os.kill(victim, signal.SIGKILL)
            count["kills"] = 1
    if not wait(job, lambda: False):
        os.killpg(job.pid, signal.SIGKILL)
        count["hang"] += 1
    _, errors = job.communicate()
    if job.returncode and (survive or not kills):
        count["failed"] += 1
        print(f"{directory}: ended with {job.returncode}:\n{errors}", file=sys.stderr)
    return count


def wait(job: subprocess.Popen[str], condition: Callable[[], bool]) -> bool:
    """Wait for a condition or the job's end; false after the time limit. The time of a stop of ours does not count."""
    for _ in range(int(LIMIT / 0.01)):
        if condition() or job.poll() is not None:
            return True
        time.sleep(0.01)
    return False


def victims(launcher: int, rng: random.Random, everybody: bool) -> list[int]:
    """Return one of the ranks of a job, or all: those of the launcher's descendants that have no children."""
    children: dict[int, list[int]] = {}
    for line in subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True).stdout.splitlines():
        pid, parent = map(int, line.split())
        children.setdefault(parent, []).append(pid)
    found, left = [], [launcher]
    while left:
        process = left.pop()
        left += children.get(process, [])
        if process not in children and process != launcher:
            found.append(process)
    return found if everybody or not found else [rng.choice(sorted(found))]


if __name__ == "__main__":
    main()
