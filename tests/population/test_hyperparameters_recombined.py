"""Hyperparameters crossed and perturbed, against their draws in NumPy."""

import numpy as np
import pytest
from tests.population.samples import LARGE, TINY, blocks, labelled
from tests.reference.draws import philox

from shoal import Population, nn

CROSS, PERTURB = 7 << 24, 8 << 24  # the streams of random numbers
# In the order of their draws.
NAMES = [
    "lr",
    "momentum",
    "decay",
    "lr_decay",
    "decay_every",
    "weight_decay",
    "beta1",
    "beta2",
    "epsilon",
    "batch_size",
]
NAMES += ["dropout", "augment_pad", "nesterov", "augment_flip"]
DROPPING = nn.Sequential([nn.Dropout(0.1), nn.Dense(4), nn.Dropout(0.2), nn.Dense(3)])
SEED, IDS = 3, [5, 2, 9, 7]


def population(optimizer="sgd", network=DROPPING, steps=(3, 4, 6, 2), **options):
    """Return members of other steps, ids and hyperparameters."""
    hyperparameters = {"lr": [0.1, 0.02, 0.003, 0.4], "batch_size": [16, 24, 1, 40], "lr_decay": [1.0, 0.9, 0.8, 0.7]}
    hyperparameters |= (
        {"momentum": [0.0, 0.5, 0.9, 0.8], "nesterov": [False, True, False, True]} if optimizer == "sgd" else {}
    )
    if network is DROPPING:
        hyperparameters["dropout"] = [(0.1, 0.2), (0.3, 0.4), (0.0, 0.5), (0.6, 0.0)]
    members = Population(
        network, 4, optimizer=optimizer, hyperparameters=hyperparameters, seed=SEED, ids=IDS, **options
    )
    members.train(labelled(shape=(7,)), steps=list(steps))
    return members


def values(members):
    return [members.hyperparameters(member) for member in range(members.members)]


def draws(name, member, members, purpose):
    counter = (NAMES.index(name), 0, int(members.steps[member]), purpose)
    return [int(word) for word in philox(counter, key=(SEED, IDS[member]))]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("rate", [0.0, 0.33, 1.0])
def test_each_hyperparameter_comes_from_a_parent(optimizer, rate):
    members = population(optimizer)
    before, weights = values(members), blocks(members)
    heirs, first, second = [0, 1, 3], [1, 2, 0], [2, 0, 3]  # parents that are heirs too
    members.cross_hyperparameters(heirs, first, second, rate)
    for heir, one, two in zip(heirs, first, second, strict=True):
        want = {
            name: before[two if draws(name, heir, members, CROSS)[0] < rate * 2**32 else one][name]
            for name in before[0]
        }
        assert members.hyperparameters(heir) == want
    assert members.hyperparameters(2) == before[2]
    assert blocks(members) == weights


def test_a_copy_brings_hyperparameters_along_where_asked():
    members = population()
    before = values(members)
    members.copy([0, 1], [1, 2])
    assert values(members) == before
    members.copy([3, 0], [0, 1], hyperparameters=True)
    assert values(members) == [before[3], before[0], before[2], before[3]]
    assert members.steps[0] == members.steps[3]


BOUNDS = {
    "momentum": (0.1, 0.6),
    "lr": (0.004, 0.2),
    "batch_size": (2, 30),
    "dropout": (0.05, 0.55),
    "augment_pad": (0, 3),
}
LOG = ["lr", "batch_size"]


def moved(name, value, words, factors, resample):
    """Return what the formulas make of a value, of which the core has a float32."""
    value = value if isinstance(value, int) else float(np.float32(value))
    low, high = BOUNDS[name]
    place = (words[1] + 0.5) / 2**32
    if (words[0] + 0.5) / 2**32 < resample:
        new = low * (high / low) ** place if name in LOG else low + (high - low) * place
        factor = None
    else:
        factor = factors[words[2] * len(factors) >> 32]
        new = value * factor
    if isinstance(value, int):
        new = int(np.floor(new + 0.5))
        if factor not in (None, 1) and new == value:
            new += 1 if factor > 1 else -1
    return min(max(new, low), high)


@pytest.mark.parametrize("factors", [(0.8, 1.2), (1.01, 0.99, 3.0), (1,)])
@pytest.mark.parametrize("resample", [0.0, 0.5, 1.0])
def test_values_are_scaled_or_drawn_anew_inside_their_bounds(factors, resample):
    members = population()
    before, weights = values(members), blocks(members)
    members.perturb([3, 0, 2], BOUNDS, factors=factors, resample=resample, log=LOG)
    for member in (0, 2, 3):
        after = members.hyperparameters(member)
        for name in before[member].keys() - BOUNDS.keys():
            assert after[name] == before[member][name]
        for name in BOUNDS:
            words, old = draws(name, member, members, PERTURB), before[member][name]
            one = [moved(name, each, words, factors, resample) for each in (old if name == "dropout" else [old])]
            new = np.float32(after[name] if name == "dropout" else [after[name]])
            np.testing.assert_array_equal(new, np.float32(one))
            low, high = BOUNDS[name]
            assert all(low <= each <= high for each in np.ravel(after[name]))
            assert isinstance(old, type(after[name]))
    assert members.hyperparameters(1) == before[1]
    assert blocks(members) == weights


def test_what_is_set_is_what_trains_on():
    one, two = population(network=LARGE), population(network=LARGE)
    for members in (one, two):
        members.cross_hyperparameters([0, 1], [2, 3], [3, 0])
        members.perturb([1, 2], {"lr": (1e-3, 1.0), "batch_size": (8, 64)}, resample=0.25)
    for member, mine in enumerate(values(one)):
        two.set(member, **mine)
    for members in (one, two):
        members.train(labelled(shape=(7,)), steps=3)
    assert blocks(one) == blocks(two)


def test_draws_do_not_depend_on_company_or_row():
    one, two = population(), population()
    one.perturb([0, 1, 2, 3], BOUNDS, resample=0.3)
    for member in (2, 0, 3, 1):
        two.perturb(member, {name: BOUNDS[name] for name in sorted(BOUNDS)}, resample=0.3)
    assert values(one) == values(two)
    assert len({mine["lr"] for mine in values(one)}) == 4


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (lambda p: p.cross_hyperparameters(0, 1, 4), r"member: must be an integer in \[0, 3\], got 4"),
        (lambda p: p.cross_hyperparameters([0, 1], [1, 2], [2]), "crossover has 2 heirs, 2 first and 1 second parents"),
        (lambda p: p.cross_hyperparameters([0, 0], [1, 2], [2, 1]), "member 0 is an heir twice"),
        (lambda p: p.cross_hyperparameters(0, 1, 2, rate=1.5), r"rate must be in \[0, 1\], got 1.5"),
        (lambda p: p.perturb([1, 1], BOUNDS), "member 1 is to be perturbed twice"),
        (lambda p: p.perturb(0, {"beta1": (0, 0.5)}), "hyperparameters: sgd has no 'beta1'; it uses"),
        (lambda p: p.perturb(0, {"lr": 0.1}), r"bounds: lr must be \(low, high\), got 0.1"),
        (lambda p: p.perturb(0, {"nesterov": (0, 1)}), "bounds: nesterov is true or false"),
        (lambda p: p.perturb(0, {"lr": (-1, 1)}), "bounds of member 0: lr: must be >= 0 .*, got -1"),
        (
            lambda p: p.perturb([1, 0], {"momentum": (0, 1)}),
            r"bounds of member 1: momentum: must be in \[0, 1\) .*, got 1",
        ),
        (lambda p: p.perturb(0, {"batch_size": (1.5, 4)}), "bounds of member 0: batch_size: must be an integer"),
        (lambda p: p.perturb(0, {"lr": (0.2, 0.1)}), "lr: its range must be finite and not fall, got 0.2"),
        (lambda p: p.perturb(0, {"lr": (0, 0.1)}, log=["lr"]), "lr: a range on a log scale must be above 0, got 0"),
        (
            lambda p: p.perturb(0, {"lr": (0, 0.1)}, log=["lr_decay"]),
            r"log: must list names of bounds, lr, got \['lr_decay'\]",
        ),
        (lambda p: p.perturb(0, BOUNDS, factors=[]), "factors must be at least one number, got none"),
        (lambda p: p.perturb(0, BOUNDS, factors=[1, -2]), "factors must be > 0 and finite, got -2"),
        (lambda p: p.perturb(0, BOUNDS, resample=float("nan")), r"resample must be in \[0, 1\], got"),
    ],
)
def test_bad_arguments_change_nothing(call, rule):
    members = population()
    before = values(members)
    with pytest.raises(ValueError, match=rule):
        call(members)
    assert values(members) == before


def test_networks_without_dropout_have_no_rate_to_take_or_move():
    members = Population([TINY, DROPPING], input_shape=(7,))
    before = values(members)
    with pytest.raises(ValueError, match="dropout has 2 rates, the network has 0 dropout layers"):
        members.cross_hyperparameters(0, 1, 1)
    with pytest.raises(ValueError, match=r"bounds of member 0: dropout: the network has no nn\.Dropout layer"):
        members.perturb([1, 0], {"dropout": (0, 0.5)})
    assert values(members) == before
