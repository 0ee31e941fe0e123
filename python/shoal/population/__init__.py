"""The trainer's view: members resident on one device. Nothing here searches."""

from shoal.population.native import Device, devices
from shoal.population.native import version as __version__
from shoal.population.population import Population

__all__ = ["Device", "Population", "__version__", "devices"]
