"""What is said to wrong arguments before anything is trained, and to networks that fail."""

import numpy as np
import pytest
from tests.manager.toys import network
from tests.study.studies import SPACE, TRAIN, VALID, study

import shoal
from shoal import nn, search
from shoal.errors import StudyError
from shoal.space import Choice, Float, Int


def wrong_network(config):
    return nn.Sequential([nn.Flatten(), nn.Dense(3)])


def failing_network(config):
    return nn.Sequential([nn.Dense(config["width"] - 5)])


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"network": "net"}, r"network: must be a function of a config that returns an nn\.Sequential, got 'net'"),
        ({"network": lambda config: 3}, r"network: must return an nn\.Sequential, got 3 with the config \{'lr'"),
        ({"network": lambda config: config["widht"]}, r"network: KeyError: 'widht'; with the config \{'lr': 0\.001"),
        ({"network": failing_network}, r"network: ValueError: Dense\.units: .* got -2; with the config \{.*'width': 3"),
        ({"network": wrong_network}, "must have one output for each of the 4 classes of toy, got 3; with the config"),
        ({"train": TRAIN.x}, "train: must be a Dataset .*, got ndarray"),
        ({"valid": None}, "valid: must be a Dataset .*, got NoneType"),
        (
            {"valid": shoal.data.from_arrays(np.zeros((5, 7), np.float32), np.zeros(5, int), classes=4)},
            r"valid: shape must be that of train, got \(7,\) and \(5, 3\)",
        ),
        (
            {"valid": shoal.data.from_arrays(VALID.x, VALID.y, classes=5)},
            "valid: outputs must be that of train, got 5 and 4",
        ),
        (
            {"valid": shoal.data.standardise(VALID)[0]},
            r"valid: scale and shift must be those of train; shoal\.data\.standardise makes them alike",
        ),
        ({"loss": "mse"}, "loss mse needs float targets"),
        ({"loss": "huber"}, "loss: must be one of cross_entropy, mse"),
        ({"optimizer": "lion"}, "optimizer: must be one of sgd, adam, .* got 'lion'"),
        (
            {"metric": "f1"},
            "metric: must be one of loss, train_loss, accuracy, train_accuracy, parameters, .*; got 'f1'",
        ),
        ({"metric": "train_r2"}, "metric: must be one of .*train_accuracy.*; got 'train_r2'"),
        ({"record": "train_accuracy"}, "record: must be a list of metrics, got 'train_accuracy'"),
        ({"record": ["seconds", "train_r2"]}, r"record\[1\]: must be one of .*train_accuracy.*; got 'train_r2'"),
        ({"mode": "min"}, "mode: must be \"max\" for the metric accuracy, got 'min'"),
        ({"mode": "biggest"}, "mode: must be \"max\" for the metric accuracy, got 'biggest'"),
        ({"device": "tpu"}, "device: .*'tpu'"),
        ({"precision": "bf16", "device": "cpu"}, "precision: must be 'fp32' on the CPU, .*, got 'bf16'"),
        ({"engine": "resident", "device": "cpu"}, "engine: must be 'auto' on the CPU, .*, got 'resident'"),
        ({"data_order": "mine"}, "data_order: must be one of own, shared"),
        ({"seed": -1}, r"seed: must be an integer in \[0, 4294967295\], got -1"),
        ({"seed": 2**32}, "seed: must be an integer in"),
        ({"rows": 0}, "rows: must be an integer in .* got 0"),
        ({"threads": 0}, "threads: must be an integer in .* got 0"),
        ({"record_every": 0}, "record_every: must be an integer in .* got 0"),
        ({"snapshot_interval": -1}, "snapshot_interval: must be >= 0"),
        ({"directory": 3}, "directory: must be a path, got 3"),
        ({"strategy": "pbt"}, r"strategy: must be a search strategy such as search\.PBT\(\.\.\.\), got 'pbt'"),
        ({"strategy": search.Grid(epochs=1)}, r"strategy\.counts\.lr"),
        (
            {"space": SPACE | {"learning_rate": 0.1}},
            r"space\.learning_rate: makes no difference to network",
        ),
        ({"space": SPACE | {"dropout": 0.1}}, r"space\.dropout: makes no difference"),
        ({"space": SPACE | {"momentum": Float(0, 1.5)}}, r"momentum: must be in \[0, 1\).*; with the config"),
        ({"space": SPACE | {"beta1": 0.9}}, "sgd has no 'beta1'.*; with the config"),
        ({"space": SPACE | {"batch_size": Choice([16, 0])}}, "batch_size: must be an integer in .*, got 0"),
        ({"space": [1]}, "space: must map names"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_trained(change, rule):
    with pytest.raises(ValueError, match=rule):
        study(**change)


def test_a_wrong_argument_leaves_no_directory_behind(tmp_path):
    with pytest.raises(ValueError, match="metric"):
        study(metric="f1", directory=tmp_path / "runs")
    study(directory=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()  # until it runs


def test_a_file_is_no_directory(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="directory: must be a directory, got the file"):
        study(directory=tmp_path / "file")


@pytest.mark.parametrize(
    "reader",
    [
        lambda config: nn.Dense(config.pop("width")),
        lambda config: nn.Dense(dict(config)["width"]),
        lambda config: (lambda width, **rest: nn.Dense(width))(**config),
        lambda config: nn.Dense({**config}["width"]),
        lambda config: nn.Dense(config.copy()["width"]),
        lambda config: nn.Dense(config.get("width", 3)),
        lambda config: nn.Dense(next(value for name, value in config.items() if name == "width")),
    ],
)
def test_however_a_config_is_read_it_is_noticed(reader):
    space = {"lr": 0.1, "width": Int(3, 12)}
    study(space=space, network=lambda config: nn.Sequential([nn.Flatten(), reader(config), nn.Dense(4)]))


def test_network_may_change_its_config_without_harm():
    def careless(config):
        width = config.pop("width")
        return nn.Sequential([nn.Flatten(), nn.Dense(width), nn.Dense(4)])

    result = study(space={"lr": 0.1, "width": Int(3, 12)}, network=careless).run(progress=False)
    assert all("width" in trial.config for trial in result.trials)


def test_a_network_that_fails_later_names_the_trial():
    calls = []

    def moody(config):
        calls.append(config)
        if len(calls) > 100:
            raise RuntimeError("enough")
        return network(config)

    unlucky = study(network=moody, strategy=search.Random(trials=100, epochs=1))
    with pytest.raises(StudyError, match=r"trial \d+, network\(config\): RuntimeError: enough; its config: \{'lr'"):
        unlucky.run(progress=False)
