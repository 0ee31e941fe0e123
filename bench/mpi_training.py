"""The training that the peers of mpi_peers.py search with: a net in PyTorch, one thread, an epoch at a time.

Every epoch leaves a byte in the folder ``count`` of the case, so what is counted is what was trained, whoever began it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch_model
from nets import NETS, draw_weights
from torch.nn.functional import cross_entropy


class Training:
    """A network in training; its first ``samples`` train it, a quarter as many behind them tell its loss."""

    def __init__(self, case: Mapping[str, Any], lr: float, momentum: float) -> None:
        torch.set_num_threads(1)
        net, count, self.case = NETS[case["net"]], case["samples"], case
        data, self.batch = net.load(), net.batch
        self.x = torch.from_numpy(data.x[: count + count // 4]) * torch.tensor(data.scale or 1)
        self.y = torch.from_numpy(data.y[: count + count // 4].astype(np.int64))
        self.model = torch_model.sequential(net.ops, {name: each[0] for name, each in draw_weights(net, 1).items()})
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr, momentum)

    def epoch(self) -> None:
        """Train on each sample once."""
        for index in torch.randperm(self.case["samples"]).split(self.batch):
            self.optimizer.zero_grad()
            cross_entropy(self.model(self.x[index]), self.y[index]).backward()
            self.optimizer.step()
        with (Path(self.case["count"]) / str(os.getpid())).open("ab") as file:
            file.write(b".")

    def loss(self) -> float:
        """Of the samples that it has not seen."""
        with torch.no_grad():
            unseen = slice(self.case["samples"], None)
            loss = float(cross_entropy(self.model(self.x[unseen]), self.y[unseen]))
        return loss if math.isfinite(loss) else 1e9


def trained(case: Mapping[str, Any], lr: float, momentum: float) -> float:
    """Return the loss of a whole training."""
    training = Training(case, lr, momentum)
    for _ in range(case["epochs"]):
        training.epoch()
    return training.loss()


def gain(job: Any, case: Mapping[str, Any]) -> float:
    """Return the negative of that, for DeepHyper's job: it maximises."""
    return -trained(case, job.parameters["lr"], job.parameters["momentum"])
