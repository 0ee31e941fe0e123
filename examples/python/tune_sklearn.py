"""A training function of your own: scikit-learn's MLPClassifier, tuned by population based training.

Each trial is one classifier, trained an epoch at a time by ``partial_fit``. Plain gradient descent without momentum
keeps no state beside the weights, so they are all there is to save. Takes about ten seconds.
"""

import numpy as np
from sklearn.neural_network import MLPClassifier

import shoal
from shoal import search
from shoal.space import Choice, Float, Int

train, valid, test = shoal.data.load("digits")
(x, y), (x_valid, y_valid), (x_test, y_test) = (
    (data.normalised().reshape(len(data), -1), data.y) for data in (train, valid, test)
)


class Classifier:
    def setup(self, config, seed, trial):
        self.key, self.epoch = [seed, trial], 0
        self.model = MLPClassifier(
            hidden_layer_sizes=(config["width"],),
            solver="sgd",
            momentum=0,
            nesterovs_momentum=False,
            learning_rate_init=config["lr"],
            alpha=config["alpha"],
            batch_size=config["batch_size"],
        )

    def train(self, until):
        while self.epoch < until:
            # Keyed by the epoch, not drawn from a generator: there is no state of one to save.
            self.model.random_state = int(np.random.default_rng([*self.key, self.epoch]).integers(2**31))
            self.model.partial_fit(x, y, classes=range(10))
            self.epoch += 1
        return {"accuracy": self.model.score(x_valid, y_valid), "loss": self.model.loss_}

    def save(self):
        arrays = {f"weight{i}": array for i, array in enumerate(self.model.coefs_)}
        arrays |= {f"bias{i}": array for i, array in enumerate(self.model.intercepts_)}
        return {**arrays, "epoch": np.array(self.epoch)}

    def load(self, arrays):
        self.model.partial_fit(x[:64], y[:64], classes=range(10))  # makes the arrays that are filled now
        for i in range(len(self.model.coefs_)):
            self.model.coefs_[i][:] = arrays[f"weight{i}"]
            self.model.intercepts_[i][:] = arrays[f"bias{i}"]
        self.epoch = int(arrays["epoch"])


study = shoal.Study.from_trainable(
    Classifier,
    space={
        "lr": Float(1e-3, 1, log=True),
        "alpha": Float(1e-6, 1e-1, log=True),
        "batch_size": Choice([16, 32, 64]),
        "width": Int(16, 64, log=True),
    },
    strategy=search.PBT(population=8, epochs=20, interval_epochs=4, explore={"alpha": search.Factors(0.5, 2)}),
    metric="accuracy",
    mode="max",
    seed=0,
)
best = study.run().best
print(f"trial {best.id}: validation accuracy {best.score:.4f} with {best.config}")
print(f"test accuracy {best.model.model.score(x_test, y_test):.4f}")
