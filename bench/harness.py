"""Contenders as pinned processes, timed from outside, and what is computed of their times.

A contender is a crew of workers that share its members: shoal one process on all cores, a peer one process a core, each
of one thread; with fewer members than cores a peer may also be one process with a thread for each core, whichever is
faster. On a GPU each is one process, and all share its memory. All stay alive, asleep on their pipes, while another one
runs; so repeats can take turns.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import machine

WORKER = Path(__file__).with_name("worker.py")
LONGEST = 6.0  # seconds of a step of all members; a slower crew gets fewer of them
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}
ON_GPU = {
    "JAX_PLATFORMS": "cuda",  # or it falls back to the processor
    "JAX_TRACEBACK_FILTERING": "off",  # the last line of an error is the error
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "XLA_CLIENT_MEM_FRACTION": "0.2",  # what it has taken it keeps
}
PATIENCE = 5  # seconds until a worker that was told to end is ended


class OutOfMemoryError(RuntimeError):
    """A population has no room beside the others."""


@dataclass(frozen=True)
class Summary:
    """Median and quartiles of n repeats."""

    median: float
    q1: float
    q3: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        if len(values) == 1:
            return cls(values[0], values[0], values[0], 1)
        q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, q1, q3, len(values))

    def as_json(self) -> dict[str, float]:
        return {name: rounded(value) for name, value in asdict(self).items()}


def rounded(value: float) -> float:
    """Four digits: more would be noise."""
    return value if isinstance(value, int) else float(f"{value:.4g}")


class Worker:
    """A process that runs worker.py."""

    def __init__(self, name: str, cpus: Sequence[int]) -> None:
        self.name, self.cpus = name, cpus
        self.versions: dict[str, str] = {}
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=machine.clean_environment(dict(os.environ)) | _environment(cpus),
            preexec_fn=lambda: os.sched_setaffinity(0, cpus),  # before any library counts the cores
        )

    def hello(self) -> dict[str, str]:
        """Wait until it has started, which several may do at the same time; return its versions."""
        self.versions = self.versions or self.answer()
        return self.versions

    def send(self, do: str, **arguments: Any) -> None:
        self.hello()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `answer` tells
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name}: the worker ended with status {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            kind = OutOfMemoryError if answer["out_of_memory"] else RuntimeError
            raise kind(f"{self.name}: {answer['error'].strip()}")
        return answer

    def close(self) -> None:
        try:
            self.process.communicate(timeout=PATIENCE)  # ends its input, and so the worker
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


def _environment(cpus: Sequence[int]) -> dict[str, str]:
    if machine.device() == "cuda":
        return ON_GPU
    return ONE_THREAD if len(cpus) == 1 else {}


@dataclass(frozen=True)
class Load:
    """What a crew does in one turn."""

    members: int  # fewer than were asked for where a step of all took too long, or memory is too small
    steps: int
    cores: int
    seconds: float  # that it took in a trial

    @property
    def speed(self) -> float:
        """Steps of a member a second."""
        return self.members * self.steps / self.seconds


class Crew:
    """A contender: its workers and the members each of them has now."""

    def __init__(self, name: str, cpus: Sequence[int]) -> None:
        self.name, self.cpus = name, cpus
        self._start()

    def _start(self) -> None:
        one = self.name == "shoal" or machine.device() == "cuda"
        self.workers = [Worker(self.name, self.cpus)] if one else [Worker(self.name, [cpu]) for cpu in self.cpus]
        self.team: list[Worker] = []  # one worker on all cores, once there is use for it
        self.busy = self.workers

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in (*self.workers, *self.team):
            worker.close()

    def renew(self) -> None:
        """Start again after a failure, with empty memory."""
        self.__exit__(None, None, None)
        self._start()

    def hello(self) -> dict[str, str]:
        """Wait until all have started; return their versions."""
        versions, *_ = [worker.hello() for worker in self.workers]
        return versions

    def all(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Let every worker with members obey at the same time; return the first one's answer."""
        for worker in self.busy:
            worker.send(do, **arguments)
        return self._answers()

    def _answers(self) -> dict[str, Any]:
        answers = [worker.answer() for worker in self.busy]  # all, before anything new is asked
        return answers[0]

    def one(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Let the first worker obey."""
        self.workers[0].send(do, **arguments)
        return self.workers[0].answer()

    def load(self, net: str, members: int, seconds: float) -> Load:
        """Build a fresh population, ready for turns of about that long; half of it where memory is too small."""
        try:
            return self._fastest(net, members, seconds)
        except OutOfMemoryError:
            if members == 1:
                raise
            self.renew()
            return self.load(net, members // 2, seconds)

    def drop(self) -> None:
        """Free the memory of the last population."""
        for worker in (*self.workers, *self.team):
            worker.send("drop")
            worker.answer()

    def _fastest(self, net: str, members: int, seconds: float) -> Load:
        load, alone = self._load(self.workers, net, members, seconds), self.busy
        if members >= len(self.workers):
            return load
        if not self.team:
            self.team = [Worker(self.name, self.cpus)]
        together = self._load(self.team, net, members, seconds)
        if together.speed > load.speed:
            return together
        self.busy = alone
        return load

    def _load(self, workers: Sequence[Worker], net: str, members: int, seconds: float) -> Load:
        self._share(workers, net, members)
        steps, spent = 1, self._try(1)
        if spent > LONGEST and members > len(workers):
            members = max(len(workers), int(members * LONGEST / spent))
            self._share(workers, net, members)
            spent = self._try(1)
        while spent < seconds / 2:
            steps = min(round(steps * seconds / spent), 50 * steps)
            spent = self._try(steps)
        return Load(members, steps, sum(len(worker.cpus) for worker in self.busy), spent)

    def _share(self, workers: Sequence[Worker], net: str, members: int) -> None:
        """Share a fresh population evenly among the workers."""
        edges = [members * k // len(workers) for k in range(len(workers) + 1)]
        self.busy = []
        for worker, (first, end) in zip(workers, itertools.pairwise(edges), strict=True):
            if end > first:
                worker.send("build", net=net, members=end - first, first=first, of=members)
                self.busy.append(worker)
        self._answers()

    def _try(self, steps: int) -> float:
        self.all("prepare", steps=steps)
        self.seconds()  # compiles
        return self.seconds()

    def seconds(self) -> float:
        """Train what was prepared, once; return the time until the last worker was done."""
        start = time.perf_counter()
        self.all("train")
        return time.perf_counter() - start
