"""Tensor cores: whole trainings at each precision against a float64 reference that rounds the same factors."""

import numpy as np
import pytest
from tests.population.samples import blocks, weights
from tests.population.test_convolution import NETWORKS, SHAPE, images, reference_run
from tests.reference.network import forward, softmax
from tests.reference.rounding import ROUNDINGS

from shoal import Population, devices, nn

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(devices()[0].name == "cpu", reason="there is no GPU here"),
]

STEPS = 4
VALUES = {"lr": 0.02, "momentum": 0.5, "batch_size": 20}
LAYERS = NETWORKS | {"dense": [nn.Dense(70), nn.Sigmoid(), nn.Dropout(0.2), nn.Dense(33), nn.ReLU(), nn.Dense(3)]}
# Sums in fp32 differ from the reference's by some 1e-7, so that now and then a factor falls on the other side of a
# rounding: that is worth 2^-10 or 2^-7 of this one factor among dozens or hundreds of a sum.
CLOSE = {"tf32": 2e-4, "bf16": 1e-3}


def far(population, trainer):
    """Return the distance of the weights' changes in training from those of the reference, in shares of these."""
    got, want = population.parameters(0), trainer.parameters
    first = weights(Population(population.networks[0], input_shape=population.input_shape, ids=[5], device="cpu"), 0)
    changes = np.concatenate([np.ravel(want[name] - first[name]) for name in want])
    errors = np.concatenate([np.ravel(got[name] - want[name]) for name in want])
    return np.linalg.norm(errors) / np.linalg.norm(changes)


@pytest.mark.parametrize("precision", ROUNDINGS)
@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
def test_training_is_the_references_that_rounds_alike(layers, precision):
    network, dataset, factor = nn.Sequential(layers), images(), ROUNDINGS[precision]
    options = {"hyperparameters": VALUES, "input_shape": SHAPE, "ids": [5], "device": "cuda", "precision": precision}
    population = Population(network, **options)
    rounded, losses = reference_run(population, dataset, STEPS, optimizer="sgd", factor=factor)
    exact, _ = reference_run(population, dataset, STEPS, optimizer="sgd")
    got = population.train(dataset, steps=STEPS, record=1)
    np.testing.assert_allclose(got[0], losses, rtol=CLOSE[precision])
    assert far(population, rounded) < CLOSE[precision] * 10
    assert far(population, exact) > far(population, rounded) * 2  # the rounding is there
    y, _ = forward(network, population.parameters(0), dataset.normalised(), factor=factor)
    np.testing.assert_allclose(population.predict(dataset), softmax(y), atol=CLOSE[precision])


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "tf32x3"])
def test_engines_and_runs_agree_bit_for_bit(precision):
    runs = []
    for engine in ("resident", "teams", "teams"):
        options = {"hyperparameters": VALUES, "device": "cuda", "precision": precision, "engine": engine}
        population = Population(nn.Sequential(LAYERS["batch norm"]), 2, **options)
        population.train(images(40), steps=3)
        runs.append(blocks(population))
    assert runs[0] == runs[1] == runs[2]


def test_three_products_of_tf32_train_as_the_cpu():
    options = {"hyperparameters": VALUES, "input_shape": SHAPE}
    network = nn.Sequential(LAYERS["batch norm"])
    cpu = Population(network, device="cpu", **options)
    gpu = Population(network, device="cuda", precision="tf32x3", **options)
    curves = [population.train(images(40), steps=6, record=2) for population in (cpu, gpu)]
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-4)


def test_a_member_too_large_to_be_resident_is_refused():
    network = nn.Sequential([nn.Dense(500), nn.Dense(3)])
    rule = (
        r'member 0: its weights and optimiser state are 40\d+ bytes, engine "resident" takes \d+ a member on .*"teams"'
    )
    with pytest.raises(ValueError, match=rule):
        Population(network, device="cuda", engine="resident", input_shape=(1000,))
    Population(network, device="cuda", engine="teams", input_shape=(1000,))
