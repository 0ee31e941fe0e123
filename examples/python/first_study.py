"""A first study: 32 networks on scikit-learn's digits, tuned by population based training while they train.

Stop it with Ctrl-C and start it again: it goes on where it was. Takes a few seconds.
"""

import shoal
from shoal import nn, search
from shoal.space import Choice, Float, Int

train, valid, test = shoal.data.load("digits")


def network(config):  # any Python; structural hyperparameters are just values
    return nn.Sequential([
        nn.Flatten(),
        nn.Dense(config["width"]),
        nn.ReLU(),
        nn.Dropout(config["dropout"]),
        nn.Dense(10),
    ])  # fmt: skip


study = shoal.Study(
    network,
    train,
    valid,
    optimizer="sgd",
    space={
        "lr": Float(1e-3, 0.5, log=True),
        "momentum": Float(0, 0.99),
        "batch_size": Choice([16, 32, 64]),
        "width": Int(16, 128, log=True),
        "dropout": Float(0, 0.5),
    },
    strategy=search.PBT(population=32, epochs=20, interval_epochs=2),
    metric="accuracy",
    mode="max",
    seed=2,
    directory="runs/first_study",
)
for line in study.plan.lines:
    print(line)

best = study.run().best
print(f"trial {best.id}: validation accuracy {best.score:.4f} after {best.progress} epochs")
print(f"test accuracy {best.model.evaluate(test)['accuracy'][0]:.4f}")
for epoch, config in best.schedule:
    print(f"from epoch {epoch:2d}: " + ", ".join(f"{name} {value:.4g}" for name, value in config.items()))
