"""The winner of a study, trained again alone: the same metrics and the same weights, bit for bit."""

from dataclasses import replace

import pytest
from tests.manager.toys import Walk, images, networks, trainables, weights

import shoal
from shoal import nn, search
from shoal.errors import StudyError
from shoal.manager import Step
from shoal.space import Bool, Choice, Float, Int

EXPLORE = {"rate": search.Factors(0.8, 1.2), "augment_pad": search.Resample(0.5)}
STRATEGIES = {
    "random": search.Random(trials=6, epochs=5),
    "asha": search.ASHA(12, max_epochs=9),
    "asha-steps": search.ASHA(12, max_steps=90, min_steps=10),
    "pbt": search.PBT(6, epochs=8, interval_epochs=1, explore=EXPLORE),
    "pbt-steps": search.PBT(6, steps=70, interval=10, explore=EXPLORE),  # batch sizes change within an epoch
    "hypersearch": search.HyperSearch(6, 5, epochs=1),
    "genetic": search.Genetic(6, 6, epochs=1, inherit_weights=True, mutation_rate=0.4),
}
INHERITS = ("pbt", "pbt-steps", "hypersearch", "genetic")
SPACE = {
    "lr": Choice([0.005, 0.02, 0.05, 0.1, 1e30]),  # the last one diverges
    "momentum": 0.5,
    "batch_size": Choice([7, 16, 33]),
    "augment_pad": Int(0, 2),
    "augment_flip": Bool(),
    "width": Int(3, 20),
    "rate": Float(0.1, 0.4),
}


def replayed(result):
    again = result.replay()
    assert again.recorded == result.best.metrics
    assert again.metrics == again.recorded
    assert again.same
    assert again.schedule == result.best.schedule
    assert again.model.state(0).tobytes() == result.best.model.state(0).tobytes()
    assert again.model.hyperparameters(0) == result.best.model.hyperparameters(0)
    return again


@pytest.mark.parametrize("metric", ["loss", "train_loss"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", STRATEGIES)
def test_the_winner_is_trained_again_bit_for_bit(name, threads, metric):
    study = networks(strategy=STRATEGIES[name], space=SPACE, threads=threads, metric=metric, seed=3)
    result = study.run(progress=False)
    replayed(result)
    trials = {step.trial for step in result.record.front[0].descent}
    assert (len(trials) > 1) == (name in INHERITS), "the winner has ancestors where weights are inherited"


@pytest.mark.parametrize(
    ("strategy", "seed"),
    [
        (search.Genetic(6, 5, epochs=1, elites=0, inherit_weights=True, breed_structure=True, mutation_rate=0.4), 7),
        (search.PBT(6, epochs=6, interval_epochs=1, quantile=0.5, explore={"width": search.Factors(0.5, 2)}), 2),
    ],
)
def test_a_winner_of_which_layers_once_started_fresh(strategy, seed):
    result = networks(strategy=strategy, space=SPACE, seed=seed).run(progress=False)
    steps = {(step.trial, step.progress) for step in result.record.front[0].descent}
    assert any(c.fresh for trial in result.trials for c in trial.changes if (trial.id, c.progress) in steps)
    replayed(result)


def test_the_ancestors_ids_are_needed():
    """The same schedule under the winner's own id alone is another training."""
    result = networks(strategy=STRATEGIES["pbt"], space=SPACE).run(progress=False)
    record = result.record
    descent = [Step(record.best, step.progress, step.config) for step in record.front[0].descent]
    record.front[0] = replace(record.front[0], descent=descent)
    again = result.replay()
    assert not again.same
    assert again.model.state(0).tobytes() != result.best.model.state(0).tobytes()


def shaped(config):
    height, width = config["kernel"]  # a tuple: a journal would give a list, on which hash() fails
    assert hash(config["kernel"])
    layers = [nn.Conv2d(4, (height, width)), nn.BatchNorm(), nn.ReLU(), nn.Dropout(config["rate"]), nn.Dense(4)]
    return nn.Sequential(layers)


def test_from_the_journal_of_a_directory(tmp_path):
    space = {"lr": Float(0.01, 0.2, log=True), "kernel": Choice([(2, 3), (3, 2)]), "rate": Float(0.1, 0.4)}
    strategy = search.PBT(6, epochs=4, interval_epochs=1, explore={"lr": search.Factors(0.5, 2)})
    study = _convolutions(tmp_path, space, strategy)
    result = study.run(progress=False)
    replayed(result)
    before = sorted(path.name for path in tmp_path.iterdir())
    again = _convolutions(tmp_path, space, strategy).replay()
    assert again.same
    assert again.model.state(0).tobytes() == result.best.model.state(0).tobytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def _convolutions(directory, space, strategy):
    data = [
        shoal.data.from_arrays(part.x[..., None], part.y, classes=4, name="toy")
        for part in (images(103, 0), images(50, 1))
    ]
    return shoal.Study(shaped, *data, space=space, strategy=strategy, directory=directory)


def test_a_study_that_was_stopped_on_the_way(tmp_path):
    class Stopped(BaseException):
        pass

    def stop(record, stats):
        if stats.number == 5:
            raise Stopped

    with pytest.raises(Stopped):
        networks(tmp_path).run(progress=stop)
    assert networks(tmp_path).replay().same


def test_a_trainable_that_keeps_the_rules():
    result = trainables(record_every=None).run(progress=False)
    assert result.record.best_report.progress > result.best.schedule[0][0]
    again = result.replay()
    assert again.same
    assert {name: array.tobytes() for name, array in again.model.save().items()} == weights(result)


def test_a_trainable_that_does_not():
    class Forgetful(Walk):
        runs = 0

        def setup(self, config, seed, trial):
            Forgetful.runs += 1
            super().setup(config, seed + Forgetful.runs, trial)

    result = trainables(factory=Forgetful).run(progress=False)
    again = result.replay()
    assert not again.same
    assert again.metrics.keys() == again.recorded.keys()


def test_nothing_to_replay(tmp_path):
    with pytest.raises(StudyError, match="all 3 trials diverged, so there is none to replay"):
        networks(strategy=search.Random(3, epochs=1), space={**SPACE, "lr": 1e30}).run(progress=False).replay()
    with pytest.raises(StudyError, match="directory: this study keeps no journal"):
        networks().replay()
    with pytest.raises(StudyError, match="cannot be read as a study's journal"):
        networks(tmp_path / "none").replay()
