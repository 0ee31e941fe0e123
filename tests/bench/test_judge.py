"""The judge of strategies, on a small table of the format that it reads."""

import json

import judge
import numpy as np
import pytest


@pytest.fixture
def curves(tmp_path):
    rng = np.random.default_rng(0)
    names = ["batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units", "max_dropout"]
    x = np.stack(
        [
            rng.integers(16, 512, 150),
            10 ** rng.uniform(-4, -1, 150),
            rng.uniform(0.1, 0.99, 150),
            rng.uniform(1e-5, 0.1, 150),
            rng.integers(1, 6, 150),
            rng.integers(64, 1025, 150),
            rng.random(150),
        ],
        axis=1,
    )
    level = np.abs(np.log10(x[:, 1]) + 2)
    y = level[None, :, None] + 1 / np.arange(1, 53)
    path = tmp_path / "curves.npz"
    np.savez(path, hp=np.array(names), X=x, datasets=np.array(["one"]), Y=y.astype(np.float32))
    return path


def test_it_ranks_strategies(curves, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    judge.main(["--curves", str(curves), "--budgets", "5", "--seeds", "2", "--out", str(out)])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {row["case"]["rule"] for row in rows} == {"nearest", "unused"}
    by_name = {row["case"]["strategy"]: row for row in rows if row["case"]["rule"] == "nearest"}
    assert by_name["asha"]["rank"] < by_name["random"]["rank"]  # early scores tell all here
    assert "5 full trainings, nearest" in capsys.readouterr().err


def test_ranks_share_ties():
    np.testing.assert_array_equal(judge.ranks(np.array([[1.0, 2], [1, 3], [5, 1]])), [[1.5, 2], [1.5, 3], [3, 1]])
