"""Networks as plain values: a list of layers. Shapes follow from the data when a population is made.

    net = nn.Sequential([nn.Conv2d(32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.2), nn.Dense(10)])

Layers are checked where they are written; whether they fit together is checked against the data's shape. Images are
(height, width, channels), or (height, width) for one channel; `shoal.networks` has ready networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeAlias, get_args

from shoal import rules

Size: TypeAlias = int | tuple[int, int]
"""Of a window, a stride or a padding: one number, or (height, width). A pair of equal numbers becomes one number."""

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
        _check_weights(self)

    @property
    def scale(self) -> float:
        """The ``s`` in use."""
        return _DEFAULT_SCALE[self.init] if self.init_scale is None else self.init_scale


@dataclass(frozen=True)
class Conv2d:
    """Convolution over an image: ``y[h, w, f] = b[f] + sum of x[h s + i, w s + j, c] W[f, i, j, c]`` over i, j and c.

    x is the image with its padding, W (filters, kernel height, kernel width, channels), the output an image of as many
    channels as there are filters.

    Args:
        filters: Number of channels of the output, >= 1.
        kernel: Size of the window, >= 1; at most that of the image with its padding.
        stride: Pixels from one window to the next, the ``s`` above, >= 1.
        padding: Zeros around the image. ``"same"``: as many as give an output of ceil(size / stride), an odd one at the
            bottom or right. ``"valid"``: none. A number or a pair: so many on every side, fewer than the kernel has.
        init: How W starts, as for `Dense`, with kernel height * kernel width * channels inputs and kernel height *
            kernel width * filters units.
        init_scale: As for `Dense`.
        bias: Whether there is a ``b``.
    """

    filters: int
    kernel: Size
    stride: Size = 1
    padding: str | Size = "same"
    init: str = "he"
    init_scale: float | None = None
    bias: bool = True

    def __post_init__(self) -> None:
        _set(self, "filters", rules.integer(self.filters, "Conv2d.filters", low=1))
        _set(self, "kernel", _size(self.kernel, "Conv2d.kernel"))
        _set(self, "stride", _size(self.stride, "Conv2d.stride"))
        _set(self, "padding", _padding(self.padding, self.kernel, "Conv2d.padding"))
        _check_weights(self)

    @property
    def scale(self) -> float:
        """The scale of the initialiser in use."""
        return _DEFAULT_SCALE[self.init] if self.init_scale is None else self.init_scale


@dataclass(frozen=True)
class _Pool2d:
    size: Size = 2
    stride: Size | None = None
    padding: str | Size = "valid"

    def __post_init__(self) -> None:
        name = type(self).__name__
        _set(self, "size", _size(self.size, f"{name}.size"))
        if self.stride is not None:
            _set(self, "stride", _size(self.stride, f"{name}.stride"))
        _set(self, "padding", _padding(self.padding, self.size, f"{name}.padding"))

    @property
    def step(self) -> Size:
        """The stride in use."""
        return self.size if self.stride is None else self.stride


@dataclass(frozen=True)
class MaxPool2d(_Pool2d):
    """The largest value of each window, channel by channel.

    Args:
        size: Size of the window, >= 1; at most that of the image with its padding.
        stride: Pixels from one window to the next, >= 1; by default the window's size.
        padding: As for `Conv2d`. It never counts.
    """


@dataclass(frozen=True)
class AvgPool2d(_Pool2d):
    """The mean of each window, channel by channel.

    Args:
        size: Size of the window, >= 1; at most that of the image with its padding.
        stride: Pixels from one window to the next, >= 1; by default the window's size.
        padding: As for `Conv2d`. It never counts: a mean is that of the pixels inside the image.
    """


@dataclass(frozen=True)
class GlobalAvgPool2d:
    """The mean of each channel over the whole image: (height, width, channels) to (channels)."""


@dataclass(frozen=True)
class BatchNorm:
    """``y = weight (x - mean) / sqrt(variance + epsilon) + bias`` (Ioffe and Szegedy 2015).

    For each channel of an image, or each feature of a vector. In training mean and variance are those of the batch, and
    the member keeps ``running <- (1 - momentum) running + momentum batch``, with the unbiased variance; in evaluation
    they are the running ones. weight starts at 1, bias at 0.

    Args:
        momentum: In (0, 1].
        epsilon: > 0.
    """

    momentum: float = 0.1
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        _set(self, "momentum", rules.real(self.momentum, "BatchNorm.momentum", "> 0"))
        if self.momentum > 1:
            raise ValueError(f"BatchNorm.momentum: must be in (0, 1], got {self.momentum}")
        _set(self, "epsilon", rules.real(self.epsilon, "BatchNorm.epsilon", "> 0"))


@dataclass(frozen=True)
class Residual:
    """``y = layers(x) + shortcut(x)`` (He et al. 2016).

    Args:
        layers: The branch, at least one layer.
        shortcut: If empty, the identity. Where the branch makes an image smaller by a whole stride, or adds channels,
            the identity takes every stride-th pixel, and zeros for the new channels (option A of the paper).

    Raises:
        ValueError: If the branch is empty, or something in a list is not a layer.
    """

    layers: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()

    def __init__(self, layers: Iterable[Layer], shortcut: Iterable[Layer] = ()) -> None:
        _set(self, "layers", _some_layers(layers, "Residual.layers"))
        _set(self, "shortcut", _layers(shortcut, "Residual.shortcut"))


@dataclass(frozen=True)
class Flatten:
    """Makes a vector of each sample, last axis fastest. `Dense` does so by itself."""


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


Layer: TypeAlias = (
    Dense
    | Conv2d
    | MaxPool2d
    | AvgPool2d
    | GlobalAvgPool2d
    | BatchNorm
    | Residual
    | Flatten
    | Dropout
    | ReLU
    | LeakyReLU
    | Sigmoid
    | Tanh
)
_LAYERS: dict[str, type[Layer]] = {kind.__name__: kind for kind in get_args(Layer)}


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
        _set(self, "layers", _some_layers(layers, "Sequential.layers"))

    @property
    def structure(self) -> tuple[Layer, ...]:
        """The layers without their dropout rates. Between members of equal structure a whole state can be copied."""
        return tuple(map(_without_rates, self.layers))

    @property
    def dropout_rates(self) -> tuple[float, ...]:
        """The rates of the dropout layers in order; within a `Residual` first the branch, then the shortcut."""
        return tuple(_rates(self.layers))

    def describe(self) -> list[dict[str, Any]]:
        """Return the layers as JSON-able dicts; ``from_description`` reverses it."""
        return [_describe(layer) for layer in self.layers]

    @classmethod
    def from_description(cls, description: Iterable[Mapping[str, Any]]) -> Sequential:
        """Return the network that ``describe`` described.

        Raises:
            ValueError: If a layer or one of its fields is unknown, or a value breaks its rule.
        """
        return cls(_layers_from(description, "network"))


def pair(size: Size) -> tuple[int, int]:
    """Return (height, width)."""
    return (size, size) if isinstance(size, int) else size


def _without_rates(layer: Layer) -> Layer:
    match layer:
        case Dropout():
            return Dropout(0.0)
        case Residual():
            return Residual(map(_without_rates, layer.layers), map(_without_rates, layer.shortcut))
    return layer


def _rates(layers: Iterable[Layer]) -> Iterator[float]:
    for layer in layers:
        match layer:
            case Dropout():
                yield layer.rate
            case Residual():
                yield from _rates((*layer.layers, *layer.shortcut))


def _describe(layer: Layer) -> dict[str, Any]:
    values = {field.name: getattr(layer, field.name) for field in fields(layer)}
    return {"layer": type(layer).__name__} | {name: _plain(value) for name, value in values.items()}


def _plain(value: object) -> object:
    if isinstance(value, tuple):  # a pair of numbers, or layers
        return [_describe(each) if isinstance(each, Layer) else each for each in value]
    return value


def _layers_from(description: Iterable[Mapping[str, Any]], place: str) -> list[Layer]:
    return [_layer_from(entry, f"{place}[{i}]") for i, entry in enumerate(description)]


def _layer_from(entry: Mapping[str, Any], place: str) -> Layer:
    values = dict(entry)
    kind = rules.choice(values.pop("layer", None), f"{place}.layer", _LAYERS)
    try:
        if kind == Residual.__name__:
            values = {name: _layers_from(layers, f"{place}.{name}") for name, layers in values.items()}
        return _LAYERS[kind](**values)
    except TypeError as error:
        raise ValueError(f"{place}: {error}") from None


def _layers(given: Iterable[Layer], place: str) -> tuple[Layer, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError(f"{place}: must be a list of layers, got {given!r}")
    layers = tuple(given)
    for i, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise ValueError(f"{place}[{i}]: must be a layer such as nn.Dense(10), got {layer!r}")
    return layers


def _some_layers(given: Iterable[Layer], place: str) -> tuple[Layer, ...]:
    layers = _layers(given, place)
    if not layers:
        raise ValueError(f"{place}: must hold at least one layer, got an empty list")
    return layers


def _size(value: object, place: str, low: int = 1) -> Size:
    sides = value if isinstance(value, list | tuple) else (value, value)
    if len(sides) != 2:
        raise ValueError(f"{place}: must be an integer or a pair (height, width), got {value!r}")
    height, width = (rules.integer(side, place, low) for side in sides)
    return height if height == width else (height, width)


def _padding(value: object, window: Size, place: str) -> str | Size:
    if isinstance(value, str):
        if value not in ("same", "valid"):
            raise ValueError(f'{place}: must be "same", "valid", an integer or a pair (height, width), got {value!r}')
        return value
    padding = _size(value, place, low=0)
    if any(zeros >= size for zeros, size in zip(pair(padding), pair(window), strict=True) if zeros):
        raise ValueError(f"{place}: must be smaller than the window, {window}, got {padding}")
    return padding


def _check_weights(layer: Dense | Conv2d) -> None:
    name = type(layer).__name__
    rules.choice(layer.init, f"{name}.init", _DEFAULT_SCALE)
    if layer.init_scale is not None:
        _set(layer, "init_scale", rules.real(layer.init_scale, f"{name}.init_scale", "> 0"))
    _set(layer, "bias", rules.boolean(layer.bias, f"{name}.bias"))


def _set(layer: object, name: str, value: object) -> None:
    object.__setattr__(layer, name, value)  # frozen for users, not while it is made
