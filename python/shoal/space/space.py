"""The space: parameters and constants by name, and the configs drawn from it."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal.space.checks import jsonable, plain
from shoal.space.constraints import Clause, behind, holds, parents_first, read_forbidden, words
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


_LISTS = ("forbidden", "begin_with")  # what a description has beside the values
_PROBES, _TRIES = 1_000, 10_000  # draws of which one must be allowed: of a new space, of every config


@dataclass(frozen=True)
class Space:
    """Named parameters, and constants: all values that are not parameters.

    A parameter with a condition, ``momentum=Float(0, 0.99, when={"optimizer": ["sgd"]})``, is active only where each
    parameter that the condition names is active and has one of the values listed; a config has the active ones alone.
    Conditions may form chains, no circles. In the unit cube every parameter keeps its dimension, and an inactive one is
    at 0.5.

    A forbidden combination, ``{"layers": [4, 5], "units": [512]}``, rules out the configs that have one of the values
    listed for all of its parameters. At least one of 1,000 random configs must remain.

    Args:
        values: Name -> `Float`, `Int`, `Choice`, `Ordinal`, `Bool`, or a plain value. Their order is kept.
        forbidden: Combinations, each of parameters -> lists of their values. Conditions and combinations may name any
            parameter but a `Float`.
        begin_with: Configs that a search tries first, in this order, and then others: no more than the trials that it
            begins before it knows anything. Each has a value for every active parameter. A grid has none.
    """

    values: Mapping[str, Any]
    forbidden: Sequence[Clause] = ()
    begin_with: Sequence[Config] = ()

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
        for name in _LISTS:
            if name in values:
                raise ValueError(f"space.{name}: must not be a name in it; say Space(values, {name}=...)")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "forbidden", read_forbidden(self.forbidden, self.parameters))
        rng = np.random.default_rng(0)
        if not any(self.allows(self._drawn(rng)) for _ in range(_PROBES)):
            raise ValueError(f"space.forbidden: leaves none of {_PROBES:,} random configs")
        object.__setattr__(self, "begin_with", self._checked(self.begin_with))

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters in their order, without the constants."""
        return {name: value for name, value in self.values.items() if isinstance(value, Parameter)}

    @property
    def constrained(self) -> bool:
        """Whether there are conditions or forbidden combinations."""
        return bool(self.forbidden) or any(parameter.when for parameter in self.parameters.values())

    def check(self, config: Mapping[str, Any]) -> Config:
        """Return ``config`` in plain values, complete with the constants; ValueError names what is wrong in it."""
        for name, value in config.items():
            if name not in self.values:
                raise ValueError(f"{name}: unknown; the space has {', '.join(self.values)}")
            if name not in self.parameters and plain(name, value) != self.values[name]:
                raise ValueError(f"{name}: must be the constant {self.values[name]!r}, got {value!r}")

        def given(name: str, parameter: Parameter) -> Any:
            if name not in config:
                raise ValueError(f"{name}: missing")
            return parameter.check(config[name], name)

        checked = self.compose(given)
        for name in config:
            if name not in checked:
                condition = words(self.parameters[name].when)
                raise ValueError(f"{name}: must be left out unless {condition}, got {config[name]!r}")
        broken = self._broken(checked)
        if broken:
            got = ", ".join(repr(checked[name]) for name in broken)
            raise ValueError(f"{', '.join(broken)}: the combination is forbidden, got {got}")
        return checked

    def allows(self, config: Mapping[str, Any]) -> bool:
        """Tell whether a config, otherwise right, has no forbidden combination."""
        return self._broken(config) is None

    def compose(self, choose: Callable[[str, Parameter], Any]) -> Config:
        """Return the config of the values that ``choose`` gives to the active parameters; it is asked parents first."""
        chosen: Config = {}
        for name, parameter in self._order.items():
            if not parameter.when or holds(parameter.when, chosen):
                chosen[name] = choose(name, parameter)
        return self._whole(chosen)

    def sample(self, rng: np.random.Generator) -> Config:
        """Return a config drawn uniformly on each active parameter's scale, and anew while it is forbidden."""
        for _ in range(_TRIES):
            config = self._drawn(rng)
            if self.allows(config):
                return config
        raise ValueError(f"space.forbidden: leaves none of {_TRIES:,} random configs")

    def initial(self, number: int, rng: np.random.Generator) -> Config:
        """Return the config of the ``number``-th trial that a search begins: of ``begin_with``, or else drawn."""
        return dict(self.begin_with[number]) if number < len(self.begin_with) else self.sample(rng)

    def to_unit(self, config: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the (D,) positions in the unit cube of the D parameters' values."""
        config = self.check(config)
        return np.array(
            [parameter.to_unit(config[name]) if name in config else 0.5 for name, parameter in self.parameters.items()],
            np.float64,
        )

    def from_unit(self, positions: ArrayLike) -> Config:
        """Return the config at (D,) positions, each in [0, 1]; it may be a forbidden one, see `allows` and `repair`."""
        cube = np.asarray(positions, np.float64)
        if cube.shape != (len(self.parameters),):
            raise ValueError(f"positions: must have the shape ({len(self.parameters)},), got {cube.shape}")
        if not np.all((cube >= 0) & (cube <= 1)):
            raise ValueError(f"positions: must be in [0, 1], got {cube.tolist()}")
        position = dict(zip(self.parameters, cube.tolist(), strict=True))
        return self.compose(lambda name, parameter: parameter.from_unit(position[name]))

    def perturb(self, config: Mapping[str, Any], rules: Mapping[str, Rule], rng: np.random.Generator) -> Config:
        """Return ``config`` with every active parameter that has a rule changed by it, and then repaired.

        Draws are made in the space's order.
        """
        active = [name for name in self.parameters if name in rules and name in config]
        moved = {name: rules[name](self.parameters[name], config[name], rng) for name in active}
        return self.repair({**config, **moved}, rng, rules)

    def repair(self, config: Mapping[str, Any], rng: np.random.Generator, free: Container[str] | None = None) -> Config:
        """Return a config, whose values were changed one by one, as the space allows it.

        What is no longer active is left out, what has become active is drawn. As long as a combination is forbidden,
        one of its parameters or of those that made them active, taken at random, is drawn anew. Nothing is drawn where
        nothing is wrong.

        Args:
            config: Values of parameters, each within its bounds; there may be too many or too few.
            rng: Of the draws.
            free: Parameters that may be drawn anew, beside those that ``config`` lacks; by default all.
        """
        values = dict(config)
        for _ in range(_TRIES):
            values = self._completed(values, rng)
            broken = self._broken(values)
            if broken is None:
                return values
            reasons = behind(broken, self.parameters)
            names = [name for name in reasons if free is None or name in free or name not in config]
            if not names:
                break
            name = names[int(rng.random() * len(names))]
            values[name] = self.parameters[name].sample(rng)
        raise ValueError(f"space.forbidden: leaves nothing near the config {dict(config)}")

    def grid(self, counts: Mapping[str, int] | None = None) -> dict[str, Sequence[Any]]:
        """Return the values of each parameter on a grid: ``counts`` of them, or all. A `Float` needs a count."""
        counts = counts or {}
        self.require(counts, "counts")
        return {name: parameter.grid(counts.get(name), f"counts.{name}") for name, parameter in self.parameters.items()}

    def combinations(self, axes: Mapping[str, Sequence[Any]]) -> list[Config]:
        """Return all different configs that are allowed, of the parameters' values in ``axes``, the first slowest."""
        found: list[Config] = [{}]
        for name, parameter in self._order.items():
            found = [
                {**config, **more}
                for config in found
                for more in ([{name: value} for value in axes[name]] if holds(parameter.when, config) else [{}])
            ]
        return [self._whole(config) for config in found if self.allows(config)]

    def require(self, names: Iterable[str], place: str) -> None:
        """Raise ValueError, naming ``place``, unless all ``names`` are parameters of this space."""
        for name in names:
            if name not in self.parameters:
                raise ValueError(f"{place}.{name}: no such parameter; the space has {', '.join(self.parameters)}")

    def describe(self) -> dict[str, Any]:
        """Return the space as a JSON-able table, which `from_description` reads back."""
        table = {
            name: value.describe() if isinstance(value, Parameter) else jsonable(value)
            for name, value in self.values.items()
        }
        forbidden = [{name: jsonable(values) for name, values in clause.items()} for clause in self.forbidden]
        first = [{name: jsonable(value) for name, value in config.items()} for config in self.begin_with]
        return table | ({"forbidden": forbidden} if forbidden else {}) | ({"begin_with": first} if first else {})

    @classmethod
    def from_description(cls, description: Mapping[str, Any], place: str = "space") -> Space:
        """Read what `describe` wrote, or the space of a study file.

        A parameter is a table, ``{low, high, log, type}`` with the type "float" (default) or "int", ``{choice}``,
        ``{ordinal}`` or ``{bool}``, each with its condition ``when`` or without. ``forbidden`` and ``begin_with``
        are lists of tables. All else is a constant. Errors name ``place`` and what is in it:
        ``space.lr.low: must be > 0 on a log scale, got 0``.
        """
        if not isinstance(description, Mapping):
            raise ValueError(f"{place}: must be a table, got {description!r}")
        values = {}
        for name, value in description.items():
            if name not in _LISTS:
                read = read_parameter if isinstance(value, Mapping) else plain
                values[name] = read(f"{place}.{name}", value)
        return cls(values, description.get("forbidden", ()), description.get("begin_with", ()))

    @classmethod
    def from_configspace(cls, configspace: Any) -> Space:
        """Return the space of a ``ConfigSpace.ConfigurationSpace`` (extra ``configspace``).

        Raises:
            ValueError: The package is missing, or something in it cannot be expressed: a hyperparameter that is not
                uniform, ordinal or constant, a condition or forbidden clause other than in, equals, and their "and".
        """
        from shoal.space import configspace as exchange

        return exchange.read(configspace)

    def to_configspace(self, name: str | None = None) -> Any:
        """Return the ``ConfigSpace.ConfigurationSpace`` of this space, which can express all of it.

        Raises:
            ValueError: The package is missing, or a float's bound has more than 13 decimals.
        """
        from shoal.space import configspace as exchange

        return exchange.write(self, name)

    @classmethod
    def from_optuna(cls, distributions: Mapping[str, Any]) -> Space:
        """Return the space of Optuna's distributions by name (extra ``optuna``); what has one value is a constant.

        Raises:
            ValueError: The package is missing, or a distribution has a step.
        """
        from shoal.space import optuna as exchange

        return exchange.read(distributions)

    def to_optuna(self) -> dict[str, Any]:
        """Return Optuna's distributions by name. An ordinal becomes a category: its order is lost.

        Raises:
            ValueError: The package is missing, or Optuna cannot express a condition, a forbidden combination or a list.
        """
        from shoal.space import optuna as exchange

        return exchange.write(self)

    @cached_property
    def _order(self) -> dict[str, Parameter]:
        """The parameters, those of a condition before those that have it."""
        return {name: self.parameters[name] for name in parents_first(self.parameters)}

    def _checked(self, configs: Any) -> tuple[Config, ...]:
        if not isinstance(configs, list | tuple):
            raise ValueError(f"space.begin_with: must be a list of configs, got {configs!r}")
        checked = []
        for place, config in enumerate(configs):
            if not isinstance(config, Mapping):
                raise ValueError(f"space.begin_with[{place}]: must map names to values, got {config!r}")
            try:
                checked.append(self.check(config))
            except ValueError as error:
                raise ValueError(f"space.begin_with[{place}].{error}") from None
        return tuple(checked)

    def _whole(self, chosen: Config) -> Config:
        """Return the values of active parameters with the constants, in the space's order."""
        known = {**self.values, **chosen}
        if len(chosen) == len(self.parameters):
            return known
        return {name: known[name] for name in self.values if name in chosen or name not in self.parameters}

    def _completed(self, values: Mapping[str, Any], rng: np.random.Generator) -> Config:
        return self.compose(lambda name, parameter: values[name] if name in values else parameter.sample(rng))

    def _drawn(self, rng: np.random.Generator) -> Config:
        return self.compose(lambda _, parameter: parameter.sample(rng))

    def _broken(self, config: Mapping[str, Any]) -> Clause | None:
        """Return the first forbidden combination that ``config`` has."""
        return next((clause for clause in self.forbidden if holds(clause, config)), None)
