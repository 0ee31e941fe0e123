"""The examples run as they are, and find something good."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(folder, *arguments):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "error", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return float(re.search(r"test accuracy:? (\S+)", done.stdout)[1])


@pytest.mark.parametrize("name", ["first_study", "lenet", "tune_sklearn"])
def test_a_script(name, tmp_path):
    assert run(tmp_path, EXAMPLES / "python" / f"{name}.py") > 0.95


def test_a_study_file_with_convolutions(tmp_path):
    assert run(tmp_path, "-m", "shoal", "run", EXAMPLES / "images.toml") > 0.93
