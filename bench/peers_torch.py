"""PyTorch's forms of the same training. Each is the fastest found by trial among the ways to write it:

Loop     members one after another: nn.Sequential, autograd, a fused optimiser (plain user code)
Vmap     all members at once: torch.func.vmap over the gradient of one
Compile  members one after another: the whole step, gather to update, compiled by inductor (needs a C++ compiler)

Found by trial: data kept as float32, or gathering several batches at once, is not faster than this gather from uint8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nets
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": functional.cross_entropy,
    "mse": functional.mse_loss,
}
MODULES: dict[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {"sigmoid": torch.sigmoid, "tanh": torch.tanh}


class _Torch:
    """The data as tensors, and the order of batches to train on."""

    def __init__(self, net: nets.Net, data: nets.Data, rates: nets.Floats) -> None:
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)
        self.net, self.rates = net, rates
        self.loss = LOSSES[net.loss]
        self.x = torch.from_numpy(data.x)
        self.y = torch.from_numpy(data.y if net.loss == "mse" else data.y.astype(np.int64))
        self.scale = data.scale

    def prepare(self, order: nets.Ints) -> None:
        self.order = torch.from_numpy(order.astype(np.int64))

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (n, features) as float32 and labels or targets of the samples in ``index`` (n,)."""
        x = self.x.index_select(0, index)
        if self.scale is not None:
            x = x.float().mul_(self.scale)
        return x, self.y.index_select(0, index)


class Loop(_Torch):
    """A loop over members, each trained as any PyTorch user would."""

    def __init__(self, net: nets.Net, data: nets.Data, weights: nets.Weights, rates: nets.Floats) -> None:
        super().__init__(net, data, rates)
        self.models = [self._model([(w[p], b[p]) for w, b in weights]) for p in range(len(rates))]
        self.optimizers = [self._optimizer(model, float(rate)) for model, rate in zip(self.models, rates, strict=True)]

    def _model(self, weights: nets.Weights) -> nn.Sequential:
        layers: list[nn.Module] = []
        for weight, bias in weights:
            dense = nn.Linear(weight.shape[1], weight.shape[0])
            dense.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
            layers += [dense, MODULES[self.net.activation]()]
        return nn.Sequential(*layers[:-1])

    def _optimizer(self, model: nn.Module, rate: float) -> torch.optim.Optimizer:
        if self.net.optimizer == "adam":
            betas = (nets.BETA1, nets.BETA2)
            return torch.optim.Adam(model.parameters(), lr=rate, betas=betas, eps=nets.EPSILON, fused=True)
        return torch.optim.SGD(model.parameters(), lr=rate, momentum=nets.MOMENTUM, fused=True)

    def train(self) -> nets.Floats:
        losses = []
        for model, optimizer, order in zip(self.models, self.optimizers, self.order, strict=True):
            for index in order.unbind():
                x, y = self.batch(index)
                loss = self.loss(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
        return torch.stack(losses).view(len(self.models), -1).numpy()


class _Functional(_Torch):
    """Parameters as a flat list of tensors, [weight, bias, weight, bias, ...], and the step as functions of it."""

    def __init__(self, net: nets.Net, data: nets.Data, rates: nets.Floats) -> None:
        super().__init__(net, data, rates)
        self.activation = FUNCTIONS[net.activation]
        self.gradient = torch.func.grad_and_value(self._loss_of_one)

    def _loss_of_one(self, params: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
        for k in range(0, len(params) - 2, 2):
            x = self.activation(functional.linear(x, params[k], params[k + 1]))
        return self.loss(functional.linear(x, params[-2], params[-1]), y)

    def fresh_state(self, params: list[Tensor]) -> list[tuple[Tensor, ...]]:
        """Zeros: one tensor a parameter for momentum, two for Adam."""
        count = 2 if self.net.optimizer == "adam" else 1
        return [tuple(torch.zeros_like(p) for _ in range(count)) for p in params]

    def update(self, params: Any, state: Any, grads: Any, rates: Any, step: Tensor) -> None:
        """One optimiser step in place. ``rates`` broadcast against the parameters; ``step`` counts from 1."""
        for p, s, g, rate in zip(params, state, grads, rates, strict=True):
            if self.net.optimizer == "adam":
                mean, square = s
                mean.lerp_(g, 1 - nets.BETA1)
                square.mul_(nets.BETA2).addcmul_(g, g, value=1 - nets.BETA2)
                root = (square / (1 - nets.BETA2**step)).sqrt_().add_(nets.EPSILON)
                p.addcdiv_(mean * (rate / (1 - nets.BETA1**step)), root, value=-1)
            else:
                (velocity,) = s
                velocity.mul_(nets.MOMENTUM).add_(g)
                p.addcmul_(velocity, rate, value=-1)


class Vmap(_Functional):
    """All members in one call, each with its own batch."""

    def __init__(self, net: nets.Net, data: nets.Data, weights: nets.Weights, rates: nets.Floats) -> None:
        super().__init__(net, data, rates)
        self.params = [torch.from_numpy(array.copy()) for layer in weights for array in layer]
        self.state = self.fresh_state(self.params)
        self.rates_per_param = [torch.from_numpy(rates).view(-1, *[1] * (p.ndim - 1)) for p in self.params]
        self.step = torch.zeros(())
        self.gradients = torch.func.vmap(self.gradient)

    def train(self) -> nets.Floats:
        losses = []
        for index in self.order.unbind(1):  # (P, B)
            x, y = self.batch(index.reshape(-1))
            grads, loss = self.gradients(self.params, x.view(*index.shape, -1), y.view(*index.shape, *y.shape[1:]))
            self.step += 1
            self.update(self.params, self.state, grads, self.rates_per_param, self.step)
            losses.append(loss)
        return torch.stack(losses, 1).numpy()


class Compile(_Functional):
    """A loop over members around one compiled step."""

    def __init__(self, net: nets.Net, data: nets.Data, weights: nets.Weights, rates: nets.Floats) -> None:
        super().__init__(net, data, rates)
        torch._dynamo.reset()  # a new net: do not count it as one more recompilation of the last
        self.compiled: Any = torch.compile(self._step, fullgraph=True, dynamic=False)
        self.members = []
        for p, rate in enumerate(rates):
            params = [torch.from_numpy(array[p].copy()) for layer in weights for array in layer]
            self.members.append((params, self.fresh_state(params), [torch.tensor(rate)] * len(params), torch.zeros(())))

    def _step(self, params: Any, state: Any, rates: Any, step: Tensor, x: Tensor, y: Tensor, index: Tensor) -> Tensor:
        inputs = x[index]
        if self.scale is not None:
            inputs = inputs.float() * self.scale
        grads, loss = self.gradient(params, inputs, y[index])
        step += 1
        self.update(params, state, grads, rates, step)
        return loss

    @torch.no_grad()
    def train(self) -> nets.Floats:
        losses = []
        for member, order in zip(self.members, self.order, strict=True):
            losses += [self.compiled(*member, self.x, self.y, index) for index in order.unbind()]
        return torch.stack(losses).view(len(self.members), -1).numpy()


FORMS = {"torch-loop": Loop, "torch-vmap": Vmap, "torch-compile": Compile}
VERSIONS = {"torch": str(torch.__version__)}
