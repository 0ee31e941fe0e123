"""The network of a study file: layers, or a ready network, whose values may be names from the space; or a function.

A layer, or an entry of a list, that names a parameter is left out where that parameter is not active.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from shoal import networks, nn
from shoal.errors import StudyError
from shoal.manager.native import Network
from shoal.search.protocol import Config
from shoal.studyfile.functions import read_function
from shoal.studyfile.tables import known, place, required, suggestion

OUTPUTS = "outputs"
LAYERS: dict[str, tuple[type[nn.Layer], str]] = {  # with the field that the layer's own key sets
    "dense": (nn.Dense, "units"),
    "conv2d": (nn.Conv2d, "filters"),
    "max_pool2d": (nn.MaxPool2d, "size"),
    "avg_pool2d": (nn.AvgPool2d, "size"),
    "global_avg_pool2d": (nn.GlobalAvgPool2d, ""),
    "batch_norm": (nn.BatchNorm, "momentum"),
    "residual": (nn.Residual, "layers"),
    "dropout": (nn.Dropout, "rate"),
    "leaky_relu": (nn.LeakyReLU, "slope"),
    "relu": (nn.ReLU, ""),
    "sigmoid": (nn.Sigmoid, ""),
    "tanh": (nn.Tanh, ""),
    "flatten": (nn.Flatten, ""),
}
WORDS = ("init", "padding", "shortcut")  # keys whose values are words themselves


def read_network(table: Mapping[str, Any], names: list[str], outputs: int) -> Network:
    """Return the function of a config that the table describes.

    Args:
        table: With ``layers``, ``ready`` or ``function``.
        names: Of the space.
        outputs: What "outputs" stands for.
    """
    kinds = [kind for kind in ("layers", "ready", "function") if kind in table]
    if len(kinds) > 1:
        raise StudyError(f"{kinds[0]}: must be given, or {kinds[1]}, but not both")
    reader = _Reader(names, outputs)
    if kinds == ["ready"]:
        return reader.ready(table).build
    known(table, ("layers", "ready", "function"))
    if kinds == ["function"]:
        return read_function(table, "function", "a config")
    layers = reader.layers(required(table, "layers", list, "a list of layers"), "layers")
    return lambda config: nn.Sequential(_build(layers, config))


@dataclass(frozen=True)
class _Reference:
    """A value of the config; without a name all of it."""

    name: str = ""

    def build(self, config: Config) -> Any:
        return config[self.name] if self.name else config


@dataclass(frozen=True)
class _Call:
    """A layer or a network to be. References may be anywhere in its arguments."""

    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    where: str

    def build(self, config: Config) -> Any:
        with place(self.where):
            return self.function(**{name: _build(value, config) for name, value in self.arguments.items()})


def _build(value: Any, config: Config) -> Any:
    if isinstance(value, list):
        return [_build(each, config) for each in value if not _inactive(each, config)]
    return value.build(config) if isinstance(value, _Reference | _Call) else value


def _inactive(value: Any, config: Config) -> bool:
    """Whether it is, or a layer takes, a value that the config lacks."""
    if isinstance(value, _Call):
        return any(_inactive(each, config) for each in value.arguments.values())
    return isinstance(value, _Reference) and value.name != "" and value.name not in config


def _fixed(value: Any) -> bool:
    """Whether nothing in it comes from the config."""
    if isinstance(value, _Call):
        value = list(value.arguments.values())
    return all(map(_fixed, value)) if isinstance(value, list) else not isinstance(value, _Reference)


@dataclass(frozen=True)
class _Reader:
    names: list[str]
    outputs: int

    def layers(self, entries: Any, where: str) -> list[_Call]:
        if not isinstance(entries, list):
            raise StudyError(f"{where}: must be a list of layers, got {entries!r}")
        return [self.layer(entry, f"{where}[{i}]") for i, entry in enumerate(entries)]

    def layer(self, entry: Any, where: str) -> _Call:
        key, table = _split(entry, where)
        kind, main = LAYERS[key]
        keys = {key if field.name == main else field.name: field for field in fields(kind)}
        with place(where, "."):
            known(table, [*keys, key])
            if key in table and not main:
                raise StudyError(f'{key}: takes no value; write "{key}"')
            needed = [name for name, field in keys.items() if field.default is MISSING]
            for name in needed:
                if name not in table:
                    example = ", ".join(f"{each} = ..." for each in needed)
                    raise StudyError(f"{key}: missing its {keys[name].name}; write {{{example}}}")
            read = self.layers if kind is nn.Residual else self.value
            arguments = {keys[name].name: read(value, name) for name, value in table.items()}
        return _checked(_Call(kind, arguments, where))

    def ready(self, table: Mapping[str, Any]) -> _Call:
        name = required(table, "ready", str, "the name of a network")
        if name not in networks.__all__:
            raise StudyError(f'ready: no such network, "{name}"; {suggestion(name, networks.__all__)}')
        function = getattr(networks, name)
        parameters = dict(inspect.signature(function).parameters)
        given = {OUTPUTS: self.outputs, "config": _Reference()}
        arguments = {key: value for key, value in given.items() if parameters.pop(key, None)}
        known(table, ["ready", *parameters])
        for key, parameter in parameters.items():
            if key in table:
                arguments[key] = self._argument(table[key], parameter)
            elif parameter.default is parameter.empty:
                raise StudyError(f"{key}: missing; {name} needs it")
        return _checked(_Call(function, arguments, "ready"))

    def _argument(self, value: Any, parameter: inspect.Parameter) -> Any:
        if isinstance(parameter.default, nn.Layer):
            return self.layer(value, parameter.name)
        read = self.value(value, parameter.name)
        if parameter.annotation.startswith("Sequence") and not isinstance(read, list | _Reference):
            raise StudyError(f"{parameter.name}: must be a list, got {value!r}")
        return read

    def value(self, value: Any, key: str) -> Any:
        if isinstance(value, list):
            return [self.value(each, key) for each in value]
        if not isinstance(value, str):
            return value
        if value in self.names:
            return _Reference(value)
        if key in WORDS:
            return value
        if key in ("dense", "conv2d") and value == OUTPUTS:
            return self.outputs
        raise StudyError(f'{key}: "{value}" is not in the space; {suggestion(value, [*self.names, OUTPUTS])}')


def _checked(call: _Call) -> _Call:
    if _fixed(call):
        call.build({})  # what can be checked now is not left to the first config
    return call


def _split(entry: Any, where: str) -> tuple[str, Mapping[str, Any]]:
    """The layer that an entry names, and its values: "relu" has none."""
    names = [entry] if isinstance(entry, str) else list(entry) if isinstance(entry, dict) else []
    if not names:
        raise StudyError(f'{where}: must be a layer such as "relu" or {{dense = 10}}, got {entry!r}')
    layers = [name for name in names if name in LAYERS]
    if len(layers) != 1:
        raise StudyError(f"{where}: must name one layer, got {', '.join(names)}; {suggestion(names[0], LAYERS)}")
    return layers[0], entry if isinstance(entry, dict) else {}
