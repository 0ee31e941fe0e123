"""Study files: what they mean, and what is said about those that mean nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from shoal import merit, networks, nn
from shoal.errors import StudyError
from shoal.studyfile import FILE, StudyFile

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

EXAMPLES = Path(__file__).parents[2] / "examples"
LAYERS = '[{dense = "width"}, "relu", {dropout = "dropout"}, {dense = "outputs"}]'
GOOD = f"""
metric = "accuracy"
seed = 3
[data]
name = "digits"
validation = 0.2
[network]
layers = {LAYERS}
[space]
lr = {{low = 0.001, high = 0.3, log = true}}
width = {{low = 3, high = 9, type = "int"}}
dropout = {{low = 0.0, high = 0.5}}
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


def networks_of(file):
    """The network of each config at the ends of the space, as the study would make it."""
    network = file.study._task._network
    return [network({"lr": 0.1, "width": width, "dropout": dropout}) for width, dropout in ((3, 0.0), (9, 0.5))]


def test_without_a_strategy_it_is_the_recommended_one(read):
    assert "464 to 1, 154 to 3" in read(GOOD[: GOOD.index("[strategy]")]).study.explain()
    assert (
        "26 to 1, 8 to 3, 2 to 5 epochs"
        in read(
            GOOD.replace('"Random"\ntrials = 3\nepochs = 2', '"default"\ntrainings = 10\nepochs = 5')
        ).study.explain()
    )


def test_a_file_is_a_study(read):
    file = read(GOOD)
    assert networks_of(file) == [
        nn.Sequential([nn.Dense(width), nn.ReLU(), nn.Dropout(rate), nn.Dense(10)])
        for width, rate in ((3, 0.0), (9, 0.5))
    ]
    assert file.study.plan.trials == 3
    assert file.directory == Path("runs/study")
    result = file.study.run(progress=False)
    assert result.record.header["seed"] == 3
    assert result.record.spent == 6
    assert len(file.test) == 359


def test_what_is_costly_is_recorded_where_a_file_says_so(read):
    result = read(GOOD.replace("seed = 3", 'seed = 3\nrecord = ["train_accuracy"]')).study.run(progress=False)
    assert result.best.metrics["train_accuracy"] > 0
    assert result.record.header["record"] == ["train_accuracy"]


STRUCTURES = """
metric = "accuracy"
seed = 1
[data]
name = "digits"
validation = 0.2
[network]
layers = [
  {conv2d = 4, kernel = "kernel", stride = 2}, "batch_norm", "relu",
  {residual = [{conv2d = 4, kernel = 3, bias = false}, "batch_norm", "relu"]},
  {dense = "width"}, "relu", {dense = "outputs"},
]
[space]
lr = {low = 0.01, high = 0.3, log = true}
momentum = 0.9
kernel = {low = 1, high = 4, type = "int"}
width = {ordinal = [8, 12, 16, 24]}
[strategy]
name = "Genetic"
population = 8
generations = 6
epochs = 1
mutation_rate = 0.2
inherit_weights = true
breed_structure = true
"""


def test_structure_evolves_with_the_weights(read):
    file = read(STRUCTURES)
    assert "mutation 0.2, structure too" in file.study.explain()
    result = file.study.run(progress=False)
    assert result.record.spent == 8 * 6
    births = [change for trial in result.trials for change in trial.changes if change.layers is not None]
    layers = ("conv1", "batchnorm1", "conv2", "batchnorm2", "dense1", "dense2")
    assert {tuple(birth.layers) for birth in births} == {layers}
    assert {birth.fresh for birth in births} == {("conv1",), ("dense1", "dense2"), ("conv1", "dense1", "dense2")}
    assert len({(config["kernel"], config["width"]) for _, config in result.best.schedule}) > 1, "the best has changed"
    model = result.best.model
    assert model.epochs[0] == result.best.progress
    assert model.evaluate(file.test)["accuracy"][0] > 0.9
    assert "the structure changed: of" in result.report(file.test).read_text(encoding="utf-8")


def test_what_is_not_active_is_left_out(read):
    space = """layers = {low = 1, high = 2, type = "int"}
second = {low = 3, high = 9, type = "int", when = {layers = [2]}}
forbidden = [{layers = [2], width = [3]}]
"""
    layers = '[{dense = "width"}, {dense = "second"}, "relu", {dropout = "dropout"}, {dense = "outputs"}]'
    text = GOOD.replace(LAYERS, layers).replace("[strategy]", space + "[strategy]")
    network = read(text).study._task._network
    shallow = {"lr": 0.1, "width": 4, "dropout": 0.0, "layers": 1}
    rest = [nn.ReLU(), nn.Dropout(0.0), nn.Dense(10)]
    assert network(shallow) == nn.Sequential([nn.Dense(4), *rest])
    assert network(shallow | {"layers": 2, "second": 5}) == nn.Sequential([nn.Dense(4), nn.Dense(5), *rest])
    ready = 'ready = "mlp"\nwidths = ["width", "second"]\nactivation = {leaky_relu = "dropout"}'
    network = read(text.replace(f"layers = {layers}", ready)).study._task._network
    assert network(shallow) == networks.mlp(10, [4], nn.LeakyReLU(0.0))
    with pytest.raises(StudyError, match=r"^study.toml: space.second.when.layers: must be in \[1, 2\], got 3"):
        read(text.replace("when = {layers = [2]}", "when = {layers = [3]}"))
    with pytest.raises(StudyError, match=r"^study.toml: space.forbidden\[0\].depth: no such parameter"):
        read(text.replace("[{layers = [2]", "[{depth = [2]"))


def test_configs_to_begin_with_are_named_in_the_space(read):
    start = "[[space.begin_with]]\nlr = 0.1\nwidth = 4\ndropout = 0.0\n\n[strategy]"
    file = read(GOOD.replace("[strategy]", start))
    assert "before all others those of space.begin_with: 1" in file.study.explain()
    result = file.study.run(progress=False)
    assert [result.trials[0].config[name] for name in ("lr", "width", "dropout")] == [0.1, 4, 0.0]
    with pytest.raises(StudyError, match=r"^study.toml: space.begin_with\[0\].width: must be in \[3, 9\], got 2"):
        read(GOOD.replace("[strategy]", start.replace("width = 4", "width = 2")))
    with pytest.raises(StudyError, match=r"^study.toml: space.begin_with: must be at most 3 configs, .* got 4$"):
        read(GOOD.replace("[strategy]", start.removesuffix("[strategy]") * 4 + "[strategy]"))


def test_a_figure_of_merit_is_a_table_and_several_are_a_list(read):
    figure = '{name = "Penalised", metric = "accuracy", weight = 0.02, on = "multiply_adds"}'
    file = read(GOOD.replace('metric = "accuracy"', f'metric = [{figure}, "parameters"]'))
    assert [each.merit for each in file.study._settings.objectives] == [
        merit.Penalised("accuracy", 0.02, "multiply_adds"),
        merit.figures.Metric("parameters"),
    ]
    assert [each.mode for each in file.study._settings.objectives] == ["max", "min"]


def test_every_kind_of_layer(read):
    layers = (
        '["flatten", {dense = 4, init = "xavier", init_scale = 2, bias = false}, {leaky_relu = 0.2}, "leaky_relu", \
      {dense = "width"}, "tanh", {dense = 5}, "sigmoid", {dropout = "dropout"}, {dense = "outputs"}]'
    )
    assert networks_of(read(GOOD.replace(LAYERS, layers)))[0] == nn.Sequential([
        nn.Flatten(), nn.Dense(4, "xavier", 2, False), nn.LeakyReLU(0.2), nn.LeakyReLU(), nn.Dense(3), nn.Tanh(),
        nn.Dense(5), nn.Sigmoid(), nn.Dropout(0.0), nn.Dense(10),
    ])  # fmt: skip


def test_every_kind_of_layer_for_images(read):
    layers = """[{conv2d = "width", kernel = [3, 2], stride = 2, padding = "valid", init = "xavier"}, "batch_norm",
      {max_pool2d = 2, stride = 1, padding = "same"}, "max_pool2d", {avg_pool2d = [2, 1], padding = [1, 0]},
      {residual = [{conv2d = 4, kernel = 1}, {dropout = "dropout"}], shortcut = [{conv2d = 4, kernel = 1}]},
      {residual = [{batch_norm = 0.2, epsilon = 1e-3}]}, {conv2d = "outputs", kernel = 1}, "global_avg_pool2d"]"""
    assert networks_of(read(GOOD.replace(LAYERS, layers)))[1] == nn.Sequential([
        nn.Conv2d(9, (3, 2), 2, "valid", "xavier"), nn.BatchNorm(),
        nn.MaxPool2d(2, 1, "same"), nn.MaxPool2d(), nn.AvgPool2d((2, 1), padding=(1, 0)),
        nn.Residual([nn.Conv2d(4, 1), nn.Dropout(0.5)], [nn.Conv2d(4, 1)]),
        nn.Residual([nn.BatchNorm(0.2, 1e-3)]), nn.Conv2d(10, 1), nn.GlobalAvgPool2d(),
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("ready", "network"),
    [
        (
            'ready = "small_cnn"\nfilters = [4, "width"]\nkernel = 2\nactivation = {leaky_relu = "dropout"}',
            networks.small_cnn(10, (4, 3), kernel=2, activation=nn.LeakyReLU(0)),
        ),
        (
            'ready = "mlp"\nwidths = ["width"]\nactivation = {leaky_relu = "dropout"}',
            networks.mlp(10, [3], nn.LeakyReLU(0.0)),
        ),
    ],
)
def test_a_ready_network(read, ready, network):
    assert networks_of(read(GOOD.replace(f"layers = {LAYERS}", ready)))[0] == network


def test_a_ready_network_that_reads_the_config(read):
    space = 'kernel1 = {low = 2, high = 5, type = "int"}\ndropout1 = {low = 0.0, high = 0.5}'
    text = GOOD.replace(f"layers = {LAYERS}", 'ready = "cifar_cnn"')
    start, end = text.index("width ="), text.index("[strategy]")
    file = read(text[:start] + space + "\n" + text[end:])
    config = {"kernel1": 5, "dropout1": 0.25}
    assert file.study._task._network(config) == networks.cifar_cnn(config, 10)


def test_a_function_of_the_current_directory_is_a_network(read, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_networks.py").write_text(
        "from shoal import nn\n"
        "def deep(config):\n"
        '    return nn.Sequential([nn.Dense(config["width"])] * 2 + [nn.Dropout(config["dropout"]), nn.Dense(10)])\n'
    )
    start, end = GOOD.index("layers"), GOOD.index("[space]")
    file = read(GOOD[:start] + 'function = "my_networks:deep"\n' + GOOD[end:])
    assert len(networks_of(file)[0].layers) == 4


def test_a_metric_may_be_a_function_of_predictions(read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_metrics.py").write_text("def sure(predictions, labels):\n    return predictions.max(1).mean()\n")
    changed = GOOD.replace('metric = "accuracy"', 'metric = "certainty"\nmode = "max"')
    objective = read(changed + '\n[metrics]\ncertainty = "my_metrics:sure"\n').study._settings.objectives[0]
    assert (objective.label, objective.mode) == ("certainty", "max")
    with pytest.raises(StudyError, match=r"metrics\.certainty: must be \"module:name\" of a function"):
        read(changed + '\n[metrics]\ncertainty = "my_metrics:unsure"\n')
    with pytest.raises(StudyError, match=r'metrics\.certainty: must be text, "module:name", got 3'):
        read(changed + "\n[metrics]\ncertainty = 3\n")


def test_options_of_the_command_line_win(read):
    file = read('directory = "there"\nthreads = 2\n' + GOOD, directory=Path("here"), threads=1)
    assert file.directory == Path("here")
    assert read('directory = "there"\n' + GOOD).directory == Path("there")


def test_the_copy_in_the_directory_is_the_same_study(read):
    file = read("# mine\n" + GOOD)
    file.keep()
    copy = StudyFile.read(file.directory / FILE, file.directory)
    assert copy.text == file.text == "# mine\n" + GOOD
    assert copy.study._setup.header == file.study._setup.header


@pytest.mark.parametrize(("name", "trials"), [("study", 64), ("images", 16)])
def test_the_examples_are_some(name, trials, tmp_path):
    assert StudyFile.read(EXAMPLES / f"{name}.toml", tmp_path).study.plan.trials == trials


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("low = 0.001", "low = 0", "space.lr.low: must be > 0 on a log scale, got 0"),
        ("metric =", "metrik =", "metrik: unknown; did you mean metric?"),
        ('"accuracy"', '"accurate"', "metric: must be one of loss, train_loss, accuracy, train_accuracy, parameters"),
        ("seed = 3", "seed = -1", "seed: must be an integer in [0, 4294967295], got -1"),
        ("[strategy]", "[strategi]", "strategi: unknown; did you mean strategy?"),
        ("[data]", "data = 3\n[date]", "date: unknown; did you mean data?"),
        ('[data]\nname = "digits"\nvalidation = 0.2', "", "data: missing; must be a table"),
        ('name = "digits"', "", "data.name: missing; must be the name of a data set or a path"),
        ('"accuracy"', '{name = "Fast"}', "metric.name: must be one of Penalised, TimeToReach, CostAt, got 'Fast'"),
        ('"accuracy"', '{name = "Function", function = "os:system"}', "metric.name: must be one of Penalised, Time"),
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
        ('"relu"', '{residual = ["relu", {relu = 1}]}', "network.layers[1].residual[1].relu: takes no value"),
        ('"relu"', "{residual = [{dense = 0}]}", "network.layers[1].residual[0]: Dense.units: must be an integer in"),
        ('"relu"', '{residual = "relu"}', "network.layers[1].residual: must be a list of layers, got 'relu'"),
        ('"relu"', "{residual = []}", "network.layers[1]: Residual.layers: must hold at least one layer"),
        (
            '"relu"',
            '{residual = ["relu"], shortcut = 3}',
            "network.layers[1].shortcut: must be a list of layers, got 3",
        ),
        ('"relu"', "{conv2d = 3}", "network.layers[1].conv2d: missing its kernel; write {conv2d = ..., kernel = ...}"),
        ('"relu"', '{conv2d = 3, kernel = 3, padding = "all"}', 'layers[1]: Conv2d.padding: must be "same", "valid"'),
        ('"relu"', '{conv2d = 3, kernel = [3, "width2"]}', 'kernel: "width2" is not in the space; did you mean width?'),
        ('"relu"', "{conv2d = 3, kernel = 3}", "member 0: layer 2 (conv2d): input must be an image"),
        ('"relu"', "{global_avg_pool2d = 1}", 'takes no value; write "global_avg_pool2d"'),
        ("layers = [", 'ready = "mlp"\nlayers = [', "network.layers: must be given, or ready, but not both"),
        (f"layers = {LAYERS}", "ready = 5", "network.ready: must be the name of a network, got 5"),
        (f"layers = {LAYERS}", 'ready = "lenet"', 'network.ready: no such network, "lenet"; did you mean lenet5?'),
        (f"layers = {LAYERS}", 'ready = "mlp"', "network.widths: missing; mlp needs it"),
        (f"layers = {LAYERS}", 'ready = "mlp"\nwidths = 3', "network.widths: must be a list, got 3"),
        (f"layers = {LAYERS}", 'ready = "mlp"\nwidths = [0]', "network.ready: Dense.units: must be an integer in"),
        (f"layers = {LAYERS}", 'ready = "mlp"\nwidth = 3', "network.width: unknown; did you mean widths?"),
        (f"layers = {LAYERS}", 'ready = "mlp"\noutputs = 3', "network.outputs: unknown; expected one of ready, widths"),
        (f"layers = {LAYERS}", 'ready = "resnet"\ndepth = 21', "network.ready: resnet: depth: must be 6 n + 2"),
        (f"layers = {LAYERS}", 'ready = "lenet5"\nactivation = "relo"', "network.activation: must name one layer"),
        ('= "width"', '= "widht"', 'network.layers[0].dense: "widht" is not in the space; did you mean width?'),
        ('"outputs"', "7", "must have one output for each of the 10 classes of digits, got 7"),
        ("lr =", "lrr =", "space.lrr: makes no difference"),
        ('"Random"', '"Randon"', "strategy.name: must be one of default, Random, Grid, Full"),
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
