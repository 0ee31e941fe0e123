"""The judge of strategies, on a small table of the format that it reads."""

import json

import judge
import numpy as np
import pytest
from judge_contenders import contenders
from judge_figures import ranks
from judge_peers import Packaged

from shoal.simulate.table import LCBENCH


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
    judge.main(["--curves", str(curves), "--budgets", "5", "--seeds", "2", "--no-peers", "--out", str(out)])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {row["case"]["rule"] for row in rows} == {"nearest", "unused"}
    by_name = {row["case"]["strategy"]: row for row in rows if row["case"]["rule"] == "nearest"}
    assert by_name["asha"]["rank"] < by_name["random"]["rank"]  # early scores tell all here
    said = capsys.readouterr().err
    assert "5 full trainings, nearest: mean regret" in said
    assert f"5 full trainings, unused: {2 * len(by_name)} of {2 * len(by_name)} runs" in said
    assert set(by_name) == set(contenders(51, 5))


def test_what_is_not_installed_is_left_out_by_name(curves, monkeypatch, capsys):
    monkeypatch.setitem(judge.PEERS, "dehb/dehb", Packaged("not-a-package", judge.PEERS["dehb/dehb"].start))
    arguments = ["--curves", str(curves), "--rules", "nearest", "--budgets", "2", "--seeds", "1"]
    judge.main([*arguments, "--only", "random,dehb/dehb,topk"])
    said = capsys.readouterr()
    assert [json.loads(line)["case"]["strategy"] for line in said.out.splitlines()] == ["random", "topk"]
    assert "left out: dehb/dehb, not-a-package is not installed\n" in said.err


def test_an_earlier_run_is_ranked_along(curves, tmp_path, capsys):
    arguments = ["--curves", str(curves), "--rules", "nearest", "--budgets", "2", "--seeds", "2", "--no-peers"]
    first, second, both = (tmp_path / name for name in ("first", "second", "both"))
    judge.main([*arguments, "--only", "random", "--out", str(first)])
    judge.main([*arguments, "--only", "topk", "--out", str(second), "--beside", str(first)])
    judge.main([*arguments, "--only", "random,topk", "--out", str(both)])
    alone, beside = json.loads(second.read_text()), json.loads(both.read_text().splitlines()[1])
    assert alone | {"machine": 0} == beside | {"machine": 0}
    tables = capsys.readouterr().err.split("mean regret")
    assert tables[2].splitlines()[1:3] == tables[3].splitlines()[1:3]
    with pytest.raises(SystemExit, match="beside: must have the same 1 runs, got 2 of random"):
        judge.main([*arguments, "--seeds", "1", "--beside", str(first)])


def test_one_that_was_stopped_goes_on(curves, tmp_path, capsys):
    kept, out = tmp_path / "kept.jsonl", tmp_path / "out.jsonl"
    arguments = [
        "--curves",
        str(curves),
        "--rules",
        "nearest",
        "--budgets",
        "2",
        "--seeds",
        "3",
        "--only",
        "random,topk",
    ]
    judge.main([*arguments, "--out", str(out)])
    whole = out.read_text()
    judge.main([*arguments, "--keep", str(kept)])
    lines = kept.read_text().splitlines(keepends=True)
    assert len(lines) == 6
    kept.write_text("".join(lines[:4]) + lines[4][:10])  # it was killed in the middle of a line
    capsys.readouterr()
    judge.main([*arguments, "--keep", str(kept), "--out", str(out)])
    assert "2 of 2 runs" in capsys.readouterr().err
    assert sorted(kept.read_text().splitlines(keepends=True)) == sorted(lines)
    regrets = [[json.loads(line)["regrets"] for line in text.splitlines()] for text in (whole, out.read_text())]
    assert regrets[0] == regrets[1]
    other = curves.rename(tmp_path / "others.npz")
    judge.main([*arguments[2:], "--curves", str(other), "--keep", str(kept)])
    assert "6 of 6 runs" in capsys.readouterr().err, "what was found on other curves is not taken for it"


def test_unknown_names_are_refused(curves):
    with pytest.raises(SystemExit, match=r"only: must be of default, random, .*, got 'peter'"):
        judge.main(["--curves", str(curves), "--only", "random,peter"])


@pytest.mark.parametrize("budget", [1, 10, 30, 100])
def test_contenders_want_the_budget_and_no_more_rows_than_there_are(budget):
    for name, search in contenders(51, budget).items():
        plan = search.bind(LCBENCH).plan()
        assert plan.budget >= 0.85 * budget * 51, name
        # These start few of their trials before the budget is spent.
        assert plan.trials < 2000 or name in ("hyperband", "dehb"), name


def test_ranks_share_ties():
    np.testing.assert_array_equal(ranks(np.array([[1.0, 2], [1, 3], [5, 1]])), [[1.5, 2], [1.5, 3], [3, 1]])
