"""The report of a study's result."""

from __future__ import annotations

import json

import numpy as np
import pytest

from shoal import nn, search
from shoal.data import from_arrays
from shoal.report import write
from shoal.space import Float
from shoal.study import Study


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return from_arrays(rng.normal(size=(40, 5)).astype(np.float32), rng.integers(0, 3, 40), classes=3)


def run(data, directory, low, high):
    return Study(
        lambda config: nn.Sequential([nn.Dense(8), nn.LeakyReLU(), nn.Dense(3)]),
        data,
        data,
        space={"lr": Float(low, high, log=True)},
        strategy=search.Random(trials=3, epochs=2),
        metric="accuracy",
        directory=directory,
    ).run(progress=False)


def test_the_test_score_comes_with_its_number_of_samples(data, tmp_path):
    result = run(data, tmp_path, 1e-3, 1e-1)
    page = result.report(data)
    accuracy = result.best.model.evaluate(data)["accuracy"][0]
    assert json.loads((tmp_path / "report.json").read_text())["test"]["samples"] == 40
    assert f"{accuracy:.4f} ± {np.sqrt(accuracy * (1 - accuracy) / 40):.4f}" in page.read_text(encoding="utf-8")


def test_the_report_of_a_study_over_ranks_tells_their_utilisation(data, tmp_path):
    result = run(data, tmp_path, 1e-3, 1e-1)
    assert result.utilisation == []
    assert "ranks trained" not in result.report().read_text(encoding="utf-8")
    result.utilisation = [0.5, 0.25]
    words = "; 2 ranks trained 37.5% of the time, the least rank 1 with 25.0%"
    assert words in result.report().read_text(encoding="utf-8")
    assert words in write(tmp_path).read_text(encoding="utf-8"), "it is kept beside the journal"


def test_a_study_whose_trials_all_diverged_still_has_a_report(data, tmp_path):
    result = run(data, tmp_path, 1e37, 1e38)
    assert result.record.best is None
    assert "Every trial diverged" in result.report(data).read_text(encoding="utf-8")
    assert [path.stem for path in tmp_path.glob("*.png")] == ["schedules"]
