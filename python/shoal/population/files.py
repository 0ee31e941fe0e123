"""Arrays and their description in one safetensors file, written so that a kill leaves the old file or the new one.

The description is JSON in the file's metadata, under the key ``shoal``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import NDArray

Tensors: TypeAlias = dict[str, NDArray[Any]]


@contextmanager
def named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let an error of the system name this file, if it names none: that of a full disk does not."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def write(path: str | os.PathLike[str], tensors: Tensors, description: Mapping[str, Any]) -> None:
    """Write arrays and their description."""
    from safetensors.numpy import save

    put(path, save(tensors, {"shoal": json.dumps(description, allow_nan=False)}))


def put(path: str | os.PathLike[str], content: bytes) -> None:
    """Write the file beside its place, flush it to the disk and move it there in one step."""
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with named(path), temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    # The move itself is safe from a power cut only once its directory is on the disk.
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(
    path: str | os.PathLike[str], wanted: Callable[[str], bool] = lambda _: True
) -> tuple[Tensors, dict[str, Any]]:
    """Return the arrays whose names are wanted, and the description.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If it is truncated, damaged, or not written by ``write``.
    """
    from safetensors import SafetensorError, safe_open

    with Path(path).open("rb"):
        pass  # where this fails the error names the file, safe_open's does not
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys() if wanted(name)}  # noqa: SIM118  not a dict
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path}: not a safetensors file, or a truncated one ({error})") from None
    return tensors, _description(metadata, path)


def _description(metadata: Mapping[str, str], path: str | os.PathLike[str]) -> dict[str, Any]:
    if "shoal" not in metadata:
        raise ValueError(f"{path}: not written by shoal (its metadata has no entry 'shoal')")
    try:
        description = json.loads(metadata["shoal"])
    except ValueError as error:
        raise ValueError(f"{path}: its description is not JSON ({error})") from None
    if not isinstance(description, dict):
        raise ValueError(f"{path}: its description must be a JSON object, got {type(description).__name__}")
    return description
