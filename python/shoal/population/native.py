"""From Python's words to the core's: networks, hyperparameters and data sets. Only here is the core imported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from shoal import _core, nn  # noqa: TID251  on behalf of all others
from shoal.data import AnyDataset
from shoal.gpuarrays import DeviceView

Counters = _core.Counters
Device = _core.Device
DeviceArray = _core.DeviceArray
Population = _core.Population
device_memory = _core.device_memory
devices = _core.devices
make_current = _core.make_current
pinned_memory = _core.pinned_memory
version: str = _core.__version__
why_no_gpu = _core.why_no_gpu

LOSSES = tuple(_core.Loss.__members__)
DATA_ORDERS = tuple(_core.DataOrder.__members__)
PRECISIONS = tuple(_core.Precision.__members__)
ENGINES = tuple(_core.EngineKind.__members__)


def population(
    shape: tuple[int, ...],
    optimizer: str,
    loss: str,
    *,
    seed: int,
    threads: int,
    data_order: str,
    device: str,
    precision: str,
    engine: str,
) -> Population:
    """Return a population without members; 0 threads means all cores, ``device`` is the name of one."""
    return Population(
        shape,
        _core.Optimizer.__members__[optimizer],
        _core.Loss.__members__[loss],
        seed=seed,
        threads=threads,
        data_order=_core.DataOrder.__members__[data_order],
        device=device,
        precision=_core.Precision.__members__[precision],
        engine=_core.EngineKind.__members__[engine],
    )


# By which a GPU knows the data set whose copy it holds.
_identities: WeakKeyDictionary[AnyDataset, int] = WeakKeyDictionary()


def dataset(data: AnyDataset) -> _core.Dataset:
    """Return a view of inputs and goals; the data stay where they are, a GPU copies once what is not in its memory."""
    identity = _identities.setdefault(data, _core.new_identity())
    goal = {"labels" if data.classification else "targets": data.y}
    return _core.Dataset(data.shape, data.x, data.scale, data.shift, outputs=data.outputs, identity=identity, **goal)


def inputs(
    x: NDArray[Any] | DeviceView, scale: NDArray[np.float32] | None = None, shift: NDArray[np.float32] | None = None
) -> _core.Dataset:
    """Return a view of (n, *shape) inputs alone, for prediction."""
    return _core.Dataset(x.shape[1:], x, scale, shift)


def hyperparameters(values: dict[str, Any]) -> _core.Hyperparameters:
    """Return the core's record of one member's checked values."""
    result = _core.Hyperparameters()
    for name, value in values.items():
        setattr(result, name, value)
    return result


def values(held: _core.Hyperparameters, names: Iterable[str]) -> dict[str, Any]:
    """Return what the core has under these names; of float32 the shortest decimals, which are what users wrote."""
    return {name: _plain(getattr(held, name)) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, Sequence):
        return tuple(map(_plain, value))
    return float(str(np.float32(value))) if isinstance(value, float) else value


def network(sequential: nn.Sequential) -> _core.Network:
    """Return the network as the core's list of layers."""
    return _core.Network([_layer(layer) for layer in sequential.layers])


def _layer(layer: nn.Layer) -> _core.Layer:
    match layer:
        case nn.Dense():
            return _core.dense(layer.units, _core.Initializer.__members__[layer.init], layer.scale, layer.bias)
        case nn.Conv2d():
            return _core.conv2d(
                layer.filters,
                _extent(layer.kernel),
                _extent(layer.stride),
                _padding(layer.padding),
                _core.Initializer.__members__[layer.init],
                layer.scale,
                layer.bias,
            )
        case nn.MaxPool2d() | nn.AvgPool2d():
            kind = _core.Pooling.max if isinstance(layer, nn.MaxPool2d) else _core.Pooling.average
            return _core.pooling(kind, _extent(layer.size), _extent(layer.step), _padding(layer.padding))
        case nn.GlobalAvgPool2d():
            return _core.global_pooling()
        case nn.BatchNorm():
            return _core.batch_norm(layer.momentum, layer.epsilon)
        case nn.Residual():
            return _core.residual([_layer(each) for each in layer.layers], [_layer(each) for each in layer.shortcut])
        case nn.Dropout():
            return _core.dropout(layer.rate)
        case nn.LeakyReLU():
            return _core.leaky_relu(layer.slope)
        case nn.Flatten():
            return _core.flatten()
        case nn.ReLU():
            return _core.relu()
        case nn.Sigmoid():
            return _core.sigmoid()
        case nn.Tanh():
            return _core.tanh()


def _extent(size: nn.Size) -> _core.Extent:
    return _core.Extent(*nn.pair(size))


def _padding(padding: str | nn.Size) -> _core.Padding:
    if isinstance(padding, str):
        return _core.Padding(_core.PaddingKind.__members__[padding], _core.Extent(0, 0))
    return _core.Padding(_core.PaddingKind.amount, _extent(padding))
