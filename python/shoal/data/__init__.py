"""Data sets: from arrays, from files, by name. ``load`` gives three parts: train, validation, test."""

from shoal.data.archives import load_npz
from shoal.data.dataset import Dataset, from_arrays, standardise
from shoal.data.device import AnyDataset, DeviceDataset, from_device
from shoal.data.loading import load
from shoal.data.splits import split
from shoal.data.tables import load_csv

__all__ = [
    "AnyDataset",
    "Dataset",
    "DeviceDataset",
    "from_arrays",
    "from_device",
    "load",
    "load_csv",
    "load_npz",
    "split",
    "standardise",
]
