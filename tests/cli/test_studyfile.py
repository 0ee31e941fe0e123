"""Study files: what they mean, and what is said about those that mean nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from shoal import nn
from shoal.errors import StudyError
from shoal.studyfile import FILE, StudyFile

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

EXAMPLE = Path(__file__).parents[2] / "examples" / "study.toml"
GOOD = """
metric = "accuracy"
seed = 3
[data]
name = "digits"
validation = 0.2
[network]
layers = [{dense = "width"}, "relu", {dropout = "dropout"}, {dense = "outputs"}]
[space]
lr = {low = 0.001, high = 0.3, log = true}
width = {low = 3, high = 9, type = "int"}
dropout = {low = 0.0, high = 0.5}
[strategy]
name = "Random"
trials = 3
epochs = 2
"""


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def read(text, **options):
        Path(FILE).write_text(text)
        return StudyFile.read(Path(FILE), **options)

    return read


def networks(file):
    """The network of each config at the ends of the space, as the study would make it."""
    network = file.study._task._network
    return [network({"lr": 0.1, "width": width, "dropout": dropout}) for width, dropout in ((3, 0.0), (9, 0.5))]


def test_a_file_is_a_study(read):
    file = read(GOOD)
    assert networks(file) == [
        nn.Sequential([nn.Dense(width), nn.ReLU(), nn.Dropout(rate), nn.Dense(10)])
        for width, rate in ((3, 0.0), (9, 0.5))
    ]
    assert file.study.plan.trials == 3
    assert file.directory == Path("runs/study")
    result = file.study.run(progress=False)
    assert result.record.header["seed"] == 3
    assert result.record.spent == 6
    assert len(file.test) == 359


def test_every_kind_of_layer(read):
    layers = (
        '["flatten", {dense = 4, init = "xavier", init_scale = 2, bias = false}, {leaky_relu = 0.2}, "leaky_relu", \
      {dense = "width"}, "tanh", {dense = 5}, "sigmoid", {dropout = "dropout"}, {dense = "outputs"}]'
    )
    old = '[{dense = "width"}, "relu", {dropout = "dropout"}, {dense = "outputs"}]'
    assert networks(read(GOOD.replace(old, layers)))[0] == nn.Sequential([
        nn.Flatten(), nn.Dense(4, "xavier", 2, False), nn.LeakyReLU(0.2), nn.LeakyReLU(), nn.Dense(3), nn.Tanh(),
        nn.Dense(5), nn.Sigmoid(), nn.Dropout(0.0), nn.Dense(10),
    ])  # fmt: skip


def test_a_function_of_the_current_directory_is_a_network(read, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_networks.py").write_text(
        "from shoal import nn\n"
        "def deep(config):\n"
        '    return nn.Sequential([nn.Dense(config["width"])] * 2 + [nn.Dropout(config["dropout"]), nn.Dense(10)])\n'
    )
    start, end = GOOD.index("layers"), GOOD.index("[space]")
    file = read(GOOD[:start] + 'function = "my_networks:deep"\n' + GOOD[end:])
    assert len(networks(file)[0].layers) == 4


def test_options_of_the_command_line_win(read):
    file = read('directory = "there"\nthreads = 2\n' + GOOD, directory=Path("here"), threads=1)
    assert file.directory == Path("here")
    assert read('directory = "there"\n' + GOOD).directory == Path("there")


def test_the_copy_in_the_directory_is_the_same_study(read):
    file = read("# mine\n" + GOOD)
    file.keep()
    copy = StudyFile.read(file.directory / FILE, file.directory)
    assert copy.text == file.text == "# mine\n" + GOOD
    assert copy.study._header == file.study._header


def test_the_example_is_one(tmp_path):
    assert StudyFile.read(EXAMPLE, tmp_path).study.plan.trials == 64


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("low = 0.001", "low = 0", "space.lr.low: must be > 0 on a log scale, got 0"),
        ("metric =", "metrik =", "metrik: unknown; did you mean metric?"),
        ('"accuracy"', '"accurate"', "metric: must be one of loss, train_loss, accuracy; got 'accurate'"),
        ("seed = 3", "seed = -1", "seed: must be an integer in [0, 4294967295], got -1"),
        ("[strategy]", "[strategi]", "strategi: unknown; did you mean strategy?"),
        ("[data]", "data = 3\n[date]", "date: unknown; did you mean data?"),
        ('[data]\nname = "digits"\nvalidation = 0.2', "", "data: missing; must be a table"),
        ('name = "digits"', "", "data.name: missing; must be the name of a data set or a path"),
        ('name = "digits"', "name = 3", "data.name: must be the name of a data set or a path, got 3"),
        ('name = "digits"', 'name = "digit"', "data: digit: no such data set"),
        ("validation = 0.2", "validaton = 0.2", "data.validaton: unknown; did you mean validation?"),
        ("validation = 0.2", "validation = 7.5", "data: digits: validation must be a count in [1, 1437]"),
        ("layers = [", "layer = [", "network.layer: unknown; did you mean layers?"),
        ("layers = [", 'function = "a:b"\nlayers = [', "network.layers: must be given, or function, but not both"),
        ('"relu"', '"rellu"', "network.layers[1]: must name one layer, got rellu; did you mean relu?"),
        ('"relu"', "7", 'network.layers[1]: must be a layer such as "relu" or {dense = 10}, got 7'),
        ('"relu"', "{relu = 1}", 'network.layers[1].relu: takes no value; write "relu"'),
        ('"relu"', '"dense"', "network.layers[1].dense: missing its units; write {dense = ...}"),
        ('"relu"', "{dense = 0}", "network.layers[1]: Dense.units: must be an integer in [1, 2147483647], got 0"),
        ('"relu"', "{dense = 3, biass = true}", "network.layers[1].biass: unknown; did you mean bias?"),
        ('= "width"', '= "widht"', 'network.layers[0].dense: "widht" is not in the space; did you mean width?'),
        ('"outputs"', "7", "must have one output for each of the 10 classes of digits, got 7"),
        ("lr =", "lrr =", "space.lrr: makes no difference"),
        ('"Random"', '"Randon"', "strategy.name: must be one of Random, Grid, PBT"),
        ("trials = 3", "trials = 0", "strategy.trials: must be a whole number >= 1, got 0"),
        ("epochs = 2", "", "strategy"),
        ("seed = 3", "seed = ", "Invalid value (at line 3, column 8)"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(read, old, new, message):
    assert old in GOOD
    with pytest.raises(StudyError) as error:
        read(GOOD.replace(old, new))
    assert str(error.value).startswith("study.toml: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("function", "why"),
    [("nowhere:f", "No module"), ("math:f", "has no attribute"), ("math", ""), ("math:pi", "function of")],
)
def test_a_function_that_is_none(read, function, why):
    start, end = GOOD.index("layers"), GOOD.index("[space]")
    with pytest.raises(StudyError, match=r"study\.toml: network\.function: must be") as error:
        read(GOOD[:start] + f'function = "{function}"\n' + GOOD[end:])
    assert why in str(error.value)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(StudyError, match=r"none\.toml: cannot be read: No such file"):
        StudyFile.read(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(StudyError, match=r"binary\.toml: "):
        StudyFile.read(tmp_path / "binary.toml")
