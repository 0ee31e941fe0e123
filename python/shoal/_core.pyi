"""The native core: bindings of ``csrc/include/shoal``, which documents them. Users go through ``shoal.population``."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

__version__: str

class Device:
    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def cores(self) -> int: ...
    @property
    def memory(self) -> int: ...
    @property
    def uuid(self) -> str: ...

def devices() -> list[Device]: ...
def why_no_gpu() -> str: ...
def instruction_sets() -> list[str]: ...
def peak_gflops(threads: int = 0) -> float: ...

class Initializer:
    __members__: ClassVar[dict[str, Initializer]]
    he: ClassVar[Initializer]
    xavier: ClassVar[Initializer]
    normal: ClassVar[Initializer]
    uniform: ClassVar[Initializer]

class Pooling:
    __members__: ClassVar[dict[str, Pooling]]
    max: ClassVar[Pooling]
    average: ClassVar[Pooling]

class Extent:
    def __init__(self, height: int, width: int) -> None: ...

class PaddingKind:
    __members__: ClassVar[dict[str, PaddingKind]]
    valid: ClassVar[PaddingKind]
    same: ClassVar[PaddingKind]
    amount: ClassVar[PaddingKind]

class Padding:
    def __init__(self, kind: PaddingKind, amount: Extent) -> None: ...

class Layer: ...

class Network:
    def __init__(self, layers: Sequence[Layer]) -> None: ...

def dense(units: int, initializer: Initializer, scale: float, bias: bool) -> Layer: ...
def conv2d(
    filters: int,
    kernel: Extent,
    stride: Extent,
    padding: Padding,
    initializer: Initializer,
    scale: float,
    bias: bool,
) -> Layer: ...
def pooling(pooling: Pooling, window: Extent, stride: Extent, padding: Padding) -> Layer: ...
def global_pooling() -> Layer: ...
def batch_norm(momentum: float, epsilon: float) -> Layer: ...
def residual(branch: Sequence[Layer], shortcut: Sequence[Layer]) -> Layer: ...
def flatten() -> Layer: ...
def dropout(rate: float) -> Layer: ...
def relu() -> Layer: ...
def leaky_relu(slope: float) -> Layer: ...
def sigmoid() -> Layer: ...
def tanh() -> Layer: ...

class Optimizer:
    __members__: ClassVar[dict[str, Optimizer]]
    sgd: ClassVar[Optimizer]
    adam: ClassVar[Optimizer]
    adamw: ClassVar[Optimizer]
    rmsprop: ClassVar[Optimizer]
    adagrad: ClassVar[Optimizer]

class Loss:
    __members__: ClassVar[dict[str, Loss]]
    cross_entropy: ClassVar[Loss]
    mse: ClassVar[Loss]

class DataOrder:
    __members__: ClassVar[dict[str, DataOrder]]
    own: ClassVar[DataOrder]
    shared: ClassVar[DataOrder]

class Hyperparameters:
    lr: float
    momentum: float
    nesterov: bool
    decay: float
    lr_decay: float
    decay_every: int
    weight_decay: float
    beta1: float
    beta2: float
    epsilon: float
    batch_size: int
    dropout: Sequence[float]
    augment_pad: int
    augment_flip: bool

class DeviceView:
    def __init__(self, array: object) -> None: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def device(self) -> str: ...
    def finite(self) -> bool: ...
    def to_host(self) -> NDArray[Any]: ...

def on_gpu(array: object) -> bool: ...

class Dataset:
    def __init__(
        self,
        shape: Sequence[int],
        x: NDArray[Any] | DeviceView,
        scale: NDArray[np.float32] | None = None,
        shift: NDArray[np.float32] | None = None,
        *,
        labels: NDArray[np.int32] | DeviceView | None = None,
        targets: NDArray[np.float32] | DeviceView | None = None,
        outputs: int = 0,
        identity: int | None = None,
    ) -> None: ...

def new_identity() -> int: ...

class Counters:
    @property
    def step(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def diverged(self) -> bool: ...

class DeviceArray:
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def __array__(self, dtype: object = None, copy: object = None) -> NDArray[Any]: ...
    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...
    def __dlpack__(
        self,
        *,
        stream: object = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    def compact(self) -> DeviceArray: ...
    def assign(self, array: object) -> None: ...

def device_memory(device: int, bytes: int) -> DeviceArray: ...
def pinned_memory(device: int, bytes: int) -> NDArray[np.uint8]: ...
def make_current(device: int) -> None: ...

class Precision:
    __members__: ClassVar[dict[str, Precision]]
    fp32: ClassVar[Precision]
    tf32: ClassVar[Precision]
    bf16: ClassVar[Precision]
    tf32x3: ClassVar[Precision]

class EngineKind:
    __members__: ClassVar[dict[str, EngineKind]]
    auto: ClassVar[EngineKind]
    resident: ClassVar[EngineKind]
    teams: ClassVar[EngineKind]

class Population:
    def __init__(
        self,
        input: Sequence[int],
        optimizer: Optimizer,
        loss: Loss,
        *,
        seed: int,
        threads: int,
        data_order: DataOrder,
        device: str,
        precision: Precision,
        engine: EngineKind,
    ) -> None: ...
    def add(self, members: Sequence[tuple[Network, Hyperparameters, int]]) -> None: ...
    def reset(self, row: int, network: Network, hyperparameters: Hyperparameters, id: int) -> None: ...
    def outputs(self, row: int) -> int: ...
    def set(self, row: int, hyperparameters: Hyperparameters) -> None: ...
    def copy(self, source: Sequence[int], target: Sequence[int]) -> None: ...
    def inherit(self, source: int, target: int) -> dict[str, bool]: ...
    def crossover(self, heirs: Sequence[int], first: Sequence[int], second: Sequence[int], rate: float) -> None: ...
    def mutate(self, rows: Sequence[int], scale: float) -> None: ...
    def cross_hyperparameters(
        self, heirs: Sequence[int], first: Sequence[int], second: Sequence[int], rate: float
    ) -> None: ...
    def perturb(
        self,
        rows: Sequence[int],
        ranges: Sequence[tuple[str, float, float, bool]],
        factors: Sequence[float],
        resample: float,
    ) -> None: ...
    def hyperparameters(self, row: int) -> Hyperparameters: ...
    def fit(self, data: Dataset, steps: NDArray[np.int64], record: int) -> NDArray[np.float64]: ...
    def steps_to_epoch(self, row: int, samples: int, epoch: int) -> int: ...
    def evaluate(self, data: Dataset, rows: Sequence[int]) -> dict[str, NDArray[np.float32]]: ...
    def predict(self, data: Dataset, row: int) -> NDArray[np.float32]: ...
    def counters(self, row: int) -> Counters: ...
    def parameters(self, row: int) -> dict[str, NDArray[np.float32]]: ...
    def device_parameters(self, row: int) -> dict[str, DeviceArray]: ...
    def state(self, row: int) -> NDArray[np.uint8]: ...
    def state_bytes(self, row: int) -> int: ...
    def read_state(self, row: int, to: NDArray[np.uint8] | DeviceArray) -> None: ...
    def load_state(self, row: int, state: NDArray[np.uint8] | DeviceArray) -> None: ...

def epoch_order(seed: int, id: int, epoch: int, samples: int) -> list[int]: ...

class Distance:
    __members__: ClassVar[dict[str, Distance]]
    l1: ClassVar[Distance]
    l2: ClassVar[Distance]
    linf: ClassVar[Distance]
    cosine: ClassVar[Distance]
    scaled: ClassVar[Distance]

def nearest_curves(
    curves: NDArray[np.float64] | DeviceView,
    library: NDArray[np.float64] | DeviceView,
    distance: Distance,
    neighbours: int,
    threads: int = 0,
    device: str = "cpu",
) -> tuple[NDArray[np.int64], NDArray[np.float64]]: ...
