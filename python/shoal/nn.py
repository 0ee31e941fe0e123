"""Networks as plain values: a list of layers. Shapes follow from the data when a population is made.

    net = nn.Sequential([nn.Dense(64), nn.Sigmoid(), nn.Dropout(0.2), nn.Dense(10)])

Layers are checked where they are written; whether they fit together is checked against the data's shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from shoal import rules

_DEFAULT_SCALE = {"he": 1.0, "xavier": 1.0, "normal": 0.05, "uniform": 0.05}


@dataclass(frozen=True)
class Dense:
    """Fully connected layer: ``y = W x + b`` with W of shape (units, inputs). Biases start at zero.

    Args:
        units: Number of outputs, >= 1.
        init: How W starts. ``"he"``: normal, std ``s * sqrt(2 / inputs)`` (He et al. 2015). ``"xavier"``: uniform,
            bound ``s * sqrt(6 / (inputs + units))`` (Glorot and Bengio 2010). ``"normal"``: normal, std ``s``.
            ``"uniform"``: uniform, bound ``s``.
        init_scale: The ``s`` above, > 0. By default 1 for he and xavier, 0.05 for normal and uniform.
        bias: Whether there is a ``b``.
    """

    units: int
    init: str = "he"
    init_scale: float | None = None
    bias: bool = True

    def __post_init__(self) -> None:
        _set(self, "units", rules.integer(self.units, "Dense.units", low=1))
        rules.choice(self.init, "Dense.init", _DEFAULT_SCALE)
        if self.init_scale is not None:
            _set(self, "init_scale", rules.real(self.init_scale, "Dense.init_scale", "> 0"))
        _set(self, "bias", rules.boolean(self.bias, "Dense.bias"))

    @property
    def scale(self) -> float:
        """The ``s`` in use."""
        return _DEFAULT_SCALE[self.init] if self.init_scale is None else self.init_scale


@dataclass(frozen=True)
class Flatten:
    """Makes a vector of each sample, last axis fastest."""


@dataclass(frozen=True)
class Dropout:
    """In training zeroes each value with probability ``rate`` and divides the rest by ``1 - rate``.

    Args:
        rate: In [0, 1). It can be changed while a member trains: the hyperparameter ``dropout``.
    """

    rate: float

    def __post_init__(self) -> None:
        _set(self, "rate", rules.real(self.rate, "Dropout.rate", "in [0, 1)"))


@dataclass(frozen=True)
class ReLU:
    """``max(x, 0)``."""


@dataclass(frozen=True)
class LeakyReLU:
    """``x`` where x > 0, else ``slope * x``.

    Args:
        slope: In [0, 1).
    """

    slope: float = 0.01

    def __post_init__(self) -> None:
        _set(self, "slope", rules.real(self.slope, "LeakyReLU.slope", "in [0, 1)"))


@dataclass(frozen=True)
class Sigmoid:
    """``1 / (1 + exp(-x))``."""


@dataclass(frozen=True)
class Tanh:
    """Hyperbolic tangent."""


Layer: TypeAlias = Dense | Flatten | Dropout | ReLU | LeakyReLU | Sigmoid | Tanh
_LAYERS: dict[str, type[Layer]] = {
    kind.__name__: kind for kind in (Dense, Flatten, Dropout, ReLU, LeakyReLU, Sigmoid, Tanh)
}


@dataclass(frozen=True)
class Sequential:
    """Layers applied one after the other. Hashable; equal networks compare equal.

    Args:
        layers: The layers in order, at least one.

    Raises:
        ValueError: If there is no layer, or something in the list is not one.
    """

    layers: tuple[Layer, ...]

    def __init__(self, layers: Iterable[Layer]) -> None:
        if isinstance(layers, str) or not isinstance(layers, Iterable):
            raise ValueError(f"Sequential.layers: must be a list of layers, got {layers!r}")
        _set(self, "layers", tuple(layers))
        if not self.layers:
            raise ValueError("Sequential.layers: must hold at least one layer, got an empty list")
        for i, layer in enumerate(self.layers):
            if not isinstance(layer, Layer):
                raise ValueError(f"Sequential.layers[{i}]: must be a layer such as nn.Dense(10), got {layer!r}")

    @property
    def structure(self) -> tuple[Layer, ...]:
        """The layers without their dropout rates. Members of equal structure can inherit from each other."""
        return tuple(Dropout(0.0) if isinstance(layer, Dropout) else layer for layer in self.layers)

    @property
    def dropout_rates(self) -> tuple[float, ...]:
        """The rates of the dropout layers in order."""
        return tuple(layer.rate for layer in self.layers if isinstance(layer, Dropout))

    def describe(self) -> list[dict[str, Any]]:
        """Return the layers as JSON-able dicts; ``from_description`` reverses it."""
        return [{"layer": type(layer).__name__, **asdict(layer)} for layer in self.layers]

    @classmethod
    def from_description(cls, description: Iterable[Mapping[str, Any]]) -> Sequential:
        """Return the network that ``describe`` described.

        Raises:
            ValueError: If a layer or one of its fields is unknown, or a value breaks its rule.
        """
        return cls([_layer_from(entry, f"network[{i}]") for i, entry in enumerate(description)])


def _layer_from(entry: Mapping[str, Any], place: str) -> Layer:
    fields = dict(entry)
    kind = rules.choice(fields.pop("layer", None), f"{place}.layer", _LAYERS)
    try:
        return _LAYERS[kind](**fields)
    except TypeError as error:
        raise ValueError(f"{place}: {error}") from None


def _set(layer: object, name: str, value: object) -> None:
    object.__setattr__(layer, name, value)  # frozen for users, not while it is made
