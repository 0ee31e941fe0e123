"""``shoal demo``: population based training of networks on real images, and random search at the same budget."""

from shoal.demo.demo import run
from shoal.demo.entries import NETWORKS

__all__ = ["NETWORKS", "run"]
