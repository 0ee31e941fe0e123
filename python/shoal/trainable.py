"""A user's own training function: anything that trains in parts and can be saved can be tuned.

class Circle:
    def setup(self, config, seed, trial):
        self.config, self.x = config, np.random.default_rng([seed, trial]).normal(size=2)

    def train(self, until):
        ...                                  # go on to progress `until`, at self.config["lr"]
        return {"score": float(self.x @ self.x)}

    def save(self):
        return {"x": self.x, "progress": np.array(self.progress)}

    def load(self, arrays):
        self.x, self.progress = arrays["x"], int(arrays["progress"])

study = shoal.Study.from_trainable(Circle, space=..., strategy=search.PBT(population=8, steps=100, interval=10))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from shoal.search.protocol import Config


class Trainable(Protocol):
    """One trial of a user's own model. An instance has one config for life: a new config means a new one, which loads.

    A study resumes to the same result, bit for bit, if a trainable does the same after ``load`` as it would have done
    without: so all that ``train`` needs goes through ``save``, the state of random generators and its own progress
    included, and what it draws depends on ``seed`` and ``trial`` alone.
    """

    def setup(self, config: Config, seed: int, trial: int) -> None:
        """Make a fresh model at progress 0. Called once, before anything else.

        Args:
            config: The values of the space's parameters, by name.
            seed: The study's seed.
            trial: The trial's id.
        """

    def train(self, until: int) -> Mapping[str, float]:
        """Go on to progress ``until``, in the unit of the strategy, and return the metrics there.

        A metric that is not finite says that the model has diverged: it is not trained on.
        """

    def save(self) -> Mapping[str, np.ndarray[Any, Any] | bytes]:
        """Return the whole state by name: arrays of numbers, or bytes, which are loaded as uint8. They are copied."""

    def load(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Take over a state that ``save`` returned, for this trial or for the one it inherits from; after ``setup``.

        The other trial's config may differ in any parameter that the strategy changes on inheriting. That is a
        structural one only if you say so: ``explore`` of PBT has a rule for it, or ``breed_structure`` of Genetic is
        set. Then the arrays may be of another model, of other names and shapes: take over what fits, progress above
        all, and leave the rest as ``setup`` made it. An error ends the study and names the trial.
        """
