"""JAX's forms of the same training: one jitted call per quantum, a scan over steps inside.

Map   members one after another (lax.map over the scan): a member's weights stay in the core's cache for the quantum
Vmap  all members at once

Found by trial: weights as (out, in) and products with their transpose nearly double net a's speed and change no
other. The data must be an argument (a captured constant is copied). Unrolling the scan, float32 data, gather modes and
XLA's options for vector width, oneDNN, XNNPACK, fast math and scheduling gain nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import nets
import numpy as np

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}
Tree = Any  # parameters as a list of (weight, bias), or something of that structure


class _Jax(ABC):
    def __init__(self, net: nets.Net, data: nets.Data, weights: nets.Weights, rates: nets.Floats) -> None:
        self.net, self.scale = net, data.scale
        self.data = (jnp.asarray(data.x), jnp.asarray(data.y))
        self.rates = jnp.asarray(rates)
        self.params: Tree = jax.tree.map(jnp.array, weights)
        zeros = [jax.tree.map(jnp.zeros_like, self.params) for _ in range(2 if net.optimizer == "adam" else 1)]
        self.state: tuple[Tree, ...] = tuple(zeros)
        self.steps = 0
        self.quantum = jax.jit(self._population, donate_argnums=(0, 1))

    def prepare(self, order: nets.Ints) -> None:
        self.order = jnp.asarray(order)

    def train(self) -> nets.Floats:
        start = jnp.float32(self.steps)
        self.params, self.state, losses = self.quantum(
            self.params, self.state, self.rates, self.order, start, *self.data
        )
        self.steps += self.order.shape[1]
        return np.asarray(losses)  # waits for the result

    @abstractmethod
    def _population(self, params: Tree, state: Tree, rates: Any, order: Any, start: Any, x: Any, y: Any) -> Any:
        """Train all members on ``order`` (P, steps, B)."""

    def _member(self, params: Tree, state: Tree, rate: Any, order: Any, start: Any, x: Any, y: Any) -> Any:
        """Train one member on its ``order`` (steps, B); ``start`` steps were made before."""

        def step(carry: Any, index: Any) -> Any:
            params, state, count = carry
            loss, grads = jax.value_and_grad(self._loss)(params, self._gather(x, index), y[index])
            params, state = self._update(params, state, grads, rate, count + 1)
            return (params, state, count + 1), loss

        (params, state, _), losses = jax.lax.scan(step, (params, state, start), order)
        return params, state, losses

    def _gather(self, x: Any, index: Any) -> Any:
        return x[index] if self.scale is None else x[index].astype(jnp.float32) * jnp.float32(self.scale)

    def _loss(self, params: Tree, x: Any, y: Any) -> Any:
        for weight, bias in params[:-1]:
            x = ACTIVATIONS[self.net.activation](x @ weight.T + bias)
        weight, bias = params[-1]
        out = x @ weight.T + bias
        if self.net.loss == "mse":
            return jnp.mean((out - y) ** 2)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(out), y[:, None], 1))

    def _update(self, params: Tree, state: Tree, grads: Tree, rate: Any, step: Any) -> Any:
        if self.net.optimizer == "sgd":
            velocity = jax.tree.map(lambda v, g: nets.MOMENTUM * v + g, state[0], grads)
            return jax.tree.map(lambda w, v: w - rate * v, params, velocity), (velocity,)
        b1, b2 = nets.BETA1, nets.BETA2
        mean = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state[0], grads)
        square = jax.tree.map(lambda s, g: b2 * s + (1 - b2) * g * g, state[1], grads)
        rate, unbias = rate / (1 - b1**step), 1 / (1 - b2**step)
        change = jax.tree.map(lambda m, s: rate * m / (jnp.sqrt(s * unbias) + nets.EPSILON), mean, square)
        return jax.tree.map(lambda w, d: w - d, params, change), (mean, square)


class Map(_Jax):
    """Members one after another."""

    def _population(self, params: Tree, state: Tree, rates: Any, order: Any, start: Any, x: Any, y: Any) -> Any:
        def one(member: tuple[Tree, Tree, Any, Any]) -> Any:
            return self._member(*member, start, x, y)

        return jax.lax.map(one, (params, state, rates, order))


class Vmap(_Jax):
    """All members at once, each with its own batch."""

    def _population(self, params: Tree, state: Tree, rates: Any, order: Any, start: Any, x: Any, y: Any) -> Any:
        axes = (0, 0, 0, 0, None, None, None)
        return jax.vmap(self._member, in_axes=axes)(params, state, rates, order, start, x, y)


FORMS = {"jax-map": Map, "jax-vmap": Vmap}
VERSIONS = {"jax": jax.__version__, "jaxlib": version("jaxlib")}
