"""One process of a contender: it obeys orders from the benchmark, one JSON object a line, on the cores it is pinned to.

    python worker.py CONTENDER

Orders: {"do": "build", "net", "members", "first", "of"}, {"do": "prepare", "steps"}, {"do": "train"}, {"do": "drop"},
{"do": "data"}, {"do": "peak"}; shoal also {"do": "reference", "net", "path"}, its peers {"do": "refuses", "net"} and
{"do": "check", "net", "path"}.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
import traceback
from typing import Any, Protocol

import machine
import nets
import numpy as np
from samples import Floats, Ints

MODULES = {"shoal": "contender_shoal", "torch": "peers_torch", "jax": "peers_jax"}


class Contender(Protocol):
    """Members that train."""

    draws_itself: bool  # weights and batches, so that none are drawn for it

    def prepare(self, order: Ints) -> None:
        """Take the batches that every ``train`` from now on goes through."""

    def train(self) -> Floats:
        """Train all members; return losses, (P, steps) or means of more steps, once all work is done."""


class Worker:
    """The orders, as methods."""

    def __init__(self, name: str) -> None:
        module = importlib.import_module(MODULES[name.partition("-")[0]])
        self.form = module.FORMS[name]
        self.versions: dict[str, str] = module.VERSIONS | {"numpy": np.__version__}
        self.contender: Any = None

    def hello(self) -> dict[str, Any]:
        return self.versions

    def refuses(self, net: str) -> dict[str, Any]:
        """Tell why this form does not train the net; empty if it does."""
        return {"reason": self.form.refuses(nets.NETS[net])}

    def make(self, net: nets.Net, weights: nets.Weights, rates: Floats) -> Contender:
        self.drop()
        contender: Contender = self.form(net, net.load(), weights, rates)
        return contender

    def build(self, net: str, members: int, first: int, of: int) -> dict[str, Any]:
        """Make members ``first`` to ``first + members`` of a population of ``of``."""
        self.net, self.members, self.first = nets.NETS[net], members, first
        rates = self.net.learning_rates(of)[first : first + members]
        weights = {} if self.form.draws_itself else nets.draw_weights(self.net, members, first)
        self.contender = self.make(self.net, weights, rates)
        return {}

    def drop(self) -> dict[str, Any]:
        """Free the memory of the last population: on a GPU it is needed for others'."""
        self.contender = None
        gc.collect()
        if "torch" in sys.modules:
            sys.modules["torch"].cuda.empty_cache()
        return {}

    def data(self) -> dict[str, Any]:
        return {"name": self.net.load().name}

    def prepare(self, steps: int) -> dict[str, Any]:
        if self.form.draws_itself:
            order = np.empty((self.members, steps, 0), np.int32)
        else:
            order = nets.draw_order(self.net, len(self.net.load().x), self.members, steps, self.first)
        self.contender.prepare(order)
        return {}

    def train(self) -> dict[str, Any]:
        losses = self.contender.train()
        if not np.isfinite(losses).all():
            raise ValueError("a member diverged: its time would mean nothing")
        return {"loss": float(losses.mean())}

    def peak(self) -> dict[str, Any]:
        gflops, how = machine.peak_gflops(len(machine.cpus()))
        carried = {"gbytes": machine.carried_gbytes()} if machine.device() == "cuda" else {}
        return {"gflops": gflops, "how": how, **carried}

    def reference(self, net: str, path: str) -> dict[str, Any]:
        from contender_shoal import reference

        known = reference(nets.NETS[net], nets.NETS[net].load())
        np.savez(path, allow_pickle=False, **known)
        return {"fell": float((known["untrained"] - known["losses"])[:, -1].mean())}

    def check(self, net: str, path: str) -> dict[str, Any]:
        """Repeat the reference run; return the largest difference in loss, relative to the loss."""
        with np.load(path) as archive:
            known = dict(archive)
        losses, order, rates, _ = (known.pop(name) for name in ("losses", "order", "rates", "untrained"))
        self.contender = self.make(nets.NETS[net].checked(), known, rates)
        self.contender.prepare(order)
        return {"difference": float(np.abs(self.contender.train() / losses - 1).max())}


def out_of_memory(error: Exception) -> bool:
    """Each library has words of its own for it."""
    words = ("out of memory", "RESOURCE_EXHAUSTED", "ALLOC_FAILED")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


def main() -> None:
    # The frameworks may print what they like: it goes to stderr, answers go to where stdout was.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it will end it
    os.dup2(2, 1)
    worker = Worker(sys.argv[1])
    print(json.dumps(worker.hello()), file=answers)
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = getattr(worker, order.pop("do"))(**order)
        except Exception as error:
            answer = {"error": traceback.format_exc(), "out_of_memory": out_of_memory(error)}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
