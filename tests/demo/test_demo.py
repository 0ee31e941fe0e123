"""The demo as a newcomer meets it, on few and short trials."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.data.files import write_cifar10_folder

from shoal.demo import NETWORKS, demo
from shoal.manager.record import StudyRecord
from shoal.population import Population
from shoal.space import Space

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

    def stopped(entry, train, valid, strategy, seed, directory, threads):
        if directory.name == "random":
            raise KeyboardInterrupt
        return study(entry, train, valid, strategy, seed, directory, threads)

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


@pytest.fixture
def images(tmp_path):
    """Images of MNIST's shape: bright above or below."""
    y = np.arange(60) % 2
    x = np.zeros((60, 28, 28), np.uint8)
    x[y == 0, :14], x[y == 1, 14:] = 200, 200
    np.savez(tmp_path / "halves.npz", x_train=x, y_train=y, x_test=x[:20], y_test=y[:20])
    return tmp_path / "halves.npz"


@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_on_grey_images(network, images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    demo.run(network, str(images), trials=2, epochs=2, progress=False)
    name = "demo-halves.npz" if network == "mlp" else f"demo-{network}-halves.npz"
    assert [path.name for path in Path("runs").iterdir()] == [name]  # networks do not get into each other's way
    record = StudyRecord.read(Path("runs") / name)
    assert record.ended
    assert record.header["optimizer"] == NETWORKS[network].optimizer
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 120
    assert "\n\n\n" not in out


def test_colours(tmp_path):
    write_cifar10_folder(tmp_path / "cifar", n=8)
    demo.run("small_cnn", str(tmp_path / "cifar"), trials=2, epochs=1, directory=tmp_path / "demo", progress=False)
    assert StudyRecord.read(tmp_path / "demo" / "random").ended


@pytest.mark.parametrize(("network", "entry"), NETWORKS.items())
def test_structures_follow_from_the_config_and_take_colours(network, entry):
    space = Space(entry.space)
    rng = np.random.default_rng(0)
    networks = [entry.build(space.sample(rng), 10) for _ in range(30)]
    structural = network not in ("softmax", "cuda_convnet")
    assert (len({each.structure for each in networks}) > 1) == structural
    assert Population(networks, optimizer=entry.optimizer, input_shape=(32, 32, 3)).members == 30


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("lenet5", r"^lenet5: cannot take the samples of .*, \(4,\): layer 1 \(conv2d\): input must be an image"),
        ("lenet", r"^network: must be one of mlp, softmax, lenet5, .*; got 'lenet'"),
    ],
)
def test_a_network_that_cannot_take_the_data_is_an_error_before_anything_is_removed(network, message, tmp_path):
    run(tmp_path / "demo")
    files = {path.name for path in (tmp_path / "demo").iterdir()}
    table = np.random.default_rng(0).normal(size=(40, 4))
    np.savez(tmp_path / "table.npz", x=table, y=np.arange(40) % 2)
    with pytest.raises(ValueError, match=message):
        run(tmp_path / "demo", network=network, data=str(tmp_path / "table.npz"))
    assert {path.name for path in (tmp_path / "demo").iterdir()} == files


def test_small_sets_get_more_epochs_than_large_ones(tmp_path, monkeypatch):
    monkeypatch.setitem(demo.NETWORKS, "mlp", replace(NETWORKS["mlp"], samples=1150 * 12))
    demo.run(trials=2, directory=tmp_path, progress=False)
    assert StudyRecord.read(tmp_path).header["strategy"]["epochs"] == 12


def test_a_set_that_is_too_large_is_used_in_part_unless_epochs_are_given(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(demo.NETWORKS, "softmax", replace(NETWORKS["softmax"], samples=500))
    demo.run("softmax", trials=2, directory=tmp_path, progress=False)
    header = StudyRecord.read(tmp_path).header
    assert header["strategy"]["epochs"] == demo.LEAST
    assert header["data"]["train"]["samples"] == 100
    assert "digits: 100 of its 1150 samples to train on, 50 to validate, 359 to test" in capsys.readouterr().out
    demo.run("softmax", trials=2, epochs=1, directory=tmp_path, progress=False)
    assert StudyRecord.read(tmp_path).header["data"]["train"]["samples"] == 1150
