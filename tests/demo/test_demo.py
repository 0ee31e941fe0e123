"""The demo as a newcomer meets it, on few and short trials."""

from __future__ import annotations

import pytest

from shoal import demo
from shoal.manager.record import StudyRecord

pytest.importorskip("sklearn", reason="the demo's digits come with scikit-learn")


def run(directory, **options):
    demo.run(trials=4, epochs=3, directory=directory, progress=False, **options)


def test_it_trains_both_methods_and_writes_the_report(tmp_path, capsys):
    run(tmp_path / "demo")
    out = capsys.readouterr().out
    assert "digits: 1150 samples to train on, 288 to validate, 359 to test" in out
    for words in ("hyperparameters over time", "PBT", "random search", "validation accuracy", "test accuracy"):
        assert words in out
    assert "\x1b" not in out  # no control characters where nobody looks
    for name in ("report.html", "learning_curves.png", "lineage.png", "best.safetensors", "random/journal.jsonl"):
        assert (tmp_path / "demo" / name).stat().st_size > 0
    for study in (tmp_path / "demo", tmp_path / "demo" / "random"):
        record = StudyRecord.read(study)
        assert record.ended
        assert record.spent == 4 * 3  # the same budget


def test_one_that_has_ended_starts_over_and_finds_the_same(tmp_path, capsys):
    run(tmp_path)
    first = capsys.readouterr().out
    (tmp_path / "mine.safetensors").write_text("not the demo's")
    run(tmp_path)
    second = capsys.readouterr().out
    scores = [[line.split()[:-1] for line in out.splitlines() if line.startswith("PBT ")] for out in (first, second)]
    assert scores[0] == scores[1]
    assert len(scores[0]) == 1
    assert (tmp_path / "mine.safetensors").exists()


def test_one_that_was_stopped_goes_on(tmp_path, monkeypatch):
    study = demo._study

    def stopped(train, valid, strategy, seed, directory, threads):
        if directory.name == "random":
            raise KeyboardInterrupt
        return study(train, valid, strategy, seed, directory, threads)

    monkeypatch.setattr(demo, "_study", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    events = (tmp_path / "journal.jsonl").read_text().splitlines()
    monkeypatch.undo()
    run(tmp_path)
    again = (tmp_path / "journal.jsonl").read_text().splitlines()
    assert again[:-1] == events[:-1]  # PBT had ended and was not run again; the last event says when it was looked at
    assert StudyRecord.read(tmp_path / "random").ended


def test_another_study_in_the_directory_is_left_alone(tmp_path):
    run(tmp_path, seed=1)
    (tmp_path / "random" / "journal.jsonl").unlink()  # so it has not ended
    with pytest.raises(ValueError, match="seed"):
        run(tmp_path, seed=2)


def test_small_sets_get_more_epochs_than_large_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "SAMPLES", 1150 * 12)
    demo.run(trials=2, directory=tmp_path, progress=False)
    assert StudyRecord.read(tmp_path).header["strategy"]["epochs"] == 12
