"""The Gaussian process against the textbook's formulas, written with NumPy's own solvers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from shoal.search.gp import Kernel, Model, cholesky, fitted, solve, surprise

Array = NDArray[np.float64]


def data(size: int, dimensions: int, seed: int = 0) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    x, t = rng.random((size, dimensions)), rng.integers(0, 5, size).astype(float)
    return x, t, np.sin(5 * x[:, 0]) + 0.2 * t + 0.1 * rng.standard_normal(size)


def covariance(kernel: Kernel, x: Array, t: Array, x2: Array, t2: Array) -> Array:
    return np.array(
        [
            [
                kernel.scale
                * math.exp(-float(np.sum((a - b) ** 2)) / (2 * kernel.length**2))
                * (1 - kernel.forgetting) ** (abs(s - u) / 2)
                for b, u in zip(x2, t2, strict=True)
            ]
            for a, s in zip(x, t, strict=True)
        ]
    )


@pytest.mark.parametrize(("size", "dimensions", "pending"), [(1, 1, 0), (7, 1, 1), (20, 3, 4), (33, 2, 0)])
def test_the_posterior_is_the_textbooks(size: int, dimensions: int, pending: int) -> None:
    x, t, y = data(size, dimensions)
    model = Model(x, t, y, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    points, waiting, now = rng.random((5, dimensions)), rng.random((pending, dimensions)), 5.5
    spread = y.std() or 1.0
    times = np.full(5, now)

    known = covariance(model.kernel, x, t, x, t) + model.kernel.noise * np.eye(size)
    cross = covariance(model.kernel, x, t, points, times)
    mean = y.mean() + cross.T @ np.linalg.solve(known, y - y.mean())
    # Conditions up to scale/noise = 10^4: rounding of 1e-16 becomes 1e-12; some digits are left for the sums.
    np.testing.assert_allclose(model.mean(points, now), mean, rtol=1e-9, atol=1e-9)

    seen, when = np.vstack([x, waiting]), np.append(t, np.full(pending, now))
    known = covariance(model.kernel, seen, when, seen, when) + model.kernel.noise * np.eye(size + pending)
    cross = covariance(model.kernel, seen, when, points, times)
    variance = model.kernel.scale - np.sum(cross * np.linalg.solve(known, cross), axis=0)
    np.testing.assert_allclose(model.deviation(points, now, waiting), spread * np.sqrt(variance), rtol=1e-6, atol=1e-9)


def test_what_is_pending_is_certain_and_the_past_is_forgotten() -> None:
    x, t, y = data(20, 2)
    model = Model(x, t, y, np.random.default_rng(1))
    point = np.array([[0.4, 0.6]])
    none = np.empty((0, 2))
    assert model.deviation(point, 5.0, point) < model.deviation(point, 5.0, none)
    later = [float(model.kernel._replace(forgetting=0.3)(x[:1], t[:1], x[:1], t[:1] + k)[0, 0]) for k in (0, 2, 4)]
    assert later == pytest.approx([model.kernel.scale * factor for factor in (1, 0.7, 0.49)])


@pytest.mark.parametrize("parameters", [[-1.0, 0.3, -2.0, 0.1], [0.2, -1.0, -4.0, 0.4], [-2.5, 2.0, -0.5, 0.0]])
def test_the_likelihood_is_the_normal_density_and_its_gradient_fits(parameters: list[float]) -> None:
    x, t, y = data(12, 2)
    squares, times = ((x[:, None] - x) ** 2).sum(2), np.abs(t[:, None] - t)
    at = np.array(parameters)
    value, gradient = surprise(at, squares, times, y)
    kernel = Kernel(*np.exp(at[:3]).tolist(), parameters[3])
    density = multivariate_normal(np.zeros(12), covariance(kernel, x, t, x, t) + kernel.noise * np.eye(12))
    assert value == pytest.approx(-density.logpdf(y), rel=1e-9)
    for k, step in enumerate(1e-6 * np.eye(4)):
        ahead, behind = surprise(at + step, squares, times, y)[0], surprise(at - step, squares, times, y)[0]
        assert gradient[k] == pytest.approx((ahead - behind) / 2e-6, rel=1e-4, abs=1e-5)  # rounding / step: 1e-8


def test_the_fit_is_likelier_than_its_start_stays_in_bounds_and_is_repeatable() -> None:
    x, t, y = data(30, 1)
    y = (y - y.mean()) / y.std()
    kernel = fitted(x, t, y, np.random.default_rng(3))
    assert kernel == fitted(x, t, y, np.random.default_rng(3))
    squares, times = ((x[:, None] - x) ** 2).sum(2), np.abs(t[:, None] - t)
    values = [
        surprise(np.array([*np.log([each.length, each.scale, each.noise]), each.forgetting]), squares, times, y)[0]
        for each in (kernel, Kernel(0.3, 1.0, 0.1, 0.1))
    ]
    assert values[0] < values[1] - 1
    assert 0.05 <= kernel.length <= 2.0
    assert 1e-3 * (1 - 1e-9) <= kernel.noise <= 1
    assert 0 <= kernel.forgetting <= 0.5


def test_constant_values_are_no_trouble() -> None:
    x, t, _ = data(6, 2)
    model = Model(x, t, np.full(6, 3.0), np.random.default_rng(1))
    np.testing.assert_allclose(model.mean(x, 5.0), 3.0)


@pytest.mark.parametrize("size", [1, 2, 9, 64])
def test_cholesky_and_solve(size: int) -> None:
    rng = np.random.default_rng(size)
    half = rng.standard_normal((size, size))
    matrix, right = half @ half.T + np.eye(size), rng.standard_normal((size, 3))
    factor = cholesky(matrix)
    np.testing.assert_allclose(factor, np.linalg.cholesky(matrix), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(factor @ solve(factor, right), right, rtol=1e-9, atol=1e-9)
