"""The network of a study file: a list of layers whose values may be names from the space, or a function somewhere."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from shoal import nn
from shoal.errors import StudyError
from shoal.manager.native import Network
from shoal.search.protocol import Config
from shoal.studyfile.tables import known, place, required, suggestion

OUTPUTS = "outputs"
LAYERS: dict[str, tuple[type[nn.Layer], str]] = {  # with the field that the layer's own key sets
    "dense": (nn.Dense, "units"),
    "dropout": (nn.Dropout, "rate"),
    "leaky_relu": (nn.LeakyReLU, "slope"),
    "relu": (nn.ReLU, ""),
    "sigmoid": (nn.Sigmoid, ""),
    "tanh": (nn.Tanh, ""),
    "flatten": (nn.Flatten, ""),
}


@dataclass(frozen=True)
class _Reference:
    name: str


@dataclass(frozen=True)
class _Layer:
    """A layer to be; its arguments are values and references to the config."""

    kind: type[nn.Layer]
    arguments: Mapping[str, Any]
    where: str

    def build(self, config: Config) -> nn.Layer:
        values = {k: config[v.name] if isinstance(v, _Reference) else v for k, v in self.arguments.items()}
        with place(self.where):
            return self.kind(**values)

    @property
    def fixed(self) -> bool:
        return not any(isinstance(value, _Reference) for value in self.arguments.values())


def read_network(table: Mapping[str, Any], names: list[str], outputs: int) -> Network:
    """Return the function of a config that the table describes.

    Args:
        table: With ``layers`` or ``function``.
        names: Of the space.
        outputs: What "outputs" stands for.
    """
    known(table, ("layers", "function"))
    if len(table) != 1:
        raise StudyError("layers: must be given, or function, but not both")
    if "function" in table:
        return _import(required(table, "function", str, 'text, "module:name"'))
    entries = required(table, "layers", list, "a list of layers")
    layers = [_read_layer(entry, f"layers[{i}]", names, outputs) for i, entry in enumerate(entries)]
    for layer in layers:
        if layer.fixed:
            layer.build({})  # what can be checked now is not left to the first config
    return lambda config: nn.Sequential([layer.build(config) for layer in layers])


def _read_layer(entry: Any, where: str, names: list[str], outputs: int) -> _Layer:
    key, table = _split(entry, where)
    kind, main = LAYERS[key]
    with place(where, "."):
        known(table, [key, *(field.name for field in fields(kind) if field.name != main)])
        if key in table and not main:
            raise StudyError(f'{key}: takes no value; write "{key}"')
        if key not in table and main in ("units", "rate"):
            raise StudyError(f"{key}: missing its {main}; write {{{key} = ...}}")
        arguments = {main if name == key else name: _argument(name, table[name], names, outputs) for name in table}
    return _Layer(kind, arguments, where)


def _split(entry: Any, where: str) -> tuple[str, Mapping[str, Any]]:
    """The layer that an entry names, and its values: "relu" has none."""
    names = [entry] if isinstance(entry, str) else list(entry) if isinstance(entry, dict) else []
    if not names:
        raise StudyError(f'{where}: must be a layer such as "relu" or {{dense = 10}}, got {entry!r}')
    layers = [name for name in names if name in LAYERS]
    if len(layers) != 1:
        raise StudyError(f"{where}: must name one layer, got {', '.join(names)}; {suggestion(names[0], LAYERS)}")
    return layers[0], entry if isinstance(entry, dict) else {}


def _argument(key: str, value: Any, names: list[str], outputs: int) -> Any:
    if not isinstance(value, str):
        return value
    if value in names:
        return _Reference(value)
    if key == "init":  # the one value that is a word itself
        return value
    if key == "dense" and value == OUTPUTS:
        return outputs
    raise StudyError(f'{key}: "{value}" is not in the space; {suggestion(value, [*names, OUTPUTS])}')


def _import(path: str) -> Network:
    module, _, name = path.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # as ``python -m`` does; the installed command does not
    with place("function"):
        try:
            function = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise StudyError(f'must be "module:name" of a function, got {path!r}: {error}') from None
    if not callable(function):
        raise StudyError(f"function: must be a function of a config, got {function!r}")
    network: Network = function
    return network
