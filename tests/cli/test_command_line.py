"""The command ``shoal`` as a shell sees it: output, exit codes, one line for bad input."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shoal.demo import NETWORKS
from shoal.manager.record import StudyRecord

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

STUDY = """
metric = "accuracy"
[data]
name = "digits"
[network]
layers = [{dense = "width"}, "relu", {dense = "outputs"}]
[space]
lr = {low = 0.001, high = 0.3, log = true}
width = {low = 3, high = 9, type = "int"}
[strategy]
name = "PBT"
population = 6
epochs = %d
interval_epochs = 1
"""


def shoal(*arguments, directory):
    command = [sys.executable, "-m", "shoal", *map(str, arguments)]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def study(tmp_path):
    def write(epochs):
        (tmp_path / "study.toml").write_text(STUDY % epochs)
        return tmp_path / "runs" / "study"

    return write


def test_run_and_report(study, tmp_path):
    directory = study(epochs=3)
    run = shoal("run", "study.toml", directory=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "\x1b" not in run.stdout + run.stderr  # no control characters where nobody looks
    for words in ("validation accuracy", "test accuracy", "report.html"):
        assert words in run.stdout
    page = directory / "report.html"
    page.unlink()
    report = shoal("report", directory, directory=tmp_path)
    assert (report.returncode, report.stderr) == (0, "")
    assert "report.html" in report.stdout
    assert "test accuracy" in page.read_text()  # the score of the run is remembered
    again = shoal("run", "study.toml", directory=tmp_path)
    assert again.returncode == 0
    assert [line for line in run.stdout.splitlines() if "accuracy" in line] == [
        line for line in again.stdout.splitlines() if "accuracy" in line
    ]


def test_the_schedule_of_the_best_is_told_from_its_start(study, tmp_path):
    directory = study(epochs=6)
    told = shoal("run", "study.toml", directory=tmp_path).stdout
    schedule = StudyRecord.read(directory).best_schedule
    assert len(schedule) > 1, "the best has inherited"
    for progress, config in schedule:
        assert re.search(rf"from {progress} +{config['lr']:.4g}\n", told), told


def test_a_replay_is_the_same(study, tmp_path):
    directory = study(epochs=4)
    assert shoal("run", "study.toml", directory=tmp_path).returncode == 0
    replay = shoal("replay", directory, "--save", "again.safetensors", directory=tmp_path)
    assert (replay.returncode, replay.stderr) == (0, "")
    first, *metrics, last = replay.stdout.splitlines()
    best = StudyRecord.read(directory).best_report
    assert first.startswith(f"trial {best.trial}, trained again alone: {best.progress} epochs, ")
    assert metrics == [f"{name}: recorded {value!r}, replayed {value!r}" for name, value in best.metrics.items()]
    assert last == "the same bit for bit"
    assert (tmp_path / "again.safetensors").read_bytes() == (directory / "best.safetensors").read_bytes()
    journal = directory / "journal.jsonl"  # and something else is not
    journal.write_text(journal.read_text().replace(repr(best.metrics["loss"]), "0.125"))
    replay = shoal("replay", directory, directory=tmp_path)
    assert (replay.returncode, replay.stderr) == (1, "")
    assert f"loss: recorded 0.125, replayed {best.metrics['loss']!r}" in replay.stdout
    assert replay.stdout.splitlines()[-1].startswith("not the same: ")
    missing = shoal("replay", directory, "--save", "none/again.safetensors", directory=tmp_path)
    assert (missing.returncode, missing.stderr) == (2, "--save: there is no directory none\n")


def test_strategies_of_files_are_simulated(tmp_path):
    for name, strategy in (("asha", "ASHA"), ("all", "Random")):
        length = "max_epochs" if name == "asha" else "epochs"
        (tmp_path / f"{name}.toml").write_text(f'[strategy]\nname = "{strategy}"\ntrials = 200\n{length} = 27\n')
    options = ["--workers", 50, "--plot", "both.png"]
    result = shoal("simulate", "asha.toml", "all.toml", *options, directory=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    head, asha, everything, picture = result.stdout.splitlines()
    assert head.split() == ["strategy", "trials", "epochs", "seconds", "workers", "busy", "regret"]
    assert asha.split()[:2] == ["asha", "200"]
    assert everything.split()[:3] == ["all", "200", "5,400"]
    assert picture == "picture: both.png"
    assert (tmp_path / "both.png").exists()
    (tmp_path / "long.toml").write_text('strategy = {name = "Random", trials = 2, epochs = 28}')
    (tmp_path / "weights.toml").write_text('strategy = {name = "PBT", population = 2, epochs = 8, interval_epochs = 1}')
    for name, message in (
        ("long", "long.toml: strategy: trains to 28 epochs, the table has 27"),
        ("weights", "weights.toml: strategy: changes trials on their way, and a table has no weights"),
    ):
        result = shoal("simulate", f"{name}.toml", directory=tmp_path)
        assert (result.returncode, result.stderr) == (2, message + "\n")


def test_a_front_is_shown(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY.replace('"accuracy"', '["accuracy", "parameters"]') % 3)
    run = shoal("run", "study.toml", directory=tmp_path)
    assert run.returncode == 0, run.stderr
    out = run.stdout.splitlines()
    assert any(line.startswith("parameters: ") for line in out)
    (start,) = [i for i, line in enumerate(out) if line.startswith("the front, ")]
    assert out[start + 1].split()[:4] == ["trial", "accuracy", "parameters", "epochs"]
    assert out[start + 2].split()[0] == "1"
    count = int(out[start].split()[2])
    assert len(list((tmp_path / "runs/study").glob("front-*.safetensors"))) == count
    assert shoal("report", "runs/study", directory=tmp_path).returncode == 0
    assert (tmp_path / "runs/study/pareto.png").exists()


def test_a_plan_is_shown_and_nothing_done(study, tmp_path):
    directory = study(epochs=3)
    plan = shoal("run", "--plan", "study.toml", directory=tmp_path)
    assert (plan.returncode, plan.stderr) == (0, "")
    assert "6 trials, 6 at a time; at most 18 epochs in all" in plan.stdout
    # 9 x 64 + 10 x 16 weights, 2 x 16 biases (rows padded), as much momentum, and the counters
    assert "At most 6 kB of weights and optimiser state a network; about" in plan.stdout
    assert "Takes at most about" in plan.stdout
    assert "for 18 epochs, judged by 6 random configs" in plan.stdout
    assert not directory.exists()


def test_a_run_that_is_interrupted_is_resumed_to_the_same_best(study, tmp_path):
    directory = study(epochs=200)
    command = [sys.executable, "-m", "shoal", "run", "study.toml"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (directory / "journal.jsonl").exists() or b'"report"' not in (directory / "journal.jsonl").read_bytes():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert str(Path("runs/study")) in err
    assert not StudyRecord.read(directory).ended
    assert shoal("resume", directory, directory=tmp_path).returncode == 0
    resumed = StudyRecord.read(directory)
    assert resumed.ended
    shoal("run", "study.toml", "--directory", "whole", directory=tmp_path)
    whole = StudyRecord.read(tmp_path / "whole")
    assert resumed.best_report == whole.best_report
    assert resumed.best_schedule == whole.best_schedule


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "none.toml"], "none.toml: cannot be read: No such file"),
        (["run", "study.toml", "--threads", "0"], "1"),
        (["resume", "none"], "none"),
        (["replay", "none"], "none"),
        (["report", "none"], "none"),
        (["simulate", "none.toml"], "none.toml: cannot be read: No such file"),
        (["simulate", "study.toml", "--table", "none.npz"], "none.npz: "),
        (["demo", "--trials", "1"], "2"),
        (["demo", "--data", "nothing"], "nothing: no such data set"),
        (["demo", "--sede", "1"], "--sede"),
        (["demo", "--network", "lenet"], "network: must be one of mlp, softmax, lenet5, small_cnn, cifar_cnn"),
        (["demo", "--network", "lenet5", "--data", "digits"], "lenet5: cannot take the samples of digits, (8, 8)"),
        (["dance"], "dance"),
        (["run"], "STUDY.TOML"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(study, tmp_path, arguments, message):
    study(epochs=2)
    result = shoal(*arguments, directory=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]  # nothing was begun


def test_too_large_a_network_is_one_line_too(study, tmp_path):
    study(epochs=2)
    path = tmp_path / "study.toml"
    path.write_text(path.read_text().replace('"width"}', '"width"}, {dense = 16777216}, {dense = 16777216}'))
    result = shoal("run", "study.toml", directory=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("members: 0 of 1 fit into memory: out of memory: ")
    assert len(result.stderr.splitlines()) == 1, result.stderr


def test_a_study_of_a_script_says_how_to_go_on(tmp_path):
    (tmp_path / "journal.jsonl").write_text('{"event":"study","format":1}\n')
    result = shoal("resume", tmp_path, directory=tmp_path)
    assert result.returncode == 2
    assert "run the script again" in result.stderr
    result = shoal("replay", tmp_path, directory=tmp_path)
    assert result.returncode == 2
    assert "call replay() of its result there" in result.stderr


def test_version_devices_and_help(tmp_path):
    assert shoal("--version", directory=tmp_path).stdout.startswith("shoal 0")
    assert "cpu" in shoal("devices", directory=tmp_path).stdout
    for arguments in ([], ["--help"], ["-h"]):
        result = shoal(*arguments, directory=tmp_path)
        assert result.returncode == 0
        for command in ("demo", "run", "resume", "replay", "report", "simulate", "devices"):
            assert command in result.stdout


def test_help_names_every_network(tmp_path):
    words = shoal("demo", "--help", directory=tmp_path).stdout.replace("│", " ").split()
    for network in NETWORKS:
        assert network in " ".join(words).replace(",", "").replace(".", "").split()


def test_help_imports_nothing_heavy(tmp_path):
    code = "import sys, shoal.cli; print([m for m in ('numpy', 'plotly', 'matplotlib', 'sklearn') if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, env=os.environ
    )
    assert result.stdout.strip() == "[]"
