"""A few steps on every path of the GPU engine, and all that recombines and compares, for compute-sanitizer."""

from itertools import product

import numpy as np

from shoal import Population, data, nn
from shoal.search.curves import DISTANCES, nearest

DENSE = nn.Sequential([nn.AvgPool2d(4), nn.Dense(64), nn.Tanh(), nn.Dropout(0.2), nn.Dense(10)])
LARGE = nn.Sequential([nn.Dense(700), nn.ReLU(), nn.Dense(10)])  # its weights and their momentum do not fit on chip
IMAGES = nn.Sequential(
    [
        *(nn.Conv2d(40, 3), nn.BatchNorm(), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Residual([nn.Conv2d(40, 3), nn.BatchNorm()]), nn.ReLU(), nn.Dropout(0.1)),
        *(nn.AvgPool2d(2), nn.Flatten(), nn.Dense(10)),
    ]
)
TINY = nn.Sequential([nn.Dense(21), nn.Tanh(), nn.Dropout(0.2), nn.Dense(10)])
ENGINES = {"tiny": "auto", "dense": "resident", "large": "teams", "images": "auto"}
PRECISIONS = ("fp32", "tf32", "bf16", "tf32x3")


def main() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (300, 16, 16, 3), np.uint8)
    labels = rng.integers(0, 10, 300)
    pictures = data.from_arrays(x, labels, classes=10)
    numbers = data.from_arrays(x[:, 0, :4].reshape(300, 12), labels, classes=10)
    networks = {"tiny": TINY, "dense": DENSE, "large": LARGE, "images": IMAGES}
    for (name, network), precision, members in product(networks.items(), PRECISIONS, (1, 5)):
        train, augmented = (numbers, {}) if name == "tiny" else (pictures, {"augment_pad": 2, "augment_flip": True})
        rates = {"lr": 0.01, "batch_size": 48, **augmented}
        options = {"hyperparameters": rates, "device": "cuda", "precision": precision, "engine": ENGINES[name]}
        population = Population(network, members, optimizer="adam", **options)
        loss = population.train(train, steps=4)
        population.copy([0], [members - 1])
        population.copy(range(members), [*range(1, members), 0])
        population.crossover(range(members), [*range(1, members), 0], [0] * members)
        population.mutate(range(members), 0.01)
        accuracy = population.evaluate(train)["accuracy"]
        population.predict(train.x[:40], member=0)
        told = f"loss {loss.mean():.4f}, accuracy {accuracy.mean():.4f}"
        print(f"{name}, {precision}, {members} members: {told}", flush=True)
    curves = rng.normal(size=(40, 25))
    curves[rng.random(curves.shape) < 0.1] = np.nan
    for distance in DISTANCES:
        _, distances = nearest(curves[:9], curves, distance=distance, neighbours=40, device="cuda")
        print(f"{distance}: the farthest at {distances.max():.4f}", flush=True)


if __name__ == "__main__":
    main()
