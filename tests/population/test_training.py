"""Whole runs against the float64 reference, from the same weights and the same batches."""

import numpy as np
import pytest
from tests.population.samples import LARGE, TINY, goal_of, labelled, reference_run, regression
from tests.reference.network import cross_entropy, forward, mse, softmax

from shoal import Population, data, nn

OPTIMIZERS = {
    "sgd": {"lr": 0.1, "momentum": 0.8, "weight_decay": 1e-3, "decay": 0.01},
    "adam": {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "weight_decay": 1e-3},
    "adamw": {"lr": 0.01, "weight_decay": 0.1, "lr_decay": 0.9, "decay_every": 7},
    "rmsprop": {"lr": 0.003, "momentum": 0.5, "beta2": 0.9, "epsilon": 1e-4},
    "adagrad": {"lr": 0.05, "epsilon": 1e-6},
}


def check_run(network, dataset, optimizer, loss, hyperparameters, steps=50, rtol=5e-5):
    """Train both ways. A rounding to float32 loses 6e-8; 50 steps of training amplify it, by less than 500 here."""
    population = Population(
        network, optimizer=optimizer, loss=loss, hyperparameters=hyperparameters, input_shape=dataset.shape, ids=[5]
    )
    trainer, want = reference_run(population, 0, dataset, steps, optimizer=optimizer, loss=loss)
    got = population.train(dataset, steps=steps, record=1)
    np.testing.assert_allclose(got[0], want, rtol=rtol, atol=1e-6)
    for name, view in population.parameters(0).items():
        np.testing.assert_allclose(view, trainer.parameters[name], rtol=rtol, atol=5e-6, err_msg=name)


@pytest.mark.parametrize("network", [TINY, LARGE], ids=["tiny", "large"])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimiser_and_loss(optimizer, loss, network):
    check_run(network, goal_of(loss)(), optimizer, loss, {**OPTIMIZERS[optimizer], "batch_size": 16})


@pytest.mark.parametrize("width", [8, 80], ids=["tiny", "large"])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.LeakyReLU(0.1), nn.Sigmoid(), nn.Tanh()], ids=repr)
def test_every_activation(activation, loss, width):
    network = nn.Sequential([nn.Dense(width, init="xavier"), activation, nn.Dense(width), activation, nn.Dense(3)])
    check_run(network, goal_of(loss)(), "sgd", loss, {"lr": 0.05, "momentum": 0.5, "batch_size": 20})


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("network", [TINY, LARGE], ids=["tiny", "large"])
def test_momentum_of_nesterov(network, nesterov):
    values = {"lr": 0.05, "momentum": 0.9, "nesterov": nesterov, "batch_size": 19}
    check_run(network, labelled(), "sgd", "cross_entropy", values)


@pytest.mark.parametrize("batch_size", [1, 2, 15, 16, 17, 56, 57, 58, 1000])
@pytest.mark.parametrize("network", [TINY, LARGE], ids=["tiny", "large"])
def test_every_batch_size_with_the_last_batch_short(network, batch_size):
    check_run(network, labelled(57), "sgd", "cross_entropy", {"lr": 0.02, "batch_size": batch_size})


@pytest.mark.parametrize("inputs", [1, 3, 17, 33, 129])
@pytest.mark.parametrize("outputs", [1, 2, 15, 17, 47])
@pytest.mark.parametrize("hidden", [1, 5, 16, 31, 100])
def test_sizes_off_the_grid(inputs, hidden, outputs):
    network = nn.Sequential([nn.Dense(hidden), nn.Tanh(), nn.Dense(outputs)])
    dataset = regression(33, (inputs,), outputs)
    check_run(network, dataset, "sgd", "mse", {"lr": 0.01, "momentum": 0.5, "batch_size": 13}, steps=12)


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Dense(3, bias=False)],
        [nn.Dense(65, bias=False), nn.Tanh(), nn.Dense(65, bias=False), nn.Tanh(), nn.Dense(3, bias=False)],
        [nn.Flatten(), nn.Tanh(), nn.Dense(12), nn.Dense(3)],
        [nn.Tanh(), nn.Sigmoid(), nn.Dense(70), nn.ReLU(), nn.Tanh(), nn.Dense(3), nn.Sigmoid()],
        [nn.Dense(5), nn.Tanh(), nn.Sigmoid(), nn.LeakyReLU(0.5), nn.Dense(3), nn.Tanh()],
        [nn.Dense(90), nn.Dense(40), nn.Dense(3)],
    ],
    ids=lambda layers: "-".join(type(layer).__name__ for layer in layers),
)
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_every_arrangement_of_layers(layers, loss):
    check_run(nn.Sequential(layers), goal_of(loss)(shape=(3, 5)), "sgd", loss, {"lr": 0.01, "batch_size": 24})


@pytest.mark.parametrize("network", [TINY, LARGE], ids=["tiny", "large"])
def test_uint8_images_are_normalised_on_the_fly(network):
    rng = np.random.default_rng(0)
    images = data.from_arrays(rng.integers(256, size=(41, 5, 7), dtype=np.uint8), rng.integers(3, size=41), classes=3)
    assert images.scale is not None
    check_run(network, images, "sgd", "cross_entropy", {"lr": 0.3, "batch_size": 10})


def test_standardised_inputs():
    raw = labelled()
    dataset = data.from_arrays(raw.x * 30 + 7, raw.y, normalise="standard")
    check_run(LARGE, dataset, "sgd", "cross_entropy", {"lr": 0.1, "batch_size": 10})


def test_members_of_all_kinds_train_side_by_side():
    networks = [TINY, LARGE, TINY, nn.Sequential([nn.Dense(3)]), LARGE, nn.Sequential([nn.Dense(200), nn.Dense(3)])]
    values = {"lr": [0.1, 0.05, 0.02, 0.3, 0.01, 0.03], "batch_size": [1, 7, 57, 16, 100, 32], "momentum": 0.6}
    dataset = labelled()
    population = Population(networks, hyperparameters=values, input_shape=(7,), seed=9)
    runs = [reference_run(population, p, dataset, 30, optimizer="sgd", loss="cross_entropy", seed=9) for p in range(6)]
    curves = population.train(dataset, steps=30, record=1)
    for p, (trainer, want) in enumerate(runs):
        np.testing.assert_allclose(curves[p], want, rtol=5e-5, atol=1e-6)
        for name, view in population.parameters(p).items():
            np.testing.assert_allclose(view, trainer.parameters[name], rtol=5e-5, atol=5e-6)


def test_predict_and_evaluate_are_the_reference_forward():
    dataset = labelled(300)  # more than one slice of 256
    for network in (TINY, LARGE):
        population = Population(network, 2, input_shape=(7,), seed=1)
        population.train(labelled(), steps=20)
        result = population.evaluate(dataset)
        for p in range(2):
            y, _ = forward(network, population.parameters(p), dataset.x)
            np.testing.assert_allclose(population.predict(dataset, p), softmax(y), rtol=1e-5, atol=1e-6)
            assert result["loss"][p] == pytest.approx(cross_entropy(y, dataset.y)[0], rel=1e-5)
            assert result["accuracy"][p] == pytest.approx(np.mean(y.argmax(axis=1) == dataset.y))


def test_predict_of_a_regression_gives_values():
    dataset = regression(65)
    population = Population(LARGE, loss="mse", input_shape=(7,))
    y, _ = forward(LARGE, population.parameters(0), dataset.x)
    np.testing.assert_allclose(population.predict(dataset.x), y, rtol=1e-5, atol=1e-6)
    assert population.evaluate(dataset)["loss"] == [pytest.approx(mse(y, dataset.y)[0], rel=1e-5)]


def test_training_learns_the_digits():
    train, valid, _ = data.load("digits", validation=0.2)
    population = Population(
        nn.Sequential([nn.Dense(32), nn.ReLU(), nn.Dense(10)]), 3, hyperparameters={"lr": [0.0, 0.1, 0.2]}
    )
    population.train(train, epochs=10)
    accuracy = population.evaluate(valid)["accuracy"]
    assert accuracy[0] < 0.3  # a learning rate of 0 learns nothing
    assert accuracy[1:].min() > 0.9
