import copy
import json
import os
import pickle

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.population.samples import LARGE, TINY, blocks, labelled

from shoal import Population, data, nn


@pytest.fixture
def path(tmp_path):
    return tmp_path / "population.safetensors"


@pytest.fixture
def trained():
    dropout = nn.Sequential([nn.Dropout(0.1), nn.Dense(5, init="normal", init_scale=0.3), nn.Dropout(0.5), nn.Dense(3)])
    values = {"lr": [0.1, 1 / 3, 1e-5], "beta1": 0.5, "batch_size": [3, 70, 12]}
    population = Population([TINY, dropout, LARGE], optimizer="adam", hyperparameters=values, ids=[9, 8, 7], seed=6)
    population.set(1, dropout=[0.2, 0.7])
    raw = labelled()
    population.train(data.from_arrays(raw.x, raw.y, normalise="standard"), steps=5)
    return population


def test_what_is_loaded_is_what_was_saved(trained, path):
    trained.save(path)
    loaded = Population.load(str(path))
    assert blocks(loaded) == blocks(trained)
    assert (loaded.networks, loaded.ids, loaded.input_shape) == (trained.networks, trained.ids, trained.input_shape)
    assert [loaded.hyperparameters(p) for p in range(3)] == [trained.hyperparameters(p) for p in range(3)]
    x = labelled().x  # normalised by what the training data said
    assert np.array_equal(loaded.predict(x, 2), trained.predict(x, 2))
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda population: pickle.loads(pickle.dumps(population))]
)
def test_a_copy_is_the_same_and_trains_on_alone(trained, copied):
    other, before = copied(trained), blocks(trained)
    assert blocks(other) == before
    assert (repr(other), other.networks, other.ids) == (repr(trained), trained.networks, trained.ids)
    assert [other.hyperparameters(p) for p in range(3)] == [trained.hyperparameters(p) for p in range(3)]
    x = labelled().x
    assert np.array_equal(other.predict(x, 2), trained.predict(x, 2))
    other.set(0, lr=0.7)
    other.train(labelled(), steps=2)
    assert blocks(trained) == before
    assert trained.hyperparameters(0)["lr"] == 0.1
    trained.set(0, lr=0.7)
    trained.train(labelled(), steps=2)
    assert blocks(trained) == blocks(other)


def test_without_weights_there_is_nothing_to_copy():
    with pytest.raises(ValueError, match="no weights yet"):
        copy.deepcopy(Population(TINY))


def test_a_population_without_members_is_saved(path):
    Population([], loss="mse", data_order="shared", input_shape=(2, 3)).save(path)
    loaded = Population.load(path)
    assert (loaded.members, loaded.input_shape) == (0, (2, 3))


def test_saving_again_replaces_the_file(trained, path):
    trained.save(path)
    trained.train(labelled(), steps=1)
    trained.save(path)
    assert blocks(Population.load(path)) == blocks(trained)


def test_without_weights_there_is_nothing_to_save(path):
    with pytest.raises(ValueError, match="no weights yet"):
        Population(TINY).save(path)
    assert not path.exists()


def test_a_failed_save_leaves_the_old_file(trained, path, monkeypatch):
    trained.save(path)
    before = path.read_bytes()

    def full(_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        trained.save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.999])
def test_a_truncated_file(trained, path, share):
    trained.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"population.safetensors: not a safetensors file, or a truncated one"):
        Population.load(path)


def test_files_of_others(path):
    path.write_bytes(b"PK\x03\x04" + bytes(200))
    with pytest.raises(ValueError, match="not a safetensors file"):
        Population.load(path)
    save_file({"weight": np.zeros(3, np.float32)}, path)
    with pytest.raises(ValueError, match=r"population\.safetensors: not written by shoal"):
        Population.load(path)
    save_file({"weight": np.zeros(3, np.float32)}, path, {"shoal": "{"})
    with pytest.raises(ValueError, match="description is not JSON"):
        Population.load(path)
    save_file({"weight": np.zeros(3, np.float32)}, path, {"shoal": "[]"})
    with pytest.raises(ValueError, match="description must be a JSON object, got list"):
        Population.load(path)
    save_file({"weight": np.zeros(3, np.float32)}, path, {"shoal": '{"snapshot": 1}'})
    with pytest.raises(ValueError, match="not a saved population, it has no entry 'population'"):
        Population.load(path)


def test_a_missing_file_and_a_folder(path):
    with pytest.raises(FileNotFoundError, match=r"population\.safetensors"):
        Population.load(path)
    with pytest.raises(OSError, match="directory"):
        Population.load(path.parent)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(population=99), "saved as format 99, this version of shoal reads 1"),
        (lambda d: d.pop("networks"), "no entry 'networks'"),
        (lambda d: d["networks"].pop(), r"ids: must be one per member \(2\), got 3"),
        (lambda d: d["networks"][0][0].update(units=-1), "Dense.units"),
        (lambda d: d["networks"][0][0].update(units=10), "state of member 0: must have"),
        (lambda d: d.update(networks=5), "int"),
        (lambda d: d.update(optimizer="magic"), "optimizer: must be one of"),
        (lambda d: d.update(seed=-1), "seed"),
        (lambda d: d.update(ids="abc"), "ids: must be an integer"),
        (lambda d: d["hyperparameters"][1].update(lr="high"), "member 1: lr"),
        (lambda d: d["hyperparameters"][1].update(momentum=0.5), "adam has no 'momentum'"),
        (lambda d: d["hyperparameters"].pop(), "zip"),
        (lambda d: d.update(input_shape=[8]), r"scale: must be float32 of shape \(8,\)"),
        (lambda d: d.update(input_shape=None), "input_shape: must be a tuple"),
    ],
)
def test_a_description_that_cannot_be(trained, path, change, message):
    trained.save(path)
    tensors, description = load_file(path), _description(path)
    change(description)
    save_file(tensors, path, {"shoal": json.dumps(description)})
    with pytest.raises(ValueError, match=rf"population.safetensors: .*{message}"):
        Population.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("member1"), "no entry 'member1'"),
        (lambda t: t.update(member1=t["member1"][:-4]), "state of member 1: must have"),
        (
            lambda t: t.update(scale=np.zeros(3, np.float32)),
            r"scale: must be float32 of shape \(7,\), got float32 \(3,\)",
        ),
        (lambda t: t.update(shift=np.zeros(7)), r"shift: must be float32 of shape \(7,\), got float64"),
    ],
)
def test_arrays_that_cannot_be(trained, path, change, message):
    trained.save(path)
    tensors, description = load_file(path), _description(path)
    change(tensors)
    save_file(tensors, path, {"shoal": json.dumps(description)})
    with pytest.raises(ValueError, match=rf"population.safetensors: .*{message}"):
        Population.load(path)


def _description(path):
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return json.loads(header["__metadata__"]["shoal"])
