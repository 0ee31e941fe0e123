"""The package as a whole: what importing it costs, what the machine offers, and that all instruction sets agree."""

import os
import subprocess
import sys

import numpy as np
import pytest
from tests.population.samples import LARGE, TINY, labelled, weights

import shoal
from shoal import Population, _core


def run(code, **environment):
    """Run Python code in a process of its own and return what it prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def test_import_needs_numpy_at_most():
    code = "import sys, shoal; shoal.Population, shoal.devices; print(*(m.split('.')[0] for m in sys.modules))"
    loaded = set(run(code).split())
    assert "numpy" in loaded
    assert not loaded & {"safetensors", "sklearn", "scipy", "pooch", "matplotlib", "plotly", "typer", "rich"}


def test_everything_named_is_there():
    assert all(getattr(shoal, name) is not None for name in shoal.__all__)
    assert set(shoal.__all__) <= set(dir(shoal))
    with pytest.raises(AttributeError, match="no attribute 'Planet'"):
        shoal.Planet  # noqa: B018


def test_devices():
    *gpus, cpu = shoal.devices()
    assert cpu.name == "cpu"
    assert all(gpu.name.startswith("cuda:") for gpu in gpus)
    assert 1 <= cpu.cores <= (os.cpu_count() or 1)
    assert _core.instruction_sets()[-1] == "portable"
    assert "cpu" in repr(cpu)
    assert cpu.uuid == ""


TRAIN = """
import sys, numpy as np
from shoal import Population
from tests.population.samples import LARGE, TINY, labelled
population = Population([TINY, LARGE], hyperparameters={"lr": 0.1}, seed=5)
population.train(labelled(), steps=30)
np.savez(sys.argv[1], *population.parameters(0).values(), *population.parameters(1).values())
"""


@pytest.mark.parametrize("isa", _core.instruction_sets())
def test_all_instruction_sets_agree(isa, tmp_path):
    path = tmp_path / "weights.npz"
    run(TRAIN.replace("sys.argv[1]", repr(str(path))), SHOAL_ISA=isa, PYTHONPATH=os.pathsep.join(sys.path))
    population = Population([TINY, LARGE], hyperparameters={"lr": 0.1}, seed=5)
    population.train(labelled(), steps=30)
    want = [*weights(population, 0).values(), *weights(population, 1).values()]
    with np.load(path) as got:
        for a, b in zip(got.values(), want, strict=True):
            np.testing.assert_allclose(a, b, rtol=5e-5, atol=5e-6)  # as in test_training
