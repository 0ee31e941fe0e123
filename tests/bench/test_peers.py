"""PyTorch's and JAX's forms compute what shoal does, on nets with every layer. Skipped where they are not installed."""

import importlib
import importlib.util

import contender_shoal
import nets
import numpy as np
import pytest
from samples import Data
from shapes import place

from shoal import nn

SHAPE = (9, 8, 2)
NETWORKS = {
    "convolutions": [
        *(nn.Conv2d(5, 3), nn.ReLU(), nn.MaxPool2d(), nn.Conv2d(6, (3, 2), padding="valid"), nn.Tanh()),
        *(nn.AvgPool2d(2, 1), nn.Dense(7), nn.Sigmoid(), nn.Dense(4)),
    ],
    "uneven padding": [
        *(nn.Conv2d(5, 4, 2), nn.LeakyReLU(0.1), nn.MaxPool2d(2, padding="same"), nn.Conv2d(3, (2, 1), bias=False)),
        *(nn.Flatten(), nn.Dropout(0.5), nn.Dense(4)),
    ],
    "residuals": [
        *(nn.Conv2d(4, 3, bias=False), nn.BatchNorm(), nn.ReLU()),
        nn.Residual([nn.Conv2d(4, 3), nn.BatchNorm()]),
        nn.Residual([nn.Conv2d(6, 3, 2, padding=1), nn.BatchNorm(), nn.ReLU(), nn.Conv2d(6, 3)]),
        nn.Residual([nn.Conv2d(8, 3, 2, padding=1)], [nn.Conv2d(8, 1, 2), nn.BatchNorm()]),
        *(nn.GlobalAvgPool2d(), nn.Dense(5), nn.BatchNorm(), nn.Dense(4)),
    ],
}
FORMS = {
    "torch": ["torch-loop", "torch-last", "torch-vmap", "torch-graphs", "torch-vgraph"],  # torch-compile takes a minute
    "jax": ["jax-map", "jax-vmap"],
}


def data(samples=40):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (samples, *SHAPE), np.uint8)
    return Data("random", x, rng.integers(0, 4, samples, dtype=np.int32), 1 / 255)


def net(layers, optimizer):
    check = nets.Check(members=3, steps=5)
    rates = (1e-3, 1e-2)
    network = nn.Sequential(layers)
    return nets.Net(
        "tiny", network, SHAPE, "random", "cross_entropy", optimizer, 7, rates, weight_decay=1e-2, check=check
    )


class Eager:
    """What is captured on a GPU, done without one."""

    def warm_up(self, work, kept):
        before = [tensor.clone() for tensor in kept]
        work()
        for tensor, value in zip(kept, before, strict=True):
            tensor.copy_(value)

    def record(self, work):
        return work


@pytest.mark.filterwarnings("default")  # of the frameworks
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("framework", FORMS)
def test_losses_follow_those_of_shoal(framework, layers, optimizer, monkeypatch):
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    tiny = net(layers, optimizer)
    known = contender_shoal.reference(tiny, data())
    weights = {name: known[name] for name in tiny.weights | tiny.running}
    module = importlib.import_module(f"peers_{framework}")
    if framework == "torch":
        monkeypatch.setattr(module, "Capture", Eager)
    for form in FORMS[framework]:
        peer = module.FORMS[form](tiny.checked(), data(), weights, known["rates"])
        peer.prepare(known["order"])
        # float32 sums in another order, over five steps; Adam divides by the roots of tiny gradients
        np.testing.assert_allclose(peer.train(), known["losses"], rtol=2e-5, err_msg=form)


@pytest.mark.filterwarnings("default")
def test_convolutions_in_jax_are_the_same_on_a_gpu(monkeypatch):
    pytest.importorskip("jax")
    import jax_model

    monkeypatch.setattr(jax_model, "_convolve", jax_model._convolution)
    test_losses_follow_those_of_shoal("jax", NETWORKS["uneven padding"], "adam", monkeypatch)


@pytest.mark.filterwarnings("default")
def test_dropout_in_jax_keeps_the_mean():
    jax = pytest.importorskip("jax")
    import jax_model

    ops, key = place([nn.Dropout(0.25), nn.Dropout(0.0)], (5000,)), jax.random.key(0, impl="rbg")
    first, second = (np.asarray(jax_model.apply(ops, {}, {}, np.ones((2, 5000)), k)[0]) for k in jax.random.split(key))
    assert set(np.unique(first)) == {0, np.float32(1 / 0.75)}
    assert abs((first == 0).mean() - 0.25) < 0.03  # six deviations of 10,000 draws
    assert not np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize(
    ("form", "net", "willing"),
    [
        ("torch-loop", "resnet20", True),
        ("torch-last", "b", False),
        ("torch-last", "c", True),
        ("torch-compile", "d", True),
        ("torch-compile", "resnet20", False),
        ("jax-map", "d", True),
        ("jax-vmap", "c", False),
        ("jax-vmap", "e", True),
    ],
)
def test_forms_refuse_what_they_cannot_do_well(form, net, willing):
    framework = form.partition("-")[0]
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    reason = importlib.import_module(f"peers_{framework}").FORMS[form].refuses(nets.NETS[net])
    assert (reason == "") == willing
