"""Random draws keyed by what is decided, never by the order in which decisions happen to be made."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

_T = TypeVar("_T")


def keyed(seed: int, purpose: str, *what: int) -> np.random.Generator:
    """Return the generator of one decision, such as ``keyed(seed, "sample", trial)``: the same in every run."""
    key = "/".join(map(str, (seed, purpose, *what)))
    return np.random.default_rng(np.frombuffer(hashlib.blake2b(key.encode(), digest_size=16).digest(), "<u4"))


def pick(rng: np.random.Generator, options: Sequence[_T]) -> _T:
    """Return one of ``options``, each equally likely."""
    return options[int(rng.random() * len(options))]
