"""The jobs for clusters, with launchers and schedulers that only pretend."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.mpi.ranks import MPIEXEC, finish, needs_mpi, on_ranks, start

from shoal.manager.journal import FILE

HPC = Path(__file__).parents[2] / "examples/hpc"
JOBS = sorted(path.name for path in HPC.glob("*.sh"))


@pytest.mark.parametrize("job", JOBS)
def test_a_job_is_a_script_that_asks_shoal_for_what_it_has(job):
    subprocess.run(["bash", "-n", HPC / job], check=True, timeout=10)
    (arguments,) = re.findall(r"python -m mpi4py -m shoal (.*)", (HPC / job).read_text())
    command = [sys.executable, "-m", "shoal", *arguments.split(), "--plan"]
    done = subprocess.run(command, cwd=HPC, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "256 trials, 256 at a time" in done.stdout


@pytest.mark.parametrize("job", JOBS)
def test_the_page_explains_each_line(job):
    page = (HPC / "README.md").read_text()
    options = re.findall(r"(?<=\s)--[a-z-]+", (HPC / job).read_text())
    assert [option for option in options if option not in page and option != "--job-name"] == []


@pytest.fixture
def cluster(tmp_path):
    """A folder with a job that takes too long, and the commands of a cluster."""

    def command(name, text):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").touch()
    study = (HPC / "study.toml").read_text()
    (tmp_path / "study.toml").write_text(study.replace("epochs = 40", "epochs = 40_000"))
    for name in ("scontrol", "qsub"):
        command(name, f'echo {name} "$@" >> asked')
    return tmp_path, command


def run(folder, job, text, **variables):
    (folder / job).write_text(text)
    path = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    python = os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": python, **variables}
    return subprocess.run(["bash", job], cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@needs_mpi
def test_a_slurm_job_is_stopped_kept_and_queued_again(cluster):
    folder, command = cluster
    # What slurmstepd does on --signal=TERM@120: the processes of the step get SIGTERM, here once they have begun.
    command(
        "srun",
        f"""while [ "$1" != python ]; do shift; done
        "{MPIEXEC}" -n 2 "$@" &
        until grep -q '"report"' runs/hpc/{FILE} 2>/dev/null; do sleep 0.1; done
        kill -TERM $!
        wait $!""",
    )
    variables = {"SLURM_SUBMIT_DIR": str(folder), "SLURM_JOB_ID": "77", "SLURM_CPUS_PER_TASK": "1"}
    done = run(folder, "slurm-cpu.sh", (HPC / "slurm-cpu.sh").read_text(), **variables)
    assert done.returncode == 143, done.stderr
    assert done.stderr.count("Run it again to go on from runs/hpc") == 1
    assert (folder / "asked").read_text() == "scontrol requeue 77\n"
    assert list((folder / "runs/hpc").glob("snapshot-*"))


@needs_mpi
def test_a_pbs_job_is_stopped_kept_and_queued_again(cluster):
    folder, command = cluster
    command("mpiexec", f'while [ "$1" != timeout ]; do shift; done\nexec "{MPIEXEC}" -n 2 "$@"')
    text = (HPC / "pbs-cpu.sh").read_text().replace("58m", "20s")
    done = run(folder, "pbs-cpu.sh", text, PBS_O_WORKDIR=str(folder))
    assert done.returncode == 143, done.stderr
    assert done.stderr.count("Run it again to go on from runs/hpc") == 1
    assert (folder / "asked").read_text() == "qsub pbs-cpu.sh\n"
    assert list((folder / "runs/hpc").glob("snapshot-*"))


@needs_mpi
def test_an_application_lends_ranks():
    out = on_ranks(3, HPC / "lend_ranks.py").splitlines()
    assert re.fullmatch(r"meanwhile [\d,]+ points were drawn: pi is about 3\.1\d\d", out[0])
    assert re.match(r"trial \d+ is the best, validation accuracy 0\.9\d+, with {'lr': ", out[1])
    assert len(out) == 2


@needs_mpi
def test_an_application_needs_a_rank_of_its_own():
    code, _, errors = finish(start(1, HPC / "lend_ranks.py"))
    assert code != 0
    assert "start it on two ranks or more" in errors
