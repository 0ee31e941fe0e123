"""Hyperparameters that may change between steps: which optimiser uses which, and what each may be.

Mirrors ``csrc/include/shoal/optimizer.h``, which has the formulas.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from shoal import rules
from shoal.nn import Sequential

Values: TypeAlias = dict[str, Any]

_INTERVALS = {
    "lr": ">= 0",
    "momentum": "in [0, 1)",
    "decay": ">= 0",
    "lr_decay": "> 0",
    "weight_decay": ">= 0",
    "beta1": "in [0, 1)",
    "beta2": "in [0, 1)",
    "epsilon": "> 0",
}
_DEFAULTS: Values = {
    "lr": 0.01,
    "momentum": 0.0,
    "nesterov": False,
    "decay": 0.0,
    "lr_decay": 1.0,
    "decay_every": 1,
    "weight_decay": 0.0,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-8,
    "batch_size": 32,
    "augment_pad": 0,
    "augment_flip": False,
}
_LOWEST = {"decay_every": 1, "batch_size": 1, "augment_pad": 0}  # of the integers
_EVERY = (
    *("lr", "decay", "lr_decay", "decay_every", "weight_decay", "batch_size"),
    *("augment_pad", "augment_flip", "dropout"),
)
_OWN = {
    "sgd": ("momentum", "nesterov"),
    "adam": ("beta1", "beta2", "epsilon"),
    "adamw": ("beta1", "beta2", "epsilon"),
    "rmsprop": ("momentum", "beta2", "epsilon"),
    "adagrad": ("epsilon",),
}
OPTIMIZERS = tuple(_OWN)


def defaults(optimizer: str, network: Sequential) -> Values:
    """Return what a member trains with where nothing else is said; ``dropout`` has one rate per dropout layer."""
    values = {name: _DEFAULTS[name] for name in (*_EVERY, *_OWN[optimizer]) if name != "dropout"}
    return values | ({"dropout": network.dropout_rates} if network.dropout_rates else {})


def check_names(given: Mapping[str, Any], optimizer: str) -> None:
    """Raise ValueError unless every name is a hyperparameter that the optimiser uses."""
    if not isinstance(given, Mapping):
        raise ValueError(f"hyperparameters: must be a dict such as {{'lr': 0.1}}, got {given!r}")
    used = (*_EVERY, *_OWN[optimizer])
    for name in given:
        if name not in used:
            raise ValueError(f"hyperparameters: {optimizer} has no {name!r}; it uses {', '.join(used)}")


def check(given: Mapping[str, Any], network: Sequential, place: str) -> Values:
    """Return one member's values as plain Python values.

    Raises:
        ValueError: If a value breaks its rule.
    """
    return {name: _check_one(name, value, network, f"{place}: {name}") for name, value in given.items()}


def _check_one(name: str, value: Any, network: Sequential, place: str) -> Any:
    if name == "dropout":
        return _dropout(value, len(network.dropout_rates), place)
    if name in _LOWEST:
        return rules.integer(value, place, _LOWEST[name])
    if name in _INTERVALS:
        return rules.real(value, place, _INTERVALS[name])
    return rules.boolean(value, place)  # nesterov, augment_flip


def _dropout(value: Any, layers: int, place: str) -> tuple[float, ...]:
    if layers == 0:
        raise ValueError(f"{place}: the network has no nn.Dropout layer, got {value!r}")
    rates = list(value) if _is_sequence(value) else [value] * layers
    if len(rates) != layers:
        raise ValueError(f"{place}: the network has {layers} nn.Dropout layer(s), got {len(rates)} rates")
    return tuple(rules.real(rate, place, "in [0, 1)") for rate in rates)


def per_member(given: Mapping[str, Any], members: int, optimizer: str) -> list[Values]:
    """Split scalars and (P,) sequences, as users write them, into one dict per member; ``check`` comes after.

    Raises:
        ValueError: If a name is not one the optimiser uses, or a sequence has not one entry per member.
    """
    check_names(given, optimizer)
    for name, value in given.items():
        if _is_sequence(value) and len(value) != members:
            raise ValueError(f"{name}: must be one value or one per member ({members}), got {len(value)} values")
    return [{name: v[p] if _is_sequence(v) else v for name, v in given.items()} for p in range(members)]


def ranges(
    bounds: Mapping[str, Sequence[float]], log: Collection[str], optimizer: str
) -> list[tuple[str, float, float, bool]]:
    """Return (name, low, high, whether on a log scale) of what is to be perturbed."""
    check_names(bounds, optimizer)
    for name, ends in bounds.items():
        if not _is_sequence(ends) or len(ends) != 2:
            raise ValueError(f"bounds: {name} must be (low, high), got {ends!r}")
        if isinstance(_DEFAULTS.get(name), bool):
            raise ValueError(f"bounds: {name} is true or false, it cannot be perturbed")
    if isinstance(log, str) or not all(name in bounds for name in log):
        raise ValueError(f"log: must list names of bounds, {', '.join(bounds)}, got {log!r}")
    return [(name, low, high, name in log) for name, (low, high) in bounds.items()]


def _is_sequence(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
