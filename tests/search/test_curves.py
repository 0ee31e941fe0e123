"""The nearest learning curves, against the formulas in plain NumPy; and libraries of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.errors import DeviceError
from shoal.search.curves import DISTANCES, Library, nearest

Floats = NDArray[np.float64]


def reference(distance: str, curves: Floats, library: Floats) -> Floats:
    """Return all distances, (q, m), from the formulas."""
    both = ~np.isnan(curves)[:, None] & ~np.isnan(library)
    a, b, n = (
        np.where(both, curves[:, None], 0),
        np.where(both, library, 0),
        both.sum(-1),
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        aa, ab, bb = (a * a).sum(-1), (a * b).sum(-1), (b * b).sum(-1)
        match distance:
            case "l1":
                values = np.abs(a - b).sum(-1) / n
            case "l2":
                values = np.sqrt(((a - b) ** 2).sum(-1) / n)
            case "linf":
                values = np.abs(a - b).max(-1, initial=0)
            case "cosine":
                cosines = np.where((aa > 0) & (bb > 0), ab / np.sqrt(aa * bb), aa == bb)
                values = 1 - np.clip(cosines, -1, 1)
            case _:
                multiple = np.where(bb > 0, ab / bb, 0)[..., None] * b
                values = np.sqrt(((a - multiple) ** 2).sum(-1) / n)
    return np.where(n > 0, values, np.inf)


def learning(count: int, points: int, seed: int) -> Floats:
    """Return noisy power laws, as losses fall."""
    rng = np.random.default_rng(seed)
    start, end, rate = (rng.uniform(low, high, (count, 1)) for low, high in ((0.5, 2), (0.1, 0.5), (0.3, 1.5)))
    curves: Floats = end + start * np.arange(1, points + 1) ** -rate + 0.01 * rng.standard_normal((count, points))
    return curves


def holes(curves: Floats, seed: int) -> Floats:
    return np.where(np.random.default_rng(seed).random(curves.shape) < 0.3, np.nan, curves)


def check(curves: Floats, library: Floats, distance: str, neighbours: int, tolerance: float) -> None:
    """Rows and distances are right, in order, and each at its row's distance. NaN fails."""
    rows, distances = nearest(curves, library, distance=distance, neighbours=neighbours)
    want = reference(distance, curves, library)
    best = np.sort(want, axis=1)[:, :neighbours]
    best = np.pad(best, ((0, 0), (0, neighbours - best.shape[1])), constant_values=np.inf)
    assert rows.shape == distances.shape == (len(curves), neighbours)
    np.testing.assert_allclose(distances, best, rtol=1e-12, atol=tolerance)
    assert ((rows == -1) == np.isinf(distances)).all()
    their = np.take_along_axis(np.pad(want, ((0, 0), (0, 1)), constant_values=np.inf), rows, axis=1)
    np.testing.assert_allclose(distances, their, rtol=1e-12, atol=tolerance)
    assert all(len({*row} - {-1}) == (row >= 0).sum() for row in rows)


def test_a_device_that_is_not_there_is_named() -> None:
    curves = learning(3, 5, seed=0)
    with pytest.raises(DeviceError, match='there is no device "cuda:99"'):
        nearest(curves, curves, device="cuda:99")
    rows, _ = nearest(curves, curves, device="cpu")
    assert rows[:, 0].tolist() == [0, 1, 2]


def test_a_function_of_your_own_needs_the_cpu() -> None:
    curves = learning(3, 5, seed=0)
    with pytest.raises(ValueError, match="a function needs curves and device on the CPU, got device cuda:0"):
        nearest(curves, curves, distance=lambda a, b: np.abs(a - b).max(axis=1), device="cuda")


SIZES = [
    (0, 5, 3),
    (1, 1, 1),
    (3, 0, 4),
    (1, 200, 20),
    (5, 63, 9),
    (6, 64, 8),
    (7, 65, 17),
    (61, 300, 100),
    (40, 130, 1),
]


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize(("q", "m", "points"), SIZES)
@pytest.mark.parametrize("neighbours", [1, 10])
def test_the_nearest_are_those_of_the_formulas(distance: str, q: int, m: int, points: int, neighbours: int) -> None:
    curves, library = learning(q, points, 0), learning(m, points, 1)
    # 1 - cos of two roundings, the other distances of values about 1
    check(curves, library, distance, neighbours, tolerance=1e-14)
    check(holes(curves, 2), holes(library, 3), distance, neighbours, tolerance=1e-14)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("spread", [1e-6, 1, 1e3])
def test_what_is_left_out_was_farther(distance: str, spread: float) -> None:
    """Groups of curves at levels of their own: few are looked at, among them those with a negative best multiple."""
    rng = np.random.default_rng(7)
    levels = spread * rng.standard_normal((2, 40, 1, 11))
    curves, library = (np.reshape(level + rng.standard_normal((40, 9, 11)), (-1, 11)) for level in levels)
    library[::7] = -curves[: len(library[::7])] * 3 + 1e-3
    check(curves, library, distance, 3, tolerance=1e-14 if distance == "cosine" else 1e-13 * max(spread, 1))
    check(curves, library[:1], distance, 3, tolerance=1e-14 if distance == "cosine" else 1e-13 * max(spread, 1))


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("q", [2, 30])
def test_large_offsets_and_small_differences_cost_no_digits(distance: str, q: int) -> None:
    """Differences of 1e-9 on 1000 are below what float32 can tell apart."""
    noise = np.random.default_rng(5).standard_normal((q + 90, 12)) * 1e-9
    curves, library = 1000 + noise[:q], 1000 + noise[q:]
    rows, _ = nearest(curves, library, distance=distance, neighbours=3)
    want = np.argsort(reference(distance, curves, library), axis=1, kind="stable")[:, :3]
    if distance != "cosine":  # 1 - cos is below the last digit of 1: all are equally near
        np.testing.assert_array_equal(rows, want)
    check(curves, library, distance, 3, tolerance=1e-12)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("factor", [1e-30, 1e30, 1e60])
def test_sizes_that_float32_has_not(distance: str, factor: float) -> None:
    curves, library = learning(20, 9, 0) * factor, learning(70, 9, 1) * factor
    library[3] *= 1e20  # one that is far away takes no digits from the others
    check(curves, library, distance, 4, tolerance=1e-14 if distance == "cosine" else 1e-14 * factor)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("q", [1, 30])
def test_equal_curves_are_at_zero_and_the_lower_row_comes_first(distance: str, q: int) -> None:
    library = np.tile(learning(50, 33, 0), (3, 1))
    rows, distances = nearest(library[:q], library, distance=distance, neighbours=3)
    np.testing.assert_array_equal(rows, np.arange(q)[:, None] + [0, 50, 100])
    np.testing.assert_array_equal(distances, 0)


def test_multiples_are_alike_to_some() -> None:
    curves = learning(9, 10, 0)
    for factor, alike in ((2.0, {"cosine", "scaled"}), (-2.0, {"scaled"})):
        for distance in DISTANCES:
            rows, distances = nearest(curves, factor * curves, distance=distance)
            is_alike = bool((distances < 1e-12).all() and (rows[:, 0] == np.arange(9)).all())
            assert is_alike == (distance in alike), (factor, distance)


@pytest.mark.parametrize("distance", DISTANCES)
def test_zero_curves(distance: str) -> None:
    library = np.vstack([learning(70, 6, 0), np.zeros(6)])
    check(np.vstack([library[-9:], np.zeros(6)]), library, distance, 5, tolerance=1e-14)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("missing", [False, True])
def test_neither_threads_nor_company_change_a_bit(distance: str, missing: bool) -> None:
    curves, library = learning(200, 21, 0), learning(300, 21, 1)
    if missing:
        curves, library = holes(curves, 2), holes(library, 3)
    whole = nearest(curves, library, distance=distance, neighbours=4, threads=1)
    threads = nearest(curves, library, distance=distance, neighbours=4, threads=3)
    alone = [nearest(curves[i : i + 1], library, distance=distance, neighbours=4) for i in range(0, 200, 19)]
    for part in (0, 1):
        np.testing.assert_array_equal(threads[part], whole[part])
        np.testing.assert_array_equal([each[part][0] for each in alone], whole[part][::19])


def test_without_common_points_nothing_is_near() -> None:
    curves = np.array([[1, np.nan], [np.nan, np.nan]])
    library = np.array([[np.nan, 5], [3, np.nan]])
    for q in (1, 8):  # as pairs, in tiles
        for distance in DISTANCES:
            rows, distances = nearest(np.tile(curves, (q, 1)), library, distance=distance, neighbours=2)
            np.testing.assert_array_equal(rows, np.tile([[1, -1], [-1, -1]], (q, 1)))
            assert np.isinf(distances[rows == -1]).all()


def test_a_function_can_be_the_distance() -> None:
    curves, library = learning(7, 9, 0), learning(30, 9, 1)

    def last(curve: Floats, stored: Floats) -> Floats:
        distances: Floats = np.abs(stored[:, -1] - curve[-1])
        return np.where(distances > 0.2, np.nan, distances)

    rows, distances = nearest(curves, library, distance=last, neighbours=4)
    want, its = nearest(curves[:, -1:], library[:, -1:], distance="l1", neighbours=4)
    np.testing.assert_array_equal(rows, np.where(its > 0.2, -1, want))
    np.testing.assert_array_equal(distances, np.where(its > 0.2, np.inf, its))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"curves": np.zeros(3)}, "curves must have two axes"),
        ({"library": np.zeros((2, 4))}, "library has 4 points, expected as many as curves, 3"),
        ({"library": np.full((2, 3), np.inf)}, "curves must be finite, or NaN where a point is missing"),
        ({"neighbours": 0}, "neighbours: must be a whole number >= 1, got 0"),
        ({"threads": 0}, "threads: must be a whole number >= 1, got 0"),
        ({"distance": "l3"}, "distance: must be one of l1, l2, linf, cosine, scaled or a function, got 'l3'"),
        ({"distance": lambda a, b: 0.0}, r"distance: must return one number for each of 2 curves, got shape \(\)"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nearest(**({"curves": np.zeros((1, 3)), "library": np.zeros((2, 3))} | arguments))


def test_the_nearest_foretell() -> None:
    library = Library(points=2)
    for curve, final in (([0, 0], 5.0), ([4, 0], 1.0), ([1, 9], 2.0)):
        library.add(np.array(curve, float), final)
    assert library.predict(np.array([3.0]), "l2", 1) == 1.0  # over the first point only
    assert library.predict(np.array([3.0]), "l2", 2) == pytest.approx((1 / 1 * 1 + 1 / 2 * 2) / (1 + 1 / 2))
    assert library.predict(np.array([4.0]), "l2", 3) == 1.0  # the same curve
    assert library.predict(np.array([0.5, 4.5]), "l2", 1) == 5.0  # two are as near: the older one
    assert library.predict(np.array([3.0]), lambda _, stored: stored[:, 0], 1) == 5.0
    assert np.isnan(library.predict(np.array([3.0]), lambda _, stored: np.full(len(stored), np.nan), 1))
