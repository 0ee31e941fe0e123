"""Write scikit-learn's digits as digits.bin: for each of 1797 images its label, then its 8 x 8 pixels, a byte each.

usage: python make_digits.py FILE
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

digits = load_digits()
records = np.column_stack([digits.target, digits.images.reshape(-1, 64)]).astype(np.uint8)
# The images come writer by writer; shuffled, any part of the file is a fair sample.
np.random.default_rng(0).shuffle(records)
Path(sys.argv[1]).write_bytes(records.tobytes())
