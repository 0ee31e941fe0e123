"""Random draws keyed by what is decided, never by the order in which decisions happen to be made."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.random.bit_generator import ISpawnableSeedSequence
from numpy.typing import NDArray

_T = TypeVar("_T")


def keyed(seed: int, purpose: str, *what: int) -> np.random.Generator:
    """Return the generator of one decision, such as ``keyed(seed, "sample", trial)``: the same in every run."""
    key = "/".join(map(str, (seed, purpose, *what)))
    return np.random.Generator(np.random.PCG64(_Digest(key.encode())))  # type: ignore[arg-type]  # lacks the base class


class _Digest(ISpawnableSeedSequence):
    """A key's digest as a generator's whole state; NumPy's own would mix it once more, in four times the time."""

    def __init__(self, key: bytes) -> None:
        self._digest, self._children = hashlib.blake2b(key).digest(), 0

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[Any]:
        """Return the first words of the digest."""
        return np.frombuffer(self._digest, dtype, n_words)

    def spawn(self, n_children: int) -> list[_Digest]:
        """Return as many more, each of this digest and its own number."""
        first, self._children = self._children, self._children + n_children
        return [_Digest(self._digest + number.to_bytes(8, "little")) for number in range(first, self._children)]


def pick(rng: np.random.Generator, options: Sequence[_T]) -> _T:
    """Return one of ``options``, each equally likely."""
    return options[int(rng.random() * len(options))]
