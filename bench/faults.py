"""Does a study over MPI ranks lose anything when processes are killed at random moments?

    python bench/faults.py --seeds 50             # ended by a kill, and resumed on another number of ranks
    python bench/faults.py --seeds 50 --survive   # Open MPI with ULFM: the job must end well by itself

A seed takes one of the test suite's studies. It is killed up to three times, one random rank or all of them, and then
left alone. Afterwards its journal and its weights are compared with those of a run in one process. A supervised study
depends on who is quicker, so there each trial that has inherited nothing is trained again in one process for its curve,
the strategy for its budgets, and the winner for its score; and what the journal said up to its last snapshot before a
kill it must say in the end. One JSON line a study: trials that are lost, results that differ, jobs that hang, jobs that
fail though nobody has killed them (or, with --survive, though they should outlive it). Exit code 1 if there is any.
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
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import machine

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests is beside bench
from tests.manager.toys import read, story
from tests.mpi import studies, supervised
from tests.mpi.ranks import start

from shoal.errors import ShoalError
from shoal.manager.journal import encode, read_journal

KILLS, LIMIT = 3, 60.0  # kills of a study at most; seconds that a job may take
FAULTS = "lost", "differ", "hang", "failed"


class Study(NamedTuple):
    """One of the test suite's, in one of the forms."""

    name: str
    form: str

    def in_one_process(self, directory: Path) -> None:
        """Run it, for the others to be compared with; a supervised one needs no such run."""
        if self.form == "replicated":
            studies.make(self.name, directory).run(progress=False)

    def lost(self, directory: Path, alone: Path) -> int:
        """Count the trials that should be there and are not."""
        if self.form == "replicated":
            expected = set(read(alone / self.name).trials)
        else:
            expected = set(range(supervised.make(self.name, directory).plan.trials))
        return len(expected - set(read(directory / self.name).trials))

    def same(self, directory: Path, alone: Path) -> bool:
        """Whether a study has ended as one in one process would have."""
        if self.form == "replicated":
            return same_story(directory / self.name, alone / self.name)
        try:
            supervised.check(self.name, directory)
        except (AssertionError, ShoalError):
            traceback.print_exc()
            return False
        return True


def same_story(directory: Path, alone: Path) -> bool:
    """Whether all happened alike in two runs: events, and weights of the best."""
    weights = [(each / "best.safetensors").read_bytes() for each in (directory, alone)]
    return story(directory) == story(alone) and weights[0] == weights[1]


NAMES = {
    "replicated": ("pbt", "pbt-async", "genetic", "asha", "pbt-structure", "halving", "trainables"),
    "supervised": ("asha", "pbt", "dehb", "walk", "walk-pbt", "heavy"),
}
STUDIES = [Study(name, form) for form, names in NAMES.items() for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--forms", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--survive", action="store_true", help="kill one rank, and expect the job to go on")
    options = parser.parse_args()
    found = {study: Counter[str]() for study in STUDIES if study.form in options.forms}
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        for study in found:
            study.in_one_process(base / "alone")
        for seed in range(options.seeds):
            study = list(found)[seed % len(found)]
            found[study] += disturb(study, base, seed, options.survive)
    for study, count in found.items():
        line = {
            "bench": "faults",
            "case": {"study": study.name, "form": study.form, "survive": options.survive, "seeds": count["seeds"]},
            "unit": "events",
            "better": "lower",
            "metrics": {each: count[each] for each in FAULTS},
            "kills": count["kills"],
            "machine": machine.describe(),
        }
        print(json.dumps(line), flush=True)
    sys.exit(any(count[each] for count in found.values() for each in FAULTS))


def disturb(study: Study, base: Path, seed: int, survive: bool) -> Counter[str]:
    """Run a study with kills until it has ended; count what went wrong."""
    rng, directory, promised = random.Random(seed), base / str(seed), list[str]()
    count = Counter({"seeds": 1})
    for kills in (1,) if survive else (*(1,) * rng.randint(1, KILLS), 0):
        count += attempt(study, directory, rng, kills, survive, promised)
    if count["hang"] + count["failed"]:
        return count
    count["lost"] += study.lost(directory, base / "alone")
    kept = [encode(line.event) for line in read_journal(directory / study.name)][: len(promised)] == promised
    if not (study.same(directory, base / "alone") and kept):
        count["differ"] += 1
        print(f"seed {seed}: {study} differs", file=sys.stderr)
    return count


def attempt(
    study: Study, directory: Path, rng: random.Random, kills: int, survive: bool, promised: list[str]
) -> Counter[str]:
    """Start a job on some ranks, kill one or all of them at some moment, and wait for its end."""
    ranks, count, where = rng.choice([2, 3, 4]), Counter[str](), directory / study.name
    launcher = ("--with-ft", "ulfm") if survive else ()
    job = start(ranks, "-m", "tests.mpi.losing", directory, study.name, launcher=launcher, FORM=study.form)
    if kills:
        wait(job, lambda: (where / "journal.jsonl").exists())
        pause = time.monotonic() + rng.expovariate(5)
        wait(job, lambda: time.monotonic() > pause)
        promised[:] = promise(where)
        for victim in victims(job.pid, rng, everybody=not survive and rng.random() < 0.3):
            os.kill(victim, signal.SIGKILL)
            count["kills"] = 1
    if not wait(job, lambda: False):
        os.killpg(job.pid, signal.SIGKILL)
        count["hang"] += 1
    _, errors = job.communicate()
    if job.returncode and (survive or not kills):
        count["failed"] += 1
        print(f"{where}: ended with {job.returncode}:\n{errors}", file=sys.stderr)
    return count


def promise(directory: Path) -> list[str]:
    """Return what the journal says up to the last snapshot: no kill may take it back."""
    events = [line.event for line in read_journal(directory)] if (directory / "journal.jsonl").exists() else []
    while events and events[-1]["event"] != "snapshot":
        events.pop()
    return [encode(event) for event in events]


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
