"""The script that recorded the table of shoal.simulate."""

import pytest
import record_digits

from shoal.simulate import Table

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")


def test_it_records_what_a_shorter_study_had_begun(tmp_path, capsys):
    record_digits.main(["--configs", "4", "--epochs", "2", "--out", str(tmp_path / "curves.npz")])
    capsys.readouterr()
    mine, shipped = Table.load(tmp_path / "curves.npz"), Table.load("digits")
    assert (len(mine), mine.length, mine.space) == (4, 2, shipped.space)
    assert (mine.positions == shipped.positions[:4]).all()
    assert mine.scores == pytest.approx(shipped.scores[:4, :2], rel=1e-3)  # another processor rounds otherwise
    assert (mine.seconds > 0).all()
