"""How fast the nearest of many learning curves are found, beside SciPy, faiss and scikit-learn in the same run.

    python bench/distances.py                                       # 10^4 running curves of 100 points, 10^4 stored
    python bench/distances.py --curves 1000 --neighbours 1 --peers scipy,faiss

Whoever answers is checked first: the distances to the k nearest must be shoal's within its own rounding. SciPy's
`cdist` fills a block of the matrix on each core, and `argpartition` looks through it; faiss and scikit-learn have the
threads they start themselves. faiss computes in float32, the others in float64. None but shoal knows the distance to
the best multiple ("scaled"); SciPy's is made of its cosine, whose order it has.

The limit: a difference costs at least one multiply-add, 2 FLOP, so 2 q m T FLOP at the peak of float32. That binds
whoever looks at all pairs; shoal proves of most learning curves that they are too far, and may have a share above 1.
With --data noise (curves of independent points) nothing can be left out. One JSON line a distance and k goes to stdout
or --out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import machine
import numpy as np
from harness import Summary
from numpy.typing import NDArray

from shoal.search.curves import DISTANCES, nearest

Floats = NDArray[Any]
Finder = Callable[[], Floats]  # sorted distances, (q, k), as shoal's

NAMES = {"l1": "cityblock", "l2": "euclidean", "linf": "chebyshev", "cosine": "cosine"}  # SciPy's and scikit-learn's
BLOCK = 1000  # queries of a matrix of distances


def learning_curves(count: int, points: int, seed: int) -> Floats:
    """Return noisy power laws, as losses fall."""
    rng = np.random.default_rng(seed)
    start, end, rate = (rng.uniform(low, high, (count, 1)) for low, high in ((0.5, 2), (0.1, 0.5), (0.3, 1.5)))
    return end + start * np.arange(1, points + 1) ** -rate + 0.01 * rng.standard_normal((count, points))


def noise(count: int, points: int, seed: int) -> Floats:
    """Return curves without structure."""
    return np.random.default_rng(seed).standard_normal((count, points))


DATA = {"learning": learning_curves, "noise": noise}


def from_mean(distance: str, means: Floats, points: int) -> Floats:
    """Return shoal's means as the sums and lengths of others."""
    return means * {"l1": points, "l2": points**0.5}.get(distance, 1)


def scipy_finder(distance: str, curves: Floats, library: Floats, k: int) -> Finder:
    from scipy.spatial.distance import cdist

    def block(first: int) -> Floats:
        values = cdist(curves[first : first + BLOCK], library, NAMES.get(distance, "cosine"))
        if distance == "scaled":  # |a| sin
            values = np.sqrt(np.maximum(1 - (1 - values) ** 2, 0))
            values *= np.linalg.norm(curves[first : first + BLOCK], axis=1, keepdims=True) / curves.shape[1] ** 0.5
        rows = np.argpartition(values, k - 1, axis=1)[:, :k]
        return np.sort(np.take_along_axis(values, rows, axis=1), axis=1)

    def find() -> Floats:
        with ThreadPoolExecutor(len(machine.cpus())) as threads:
            return np.concatenate(list(threads.map(block, range(0, len(curves), BLOCK))))

    return find


def faiss_finder(distance: str, curves: Floats, library: Floats, k: int) -> Finder | None:
    import faiss

    kinds = {
        "l1": faiss.METRIC_L1,
        "l2": faiss.METRIC_L2,
        "linf": faiss.METRIC_Linf,
        "cosine": faiss.METRIC_INNER_PRODUCT,
    }
    if distance not in kinds:
        return None
    faiss.omp_set_num_threads(len(machine.cpus()))
    given, stored = (array.astype(np.float32) for array in (curves, library))
    if distance == "cosine":
        faiss.normalize_L2(given)
        faiss.normalize_L2(stored)

    def find() -> Floats:
        values, _ = faiss.knn(given, stored, k, metric=kinds[distance])
        return {"l2": lambda: np.sqrt(values), "cosine": lambda: 1 - values}.get(distance, lambda: values)()

    return find


def sklearn_finder(distance: str, curves: Floats, library: Floats, k: int) -> Finder | None:
    from sklearn.neighbors import NearestNeighbors

    if distance not in NAMES:
        return None
    fitted = NearestNeighbors(n_neighbors=k, algorithm="brute", metric=NAMES[distance], n_jobs=-1).fit(library)
    return lambda: fitted.kneighbors(curves)[0]


PEERS = {"scipy": scipy_finder, "faiss": faiss_finder, "sklearn": sklearn_finder}
PACKAGES = {"scipy": "scipy", "faiss": "faiss-cpu", "sklearn": "scikit-learn"}
TOLERANCE = {"faiss": 3e-3, "scipy": 1e-6, "sklearn": 1e-6}  # faiss: float32, |a|^2 + |b|^2 - 2 a.b


def finders(distance: str, curves: Floats, library: Floats, k: int, peers: list[str], device: str) -> dict[str, Finder]:
    """Return all that can answer, each checked against shoal."""
    ours = lambda: nearest(curves, library, distance=distance, neighbours=k, device=device)[1]  # noqa: E731
    want = from_mean(distance, ours(), curves.shape[1])
    found = {"shoal": ours}
    for name in peers:
        find = PEERS[name](distance, curves, library, k)
        if find is not None:
            np.testing.assert_allclose(find(), want, rtol=TOLERANCE[name], atol=TOLERANCE[name], err_msg=name)
            found[name] = find
    return found


def measure(case: dict[str, Any], curves: Floats, library: Floats, peers: list[str], repeats: int) -> dict[str, Any]:
    """Return a row of figures; all take turns."""
    found = finders(case["distance"], curves, library, case["neighbours"], peers, case.get("device", "cpu"))
    seconds: dict[str, list[float]] = {name: [] for name in found}
    peaks = []
    for _ in range(repeats):
        for name, find in found.items():
            start = time.perf_counter()
            find()
            seconds[name].append(time.perf_counter() - start)
        peaks.append(machine.peak_gflops(len(machine.cpus())))
    (peak, how), flops = (statistics.median(peak for peak, _ in peaks), peaks[0][1]), 2 * curves.size * len(library)
    ours = seconds["shoal"]
    ratios = {name: [b / a for a, b in zip(ours, spent, strict=True)] for name, spent in seconds.items()}
    return {
        "bench": "distances",
        "case": case,
        "unit": "s",
        "better": "lower",
        "metrics": {name: Summary.of(spent).as_json() for name, spent in seconds.items()},
        "ratios": {name: Summary.of(ratio).as_json() for name, ratio in ratios.items() if name != "shoal"},
        "limit": round(flops / peak / 1e9, 4),
        "share_of_peak": {n: round(flops / statistics.median(s) / peak / 1e9, 4) for n, s in seconds.items()},
        "peak": {"gflops": round(peak, 1), "how": how},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--curves", type=int, default=10_000, help="running, and as many stored")
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--data", choices=DATA, default="learning")
    parser.add_argument("--neighbours", default="1,10")
    parser.add_argument("--distances", default=",".join(DISTANCES))
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], default="cpu", help="shoal's; arrays start and end in host memory"
    )
    parser.add_argument("--peers", default=",".join(PEERS), help='"" for none')
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="file for the JSON lines")
    options = parser.parse_args()
    os.environ[machine.DEVICE] = options.device
    peers = [name for name in options.peers.split(",") if name]
    about = machine.describe() | {PACKAGES[name]: version(PACKAGES[name]) for name in peers}
    curves, library = (DATA[options.data](options.curves, options.points, seed) for seed in (0, 1))
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(options.out.open("w")) if options.out else sys.stdout
        for k in map(int, options.neighbours.split(",")):
            for distance in options.distances.split(","):
                case = {"distance": distance, "data": options.data, "curves": options.curves, "points": options.points}
                case |= {"neighbours": k, "device": options.device}
                row = measure(case, curves, library, peers, options.repeats)
                print(json.dumps(row | {"machine": about}), file=out, flush=True)


if __name__ == "__main__":
    main()
