"""Roundings of the factors of matrix products, by the bits of float32."""

import numpy as np


def tf32(values):
    """Return the nearest numbers with 10 bits of fraction, ties away from zero."""
    return _cut(_bits(values) + np.uint32(1 << 12), 13)


def bf16(values):
    """Return the nearest numbers with 7 bits of fraction, ties to even."""
    bits = _bits(values)
    return _cut(bits + np.uint32((1 << 15) - 1) + (bits >> np.uint32(16) & np.uint32(1)), 16)


def _bits(values):
    return np.ascontiguousarray(values, np.float32).view(np.uint32)


def _cut(bits, low):
    return (bits >> np.uint32(low) << np.uint32(low)).view(np.float32).astype(np.float64)


ROUNDINGS = {"tf32": tf32, "bf16": bf16}
