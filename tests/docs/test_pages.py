"""What the README and the guides show, runs as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STUDY_FILE = "docs/howto/study-file.md"


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", read(page), re.DOTALL)


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


def run(folder, *arguments):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)


GUIDES = [
    *(f"docs/howto/{name}.md" for name in ("images", "merit", "simulate", "tune-a-function")),
    "docs/reference/space.md",
]
PAGES = ["README.md", "docs/index.md", *GUIDES]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_python_runs(page, tmp_path):
    done = run(tmp_path, "-c", "\n".join(blocks(page, "python")))
    assert done.returncode == 0, done.stderr


def test_the_page_on_simulation_shows_what_it_prints(tmp_path):
    page = "docs/howto/simulate.md"
    done = run(tmp_path, "-c", blocks(page, "python")[0])
    assert len(done.stdout.splitlines()) == 4, done.stderr
    assert done.stdout in read(page)


def test_a_network_goes_to_pytorch_as_its_page_says(tmp_path):
    pytest.importorskip("torch")
    test_a_page_of_python_runs("docs/howto/use-the-best.md", tmp_path)


def test_the_study_file_runs(tmp_path):
    (tmp_path / "study.toml").write_text(blocks(STUDY_FILE, "toml")[0])
    done = run(tmp_path, "-m", "shoal", "run", "study.toml")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs/study/report.html").exists()


def test_the_other_networks_of_the_page_run(tmp_path):
    rest = """
        metric = "accuracy"
        data = {name = "digits"}
        space = {lr = 0.01, filters = {low = 2, high = 3, type = "int"}, kernel = {ordinal = [2, 3]}}
        strategy = {name = "Random", trials = 2, epochs = 1}
        """
    tables = [block for block in blocks(STUDY_FILE, "toml")[1:] if "function" not in block and "[space]" not in block]
    assert len(tables) == 2
    for i, table in enumerate(tables):
        (tmp_path / f"study{i}.toml").write_text(rest + table)
        done = run(tmp_path, "-m", "shoal", "run", f"study{i}.toml")
        assert done.returncode == 0, done.stderr


def test_the_space_with_conditions_of_the_page_runs(tmp_path):
    (tables,) = [block for block in blocks(STUDY_FILE, "toml")[1:] if "[space]" in block]
    rest = 'data = {name = "digits"}\nstrategy = {name = "PBT", population = 4, epochs = 2, interval_epochs = 1}\n'
    (tmp_path / "study.toml").write_text(rest + tables)
    done = run(tmp_path, "-m", "shoal", "run", "study.toml")
    assert done.returncode == 0, done.stderr


def test_the_study_file_with_a_mistake_says_what_the_page_says(tmp_path):
    (tmp_path / "study.toml").write_text(blocks(STUDY_FILE, "toml")[0].replace("low = 1e-3", "low = 0"))
    done = run(tmp_path, "-m", "shoal", "run", "study.toml")
    assert done.returncode == 2
    line = "study.toml: space.lr.low: must be > 0 on a log scale, got 0\n"
    assert line in done.stderr
    assert line in read(STUDY_FILE)
