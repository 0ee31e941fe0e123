"""A Gaussian process on the unit cube that forgets: the model behind `shoal.search.PB2`.

Covariance of the values at x, time t and at x', t', after Bogunovic et al. 2016 (arXiv:1601.06650):

    k = scale * exp(-|x - x'|^2 / (2 length^2)) * (1 - forgetting)^(|t - t'| / 2),    noise added on the diagonal

Linear algebra is element by element in NumPy, without BLAS: its sums depend on the number of threads and the processor,
and a study that goes on repeats every decision exactly.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_BOUNDS = [*np.log([[0.05, 2.0], [0.05, 10.0], [1e-3, 1.0]]).tolist(), [0.0, 0.5]]
_START = [*np.log([0.3, 1.0, 0.1]).tolist(), 0.1]
_EVALUATIONS = 25  # of the likelihood, from each of two starts


class Kernel(NamedTuple):
    """The covariance. ``noise``, a variance, has a least value above 0, which keeps matrices positive definite."""

    length: float
    scale: float
    noise: float
    forgetting: float

    def __call__(self, x: Array, t: Array, x2: Array, t2: Array) -> Array:
        """Return the (N, M) covariances, without noise, of N points x (N, D), t (N,) and M points x2, t2."""
        distances, times = _squares(x, x2), np.abs(t[:, None] - t2)
        return self.scale * np.exp(-distances / (2 * self.length**2)) * (1 - self.forgetting) ** (times / 2)


class Model:
    """The posterior of a process with the kernel that explains the data best.

    Args:
        x: (N, D) positions in the unit cube, N at least 1.
        t: (N,) times.
        y: (N,) values, finite.
        rng: Of the starts of the fit.
    """

    def __init__(self, x: Array, t: Array, y: Array, rng: np.random.Generator) -> None:
        self._x, self._t = x, t
        self._shift, self._spread = float(y.mean()), float(y.std()) or 1.0
        self._y = (y - self._shift) / self._spread
        self.kernel = fitted(x, t, self._y, rng)

    def mean(self, x: Array, t: float) -> Array:
        """Return the (M,) posterior means at M points (M, D) at one time."""
        factor = self._factor(self._x, self._t)
        weights = solve(factor, self._covariance(x, t, self._x, self._t))
        return np.asarray(self._shift + self._spread * (weights * solve(factor, self._y[:, None])).sum(0))

    def deviation(self, x: Array, t: float, pending: Array) -> Array:
        """Return the (M,) posterior standard deviations, as if ``pending`` points (Q, D) were known at that time."""
        seen, times = np.vstack([self._x, pending]), np.append(self._t, np.full(len(pending), t))
        weights = solve(self._factor(seen, times), self._covariance(x, t, seen, times))
        return np.asarray(self._spread * np.sqrt(np.maximum(self.kernel.scale - (weights**2).sum(0), 0)))

    def _factor(self, x: Array, t: Array) -> Array:
        return cholesky(self.kernel(x, t, x, t) + self.kernel.noise * np.eye(len(x)))

    def _covariance(self, x: Array, t: float, seen: Array, times: Array) -> Array:
        return self.kernel(seen, times, x, np.full(len(x), t))


def fitted(x: Array, t: Array, y: Array, rng: np.random.Generator) -> Kernel:
    """Return the kernel of the largest marginal likelihood found inside bounds, from a fixed and a drawn start."""
    from scipy.optimize import minimize

    low, high = np.array(_BOUNDS).T
    starts = np.array(_START), low + (high - low) * rng.random(len(low))
    how = {"jac": True, "bounds": _BOUNDS, "method": "L-BFGS-B", "options": {"maxfun": _EVALUATIONS}}
    squares, times = _squares(x, x), np.abs(t[:, None] - t)
    results = [minimize(surprise, start, (squares, times, y), **how) for start in starts]
    best = min(results, key=lambda result: float(result.fun)).x
    length, scale, noise = np.exp(best[:3]).tolist()
    return Kernel(length, scale, noise, float(best[3]))


def surprise(parameters: Array, squares: Array, times: Array, y: Array) -> tuple[float, Array]:
    """Return the negative logarithm of the marginal likelihood, and its gradient (Rasmussen and Williams 2006, 5.9).

    Args:
        parameters: (4,) logarithms of length, scale and noise, and forgetting.
        squares: (N, N) squared distances.
        times: (N, N) absolute differences in time.
        y: (N,) values.
    """
    length, scale, noise = np.exp(parameters[:3]).tolist()
    remembered = 1 - float(parameters[3])
    signal = scale * np.exp(-squares / (2 * length**2)) * remembered ** (times / 2)
    size = len(y)
    factor = cholesky(signal + noise * np.eye(size))
    half = solve(factor, np.eye(size))
    inverse = np.einsum("ki,kj->ij", half, half)  # without BLAS as well
    weights = (inverse * y).sum(1)
    value = 0.5 * (y * weights).sum() + np.log(np.diag(factor)).sum() + 0.5 * size * math.log(2 * math.pi)
    slopes = (signal * squares / length**2, signal, noise * np.eye(size), -signal * times / (2 * remembered))
    excess = inverse - weights[:, None] * weights
    return float(value), np.array([0.5 * (excess * slope).sum() for slope in slopes])


def cholesky(matrix: Array) -> Array:
    """Return the lower triangular L with L L^T = ``matrix`` (N, N), which is positive definite."""
    rest, factor = matrix.copy(), np.zeros_like(matrix)
    for j in range(len(matrix)):
        factor[j:, j] = rest[j:, j] / math.sqrt(rest[j, j])
        rest[j:, j:] -= factor[j:, j, None] * factor[j:, j]
    return factor


def solve(factor: Array, right: Array) -> Array:
    """Return the (N, M) solution of L X = ``right`` for a lower triangular L."""
    left = right.copy()
    for j in range(len(factor)):
        left[j] /= factor[j, j]
        left[j + 1 :] -= factor[j + 1 :, j, None] * left[j]
    return left


def _squares(x: Array, x2: Array) -> Array:
    return np.asarray(((x[:, None] - x2) ** 2).sum(2))
