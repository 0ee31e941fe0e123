"""``mpiexec ... shoal run``: one voice, the right exit code, and nobody hangs."""

import os
import platform
import re
import signal
import subprocess
import sys
import time

import pytest
from tests.manager.toys import story
from tests.mpi.ranks import finish, needs_mpi, start

from shoal.manager.journal import FILE
from shoal.studyfile import StudyFile

STUDY = """
metric = "accuracy"
snapshot_interval = 0
threads = 1
[data]
name = "digits"
[network]
layers = [{dense = "width"}, "relu", {dense = "outputs"}]
[space]
lr = {low = 1e-3, high = 0.3, log = true}
width = {low = 8, high = 32, type = "int"}
[strategy]
name = "PBT"
population = 6
epochs = EPOCHS
interval_epochs = 2
"""


@pytest.fixture
def study(tmp_path):
    def write(epochs=4, form="replicated"):
        (tmp_path / "study.toml").write_text(f'form = "{form}"\n' + STUDY.replace("EPOCHS", str(epochs)))
        return tmp_path

    return write


@needs_mpi
def test_run_speaks_once(study):
    directory = study()
    code, out, errors = finish(start(2, "-m", "shoal", "run", "study.toml", cwd=directory))
    assert code == 0, errors
    assert out.count("is the best") == out.count("report: ") == 1
    first, *lines = errors.splitlines()
    assert first.endswith(": rank 0 on cpu with 1 thread, 1 on cpu with 1 thread")
    assert re.search(
        r"^[A-Z]\w+: 24 of 24 epochs, .*, best accuracy 0\.\d+ by trial \d( on rank [01])?$", errors, re.MULTILINE
    )
    assert re.fullmatch(r"2 ranks trained \d+\.\d% of the time, the least rank [01] with \d+\.\d%", lines[-1])
    assert "; 2 ranks trained " in (directory / "runs" / "study" / "report.html").read_text()
    StudyFile.read(directory / "study.toml", directory / "alone").study.run(progress=False)
    assert story(directory / "runs" / "study") == story(directory / "alone")


@needs_mpi
@pytest.mark.parametrize("form", ["replicated", "supervised"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_launcher_stops_after_the_round(number, form, study):
    directory = study(400, form)
    process = start(2, "-m", "shoal", "run", "study.toml", cwd=directory)
    journal = directory / "runs" / "study" / FILE
    wait_for(lambda: journal.exists() and '"report"' in journal.read_text())
    process.send_signal(number)
    code, _, errors = finish(process, 20)
    assert code == 128 + number, errors
    assert errors.count("Stopped after") == 1
    assert "Abort" not in errors


@needs_mpi
def test_resume(study):
    directory = study()
    process = start(2, "-m", "shoal", "run", "study.toml", cwd=directory)
    journal = directory / "runs" / "study" / FILE
    wait_for(lambda: journal.exists() and '"snapshot"' in journal.read_text())
    process.kill()  # the launcher itself: its processes end with it
    finish(process, 20)
    before = journal.read_text().partition('{"event":"snapshot"')[0]
    code, out, errors = finish(start(3, "-m", "shoal", "resume", "runs/study", cwd=directory))
    assert code == 0, errors
    assert out.count("is the best") == 1
    assert journal.read_text().startswith(before)


def wait_for(condition, limit=30):
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@needs_mpi
def test_bad_input_is_said_once(study):
    directory = study()
    (directory / "study.toml").write_text(STUDY.replace("EPOCHS", "4").replace("1e-3", "0"))
    code, out, errors = finish(start(3, "-m", "shoal", "run", "study.toml", cwd=directory))
    assert (code, out) == (2, "")
    assert errors.splitlines() == ["study.toml: space.lr.low: must be > 0 on a log scale, got 0"]


@needs_mpi
def test_too_large_a_network_is_said_once(study):
    directory = study()
    layers = '"width"}, {dense = 16777216}, {dense = 16777216}'
    (directory / "study.toml").write_text(STUDY.replace("EPOCHS", "4").replace('"width"}', layers, 1))
    code, out, errors = finish(start(2, "-m", "shoal", "run", "study.toml", cwd=directory))
    assert (code, out) == (2, "")
    (line,) = errors.splitlines()
    assert line.startswith("members: 0 of 1 fit into memory: out of memory: ")


@needs_mpi
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("seed", "seed is 1 there and 0 here; data.train.digest is "),
        ("version", "version is '0.1.1' there and '0.1.0' here\n"),
    ],
)
def test_studies_that_differ(what, said, study):
    """Each rank has a file of its own, as where a node has an old copy; or another shoal."""
    code, out, errors = finish(start(2, "-m", "tests.mpi.differing", what, study()))
    assert (code, out) == (2, "")
    assert errors.startswith(f"rank 1 has another study than rank 0: {said}")
    assert len(errors.splitlines()) == 1


@needs_mpi
@pytest.mark.parametrize("form", ["replicated", "supervised"])
@pytest.mark.parametrize("uuids", [["5d1c-1", "07b2-1"], ["5d1c-1", "07b2-1", "a0f3-1", "33e8-1"]], ids=["2", "4"])
def test_gpus_that_all_are_number_0(uuids, form, study):
    """As under ``srun --gpus-per-task=1``."""
    code, _, errors = finish(start(len(uuids), "-m", "tests.mpi.cards", study(form=form), *uuids))
    assert code == 0, errors
    told = [f"{rank} on cuda:0 ({uuid[:4]}) with 1 thread" for rank, uuid in enumerate(uuids)]
    chart, way, *_ = errors.splitlines()
    assert chart.endswith(": rank " + ", ".join(told))
    assert way.startswith("states go through " + ("pinned" if form == "replicated" else "the host's"))


@needs_mpi
@pytest.mark.parametrize(
    ("uuids", "rank", "holder"), [(["5d1c-1"] * 2, 1, 0), (["07b2-1", "5d1c-1", "a0f3-1", "5d1c-1"], 3, 1)]
)
def test_a_gpu_that_two_ranks_see(uuids, rank, holder, study):
    """Refused, by one voice, unless the study names it."""
    directory = study()
    code, out, errors = finish(start(len(uuids), "-m", "tests.mpi.cards", directory, *uuids))
    assert (code, out) == (2, "")
    assert errors.splitlines() == [
        f"device: rank {rank} on {platform.node()} has no GPU of its own, cuda:0 (5d1c) is rank {holder}'s; start one"
        " rank a GPU, or name a device that they shall share, such as 'cuda:0'"
    ]
    (directory / "study.toml").write_text('device = "cuda:0"\n' + (directory / "study.toml").read_text())
    code, _, errors = finish(start(len(uuids), "-m", "tests.mpi.cards", directory, *uuids))
    assert code == 0, errors
    assert errors.count("on cuda:0 (5d1c) with 1 thread") == 2


@needs_mpi
@pytest.mark.parametrize(
    ("launch", "error"), [("shoal", "ZeroDivisionError"), ("value", "ValueError"), ("script", "ZeroDivisionError")]
)
def test_an_exception_of_one_rank_ends_the_job(launch, error, tmp_path):
    begun = time.monotonic()
    code, _, errors = finish(start(3, "-m", "tests.mpi.failing", launch, tmp_path), 30)
    assert code not in (0, None)
    assert f"{error}: on rank 1" in errors
    assert "Traceback" in errors
    assert time.monotonic() - begun < 20


@needs_mpi
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("trainable", f"rank 1 on {platform.node()}: trial 4, train(until=60): ValueError: no"),
        ("metric", "rank 1 has decided otherwise than rank 0: a sampler or a metric of your own must return the same"),
        ("disk", f"rank 1 on {platform.node()}: [Errno 28] No space left on device; all ranks must share /"),
    ],
)
def test_what_fails_the_study_fails_it_on_all_ranks(how, said, tmp_path):
    code, out, errors = finish(start(3, "-m", "tests.mpi.failing", how, tmp_path), 30)
    assert code == 0, errors
    assert len(out.splitlines()) == 3
    assert all(line.startswith(said) for line in out.splitlines())


@needs_mpi
def test_a_launcher_of_another_mpi(study):
    """Such a launcher's variables, and no other process to be found."""
    wrong = {**os.environ, "OMPI_COMM_WORLD_SIZE": "4"}
    command = [sys.executable, "-m", "mpi4py", "-m", "shoal", "run", "study.toml"]
    for rank, lines in ((0, 1), (1, 0)):
        wrong["OMPI_COMM_WORLD_RANK"] = str(rank)
        done = subprocess.run(command, cwd=study(), env=wrong, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", lines)
        assert not lines or "MPI: the launcher has started 4 processes, but each sees 1:" in done.stderr


def test_mpi_that_is_missing(study):
    wrong = {**os.environ, "PMI_SIZE": "2", "PMI_RANK": "0"}
    command = "import sys; sys.modules['mpi4py'] = None; from shoal.cli import main; main(['run', 'study.toml'])"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=study(), env=wrong, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].endswith("; pip install 'shoal[mpi]' brings it")
