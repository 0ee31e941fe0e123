"""JAX's forms of the same training: one jitted call per quantum, a scan over steps inside.

Map   members one after another (lax.map over the scan): a member's weights stay in the core's cache for the quantum
Vmap  all members at once

Found by trial: weights as (out, in) and products with their transpose nearly double net a's speed and change no
other. The data must be an argument (a captured constant is copied). Unrolling the scan, float32 data, gather modes and
XLA's options for vector width, oneDNN, XNNPACK, fast math and scheduling gain nothing.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import jax_model
import nets
import numpy as np
from samples import SEED, Data, Floats, Ints

Tree = Any  # parameters by name, or something of that structure

jax.config.update("jax_default_matmul_precision", "highest")  # a GPU's default is TF32; shoal computes in float32


class _Jax(ABC):
    draws_itself = False

    def __init__(self, net: nets.Net, data: Data, weights: nets.Weights, rates: Floats) -> None:
        self.net, self.scale = net, data.scale
        self.data = (jnp.asarray(data.x), jnp.asarray(data.y))
        self.members = {
            "rate": jnp.asarray(rates),
            "key": jax.random.split(jax.random.key(SEED, impl="rbg"), len(rates)),
        }
        arrays = {name: jnp.array(array) for name, array in jax_model.turned(net.ops, weights).items()}
        params: Tree = {name: arrays[name] for name in net.weights}
        running: Tree = {name: arrays[name] for name in net.running}
        slots = [jax.tree.map(jnp.zeros_like, params) for _ in range(2 if net.optimizer == "adam" else 1)]
        self.state: Tree = (params, running, tuple(slots))
        self.steps = 0
        self.quantum = jax.jit(self._population, donate_argnums=0)

    @staticmethod
    def refuses(net: nets.Net) -> str:
        """Return why this form does not train that net; empty if it does."""
        return ""

    def prepare(self, order: Ints) -> None:
        self.order = jnp.asarray(order)

    def train(self) -> Floats:
        start = jnp.int32(self.steps)
        self.state, losses = self.quantum(self.state, self.members, self.order, start, *self.data)
        self.steps += self.order.shape[1]
        return np.asarray(losses)  # waits for the result

    @abstractmethod
    def _population(self, state: Tree, members: Tree, order: Any, start: Any, x: Any, y: Any) -> Any:
        """Train all members on ``order`` (P, steps, B)."""

    def _member(self, state: Tree, member: Tree, order: Any, start: Any, x: Any, y: Any) -> Any:
        """Train one member on its ``order`` (steps, B); ``start`` steps were made before."""

        def step(carry: Any, index: Any) -> Any:
            (params, running, slots), count = carry
            key = jax.random.fold_in(member["key"], count)
            gradient = jax.value_and_grad(self._loss, has_aux=True)
            (loss, running), grads = gradient(params, running, self._gather(x, index), y[index], key)
            params, slots = self._update(params, slots, grads, member["rate"], (count + 1).astype(jnp.float32))
            return ((params, running, slots), count + 1), loss

        (state, _), losses = jax.lax.scan(step, (state, start), order)
        return state, losses

    def _gather(self, x: Any, index: Any) -> Any:
        return x[index] if self.scale is None else x[index].astype(jnp.float32) * jnp.float32(self.scale)

    def _loss(self, params: Tree, running: Tree, x: Any, y: Any, key: Any) -> Any:
        out, running = jax_model.apply(self.net.ops, params, running, x, key)
        if self.net.loss == "mse":
            return jnp.mean((out - y) ** 2), running
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(out), y[:, None], 1)), running

    def _update(self, params: Tree, slots: Tree, grads: Tree, rate: Any, step: Any) -> Any:
        if self.net.weight_decay:
            grads = jax.tree.map(lambda g, w: g + self.net.weight_decay * w, grads, params)
        if self.net.optimizer == "sgd":
            velocity = jax.tree.map(lambda v, g: nets.MOMENTUM * v + g, slots[0], grads)
            return jax.tree.map(lambda w, v: w - rate * v, params, velocity), (velocity,)
        b1, b2 = nets.BETA1, nets.BETA2
        mean = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, slots[0], grads)
        square = jax.tree.map(lambda s, g: b2 * s + (1 - b2) * g * g, slots[1], grads)
        # 1 - b^step; the difference itself would leave four of float32's digits in the first steps
        share1, share2 = (-jnp.expm1(step * math.log(b)) for b in (b1, b2))
        rate, unbias = rate / share1, 1 / share2
        change = jax.tree.map(lambda m, s: rate * m / (jnp.sqrt(s * unbias) + nets.EPSILON), mean, square)
        return jax.tree.map(lambda w, d: w - d, params, change), (mean, square)


class Map(_Jax):
    """Members one after another."""

    def _population(self, state: Tree, members: Tree, order: Any, start: Any, x: Any, y: Any) -> Any:
        def one(of_member: Any) -> Any:
            state, member, order = of_member
            return self._member(state, member, order, start, x, y)

        return jax.lax.map(one, (state, members, order))


class Vmap(_Jax):
    """All members at once, each with its own batch."""

    @staticmethod
    def refuses(net: nets.Net) -> str:
        return "its grouped convolutions take XLA several times as long as jax-map" if net.convolutional else ""

    def _population(self, state: Tree, members: Tree, order: Any, start: Any, x: Any, y: Any) -> Any:
        return jax.vmap(self._member, in_axes=(0, 0, 0, None, None, None))(state, members, order, start, x, y)


FORMS = {"jax-map": Map, "jax-vmap": Vmap}
VERSIONS = {"jax": jax.__version__, "jaxlib": version("jaxlib")}
