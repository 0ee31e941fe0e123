"""PyTorch's forms of the same training. Each is the fastest found by trial among the ways to write it:

Loop          members one after another: nn.Sequential, autograd, a fused optimiser (plain user code)
ChannelsLast  the same with images and filters in channels_last
Vmap          all members at once: torch.func.vmap over the gradient of one
Compile       members one after another: the whole step, gather to update, compiled by inductor (needs a C++ compiler)
Graphs        on a GPU: members one after another, the whole step of each captured in a CUDA graph
VmapGraph     on a GPU: the whole step of all members at once captured in one CUDA graph

Found by trial: data kept as float32, or gathering several batches at once, is not faster than this gather from uint8.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import machine
import nets
import numpy as np
import torch
import torch_model
from samples import SEED, Data, Floats, Ints
from torch import Tensor, nn
from torch.nn import functional

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": functional.cross_entropy,
    "mse": functional.mse_loss,
}
Tensors = dict[str, Tensor]
DEVICE = torch.device(machine.device())


def on_device(array: np.ndarray) -> Tensor:
    """Return the array as a tensor on the device that is measured."""
    return torch.from_numpy(array).to(DEVICE)


class _Torch:
    """The data as tensors, and the order of batches to train on."""

    draws_itself = False
    channels_last = False

    def __init__(self, net: nets.Net, data: Data, rates: Floats) -> None:
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        torch.set_flush_denormal(True)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # shoal computes in float32
        torch.manual_seed(SEED)
        self.net, self.rates = net, rates
        self.loss = LOSSES[net.loss]
        self.x = on_device(data.x)
        if self.x.ndim == 4:
            self.x = self.x.permute(0, 3, 1, 2)
            if not self.channels_last:
                self.x = self.x.contiguous()
        self.y = on_device(data.y if net.loss == "mse" else data.y.astype(np.int64))
        self.scale = data.scale

    @staticmethod
    def refuses(net: nets.Net) -> str:
        """Return why this form does not train that net; empty if it does."""
        return ""

    def models(self, weights: nets.Weights) -> list[nn.Sequential]:
        """One for each member."""
        members = ({name: array[p] for name, array in weights.items()} for p in range(len(self.rates)))
        return [torch_model.sequential(self.net.ops, arrays).to(DEVICE) for arrays in members]

    def prepare(self, order: Ints) -> None:
        self.order = on_device(order.astype(np.int64))

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (n, ...) as float32 and labels or targets of the samples in ``index`` (n,)."""
        x = self.x.index_select(0, index)
        if self.scale is not None:
            x = x.float().mul_(self.scale)
        return x, self.y.index_select(0, index)


class Loop(_Torch):
    """A loop over members, each trained as any PyTorch user would."""

    def __init__(self, net: nets.Net, data: Data, weights: nets.Weights, rates: Floats) -> None:
        super().__init__(net, data, rates)
        layout: Any = torch.channels_last if self.channels_last else torch.contiguous_format
        self.members: list[Any] = [model.to(memory_format=layout) for model in self.models(weights)]  # type: ignore[call-overload]
        self.optimizers = [self._optimizer(model, float(rate)) for model, rate in zip(self.members, rates, strict=True)]

    def _optimizer(self, model: nn.Module, rate: float) -> torch.optim.Optimizer:
        decay = self.net.weight_decay
        if self.net.optimizer == "adam":
            betas = (nets.BETA1, nets.BETA2)
            return torch.optim.Adam(model.parameters(), rate, betas, nets.EPSILON, decay, fused=True)
        return torch.optim.SGD(model.parameters(), rate, nets.MOMENTUM, weight_decay=decay, fused=True)

    def train(self) -> Floats:
        losses = []
        for model, optimizer, order in zip(self.members, self.optimizers, self.order, strict=True):
            for index in order.unbind():
                x, y = self.batch(index)
                loss = self.loss(model(x), y)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                losses.append(loss.detach())
        return torch.stack(losses).view(len(self.members), -1).cpu().numpy()


class ChannelsLast(Loop):
    """The loop with another layout of images."""

    channels_last = True

    @staticmethod
    def refuses(net: nets.Net) -> str:
        return "" if net.convolutional else "no images, so no channels"


class _Functional(_Torch):
    """The step as functions of parameters and buffers, {name: tensor}."""

    model: nn.Module  # without weights of its own

    def __init__(self, net: nets.Net, data: Data, rates: Floats) -> None:
        super().__init__(net, data, rates)
        self.gradient = torch.func.grad_and_value(self._loss_of_one)

    def _loss_of_one(self, params: Tensors, buffers: Tensors, x: Tensor, y: Tensor) -> Tensor:
        return self.loss(torch.func.functional_call(self.model, (params, buffers), (x,)), y)

    def fresh_state(self, params: Tensors) -> dict[str, tuple[Tensor, ...]]:
        """Zeros: one tensor a parameter for momentum, two for Adam."""
        count = 2 if self.net.optimizer == "adam" else 1
        return {name: tuple(torch.zeros_like(p) for _ in range(count)) for name, p in params.items()}

    def update(self, params: Any, state: Any, grads: Any, rates: Any, step: Tensor) -> None:
        """One optimiser step in place. ``rates`` broadcast against the parameters; ``step`` counts from 1."""
        for name, p in params.items():
            g, rate = grads[name], rates[name]
            if self.net.weight_decay:
                g = g + self.net.weight_decay * p
            if self.net.optimizer == "adam":
                mean, square = state[name]
                mean.lerp_(g, 1 - nets.BETA1)
                square.mul_(nets.BETA2).addcmul_(g, g, value=1 - nets.BETA2)
                root = (square / _share(nets.BETA2, step)).sqrt_().add_(nets.EPSILON)
                p.addcdiv_(mean * (rate / _share(nets.BETA1, step)), root, value=-1)
            else:
                (velocity,) = state[name]
                velocity.mul_(nets.MOMENTUM).add_(g)
                p.addcmul_(velocity, rate, value=-1)


def _share(beta: float, step: Tensor) -> Tensor:
    """Return 1 - beta^step; the difference itself would leave four of float32's digits in the first steps."""
    return -torch.expm1(step * math.log(beta))


class Vmap(_Functional):
    """All members in one call, each with its own batch."""

    def __init__(self, net: nets.Net, data: Data, weights: nets.Weights, rates: Floats) -> None:
        super().__init__(net, data, rates)
        models = self.models(weights)
        params, self.buffers = torch.func.stack_module_state(models)
        self.model = models[0].to("meta")
        self.params = {name: p.detach() for name, p in params.items()}
        self.state = self.fresh_state(self.params)
        self.rate_of = {n: on_device(rates).view(-1, *[1] * (p.ndim - 1)) for n, p in self.params.items()}
        self.step = torch.zeros((), device=DEVICE)
        self.gradients = torch.func.vmap(self.gradient, randomness="different")

    def step_of_all(self, index: Tensor) -> Tensor:
        """Train every member on its batch, ``index`` (P, B); return their losses."""
        x, y = self.batch(index.reshape(-1))
        x, y = x.view(*index.shape, *x.shape[1:]), y.view(*index.shape, *y.shape[1:])
        grads, loss = self.gradients(self.params, self.buffers, x, y)
        self.step += 1
        self.update(self.params, self.state, grads, self.rate_of, self.step)
        losses: Tensor = loss
        return losses

    def train(self) -> Floats:
        losses = [self.step_of_all(index) for index in self.order.unbind(1)]
        return torch.stack(losses, 1).cpu().numpy()


class Compile(_Functional):
    """A loop over members around one compiled step."""

    @staticmethod
    def refuses(net: nets.Net) -> str:
        return "compiling so many layers takes minutes" if len(net.products) > 10 else ""

    def __init__(self, net: nets.Net, data: Data, weights: nets.Weights, rates: Floats) -> None:
        super().__init__(net, data, rates)
        torch._dynamo.reset()  # a new net: do not count it as one more recompilation of the last
        # What the guards watch, shapes and the model, never changes; looking at it cost small nets a third of a step.
        options: Any = {"guard_filter_fn": torch.compiler.skip_all_guards_unsafe}
        self.compiled: Any = torch.compile(self._step, fullgraph=True, dynamic=False, options=options)
        self.members = []
        for model, rate in zip(self.models(weights), rates, strict=True):
            params = {name: p.detach() for name, p in model.named_parameters()}
            rate_of = dict.fromkeys(params, torch.tensor(rate, device=DEVICE))
            state = self.fresh_state(params)
            self.members.append((params, dict(model.named_buffers()), state, rate_of, torch.zeros((), device=DEVICE)))
        self.model = model.to("meta")

    def _step(
        self, params: Any, buffers: Any, state: Any, rates: Any, step: Tensor, x: Tensor, y: Tensor, index: Tensor
    ) -> Tensor:
        inputs = x[index]
        if self.scale is not None:
            inputs = inputs.float() * self.scale
        grads, loss = self.gradient(params, buffers, inputs, y[index])
        step += 1
        self.update(params, state, grads, rates, step)
        mean: Tensor = loss
        return mean

    @torch.no_grad()
    def train(self) -> Floats:
        losses = []
        for member, order in zip(self.members, self.order, strict=True):
            losses += [self.compiled(*member, self.x, self.y, index) for index in order.unbind()]
        return torch.stack(losses).view(len(self.members), -1).cpu().numpy()


class Capture:
    """Work that is captured in CUDA graphs: a launch instead of hundreds. They are replayed one after another."""

    def __init__(self) -> None:
        self.pool = torch.cuda.graph_pool_handle()  # one for all: nothing in it is needed after a replay

    def warm_up(self, work: Callable[[], None], kept: list[Tensor]) -> None:
        """Do what happens on first use only, and undo what became of the tensors."""
        before = [tensor.clone() for tensor in kept]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side), torch.no_grad():
            for _ in range(3):
                work()
        torch.cuda.current_stream().wait_stream(side)
        for tensor, value in zip(kept, before, strict=True):
            tensor.copy_(value)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Return what does the work."""
        graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(graph, pool=self.pool):
            work()
        replay: Callable[[], None] = graph.replay
        return replay


def refuses_capture() -> str:
    return "" if DEVICE.type == "cuda" else "there is no GPU to capture for"


def in_state(params: Tensors, buffers: Tensors, state: Any, step: Tensor) -> list[Tensor]:
    """Return all tensors that a step changes."""
    return [*params.values(), *buffers.values(), *(slot for slots in state.values() for slot in slots), step]


class Graphs(_Functional):
    """A loop over members around one captured step each."""

    @staticmethod
    def refuses(net: nets.Net) -> str:
        return refuses_capture()

    def __init__(self, net: nets.Net, data: Data, weights: nets.Weights, rates: Floats) -> None:
        super().__init__(net, data, rates)
        self.capture = Capture()
        self.index = torch.zeros(net.batch, dtype=torch.int64, device=DEVICE)
        self.loss_of_step = torch.zeros((), device=DEVICE)
        self.replays: list[Callable[[], None]] = []
        for model, rate in zip(self.models(weights), rates, strict=True):
            params = {name: p.detach() for name, p in model.named_parameters()}
            buffers, state = dict(model.named_buffers()), self.fresh_state(params)
            self.model = model.to("meta")
            rate_of = dict.fromkeys(params, torch.tensor(rate, device=DEVICE))
            self.replays.append(self._record(params, buffers, state, rate_of))

    def _record(self, params: Tensors, buffers: Tensors, state: Any, rates: Any) -> Callable[[], None]:
        step = torch.zeros((), device=DEVICE)

        def one() -> None:
            grads, value = self.gradient(params, buffers, *self.batch(self.index))
            step.add_(1)
            self.update(params, state, grads, rates, step)
            self.loss_of_step.copy_(value)

        if not self.replays:
            self.capture.warm_up(one, in_state(params, buffers, state, step))
        return self.capture.record(one)

    def train(self) -> Floats:
        losses = []
        for replay, order in zip(self.replays, self.order, strict=True):
            for batch in order.unbind():
                self.index.copy_(batch)
                replay()
                losses.append(self.loss_of_step.clone())
        return torch.stack(losses).view(len(self.replays), -1).cpu().numpy()


class VmapGraph(Vmap):
    """All members in one call, which is captured."""

    @staticmethod
    def refuses(net: nets.Net) -> str:
        return refuses_capture()

    def __init__(self, net: nets.Net, data: Data, weights: nets.Weights, rates: Floats) -> None:
        super().__init__(net, data, weights, rates)
        capture = Capture()
        self.index = torch.zeros(len(rates), net.batch, dtype=torch.int64, device=DEVICE)
        self.losses = torch.zeros(len(rates), device=DEVICE)
        capture.warm_up(self._all, in_state(self.params, self.buffers, self.state, self.step))
        self.replay = capture.record(self._all)

    def _all(self) -> None:
        self.losses.copy_(self.step_of_all(self.index))

    def train(self) -> Floats:
        losses = []
        for index in self.order.unbind(1):
            self.index.copy_(index)
            self.replay()
            losses.append(self.losses.clone())
        return torch.stack(losses, 1).cpu().numpy()


FORMS = {
    "torch-loop": Loop,
    "torch-last": ChannelsLast,
    "torch-vmap": Vmap,
    "torch-compile": Compile,
    "torch-graphs": Graphs,
    "torch-vgraph": VmapGraph,
}
VERSIONS = {"torch": str(torch.__version__)}
