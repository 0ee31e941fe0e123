"""A small study of a network, for all that is to be tried on one."""

from tests.manager.toys import images, network

import shoal
from shoal import search
from shoal.space import Float, Int

TRAIN, VALID, TEST = images(103, 0), images(50, 1), images(40, 2)
SPACE = {"lr": Float(1e-3, 0.3, log=True), "width": Int(3, 12), "rate": 0.1}


def study(**changes):
    arguments = {
        "network": network,
        "train": TRAIN,
        "valid": VALID,
        "space": SPACE,
        "strategy": search.Random(trials=5, epochs=3),
        "metric": "accuracy",
    }
    return shoal.Study(**arguments | changes)
