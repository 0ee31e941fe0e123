"""Correlation and r2 of regressions, against float64 NumPy over the outputs that `predict` gives."""

import numpy as np
import pytest
from tests.population.samples import LARGE, TINY, regression

from shoal import Population, data, nn, search
from shoal.space import Float
from shoal.study import Study


def reference(outputs, targets):
    y, t = outputs.astype(float).ravel(), targets.astype(float).ravel()
    squares = np.sum((y - t) ** 2)
    return {
        "loss": squares / y.size,
        "mse": squares / y.size,
        "correlation": np.corrcoef(y, t)[0, 1],
        "r2": 1 - squares / np.sum((t - t.mean()) ** 2),
    }


@pytest.mark.parametrize("network", [TINY, LARGE], ids=["tiny", "large"])
@pytest.mark.parametrize("samples", [2, 255, 256, 257, 1000])
def test_scores_are_those_of_the_outputs(network, samples):
    dataset = regression(samples)
    population = Population(network, 3, loss="mse", hyperparameters={"lr": [0, 0.01, 0.1]})
    population.train(dataset, steps=20)
    scores = population.evaluate(dataset, members=[2, 0, 1])
    assert list(scores) == ["loss", "mse", "correlation", "r2"]
    for place, member in enumerate([2, 0, 1]):
        for name, want in reference(population.predict(dataset, member), dataset.y).items():
            # float32 results of sums in double; those of squares have a float32 rounding for each sample
            np.testing.assert_allclose(scores[name][place], want, rtol=1e-5, atol=1e-6, err_msg=name)


def linear(factor, offset):
    """A network of one weight and bias, y = factor x + offset, with what it says about its data set."""
    population = Population(nn.Sequential([nn.Dense(1)]), loss="mse", input_shape=(1,))
    population.parameters(0)["dense1.weight"][...] = factor
    population.parameters(0)["dense1.bias"][...] = offset
    return population


@pytest.mark.parametrize("samples", [300, 5000])
def test_a_large_offset_costs_no_digits(samples):
    """Deviations of some units on 2**20: squares of float32 would be 10**12, with an error of 10**5."""
    x = np.random.default_rng(0).integers(-4, 5, (samples, 1)).astype(np.float32)
    noise = np.random.default_rng(1).integers(-2, 3, (samples, 1)).astype(np.float32)
    dataset = data.from_arrays(x, 2.0**20 + 2 * x + noise)
    population = linear(2, 2.0**20)
    scores = population.evaluate(dataset)
    for name, want in reference(population.predict(dataset), dataset.y).items():
        np.testing.assert_allclose(scores[name][0], want, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("factor", "target", "correlation", "r2"),
    [
        (1, 0.1, 0, 0),  # constant targets
        (0, 0.1, 0, 1),  # that the outputs equal
        (0, None, 0, None),  # constant outputs
    ],
)
def test_constants(factor, target, correlation, r2):
    x = np.random.default_rng(0).normal(size=(600, 1)).astype(np.float32)
    y = x if target is None else np.full_like(x, target)
    scores = linear(factor, 0.1).evaluate(data.from_arrays(x, y))
    assert scores["correlation"][0] == correlation
    if r2 is None:
        assert scores["r2"][0] <= 0  # no better than the mean of the targets
    else:
        assert scores["r2"][0] == r2


def test_perfect_and_reversed_predictions():
    x = np.random.default_rng(0).normal(size=(700, 1)).astype(np.float32)
    same, reversed_ = linear(1, 0).evaluate(data.from_arrays(x, x)), linear(-1, 0).evaluate(data.from_arrays(x, x))
    assert (same["correlation"][0], same["r2"][0], same["mse"][0]) == (1, 1, 0)
    assert reversed_["correlation"][0] == -1
    np.testing.assert_allclose(reversed_["r2"][0], 1 - 4 * np.mean(x.astype(float) ** 2) / x.astype(float).var())


def test_outputs_that_are_not_finite_have_no_score():
    x = np.ones((9, 1), np.float32)
    scores = linear(np.inf, 0).evaluate(data.from_arrays(x, x))
    assert all(not np.isfinite(values[0]) for values in scores.values())
    assert np.isnan(scores["correlation"][0])


def test_neither_threads_nor_company_change_a_bit():
    dataset = regression(900)
    results = []
    for threads in (1, 2, 3):
        population = Population([TINY, LARGE, LARGE], loss="mse", input_shape=(7,), threads=threads)
        results.append(population.evaluate(dataset))
        alone = population.evaluate(dataset, members=1)
        assert all(alone[name][0] == results[-1][name][1] for name in alone)
    for name, values in results[0].items():
        assert all(np.array_equal(values, other[name]) for other in results[1:])


@pytest.mark.parametrize(("metric", "best"), [("mse", min), ("correlation", max), ("r2", max)])
def test_a_study_ranks_by_them(metric, best, tmp_path):
    study = Study(
        lambda config: TINY,
        regression(80),
        regression(40, seed=1),
        loss="mse",
        space={"lr": Float(0.001, 0.3, log=True)},
        strategy=search.Random(trials=4, epochs=2),
        metric=metric,
        directory=tmp_path / "run",
    )
    result = study.run(progress=False)
    assert result.best.score == best(trial.curve[-1][1][metric] for trial in result.trials)
