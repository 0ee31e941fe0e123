"""What users pass to a population, checked and made plain. Every error names the argument, its rule and what it got."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal import nn, rules
from shoal.data import AnyDataset
from shoal.data.device import device_inputs
from shoal.errors import DeviceError
from shoal.gpuarrays import DeviceView, on_gpu
from shoal.population import native

Rows: TypeAlias = int | Sequence[int] | NDArray[np.integer[Any]]


def networks(network: nn.Sequential | Sequence[nn.Sequential], members: int | None) -> list[nn.Sequential]:
    """Return one network for each member."""
    count = None if members is None else rules.integer(members, "members")
    if isinstance(network, nn.Sequential):
        return [network] * (1 if count is None else count)
    if not isinstance(network, Sequence) or not all(isinstance(each, nn.Sequential) for each in network):
        raise ValueError(f"network: must be an nn.Sequential or a list of them, got {network!r}")
    if count not in (None, len(network)):
        raise ValueError(f"members: must be the number of networks, {len(network)}, got {count}")
    return list(network)


def ids(given: Sequence[int] | None, members: int) -> list[int]:
    """Return one key for each member."""
    keys = [rules.integer(key, "ids", high=2**32 - 1) for key in (range(members) if given is None else given)]
    if len(keys) != members:
        raise ValueError(f"ids: must be one per member ({members}), got {len(keys)}")
    return keys


def shape(given: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of one sample."""
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise ValueError(f"input_shape: must be a tuple such as (28, 28), got {given!r}")
    return tuple(rules.integer(size, "input_shape", low=1) for size in given)


def device(asked: str) -> str:
    """Return the name of the device that is asked for: ``"auto"`` is a GPU where there is one, ``"cuda"`` the first.

    Raises:
        DeviceError: There is no such device here.
    """
    here = [each.name for each in native.devices()]
    if asked in here:
        return asked
    if asked == "auto":
        return here[0]
    if isinstance(asked, str) and (asked == "cuda" or asked.startswith("cuda:")):
        gpus = [name for name in here if name != "cpu"]
        if asked == "cuda" and gpus:
            return gpus[0]
        why = "" if gpus else f"; {native.why_no_gpu()}"
        raise DeviceError(f"device: there is no {asked!r} here, only {', '.join(here)}{why}")
    return rules.choice(asked, "device", ["auto", "cuda", *here])


def precision(asked: str, device: str) -> str:
    """Return the precision that is asked for, if the device has it."""
    if rules.choice(asked, "precision", native.PRECISIONS) != "fp32" and device == "cpu":
        raise ValueError(f"precision: must be 'fp32' on the CPU, which has no tensor cores, got {asked!r}")
    return asked


def engine(asked: str, device: str) -> str:
    """Return the engine that is asked for, if the device has it."""
    if rules.choice(asked, "engine", native.ENGINES) != "auto" and device == "cpu":
        raise ValueError(f"engine: must be 'auto' on the CPU, the others are a GPU's, got {asked!r}")
    return asked


def row(member: object, members: int) -> int:
    """Return the row of an existing member."""
    if members == 0:
        raise ValueError(f"member: must be a row of the population, which has none; got {member!r}")
    return rules.integer(member, "member", high=members - 1)


def rows(given: Rows, members: int) -> list[int]:
    """Return the rows of existing members."""
    if isinstance(given, Sequence | np.ndarray) and not isinstance(given, str):
        return [row(member, members) for member in given]
    return [row(given, members)]


def counts(given: ArrayLike | None, place: str, members: int) -> NDArray[np.int64]:
    """Return (P,) numbers of steps or epochs, from one number or P of them."""
    numbers = np.asarray(given)
    if numbers.dtype.kind not in "iu" and numbers.size > 0:
        raise ValueError(f"{place}: must be an integer or one per member, got {given!r}")
    if numbers.shape not in ((), (members,)):
        raise ValueError(f"{place}: must be one number or one per member ({members}), got shape {numbers.shape}")
    if numbers.min(initial=0) < 0 or numbers.max(initial=0) >= 2**31:
        raise ValueError(f"{place}: must be in [0, 2**31), got {given!r}")
    return np.ascontiguousarray(np.broadcast_to(numbers, members), np.int64)


def inputs(x: ArrayLike) -> NDArray[Any] | DeviceView:
    """Return (n, *shape) numbers as uint8 or finite float32."""
    if on_gpu(x):
        return device_inputs(x, "x")
    array = np.asarray(x)
    if array.dtype.kind not in "biuf" or array.ndim < 2:
        raise ValueError(f"x: must be (n, *shape) numbers, got {array.dtype} of shape {array.shape}")
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    with np.errstate(over="ignore"):  # becomes inf, which the next line reports
        array = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(array).all():
        raise ValueError("x: must be finite in float32, got NaN or infinite numbers")
    return array


def octets(given: bytes | bytearray | memoryview | NDArray[np.uint8], place: str) -> NDArray[np.uint8]:
    """Return the bytes of a buffer, not copied."""
    try:
        return np.frombuffer(given, np.uint8)
    except (TypeError, ValueError, BufferError):
        raise ValueError(f"{place}: must be bytes or another contiguous buffer, got {type(given).__name__}") from None


def check_goal(data: AnyDataset, loss: str) -> None:
    """Raise unless this is a data set with the kind of goal that the loss needs."""
    if not isinstance(data, AnyDataset):
        raise ValueError(f"data: must be a Dataset (see shoal.data.from_arrays), got {type(data).__name__}")
    if data.classification != (loss == "cross_entropy"):
        needs = "integer labels" if loss == "cross_entropy" else "float targets"
        raise ValueError(f"{data.name}: the loss {loss} needs {needs}, got y of {data.y.dtype} {data.y.shape}")


def check_outputs(outputs: int, data: AnyDataset, member: int) -> None:
    """Raise unless the network has one output for each class or target."""
    if outputs != data.outputs:
        what = "classes" if data.classification else "targets"
        raise ValueError(
            f"network of member {member}: must have one output for each of the {data.outputs} {what} "
            f"of {data.name}, got {outputs}"
        )


def factors(saved: NDArray[Any] | None, name: str, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """Return saved normalisation, (features,) float32 or nothing."""
    if saved is not None and (saved.dtype != np.float32 or saved.shape != (math.prod(shape),)):
        raise ValueError(f"{name}: must be float32 of shape ({math.prod(shape)},), got {saved.dtype} {saved.shape}")
    return saved
