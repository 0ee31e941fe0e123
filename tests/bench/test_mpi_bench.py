"""Short runs of the benchmarks over ranks; nothing here looks at times."""

import json

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


def test_studies_that_should_be_the_same_and_are_not_end_the_run():
    one, other = Run(1.0, [1.0], 6, 0.5), Run(1.0, [0.5, 0.5], 6, 0.25)
    mpi_scaling.check(Case("b64", "ASHA", "strong", 2, 3), {"ranks": [one], "threads": [other]})
    with pytest.raises(SystemExit, match=r"must be the same, got \[\(6, 0.25\), \(6, 0.5\)\]"):
        mpi_scaling.check(Case("b64", "PBT", "strong", 2, 3), {"ranks": [one], "threads": [other]})
