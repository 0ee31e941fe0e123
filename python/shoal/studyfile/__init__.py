"""Studies as files: everything that `shoal.Study` takes, in TOML.

    metric = "accuracy"        # or {name = "Penalised", metric = "accuracy", weight = 0.01}, or a list of objectives;
    seed = 0                   # the other settings of shoal.Study stand here too: loss optimizer device rows ...

    [data]                     # as for shoal.data.load
    name = "digits"            # or mnist, fashion-mnist, cifar10, cifar100, or a path
    validation = 0.2

    [network]                  # a string that names an entry of the space stands for its value
    layers = [
      {dense = "width", init = "he"}, "relu", {dropout = "dropout"},
      {dense = "outputs"},     # the number of classes or targets
    ]

    [space]                    # a plain value is a constant
    lr = {low = 1e-3, high = 0.5, log = true}
    width = {low = 16, high = 128, type = "int", log = true}
    batch_size = {choice = [16, 32, 64]}
    momentum = {low = 0.5, high = 0.95, when = {nesterov = [true]}}  # active only then
    nesterov = {bool = true}
    dropout = 0.2

    [strategy]                 # a class of shoal.search, and its arguments
    name = "PBT"
    population = 64
    epochs = 30
    interval_epochs = 2

The layers are ``dense``, ``dropout``, ``leaky_relu``, ``relu``, ``sigmoid``, ``tanh`` and ``flatten``. In place of
``layers``, ``function = "module:name"`` is a function of a config, in a Python file of the current directory or in any
other module. What is wrong is said in one line that names the place:
``study.toml: space.lr.low: must be > 0 on a log scale, got 0``.
"""

from shoal.studyfile.studyfile import FILE, StudyFile, read_strategy
from shoal.studyfile.tables import place

__all__ = ["FILE", "StudyFile", "place", "read_strategy"]
