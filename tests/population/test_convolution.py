"""Convolutional members: whole runs against the float64 reference, and what holds for all members holds for them."""

import os
import subprocess
import sys

import numpy as np
import pytest
from tests.population.samples import blocks, labelled, regression, weights, with_defaults
from tests.reference.draws import augmented, dropout_mask
from tests.reference.network import draw, forward, softmax
from tests.reference.training import Trainer, batches

from shoal import Population, _core, data, networks, nn

SHAPE = (7, 6, 3)
OPTIMIZERS = {
    "sgd": {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 1e-3, "decay": 0.01},
    "adam": {"lr": 0.005, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-4, "weight_decay": 1e-3},
    "adamw": {"lr": 0.005, "weight_decay": 0.1, "epsilon": 1e-4, "lr_decay": 0.9, "decay_every": 7},
    "rmsprop": {"lr": 0.002, "momentum": 0.5, "beta2": 0.9, "epsilon": 1e-3},
    "adagrad": {"lr": 0.02, "epsilon": 1e-3},
}
NETWORKS = {
    "conv": [nn.Conv2d(5, 3), nn.Tanh(), nn.Dense(3)],
    "no bias": [nn.Conv2d(4, (2, 3), bias=False), nn.Sigmoid(), nn.Conv2d(3, 2, bias=False), nn.Dense(3, bias=False)],
    "deep": [nn.Conv2d(6, 3), nn.ReLU(), nn.Conv2d(17, 3), nn.ReLU(), nn.Conv2d(5, 1), nn.LeakyReLU(0.1), nn.Dense(3)],
    "an image is the output": [nn.Conv2d(4, 3), nn.Tanh(), nn.Conv2d(1, (7, 4), padding="valid")],
    "pooled": [nn.Conv2d(5, 3), nn.MaxPool2d(2), nn.Tanh(), nn.Conv2d(4, 2), nn.AvgPool2d(2, 1, "same"), nn.Dense(3)],
    "pooled first": [nn.AvgPool2d(3, 2, 1), nn.MaxPool2d(2, 1), nn.Conv2d(3, 2), nn.Sigmoid(), nn.GlobalAvgPool2d()],
    "dropout": [
        *(nn.Dropout(0.1), nn.Conv2d(5, 3), nn.ReLU(), nn.Dropout(0.3), nn.MaxPool2d(2), nn.Dropout(0.2)),
        *(nn.Flatten(), nn.Dropout(0.1), nn.Dense(20), nn.Tanh(), nn.Dropout(0.5), nn.Dense(3), nn.Dropout(0.1)),
    ],
    "activations after everything": [
        *(nn.Tanh(), nn.Conv2d(4, 3), nn.Tanh(), nn.Sigmoid(), nn.AvgPool2d(2), nn.LeakyReLU(0.3)),
        *(nn.GlobalAvgPool2d(), nn.Tanh(), nn.Dense(3), nn.Sigmoid()),
    ],
    "batch norm": [nn.Conv2d(5, 3, bias=False), nn.BatchNorm(), nn.ReLU(), nn.MaxPool2d(2), nn.Dense(3)],
    "batch norm everywhere": [
        *(nn.BatchNorm(0.5, 1e-2), nn.Conv2d(4, 3), nn.Tanh(), nn.BatchNorm(0.2, 1e-2), nn.Dropout(0.2)),
        *(nn.GlobalAvgPool2d(), nn.BatchNorm(), nn.Sigmoid()),
        *(nn.Dense(9, bias=False), nn.BatchNorm(0.01), nn.Tanh(), nn.Dense(3)),
    ],
    "identity": [
        *(nn.Conv2d(4, 3), nn.Residual([nn.Tanh(), nn.Conv2d(4, 3)]), nn.Tanh(), nn.Dropout(0.2)),
        *(nn.Residual([nn.Dropout(0.1), nn.AvgPool2d(3, 1, "same")]), nn.Dense(3)),
    ],
    "option A": [
        *(nn.Conv2d(3, 3), nn.Tanh(), nn.Residual([nn.Conv2d(7, 3, 2, padding=1), nn.Tanh(), nn.Conv2d(7, 3)])),
        *(nn.ReLU(), nn.Residual([nn.Conv2d(9, 1, (1, 3))]), nn.GlobalAvgPool2d(), nn.Dense(3)),
    ],
    "projection": [
        nn.Residual(
            [nn.Conv2d(6, 3, 2), nn.BatchNorm(), nn.ReLU(), nn.Dropout(0.2), nn.Conv2d(6, 3), nn.BatchNorm()],
            [nn.Conv2d(6, 1, 2), nn.BatchNorm(0.3), nn.Dropout(0.1)],
        ),
        *(nn.ReLU(), nn.GlobalAvgPool2d(), nn.Dense(3)),
    ],
    "nested": [
        nn.Residual([nn.Residual([nn.Conv2d(5, 3), nn.Tanh()]), nn.Residual([nn.ReLU()], [nn.Conv2d(5, 2)])]),
        nn.Residual([nn.MaxPool2d(2)], [nn.AvgPool2d(2), nn.Residual([nn.Sigmoid()])]),
        *(nn.Flatten(), nn.Residual([nn.Dense(45), nn.Tanh()]), nn.Dense(3)),
    ],
    "dense with batch norm": [nn.Dense(40), nn.BatchNorm(), nn.ReLU(), nn.Dense(3)],
}
EVERY_NETWORK = pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
NORMAL = NETWORKS["batch norm everywhere"]


def images(samples=57, shape=SHAPE, seed=0, classes=3):
    return labelled(samples, shape, classes, seed)


def pixels(samples=57, shape=SHAPE, classes=3, normalise=True):
    """Images of uint8, with labels."""
    rng = np.random.default_rng(0)
    x = rng.integers(256, size=(samples, *shape), dtype=np.uint8)
    return data.from_arrays(x, rng.integers(classes, size=samples), classes=classes, normalise=normalise)


def normalised(dataset, x):
    return data.Dataset(x, dataset.y[: len(x)], dataset.outputs, dataset.scale, dataset.shift).normalised()


def reference_run(population, dataset, steps, *, optimizer, loss="cross_entropy", seed=0, factor=None):
    """Train the reference as the population would train its only member, fresh; return it and its losses."""
    network, h, key = population.networks[0], with_defaults(population.hyperparameters(0)), population.ids[0]
    trainer = Trainer(network, weights(population, 0), optimizer=optimizer, loss=loss, factor=factor)
    _, masks = draw(network, dataset.normalised()[:1], np.random.default_rng(0))
    widths, rates = [mask.size for mask in masks], h.get("dropout", ())

    def order(epoch):
        return np.array(_core.epoch_order(seed, key, epoch, len(dataset)))

    losses = []
    for step, rows in enumerate(batches(order, len(dataset), h["batch_size"], steps)):
        draws = {"step": step, "key": (seed, key)}
        x = augmented(dataset.x[rows], h["augment_pad"], h["augment_flip"], **draws)
        masks = [
            dropout_mask(rate, layer, len(rows), width, **draws)
            for layer, (rate, width) in enumerate(zip(rates, widths, strict=True))
        ]
        losses.append(trainer.step(normalised(dataset, x), dataset.y[rows], h, masks))
    return trainer, np.array(losses)


def check_run(layers, dataset, optimizer="sgd", loss="cross_entropy", *, steps=20, seed=0, **hyperparameters):
    """Train both ways. A rounding to float32 loses 6e-8; 20 steps of training amplify it, by less than 1000 here."""
    network = nn.Sequential(layers)
    values = OPTIMIZERS[optimizer] | {"batch_size": 20} | hyperparameters
    population = Population(
        network, optimizer=optimizer, loss=loss, hyperparameters=values, input_shape=dataset.shape, ids=[5], seed=seed
    )
    trainer, want = reference_run(population, dataset, steps, optimizer=optimizer, loss=loss, seed=seed)
    got = population.train(dataset, steps=steps, record=1)
    np.testing.assert_allclose(got[0], want, rtol=5e-5, atol=1e-6)
    for name, view in population.parameters(0).items():
        np.testing.assert_allclose(view, trainer.parameters[name], rtol=5e-5, atol=5e-6, err_msg=name)
    check_predictions(population, dataset, loss)
    return population


def check_predictions(population, dataset, loss="cross_entropy"):
    y, _ = forward(population.networks[0], population.parameters(0), dataset.normalised())
    want = softmax(y) if loss == "cross_entropy" else y
    np.testing.assert_allclose(population.predict(dataset), want, rtol=2e-5, atol=2e-6)


@EVERY_NETWORK
@pytest.mark.parametrize("samples", [1, 5, 16, 33])
def test_what_a_fresh_member_predicts(layers, samples):
    population = Population(nn.Sequential(layers), input_shape=SHAPE)
    check_predictions(population, images(samples))


@EVERY_NETWORK
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_network_and_optimiser(layers, optimizer):
    check_run(layers, images(), optimizer)


@EVERY_NETWORK
def test_every_network_in_a_regression(layers):
    check_run(layers, regression(shape=SHAPE), "sgd", "mse", lr=0.002)


WINDOWS = [
    *((1, 1, "valid"), (1, 2, "same"), (2, 1, "same"), (2, 2, "valid"), (2, 2, "same"), (3, 1, "valid"), (3, 1, 2)),
    *((3, 2, "same"), (3, 2, 1), (3, 3, "same"), (4, 1, "same"), (4, 3, 2), (5, 1, "same"), (5, 2, "valid")),
    *((2, 3, 1), ((1, 4), (2, 1), "same"), ((3, 2), (1, 3), (1, 0)), ((2, 4), 3, (1, 2)), ((5, 1), 2, (4, 0))),
]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("make", [lambda *where: nn.Conv2d(5, *where), nn.MaxPool2d, nn.AvgPool2d])
def test_every_window(make, window):
    check_run([nn.Conv2d(4, 2), nn.Tanh(), make(*window), nn.Tanh(), nn.Dense(3)], images(), batch_size=13, steps=9)


@pytest.mark.parametrize("shape", [(7, 6), (1, 1, 3), (1, 9, 2), (5, 4, 1), (4, 5, 17), (13, 11, 2), (16, 16, 8)])
@pytest.mark.parametrize("filters", [1, 3, 16, 18, 33])
def test_sizes_off_the_grid(shape, filters):
    layers = [nn.Conv2d(filters, 3), nn.Tanh(), nn.Conv2d(filters, 2), nn.MaxPool2d(2, 2, "same"), nn.Tanh()]
    check_run([*layers, nn.Dense(3)], images(25, shape), batch_size=11, steps=5)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 15, 16, 17, 32, 56, 57, 58, 1000])
@pytest.mark.parametrize("name", ["pooled", "batch norm", "dropout", "option A"])
def test_every_batch_size_with_the_last_batch_short(name, batch_size):
    check_run(NETWORKS[name], images(57), batch_size=batch_size, lr=0.02, steps=9)


def test_a_batch_larger_than_a_slice():
    check_run(NETWORKS["projection"], images(700), batch_size=600, steps=3)


def test_images_of_bytes_are_normalised_on_the_fly():
    for normalise in (True, "standard"):
        check_run(NETWORKS["pooled"], pixels(normalise=normalise))


def test_lenet_of_the_paper():
    check_run(networks.lenet5(3, nn.Tanh(), nn.AvgPool2d(2)).layers, pixels(40, (28, 28)), steps=4)


def test_residual_network():
    check_run(networks.resnet(8, 3).layers, images(24, (8, 9, 3)), steps=4, lr=0.01)


def test_dropout_rates_change_between_steps():
    layers = NETWORKS["dropout"]
    population = Population(nn.Sequential(layers), input_shape=SHAPE, hyperparameters={"lr": 0.05})
    dataset = images(20)
    population.set(0, dropout=(0, 0.5, 0, 0, 0.25, 0))
    population.train(dataset, steps=2)
    other = Population(
        nn.Sequential(layers), input_shape=SHAPE, hyperparameters={"lr": 0.05, "dropout": [[0, 0.5, 0, 0, 0.25, 0]]}
    )
    trainer, _ = reference_run(other, dataset, 2, optimizer="sgd")
    for name, view in population.parameters(0).items():
        np.testing.assert_allclose(view, trainer.parameters[name], rtol=1e-5, atol=1e-6, err_msg=name)


# ---- batch normalisation


def test_running_statistics_begin_at_0_and_1_and_are_not_trained():
    population = Population(nn.Sequential(NORMAL), input_shape=SHAPE, hyperparameters={"lr": 0.0, "weight_decay": 0.1})
    before = weights(population, 0)
    for name, value in {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1}.items():
        assert (before[f"batchnorm1.{name}"] == np.full(3, value)).all()
    population.train(images(), steps=1)
    moved = {name for name, view in population.parameters(0).items() if not np.array_equal(view, before[name])}
    assert moved == {f"batchnorm{i}.running_{what}" for i in range(1, 5) for what in ("mean", "var")}


def test_evaluation_neither_moves_nor_uses_the_batch():
    population, dataset = Population(nn.Sequential(NORMAL), input_shape=SHAPE), images(40)
    population.train(dataset, steps=10)
    before = blocks(population)
    whole = population.predict(dataset)
    np.testing.assert_allclose(np.concatenate([population.predict(x[None]) for x in dataset.x]), whole, rtol=1e-5)
    population.evaluate(dataset)
    assert blocks(population) == before


def test_a_batch_of_one_row_has_no_variance():
    layers = [nn.Dense(6), nn.BatchNorm(), nn.Tanh(), nn.Dense(3)]
    population = check_run(layers, images(5), batch_size=1, steps=7)
    assert all(np.isfinite(view).all() for view in population.parameters(0).values())


# ---- augmentation


@pytest.mark.parametrize(("pad", "flip"), [(2, False), (0, True), (1, True), (9, True)])
@pytest.mark.parametrize("layers", [NETWORKS["pooled"], [nn.Dense(20), nn.Tanh(), nn.Dense(3)], [nn.Dense(3)]])
def test_images_are_augmented_in_training(layers, pad, flip):
    for dataset in (images(), pixels(normalise="standard"), pixels(shape=(5, 8))):
        check_run(layers, dataset, steps=8, augment_pad=pad, augment_flip=flip)


def test_augmentation_is_drawn_for_each_member_step_and_seed():
    dataset = images(40)
    values = {"augment_pad": 2, "augment_flip": True, "batch_size": 40, "lr": 0.1}

    def moved(seed=0, key=0, steps=0, **changes):
        population = Population(
            nn.Sequential([nn.Dense(3)]), ids=[key], seed=seed, hyperparameters=values | changes, input_shape=SHAPE
        )
        for view in population.parameters(0).values():
            view[...] = 0
        population.set(0, lr=0)
        population.train(dataset, steps=steps)
        population.set(0, lr=1)
        population.train(dataset, steps=1)
        return population.parameters(0)["dense1.weight"].round(4).tobytes()  # the order of a sum may differ

    assert moved() == moved()
    assert len({moved(), moved(seed=1), moved(key=1), moved(steps=1), moved(augment_flip=False)}) == 5


def test_evaluation_is_not_augmented():
    network, dataset = nn.Sequential(NETWORKS["pooled"]), images()
    plain, other = (
        Population(network, input_shape=SHAPE, hyperparameters=values)
        for values in ({}, {"augment_pad": 3, "augment_flip": True})
    )
    assert np.array_equal(plain.predict(dataset), other.predict(dataset))
    assert plain.evaluate(dataset) == other.evaluate(dataset)


def test_augmentation_may_change_between_steps():
    dataset, network = images(), nn.Sequential(NETWORKS["conv"])
    population = Population(network, 2, ids=[0, 0], hyperparameters={"augment_pad": [0, 2]}, input_shape=SHAPE)
    population.train(dataset, steps=1)
    population.load_state(0, bytes(population.state(1)))
    population.train(dataset, steps=1)
    assert blocks(population)[0] != blocks(population)[1]
    population.load_state(0, bytes(population.state(1)))
    population.set(0, augment_pad=2)
    population.train(dataset, steps=1)
    assert blocks(population)[0] == blocks(population)[1]
    assert population.hyperparameters(0)["augment_flip"] is False


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"augment_pad": -1}, r"member 0: augment_pad: must be an integer in \[0, .*got -1"),
        ({"augment_pad": 1.0}, "member 0: augment_pad: must be an integer, got 1.0"),
        ({"augment_flip": 1}, "member 0: augment_flip: must be True or False, got 1"),
    ],
)
def test_bad_augmentation(optimizer, values, message):
    with pytest.raises(ValueError, match=message):
        Population(nn.Sequential(NETWORKS["conv"]), optimizer=optimizer, hyperparameters=values)


@pytest.mark.parametrize("values", [{"augment_pad": 1}, {"augment_flip": True}])
def test_only_images_are_augmented(values):
    population = Population(nn.Sequential([nn.Dense(3)]), hyperparameters=values)
    with pytest.raises(ValueError, match=r"augment.*image"):
        population.train(labelled(), steps=1)


# ---- what does not fit


@pytest.mark.parametrize(
    ("layers", "shape", "message"),
    [
        ([nn.Conv2d(2, 8, padding="valid")], SHAPE, r"layer 1 \(conv2d\): kernel .* larger than .* 8 x 8 .* 7 x 6"),
        ([nn.Conv2d(2, (2, 9), padding=1)], SHAPE, r"layer 1 \(conv2d\): kernel .* larger than"),
        ([nn.Tanh(), nn.MaxPool2d((8, 1))], SHAPE, r"layer 2 \(pooling\): kernel .* larger than"),
        ([nn.Conv2d(2, 3), nn.AvgPool2d(4), nn.AvgPool2d(4)], SHAPE, r"layer 3 \(pooling\): kernel .* larger than"),
        ([nn.Conv2d(2, 3)], (7,), r"layer 1 \(conv2d\): .*must be an image .*\(7\)"),
        ([nn.Conv2d(2, 3)], (7, 6, 3, 2), r"layer 1 \(conv2d\): .*must be an image"),
        ([nn.Flatten(), nn.Conv2d(2, 3)], SHAPE, r"layer 2 \(conv2d\): .*must be an image"),
        ([nn.Dense(12), nn.MaxPool2d(2)], SHAPE, r"layer 2 \(pooling\): .*must be an image"),
        ([nn.GlobalAvgPool2d(), nn.GlobalAvgPool2d()], SHAPE, r"layer 2 \(global_pooling\): .*must be an image"),
        ([nn.MaxPool2d(2)], SHAPE, "must have at least one layer with weights"),
        ([nn.Residual([nn.Conv2d(2, 3)])], SHAPE, r"layer 1 \(residual\): branch makes \(7, 6, 2\), its shortcut"),
        ([nn.Residual([nn.Conv2d(3, 3, padding="valid")])], SHAPE, r"layer 1 \(residual\): branch makes \(5, 4, 3\)"),
        ([nn.Residual([nn.Conv2d(4, 1)], [nn.Conv2d(5, 1)])], SHAPE, r"layer 1 \(residual\): branch makes"),
        ([nn.Residual([nn.Flatten(), nn.Dense(126)])], SHAPE, r"layer 1 \(residual\): branch makes \(126\)"),
        ([nn.Residual([nn.Dense(5)])], (7,), r"layer 1 \(residual\): branch makes \(5\), its shortcut \(7\)"),
        ([nn.Residual([nn.ReLU(), nn.Conv2d(2, 8, padding="valid")])], SHAPE, r"layer 1.branch 2 \(conv2d\): kernel"),
        ([nn.Residual([nn.Conv2d(3, 3)], [nn.Conv2d(2, 9, padding=0)])], SHAPE, r"layer 1.shortcut 1 \(conv2d\): kern"),
    ],
)
def test_a_network_that_does_not_fit(layers, shape, message):
    with pytest.raises(ValueError, match=rf"member 0: .*{message}"):
        Population(nn.Sequential(layers), input_shape=shape)


def test_images_of_another_size_are_refused():
    population = Population(nn.Sequential(NETWORKS["conv"]), input_shape=SHAPE)
    with pytest.raises(ValueError, match=r"sample has shape \(6, 7, 3\), this population was made for \(7, 6, 3\)"):
        population.train(images(shape=(6, 7, 3)), steps=1)
    with pytest.raises(ValueError, match="must have one output for each of the 4 classes of labelled, got 3"):
        population.train(images(classes=4), steps=1)


# ---- members


@pytest.mark.parametrize(
    ("init", "scale", "deviation", "bound"),
    [
        ("he", None, np.sqrt(2 / 100), np.inf),
        ("he", 0.5, 0.5 * np.sqrt(2 / 100), np.inf),
        ("xavier", None, np.sqrt(6 / 1700) / np.sqrt(3), np.sqrt(6 / 1700)),
        ("normal", None, 0.05, np.inf),
        ("uniform", 3.0, 3.0 / np.sqrt(3), 3.0),
    ],
)
def test_initial_weights(init, scale, deviation, bound):
    network = nn.Sequential([nn.Conv2d(80, (4, 5), init=init, init_scale=scale), nn.GlobalAvgPool2d(), nn.Dense(3)])
    population = Population(network, input_shape=(8, 8, 5), seed=1)  # 100 inputs a filter, 1600 outputs
    weight = population.parameters(0)["conv1.weight"]
    assert weight.shape == (80, 4, 5, 5)
    assert abs(weight.mean()) < 5 * deviation / np.sqrt(weight.size)
    assert weight.std() == pytest.approx(deviation, rel=5 / np.sqrt(weight.size))
    assert abs(weight).max() <= bound
    assert np.unique(weight).size > 0.99 * weight.size
    assert not population.parameters(0)["conv1.bias"].any()


def test_views_are_the_weights_themselves():
    population = Population(nn.Sequential(NETWORKS["batch norm"]), input_shape=SHAPE)
    rng = np.random.default_rng(0)
    for name, view in population.parameters(0).items():
        view[...] = abs(rng.normal(size=view.shape)) if name.endswith("var") else rng.normal(size=view.shape)
    check_predictions(population, images())


KEYS = [7, 3, 11, 1, 0, 5, 2]
MIXED = [
    nn.Sequential(NETWORKS["dropout"]),
    nn.Sequential(NETWORKS["projection"]),
    nn.Sequential([nn.Dense(3)]),
    nn.Sequential(NETWORKS["conv"]),
    nn.Sequential(NORMAL),
    networks.small_cnn(3, (20, 33)),
    nn.Sequential([nn.Dense(80), nn.ReLU(), nn.Dense(3)]),
]
VALUES = {
    "lr": [0.05, 0.02, 0.1, 0.05, 0.02, 0.01, 0.05],
    "batch_size": [16, 5, 20, 100, 33, 17, 16],
    "augment_pad": [0, 1, 2, 0, 2, 0, 0],
    "augment_flip": [False, True, False, False, True, True, False],
}


def mixed(rows=range(7), **options):
    """Return a population of some of seven members of different structure."""
    values = {name: [column[p] for p in rows] for name, column in VALUES.items()}
    return Population([MIXED[p] for p in rows], hyperparameters=values, ids=[KEYS[p] for p in rows], seed=42, **options)


@pytest.fixture(scope="module")
def dataset():
    return images(110)


@pytest.fixture(scope="module")
def expected(dataset):
    """Curves and states after 15 steps."""
    population = mixed(threads=1)
    return population.train(dataset, steps=15, record=5), blocks(population)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_do_not_matter(threads, dataset, expected):
    population = mixed(threads=threads)
    assert np.array_equal(population.train(dataset, steps=15, record=5), expected[0])
    assert blocks(population) == expected[1]


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("member", range(7))
def test_a_member_alone_trains_as_in_company(member, threads, dataset, expected):
    population = mixed([member], threads=threads)  # with more threads than members they share its batch
    assert np.array_equal(population.train(dataset, steps=15, record=5)[0], expected[0][member])
    assert blocks(population)[0] == expected[1][member]


def test_the_order_of_members_does_not_matter(dataset, expected):
    order = [5, 2, 0, 3, 6, 1, 4]
    population = mixed(order)
    assert np.array_equal(population.train(dataset, steps=15, record=5), expected[0][order])
    assert blocks(population) == [expected[1][p] for p in order]


def test_quanta_and_evaluation_between_them_do_not_matter(dataset, expected):
    population = mixed()
    for steps in (1, 0, 3, 10, 1):
        population.train(dataset, steps=steps)
        population.evaluate(dataset)
        population.predict(dataset, 1)
    assert blocks(population) == expected[1]


def test_members_may_take_turns(dataset, expected):
    population = mixed()
    rng = np.random.default_rng(0)
    left = np.full(7, 15)
    while left.any():
        steps = np.minimum(rng.integers(6, size=7), left)
        population.train(dataset, steps=steps)
        left -= steps
    assert blocks(population) == expected[1]


def test_threads_do_not_matter_to_evaluation(dataset):
    results = [mixed(threads=threads).evaluate(dataset) for threads in (1, 2, 3)]
    assert all(np.array_equal(result["loss"], results[0]["loss"]) for result in results)
    predictions = [mixed([5], threads=threads).predict(dataset) for threads in (1, 2, 3)]
    assert all(np.array_equal(prediction, predictions[0]) for prediction in predictions)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_run_goes_on_after_a_save_and_load(optimizer, tmp_path, dataset):
    def fresh():
        values = OPTIMIZERS[optimizer] | {"augment_pad": 1, "augment_flip": True, "batch_size": 19}
        return Population(MIXED, optimizer=optimizer, hyperparameters=values, seed=3)

    whole, first = fresh(), fresh()
    whole.train(dataset, steps=12)
    first.train(dataset, steps=7)
    first.save(tmp_path / "population.safetensors")
    second = Population.load(tmp_path / "population.safetensors", threads=1)
    assert (second.networks, second.ids, second.input_shape) == (first.networks, first.ids, SHAPE)
    assert [second.hyperparameters(p) for p in range(7)] == [first.hyperparameters(p) for p in range(7)]
    assert blocks(second) == blocks(first)
    second.train(dataset, steps=5)
    assert blocks(second) == blocks(whole)
    assert np.array_equal(second.predict(dataset, 4), whole.predict(dataset, 4))


@EVERY_NETWORK
def test_an_heir_and_a_restored_member_train_on_exactly(layers, dataset):
    network = nn.Sequential(layers)
    population = Population(network, 3, optimizer="adam", ids=[5, 5, 5], hyperparameters={"batch_size": 10})
    population.train(dataset, steps=[7, 2, 0])
    population.copy(0, 1)
    population.load_state(2, bytes(population.state(0)))
    assert len(set(blocks(population))) == 1
    population.train(dataset, steps=3)
    assert len(set(blocks(population))) == 1
    population.reset(0)
    fresh = Population(network, ids=[5], optimizer="adam", hyperparameters={"batch_size": 10}, input_shape=SHAPE)
    assert blocks(population)[0] == blocks(fresh)[0]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (nn.Conv2d(4, 3, init="normal"), True),
        (nn.Conv2d(4, (3, 2)), False),
        (nn.Conv2d(4, 3, stride=2), False),
        (nn.Conv2d(4, 3, padding="valid"), False),
        (nn.Conv2d(4, 3, padding=1), True),  # the same zeros
        (nn.Conv2d(4, 3, bias=False), False),
        (nn.Conv2d(5, 3), False),
    ],
)
def test_only_members_of_one_structure_inherit(change, same):
    a, b = (
        nn.Sequential([layer, nn.Residual([nn.Dropout(rate), nn.Tanh()]), nn.GlobalAvgPool2d(), nn.Dense(3)])
        for layer, rate in ((nn.Conv2d(4, 3), 0.1), (change, 0.2))
    )
    population = Population([a, b], input_shape=SHAPE)
    if same:
        population.copy(0, 1)
        assert blocks(population)[0] == blocks(population)[1]
    else:
        with pytest.raises(ValueError, match="differ in structure"):
            population.copy(0, 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (nn.MaxPool2d(2), nn.AvgPool2d(2)),
        (nn.MaxPool2d(2, padding="same"), nn.MaxPool2d(2, padding=1)),
        (nn.BatchNorm(0.1), nn.BatchNorm(0.2)),
        (nn.BatchNorm(), nn.BatchNorm(epsilon=1e-3)),
        (nn.Residual([nn.Tanh()]), nn.Residual([nn.Tanh()], [nn.Tanh()])),
        (nn.Residual([nn.Tanh()]), nn.Tanh()),
    ],
)
def test_layers_without_weights_are_structure_too(one, other):
    pair = [nn.Sequential([nn.Conv2d(4, 3), layer, nn.GlobalAvgPool2d(), nn.Dense(3)]) for layer in (one, other)]
    with pytest.raises(ValueError, match="differ in structure"):
        Population(pair, input_shape=SHAPE).copy(0, 1)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_a_diverged_member_does_not_touch_the_others(loss):
    dataset = {"cross_entropy": images, "mse": regression}[loss](60, SHAPE)
    network = nn.Sequential(NETWORKS["option A"])
    calm = Population(network, 3, loss=loss, hyperparameters={"lr": 0.01}, ids=[0, 2, 3])
    population = Population(network, 4, loss=loss, hyperparameters={"lr": [0.01, 3e38, 0.01, 0.01]})
    calm.train(dataset, steps=10)
    population.train(dataset, steps=10)
    assert population.diverged.tolist() == [False, True, False, False]
    assert [blocks(population)[p] for p in (0, 2, 3)] == blocks(calm)
    population.copy(0, 1)
    population.set(1, lr=0.01)
    assert np.isfinite(population.train(dataset, steps=1)).all()


TRAIN = """
import sys, numpy as np
from tests.population.test_convolution import MIXED, images, mixed
population = mixed()
population.train(images(110), steps=10)
np.savez(sys.argv[1], *(view for p in range(7) for view in population.parameters(p).values()))
"""


@pytest.mark.parametrize("isa", _core.instruction_sets())
def test_all_instruction_sets_agree(isa, dataset, tmp_path):
    path = tmp_path / "weights.npz"
    environment = os.environ | {"SHOAL_ISA": isa, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", TRAIN, str(path)], env=environment, check=True)
    population = mixed()
    population.train(dataset, steps=10)
    want = [view for p in range(7) for view in population.parameters(p).values()]
    with np.load(path) as got:
        for a, b in zip(got.values(), want, strict=True):
            np.testing.assert_allclose(a, b, rtol=5e-5, atol=5e-6)  # as in check_run


def test_training_learns_the_digits():
    train, valid, _ = data.load("digits", validation=0.2)
    network = networks.small_cnn(10, (8, 16))
    population = Population(network, 3, hyperparameters={"lr": [0.0, 0.1, 0.1], "augment_pad": [0, 0, 1]})
    population.train(train, epochs=8)
    still, plain, shifted = population.evaluate(valid)["accuracy"]
    assert still < 0.3  # a learning rate of 0 learns nothing
    assert plain > 0.9
    assert shifted > 0.8  # by a pixel of eight
