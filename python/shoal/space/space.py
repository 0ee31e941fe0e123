"""The space: parameters and constants by name, and the configs drawn from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal.space.checks import jsonable, plain
from shoal.space.description import read_parameter
from shoal.space.parameter import Parameter, Rule

Config: TypeAlias = dict[str, Any]

#: Hyperparameters that can change in place between steps. Any other name is structural, or the user's own.
HOT = frozenset(
    {"lr", "momentum", "nesterov", "decay", "lr_decay", "decay_every", "weight_decay", "beta1", "beta2", "epsilon"}
    | {"batch_size", "dropout", "augment_pad", "augment_flip"}
)


def is_hot(name: str) -> bool:
    """Tell whether a hyperparameter is hot: one of `HOT`, or any whose name begins with ``dropout``."""
    return name in HOT or name.startswith("dropout")


@dataclass(frozen=True)
class Space:
    """Named parameters, and constants: all values that are not parameters.

    Args:
        values: Name -> `Float`, `Int`, `Choice`, `Ordinal`, `Bool`, or a plain value. Their order is kept.
    """

    values: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.values, Mapping):
            raise ValueError(f"space: must map names to parameters and constants, got {self.values!r}")
        for name in self.values:
            if not isinstance(name, str) or not name:
                raise ValueError(f"space: names must be text, got {name!r}")
        values = {
            name: value if isinstance(value, Parameter) else plain(f"space.{name}", value)
            for name, value in self.values.items()
        }
        object.__setattr__(self, "values", values)

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters in their order, without the constants."""
        return {name: value for name, value in self.values.items() if isinstance(value, Parameter)}

    def check(self, config: Mapping[str, Any]) -> Config:
        """Return ``config`` in plain values, complete with the constants; ValueError names what is wrong in it."""
        for name, value in config.items():
            if name not in self.values:
                raise ValueError(f"{name}: unknown; the space has {', '.join(self.values)}")
            if name not in self.parameters and plain(name, value) != self.values[name]:
                raise ValueError(f"{name}: must be the constant {self.values[name]!r}, got {value!r}")
        for name in self.parameters:
            if name not in config:
                raise ValueError(f"{name}: missing")
        return self._config(lambda name, parameter: parameter.check(config[name], name))

    def sample(self, rng: np.random.Generator) -> Config:
        """Return a config drawn uniformly on each parameter's scale."""
        return self._config(lambda _, parameter: parameter.sample(rng))

    def to_unit(self, config: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the (D,) positions in the unit cube of the D parameters' values."""
        config = self.check(config)
        return np.array([parameter.to_unit(config[name]) for name, parameter in self.parameters.items()], np.float64)

    def from_unit(self, positions: ArrayLike) -> Config:
        """Return the config at (D,) positions, each in [0, 1]."""
        cube = np.asarray(positions, np.float64)
        if cube.shape != (len(self.parameters),):
            raise ValueError(f"positions: must have the shape ({len(self.parameters)},), got {cube.shape}")
        if not np.all((cube >= 0) & (cube <= 1)):
            raise ValueError(f"positions: must be in [0, 1], got {cube.tolist()}")
        position = dict(zip(self.parameters, cube.tolist(), strict=True))
        return self._config(lambda name, parameter: parameter.from_unit(position[name]))

    def perturb(self, config: Mapping[str, Any], rules: Mapping[str, Rule], rng: np.random.Generator) -> Config:
        """Return ``config`` with every parameter that has a rule changed by it; draws are made in the space's order."""
        return self._config(
            lambda name, parameter: rules[name](parameter, config[name], rng) if name in rules else config[name]
        )

    def grid(self, counts: Mapping[str, int] | None = None) -> dict[str, Sequence[Any]]:
        """Return the values of each parameter on a grid: ``counts`` of them, or all. A `Float` needs a count."""
        counts = counts or {}
        self.require(counts, "counts")
        return {name: parameter.grid(counts.get(name), f"counts.{name}") for name, parameter in self.parameters.items()}

    def require(self, names: Iterable[str], place: str) -> None:
        """Raise ValueError, naming ``place``, unless all ``names`` are parameters of this space."""
        for name in names:
            if name not in self.parameters:
                raise ValueError(f"{place}.{name}: no such parameter; the space has {', '.join(self.parameters)}")

    def describe(self) -> dict[str, Any]:
        """Return the space as a JSON-able table, which `from_description` reads back."""
        return {
            name: value.describe() if isinstance(value, Parameter) else jsonable(value)
            for name, value in self.values.items()
        }

    @classmethod
    def from_description(cls, description: Mapping[str, Any], place: str = "space") -> Space:
        """Read what `describe` wrote, or the space of a study file.

        A parameter is a table, ``{low, high, log, type}`` with the type "float" (default) or "int", ``{choice}``,
        ``{ordinal}`` or ``{bool}``. All else is a constant. Errors name ``place`` and what is in it:
        ``space.lr.low: must be > 0 on a log scale, got 0``.
        """
        if not isinstance(description, Mapping):
            raise ValueError(f"{place}: must be a table, got {description!r}")
        values = {}
        for name, value in description.items():
            read = read_parameter if isinstance(value, Mapping) else plain
            values[name] = read(f"{place}.{name}", value)
        return cls(values)

    def _config(self, choose: Callable[[str, Parameter], Any]) -> Config:
        return {**self.values, **{name: choose(name, parameter) for name, parameter in self.parameters.items()}}
