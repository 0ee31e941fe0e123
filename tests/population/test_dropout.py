"""Dropout: the masks are read off the weights of a network made for it, then the reference runs with the same masks."""

import numpy as np
import pytest
from tests.population.samples import regression, weights, with_defaults
from tests.reference.training import Trainer

from shoal import Population, data, nn

WIDTHS = [5, 64, 257, 3000]  # up to 2000 weights and above


def probe(network, x, y, *, steps=0, **options):
    """Return where one step of gradient descent moves weights that are all 0, after some steps that change nothing."""
    population = Population(network, loss="mse", input_shape=(x.shape[1],), **options)
    dataset = data.from_arrays(x, y)
    for view in population.parameters(0).values():
        view[...] = 0
    population.set(0, lr=0, batch_size=len(x))
    population.train(dataset, steps=steps)
    population.set(0, lr=1)
    population.train(dataset, steps=1)
    return population.parameters(0)["dense1.weight"][0]


def masks(rate, layer, rows, width, step, **options):
    """Return the factors (rows, width) of the given dropout layer at a step, in the order of the data.

    The output is 0 for all samples and only sample i has another target, so the gradient is its masked input.
    """
    network = nn.Sequential([nn.Dropout(0)] * layer + [nn.Dropout(rate), nn.Dense(1, bias=False)])
    x = np.ones((rows, width), np.float32)
    moves = [probe(network, x, np.eye(rows, dtype=np.float32)[i], steps=step, **options) for i in range(rows)]
    return np.array(moves) * rows / 2


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_kept_values_are_scaled_and_the_share_is_right(rate, width):
    factors = masks(rate, 0, 8, width, step=0)
    kept = factors != 0
    np.testing.assert_allclose(factors[kept], 1 / (1 - rate), rtol=1e-6)
    deviation = np.sqrt(rate * (1 - rate) / factors.size)
    assert abs(np.mean(~kept) - rate) < 5 * deviation


@pytest.mark.parametrize("width", [64, 3000])
def test_masks_differ_between_rows_steps_layers_members_and_seeds(width):
    first = masks(0.5, 0, 2, width, step=0)
    others = [
        first[::-1],
        masks(0.5, 0, 2, width, step=1),
        masks(0.5, 1, 2, width, step=0),
        masks(0.5, 0, 2, width, step=0, ids=[1]),
        masks(0.5, 0, 2, width, step=0, seed=1),
    ]
    for other in others:  # two independent masks agree on half of the values
        assert 0.2 < np.mean(first == other) < 0.8
    assert np.array_equal(first, masks(0.5, 0, 2, width, step=0))


@pytest.mark.parametrize("activation", [nn.Sigmoid(), nn.Tanh(), nn.LeakyReLU(0.3)], ids=repr)
@pytest.mark.parametrize(("hidden", "second"), [(9, 7), (70, 41)], ids=["tiny", "large"])
def test_both_passes_use_the_same_masks(hidden, second, activation):
    rates, rows, steps = (0.3, 0.6), 5, 4
    first = [nn.Dense(hidden), activation, nn.Dropout(rates[0])]
    network = nn.Sequential([*first, nn.Dense(second), nn.Dropout(rates[1]), activation, nn.Dense(3)])
    dataset = regression(rows)
    population = Population(network, loss="mse", hyperparameters={"lr": 0.02}, input_shape=(7,), ids=[3], seed=4)
    trainer = Trainer(network, weights(population, 0), optimizer="sgd", loss="mse")
    h = with_defaults(population.hyperparameters(0))
    want = []
    for step in range(steps):
        factors = [
            masks(rate, layer, rows, width, step, ids=[3], seed=4)
            for layer, (rate, width) in enumerate(zip(rates, (hidden, second), strict=True))
        ]
        want.append(trainer.step(dataset.x, dataset.y, h, factors))
    np.testing.assert_allclose(population.train(dataset, steps=steps, record=1)[0], want, rtol=1e-5)
    for name, view in population.parameters(0).items():
        np.testing.assert_allclose(view, trainer.parameters[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("width", [6, 80], ids=["tiny", "large"])
def test_the_rate_is_a_hyperparameter(width):
    layers = [nn.Dense(width), nn.Dropout(0.5), nn.Dense(3)]
    network, dataset = nn.Sequential(layers), regression()
    values = {"lr": 0.05, "dropout": [0.0, 0.5, 0.2, 0.5]}
    population = Population(network, 4, loss="mse", hyperparameters=values, ids=[0, 0, 0, 0])
    population.train(dataset, steps=3)
    population.set(2, dropout=0.5)
    plain = Population(nn.Sequential([layers[0], layers[2]]), loss="mse", hyperparameters={"lr": 0.05})
    plain.train(dataset, steps=3)
    states = [weights(population, p)["dense2.weight"].tobytes() for p in range(4)]
    assert states[1] == states[3]
    assert len(set(states)) == 3
    assert states[0] == weights(plain, 0)["dense2.weight"].tobytes()  # a rate of 0 is no dropout at all
    assert population.hyperparameters(2)["dropout"] == (0.5,)


def test_evaluation_and_prediction_have_no_dropout():
    dataset = regression()
    with_dropout = Population(nn.Sequential([nn.Dense(80), nn.Dropout(0.9), nn.Dense(3)]), loss="mse", input_shape=(7,))
    without = Population(nn.Sequential([nn.Dense(80), nn.Dense(3)]), loss="mse", input_shape=(7,))
    assert np.array_equal(with_dropout.predict(dataset), without.predict(dataset))
    assert with_dropout.evaluate(dataset) == without.evaluate(dataset)
