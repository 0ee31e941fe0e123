"""Every wrong argument is one ValueError that says where, what the rule is, and what was given."""

import numpy as np
import pytest
from tests.population.samples import LARGE, TINY, blocks, labelled, regression

import shoal
from shoal import Population, data, nn
from shoal.population import native

DROPOUT = nn.Sequential([nn.Dropout(0.1), nn.Dense(3), nn.Dropout(0.2), nn.Dense(3)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"network": "mlp"}, "network: must be an nn.Sequential or a list of them, got 'mlp'"),
        ({"network": [TINY, nn.Dense(3)]}, "network: must be an nn.Sequential or a list"),
        ({"network": [TINY, TINY], "members": 3}, "members: must be the number of networks, 2, got 3"),
        ({"members": -1}, r"members: must be an integer in \[0, .*got -1"),
        ({"members": 2.0}, "members: must be an integer, got 2.0"),
        ({"optimizer": "sdg"}, "optimizer: must be one of sgd, adam, adamw, rmsprop, adagrad; got 'sdg'"),
        ({"optimizer": None}, "optimizer: must be one of .*got None"),
        ({"loss": "hinge"}, "loss: must be one of cross_entropy, mse; got 'hinge'"),
        ({"data_order": "random"}, "data_order: must be one of own, shared; got 'random'"),
        ({"seed": -1}, r"seed: must be an integer in \[0, 4294967295\], got -1"),
        ({"seed": 2**32}, "seed: must be an integer in"),
        ({"seed": "1"}, "seed: must be an integer, got '1'"),
        ({"device": None}, "device: must be one of auto, .*got None"),
        ({"device": "tpu"}, "device: must be one of auto, cuda, .*cpu; got 'tpu'"),
        ({"precision": "fp16"}, "precision: must be one of fp32, tf32, bf16, tf32x3; got 'fp16'"),
        ({"precision": "tf32", "device": "cpu"}, "precision: must be 'fp32' on the CPU, which .*, got 'tf32'"),
        ({"engine": "lockstep"}, "engine: must be one of auto, resident, teams; got 'lockstep'"),
        ({"engine": "teams", "device": "cpu"}, "engine: must be 'auto' on the CPU, .*, got 'teams'"),
        ({"threads": 0}, "threads: must be an integer in .*got 0"),
        ({"ids": [1, 2]}, r"ids: must be one per member \(1\), got 2"),
        ({"ids": [-1]}, "ids: must be an integer in .*got -1"),
        ({"input_shape": 7}, r"input_shape: must be a tuple such as \(28, 28\), got 7"),
        ({"input_shape": ()}, "input_shape: must be a tuple"),
        ({"input_shape": (28, 0)}, "input_shape: must be an integer in .*got 0"),
        ({"input_shape": (2**30, 2**30)}, "member 0: input shape has more than 2\\^31 features"),
        ({"network": [TINY, nn.Sequential([nn.ReLU()])], "input_shape": (7,)}, "member 1: .*dense"),
        ({"hyperparameters": 0.1}, "hyperparameters: must be a dict .*got 0.1"),
        ({"hyperparameters": [("lr", 0.1)]}, "hyperparameters: must be a dict"),
        ({"hyperparameters": {"learning_rate": 0.1}}, "sgd has no 'learning_rate'; it uses lr, decay,"),
        ({"hyperparameters": {"beta1": 0.1}}, "sgd has no 'beta1'; it uses .*momentum, nesterov"),
        ({"optimizer": "adam", "hyperparameters": {"momentum": 0.1}}, "adam has no 'momentum'; it uses .*beta1, beta2"),
        ({"members": 0, "hyperparameters": {"beta1": []}}, "sgd has no 'beta1'"),
        (
            {"members": 3, "hyperparameters": {"lr": [0.1, 0.2]}},
            r"lr: must be .* one per member \(3\), got 2",
        ),
        (
            {"members": 3, "hyperparameters": {"lr": [0.1, 0.2, -0.1]}},
            "member 2: lr: must be >= 0 .*got -0.1",
        ),
        ({"hyperparameters": {"lr": float("nan")}}, "member 0: lr: must be >= 0 and finite.*got nan"),
        ({"hyperparameters": {"lr": np.inf}}, "member 0: lr: must be >= 0 and finite.*got inf"),
        ({"hyperparameters": {"lr": 1e39}}, "member 0: lr: .*finite in single precision, got 1e"),
        ({"hyperparameters": {"lr": 10**400}}, "member 0: lr: .*finite"),
        ({"hyperparameters": {"lr": "0.1"}}, "member 0: lr: must be a number >= 0, got '0.1'"),
        ({"hyperparameters": {"lr": True}}, "member 0: lr: must be a number >= 0, got True"),
        ({"hyperparameters": {"lr": None}}, "member 0: lr: must be a number >= 0, got None"),
        ({"hyperparameters": {"lr": [[0.1, 0.2]]}}, "member 0: lr: must be a number"),
        ({"hyperparameters": {"momentum": 1}}, r"member 0: momentum: must be in \[0, 1\).*got 1"),
        ({"hyperparameters": {"momentum": 1 - 1e-12}}, r"momentum: must be in \[0, 1\) and finite in single precision"),
        ({"hyperparameters": {"nesterov": 1}}, "nesterov: must be True or False, got 1"),
        ({"hyperparameters": {"decay": -1e-9}}, "decay: must be >= 0"),
        ({"hyperparameters": {"lr_decay": 0}}, "lr_decay: must be > 0"),
        ({"hyperparameters": {"decay_every": 0}}, r"decay_every: must be an integer in \[1, .*got 0"),
        ({"hyperparameters": {"weight_decay": -1}}, "weight_decay: must be >= 0"),
        ({"optimizer": "adamw", "hyperparameters": {"beta1": 1.0}}, r"beta1: must be in \[0, 1\)"),
        ({"optimizer": "rmsprop", "hyperparameters": {"beta2": -0.5}}, r"beta2: must be in \[0, 1\)"),
        ({"optimizer": "adagrad", "hyperparameters": {"epsilon": 1e-60}}, "epsilon: must be > 0 .*got 1e-60"),
        ({"hyperparameters": {"batch_size": 0}}, r"batch_size: must be an integer in \[1, .*got 0"),
        ({"hyperparameters": {"batch_size": 32.0}}, "batch_size: must be an integer, got 32.0"),
        ({"hyperparameters": {"batch_size": 2**40}}, "batch_size: must be an integer in"),
        ({"hyperparameters": {"dropout": 0.5}}, "member 0: dropout: the network has no nn.Dropout layer, got 0.5"),
        ({"network": DROPOUT, "hyperparameters": {"dropout": 1.0}}, r"dropout: must be in \[0, 1\).*got 1.0"),
        (
            {"network": DROPOUT, "hyperparameters": {"dropout": [[0.1]]}},
            r"dropout: .*has 2 nn.Dropout .*, got 1",
        ),
        (
            {"network": DROPOUT, "hyperparameters": {"dropout": [0.1, 0.2]}},
            r"dropout: must be .* member \(1\), got 2",
        ),
    ],
)
def test_the_constructor(arguments, message):
    with pytest.raises(ValueError, match=message):
        Population(**({"network": TINY} | arguments))


def test_a_gpu_that_is_not_here():
    with pytest.raises(shoal.DeviceError, match=r"device: there is no 'cuda:99' here, only .*cpu"):
        Population(TINY, device="cuda:99")


def test_where_there_is_no_gpu_it_says_why(monkeypatch):
    here = [device for device in shoal.devices() if device.name == "cpu"]
    assert native.why_no_gpu() or here != shoal.devices()
    monkeypatch.setattr(native, "devices", lambda: here)
    monkeypatch.setattr(native, "why_no_gpu", lambda: "no NVIDIA driver was found")
    with pytest.raises(
        shoal.DeviceError, match="device: there is no 'cuda' here, only cpu; no NVIDIA driver was found"
    ):
        Population(TINY, device="cuda")
    assert Population(TINY, device="auto").device == "cpu"


LABELS = labelled()
TARGETS = regression()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: p.train(LABELS.x, steps=1), "data: must be a Dataset .*got ndarray"),
        (
            lambda p: p.train(TARGETS, steps=1),
            "regression: the loss cross_entropy needs integer labels, got y of float32",
        ),
        (lambda p: p.evaluate(TARGETS), "regression: the loss cross_entropy needs integer labels"),
        (
            lambda p: p.train(labelled(classes=4), steps=1),
            "member 0: must have one output .* 4 classes of labelled, got 3",
        ),
        (lambda p: p.evaluate(labelled(classes=4)), "member 0: must have one output for each of the 4 classes"),
        (
            lambda p: p.train(labelled(shape=(8,)), steps=1),
            r"sample has shape \(8,\), this population was made for \(7,\)",
        ),
        (lambda p: p.train(labelled(shape=(7, 1)), steps=1), r"shape \(7, 1\), this population was made for \(7,\)"),
        (lambda p: p.train(LABELS), "train: give steps or epochs, not both; got steps=None, epochs=None"),
        (lambda p: p.train(LABELS, steps=1, epochs=1), "train: give steps or epochs"),
        (lambda p: p.train(LABELS, steps=-1), r"steps: must be in \[0, 2\*\*31\), got -1"),
        (lambda p: p.train(LABELS, steps=2**31), r"steps: must be in \[0, 2\*\*31\)"),
        (lambda p: p.train(LABELS, steps=2**80), "steps: must be an integer or one per member"),
        (lambda p: p.train(LABELS, steps=1.5), "steps: must be an integer or one per member, got 1.5"),
        (
            lambda p: p.train(LABELS, steps=[1, 2, 3]),
            r"steps: must be one number or one per member \(2\), got shape \(3,\)",
        ),
        (lambda p: p.train(LABELS, steps=[[1, 2]]), r"steps: must be one number .*got shape \(1, 2\)"),
        (lambda p: p.train(LABELS, steps=True), "steps: must be an integer .*got True"),
        (lambda p: p.train(LABELS, epochs="2"), "epochs: must be an integer .*got '2'"),
        (lambda p: p.train(LABELS, epochs=[1, -1]), "epochs: must be in"),
        (lambda p: p.train(LABELS, steps=1, record=0), r"record: must be an integer in \[1, .*got 0"),
        (lambda p: p.train(LABELS, steps=1, record=2.0), "record: must be an integer, got 2.0"),
        (lambda p: p.evaluate(LABELS, members=[0, 2]), r"member: must be an integer in \[0, 1\], got 2"),
        (lambda p: p.evaluate(LABELS, members=-1), r"member: must be an integer in \[0, 1\], got -1"),
        (lambda p: p.predict(LABELS, 2), r"member: must be an integer in \[0, 1\], got 2"),
        (lambda p: p.predict(LABELS, 1.0), "member: must be an integer, got 1.0"),
        (lambda p: p.predict(np.zeros((5, 8))), r"x: a sample has shape \(8,\), this population was made for \(7,\)"),
        (lambda p: p.predict(np.zeros(7)), r"x: must be \(n, \*shape\) numbers, got float64 of shape \(7,\)"),
        (lambda p: p.predict([["a"] * 7]), r"x: must be \(n, \*shape\) numbers, got <U1"),
        (lambda p: p.predict(np.full((5, 7), np.nan)), "x: must be finite in float32"),
        (lambda p: p.predict(np.full((5, 7), 1e300)), "x: must be finite in float32"),
        (lambda p: p.predict(np.zeros((0, 7))), "at least one sample"),
        (lambda p: p.copy(0, 2), r"member: must be an integer in \[0, 1\], got 2"),
        (lambda p: p.copy([0, 1], [1]), "2 sources and 1 targets"),
        (lambda p: p.copy([0, 0], [1, 1]), "member 1 is a target twice|differ in structure"),
        (lambda p: p.copy(0, 1), "member 1 cannot take the weights of member 0: their networks differ in structure"),
        (lambda p: p.set(0, beta1=0.5), "sgd has no 'beta1'"),
        (lambda p: p.set(2, lr=0.5), r"member: must be an integer in \[0, 1\], got 2"),
        (lambda p: p.set("0", lr=0.5), "member: must be an integer, got '0'"),
        (lambda p: p.set([0, 1], lr=[0.5]), r"lr: must be one value or one per member \(2\), got 1"),
        (lambda p: p.set(1, lr=-1), "member 1: lr: must be >= 0"),
        (lambda p: p.set(0, dropout=0.5), "member 0: dropout: the network has no nn.Dropout layer"),
        (lambda p: p.reset(0, network=[TINY, TINY]), "members: must be the number of networks, 2, got 1"),
        (lambda p: p.reset(0, network=nn.Sequential([nn.ReLU()])), "member 0: .*dense"),
        (lambda p: p.reset(0, id=-3), "ids: must be an integer in .*got -3"),
        (lambda p: p.reset(0, hyperparameters={"beta1": 0.5}), "sgd has no 'beta1'"),
        (lambda p: p.reset(1, hyperparameters={"lr": -1}), "member 1: lr: must be >= 0"),
        (lambda p: p.reset(0, hyperparameters=3), "hyperparameters: must be a dict"),
        (lambda p: p.parameters(7), "member: must be an integer in"),
        (lambda p: p.state(7), "member: must be an integer in"),
        (lambda p: p.hyperparameters(7), "member: must be an integer in"),
        (lambda p: p.load_state(0, b""), "state of member 0: must have"),
        (lambda p: p.load_state(0, memoryview(bytes(p.state(0)))[::2]), "state of member 0: must be .*contiguous"),
    ],
)
def test_a_refused_call_leaves_everything_as_it_was(call, message):
    population = Population([TINY, LARGE], input_shape=(7,))
    before = (blocks(population), population.networks, population.ids)
    values = [population.hyperparameters(p) for p in range(2)]
    with pytest.raises(ValueError, match=message):
        call(population)
    assert (blocks(population), population.networks, population.ids) == before
    assert [population.hyperparameters(p) for p in range(2)] == values
    assert np.isfinite(population.train(LABELS, steps=1)).all()  # and it still works


def test_mse_needs_targets_of_the_right_number():
    population = Population(TINY, loss="mse")
    with pytest.raises(ValueError, match="labelled: the loss mse needs float targets, got y of int32"):
        population.train(LABELS, steps=1)
    with pytest.raises(ValueError, match=r"member 0: must have one output .* 2 targets of regression, got 3"):
        population.train(regression(targets=2), steps=1)


def test_a_smaller_set_in_the_middle_of_a_pass():
    population = Population(TINY, hyperparameters={"batch_size": 16})
    population.train(LABELS, steps=2)
    with pytest.raises(ValueError, match="stands at sample 32 of its pass, the dataset has 20"):
        population.train(labelled(20), steps=1)
    with pytest.raises(ValueError, match="stands at sample 32 of its pass, the dataset has 20"):
        population.train(labelled(20), epochs=1)
    population.train(LABELS, epochs=1)
    population.train(labelled(20), steps=1)


def test_a_refused_training_leaves_the_normalisation():
    population, x = Population(TINY, hyperparameters={"batch_size": 16}), np.full((1, 7), 200, np.uint8)
    rng = np.random.default_rng(0)
    sets = [data.from_arrays(rng.integers(0, 256, (n, 7), np.uint8), np.arange(n) % 3) for n in (57, 20)]
    population.train(sets[0], steps=2)
    before = population.predict(x)
    with pytest.raises(ValueError, match="stands at sample 32 of its pass"):
        population.train(data.standardise(sets[1])[0], steps=1)
    np.testing.assert_array_equal(population.predict(x), before)


def test_a_block_that_was_overwritten():
    population = Population(TINY, input_shape=(7,), device="cpu")  # a GPU's is a copy
    population.state(0).view(np.int64)[2] = -5
    with pytest.raises(ValueError, match="stands at sample -5 of its pass"):
        population.train(LABELS, steps=1)


def test_the_core_never_converts_an_array():
    from shoal import _core

    x, labels = np.zeros((4, 7), np.float32), np.zeros(4, np.int32)
    for wrong in (x.astype(np.float64), x[:, ::2], np.asfortranarray(x)):
        with pytest.raises(TypeError):
            _core.Dataset((7,), wrong)
    with pytest.raises(TypeError):
        _core.Dataset((7,), x, labels=labels.astype(np.int64), outputs=3)
    with pytest.raises(ValueError, match="x has 28 entries, expected 24"):
        _core.Dataset((6,), x)
    with pytest.raises(ValueError, match="scale has 3 entries, expected 7"):
        _core.Dataset((7,), x, x[0, :3])
    with pytest.raises(ValueError, match="labels has 4 entries, expected 3"):
        _core.Dataset((7,), x[:3], labels=labels, outputs=3)
    with pytest.raises(ValueError, match=r"labels must be in \[0, 3\)"):
        _core.Dataset((7,), x, labels=labels + 3, outputs=3)


HUGE = nn.Sequential([nn.Dense(2**24), nn.Dense(2**24)])


def test_too_large_a_network_is_a_memory_error():
    needs = r"out of memory: \d+ bytes asked for, \S+ has \d+: take"
    with pytest.raises(MemoryError, match=f"members: 1 of 2 fit into memory: {needs} fewer or smaller networks"):
        Population([TINY, HUGE], input_shape=(2**20,))
    population = Population(TINY, input_shape=(7,))
    before = blocks(population)
    with pytest.raises(MemoryError, match=f"member 0: {needs} a smaller network"):
        population.reset(0, network=HUGE)
    assert (blocks(population), population.networks) == (before, (TINY,))
    assert np.isfinite(population.train(LABELS, steps=1)).all()  # and it still works


def test_too_large_a_batch_is_a_memory_error(monkeypatch):
    population = Population(TINY, input_shape=(7,))

    class Full:
        """A core for whose activations there is no room."""

        outputs = population._core.outputs

        def fit(self, *arguments):
            raise MemoryError("out of memory: 5 bytes asked for")

    monkeypatch.setattr(population, "_core", Full())
    with pytest.raises(
        MemoryError, match=r"train: out of memory: 5 bytes asked for, \S+ has \d+: take smaller batches"
    ):
        population.train(LABELS, steps=1)
