"""Short runs of the benchmarks over ranks; nothing here looks at times."""

import json

import mpi_manager
import mpi_model
import mpi_peers
import mpi_scaling
import pytest
from mpi_scaling import Case, Run
from tests.mpi.ranks import needs_mpi, on_ranks

pytestmark = needs_mpi


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_states_are_exchanged_in_four_ways(tmp_path):
    out, options = tmp_path / "out.jsonl", "--sizes 1000,2e4 --members 1,3 --repeats 2"
    on_ranks(3, "bench/mpi_exchange.py", *options.split(), "--disk", tmp_path, "--out", out)
    cases = [{"bytes": size, "members": members, "ranks": 3} for size in (1000, 20000) for members in (1, 3)]
    assert [row["case"] for row in rows(out)] == cases
    for row in rows(out):
        assert list(row["metrics"]) == ["shoal", "pickle", "file in shared memory", "file on disk"]
        assert all(each["n"] == 2 and each["median"] > 0 for each in row["metrics"].values())
    assert list(tmp_path.iterdir()) == [out]


def test_a_state_that_comes_back_changed_ends_the_run():
    import mpi_exchange
    import numpy as np

    class Forgets(mpi_exchange.Pickled):
        def move(self, states, count, source, target):
            return [{"member": 0 * state["member"]} for state in states]

    states = [{"member": np.ones(3, np.uint8)}]
    mpi_exchange.there_and_back(
        mpi_exchange.MPI.COMM_SELF, mpi_exchange.Delivered(mpi_exchange.MPI.COMM_SELF), states, 1
    )
    with pytest.raises(SystemExit, match="Forgets: a state did not come back as it was"):
        mpi_exchange.there_and_back(mpi_exchange.MPI.COMM_SELF, Forgets(None), states, 1)


def test_studies_scale(tmp_path):
    options = ["--population", "3", "--epochs", "2", "--samples", "200", "--repeats", "2", "--strategies", "PBT,LCM"]
    mpi_scaling.main([*options, "--out", str(tmp_path / "out.jsonl")])
    found = rows(tmp_path / "out.jsonl")
    expected = [("strong", 1, 3), ("strong", 2, 3), ("weak", 2, 6)]
    cases = [Case("b64", strategy, *each) for strategy in ("PBT", "LCM") for each in expected]
    assert [Case(**row["case"]) for row in found] == cases
    assert [row["epochs"]["ranks"] for row in found[:3]] == [6, 6, 12]
    for row in found:
        assert 0 < row["utilisation"]["ranks"]["median"] < 1
        assert row["metrics"]["ranks"]["n"] == 2


def test_the_manager_decides_for_simulated_workers(tmp_path):
    options = "--workers", "5", "--repeats", "2", "--out", str(tmp_path / "out.jsonl")
    mpi_manager.main(options)
    on_ranks(2, "bench/mpi_manager.py", *options)
    found = {(*mpi_manager.Case(**row["case"])[:2], row["case"]["ranks"]): row for row in rows(tmp_path / "out.jsonl")}
    expected = [(form, name, 1) for name in ("PBT", "ASHA", "LCM") for form in ("rounds", "replies")]
    assert list(found) == [*expected, *(("rounds", name, 2) for name in ("PBT", "ASHA", "LCM"))]
    for row in found.values():
        assert row["metrics"]["shoal"]["n"] == 2
        assert 0 < row["latency_us"]["median"] <= row["latency_us"]["p99"]
    reports = {key: row["reports"] for key, row in found.items()}
    assert reports["rounds", "PBT", 1] == reports["rounds", "PBT", 2] == 25
    assert 20 < reports["replies", "PBT", 1] <= 25, "an heir goes on from where its donor was"
    assert reports["rounds", "ASHA", 1] == reports["rounds", "ASHA", 2]


def test_simulated_workers_return_in_virtual_time():
    virtual = mpi_manager.Virtual(3, at_once=False)
    for trial in range(3):
        virtual.start(trial, {"lr": 0.01, "momentum": 0.0})
    assert virtual.train({0: 1, 1: 1, 2: 1}) == {0: {"loss": 1.0}}  # it takes 1, the second 1.618, the third 1.236
    assert list(virtual.train({0: 2})) == [2]
    assert list(virtual.train({})) == [1]
    assert virtual.train({}) == {0: {"loss": 0.5}}
    assert len(virtual.waits) == 3


def test_studies_that_should_be_the_same_and_are_not_end_the_run():
    one, other = Run(1.0, [1.0], 6, 0.5), Run(1.0, [0.5, 0.5], 6, 0.25)
    mpi_scaling.check(Case("b64", "ASHA", "strong", 2, 3), {"ranks": [one], "threads": [other]})
    with pytest.raises(SystemExit, match=r"must be the same, got \[\(6, 0.25\), \(6, 0.5\)\]"):
        mpi_scaling.check(Case("b64", "PBT", "strong", 2, 3), {"ranks": [one], "threads": [other]})


def test_the_model_of_many_ranks():
    def managed(form, speed):
        case = {"form": form, "strategy": "PBT", "workers": 8, "ranks": 1}
        return {"bench": "mpi_manager", "case": case, "metrics": {"shoal": {"median": speed}}}

    def exchanged(size, shoal, pickle):
        metrics = {"shoal": {"median": shoal}, "pickle": {"median": pickle}}
        return {"bench": "mpi_exchange", "case": {"bytes": size, "members": 1}, "metrics": metrics}

    rows = [managed("rounds", 1e6), managed("rounds", 1e5), managed("replies", 1e4), exchanged(1e4, 9, 2)]
    figures = mpi_model.Figures.of([*rows, exchanged(1e7, 1e4, 1e6)])
    assert vars(figures) == pytest.approx(vars(mpi_model.Figures(2e-6, 1e-9, 1e-5, 1e-4)))
    # 8 x 10 stages of 2 us, 2000 decisions of 10 us, and a state of 1 MB with some 40 bytes of metrics a trial
    idle = mpi_model.replicated(figures, 1000, 2000, 10**6)
    assert idle == pytest.approx(160e-6 + 0.02 + 1e-3 + 2000 * mpi_model.metrics_bytes() * 1e-9)
    assert mpi_model.supervised(figures, 1000, 2000, 10.0) == pytest.approx((2000 * 1e-4 + 8e-3) / 10)
    lines = list(mpi_model.table(figures, 10.0, 1, 10**6))
    assert lines[-1].startswith("| 10,000 | 10,000 | 0.102 | 99.0% | 10.40% of the time |")
    with pytest.raises(SystemExit, match="must have lines of"):
        mpi_model.Figures.of(rows[:2])


def test_shoal_races_its_peers_those_that_are_installed(tmp_path, capsys):
    options = ["--trials", "4", "--epochs", "2", "--samples", "640", "--repeats", "1", "--peers", "nobody,propulate"]
    mpi_peers.main([*options, "--out", str(tmp_path / "out.jsonl")])
    (row,) = rows(tmp_path / "out.jsonl")
    assert row["parameters"] == 784 * 64 + 64 + 64 * 64 + 64 + 64 * 10 + 10
    assert row["epochs"]["shoal"] == row["epochs"]["shoal PBT"] == [8]
    assert "nobody or PyTorch is not installed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (mpi_peers.Run(1.0, 16, 0.5, 99), "peer: 99 parameters, but shoal has 100"),
        (mpi_peers.Run(1.0, 11, 0.5, 100), "peer: 11 epochs were trained instead of 16"),
    ],
)
def test_a_peer_that_trains_something_else_ends_the_run(run, said):
    shoal = mpi_peers.Run(1.0, 16, 0.5, 100)
    mpi_peers.check({"shoal": [shoal], "peer": [mpi_peers.Run(2.0, 14, 0.9, 100)]}, 16)
    with pytest.raises(SystemExit, match=said):
        mpi_peers.check({"shoal": [shoal], "peer": [run]}, 16)


@pytest.mark.parametrize("loss", [0.63, 0.39, float("nan")])
def test_a_training_that_comes_to_another_loss_ends_the_run(loss):
    mpi_peers.check_training({"torch": 0.6, "shoal": 0.5})
    with pytest.raises(SystemExit, match=r"^one training: a loss of \S+, but in shoal 0\.5$"):
        mpi_peers.check_training({"torch": loss, "shoal": 0.5})
