"""Studies that are killed at random moments; bench/faults.py itself runs many more seeds."""

import json
import sys

import faults
import pytest
from tests.mpi.ranks import needs_mpi


@needs_mpi
def test_nothing_is_lost(monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["faults.py", "--seeds", "2", "--forms", "supervised"])
    with pytest.raises(SystemExit) as end:
        faults.main()
    out, errors = capfd.readouterr()
    assert not end.value.code, errors
    lines = [json.loads(line) for line in out.splitlines()]
    assert sum(line["kills"] for line in lines) > 0
    assert all(line["metrics"] == {"lost": 0, "differ": 0, "hang": 0, "failed": 0} for line in lines)
