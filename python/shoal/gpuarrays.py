"""Arrays that other libraries (CuPy, PyTorch, JAX, ...) have in a GPU's memory, taken where they are."""

from __future__ import annotations

from shoal import _core  # noqa: TID251  it reads their descriptions

DeviceView = _core.DeviceView


def on_gpu(array: object) -> bool:
    """Return whether an array is in a GPU's memory, as its ``__dlpack__`` or ``__cuda_array_interface__`` says."""
    return _core.on_gpu(array)
