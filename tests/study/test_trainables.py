"""A user's own trainables."""

import pickle

import numpy as np
import pytest
from tests.manager.toys import Walk, trainables, weights

from shoal import search
from shoal.errors import StudyError
from shoal.space import Float, Int


def test_a_trainable_is_tuned_like_a_network():
    result = trainables().run(progress=False)
    assert result.best.score == float(result.best.model.x @ result.best.model.x)
    assert result.best.model.lr == result.best.config["lr"]


def test_a_trainable_may_inherit_from_one_of_another_size():
    """It loads what fits: the first coordinates, or all and its own for the rest."""

    class Sized(Walk):
        def setup(self, config, seed, trial):
            super().setup(config, seed, trial)
            self.x = np.full(config["size"], 2.0)

        def train(self, until):
            self.x *= 1 - self.lr * 0.01 * (until - self.progress)
            self.progress = until
            return {"score": float(self.x.max())}

        def load(self, arrays):
            size = min(len(self.x), len(arrays["x"]))
            fresh = self.x[size:]
            super().load(arrays)
            self.x = np.concatenate([arrays["x"][:size], fresh])

    space = {"lr": Float(0.05, 1.0), "size": Int(1, 5)}
    strategy = search.PBT(6, steps=60, interval=20, explore={"size": search.Resample(1.0)})
    result = trainables(factory=Sized, space=space, strategy=strategy).run(progress=False)
    assert len(result.best.model.x) == result.best.config["size"]
    changes = [change for trial in result.trials for change in trial.changes if change.donor is not None]
    assert {change.layers for change in changes} == {None}

    class Strict(Sized):
        def load(self, arrays):
            self.x[:] = arrays["x"]

    strict = trainables(factory=Strict, space=space, strategy=strategy)
    with pytest.raises(
        StudyError, match=r"trial \d, load\(\): ValueError: could not broadcast .*; its config: {'lr': "
    ):
        strict.run(progress=False)


def test_a_trainables_best_state_is_kept(tmp_path):
    result = trainables(tmp_path).run(progress=False)
    from safetensors.numpy import load_file

    np.testing.assert_array_equal(load_file(tmp_path / "best.safetensors")["x"], result.best.model.x)


class Broken(Walk):
    where = ""

    def setup(self, config, seed, trial):
        super().setup(config, seed, trial)
        self.check("setup")

    def train(self, until):
        if until >= 120:
            self.check("train")
        return super().train(until)

    def save(self):
        self.check("save")
        return super().save()

    def check(self, where):
        if where == self.where:
            raise RuntimeError("no luck")


@pytest.mark.parametrize(("where", "call"), [("setup", "setup()"), ("train", "train(until=120)"), ("save", "save()")])
def test_a_trainables_error_names_trial_call_and_config(where, call):
    broken = type("Broken", (Broken,), {"where": where})
    with pytest.raises(StudyError) as caught:
        trainables(factory=broken).run(progress=False)
    assert str(caught.value).startswith(f"trial 0, {call}: RuntimeError: no luck; its config: {{'lr': ")
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_after_an_error_the_study_goes_on_where_it_was(tmp_path):
    undisturbed = trainables().run(progress=False)
    broken = type("Walk", (Broken,), {"where": "train"})  # by its name the same trainable, before it was mended
    with pytest.raises(StudyError):
        trainables(tmp_path, factory=broken).run(progress=False)
    first = []
    result = trainables(tmp_path).run(progress=lambda record, stats: first.append(record.spent))
    assert weights(result) == weights(undisturbed)
    assert first[0] == 120  # the first 60 were not trained again


@pytest.mark.parametrize(
    ("returned", "rule"),
    [
        (None, "TypeError: must return a dict of metrics, got None"),
        ({}, r"must return a dict of metrics, got \{\}"),
        ({"score": "high"}, "ValueError: could not convert"),
        ({"loss": 1.0}, "metric: trial 0 returned loss, but no 'score'"),
    ],
)
def test_what_train_returns_is_checked(returned, rule):
    class Odd(Walk):
        def train(self, until):
            return returned

    with pytest.raises(StudyError, match=rule):
        trainables(factory=Odd).run(progress=False)


@pytest.mark.parametrize("saved", [[1, 2], np.array(["text"]), np.array([None]), np.zeros(2, complex)])
def test_what_save_returns_is_checked(saved):
    class Odd(Walk):
        def save(self):
            return {"x": saved}

    with pytest.raises(StudyError, match=r"trial 0, save\(\): TypeError: x: must be a NumPy array of numbers"):
        trainables(factory=Odd).run(progress=False)


def test_bytes_are_loaded_as_an_array_of_them(tmp_path):
    """As what pickles a model returns them; through inheritance and a snapshot."""

    class Pickled(Walk):
        def save(self):
            return {"all": pickle.dumps(super().save()), "nothing": b""}

        def load(self, arrays):
            assert len(arrays["nothing"]) == 0
            super().load(pickle.loads(arrays["all"].tobytes()))

    def stop(record, stats):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainables(tmp_path, factory=Pickled).run(progress=stop)
    result = trainables(tmp_path, factory=Pickled).run(progress=False)
    assert any(trial.parents for trial in result.trials)
    assert repr(result.trials) == repr(trainables().run(progress=False).trials)


def test_names_of_arrays_are_text():
    class Odd(Walk):
        def save(self):
            return {**super().save(), 0: np.zeros(1)}

    with pytest.raises(StudyError, match=r"trial 0, save\(\): TypeError: 0: names of arrays must be text"):
        trainables(factory=Odd).run(progress=False)


def test_arrays_that_a_trainable_saves_are_copied():
    """It may go on to train in them: the best and its heirs must not change with it."""
    result = trainables(strategy=search.Random(trials=3, steps=200)).run(progress=False)
    assert result.best.score == float(result.best.model.x @ result.best.model.x)


def test_any_shape_and_kind_of_number_goes_through_a_snapshot(tmp_path):
    arrays = {
        "scalar": np.array(3.5),
        "none": np.zeros((0, 4), np.int8),
        "big-endian": np.arange(5, dtype=">f8"),
        "strided": np.arange(12).reshape(3, 4).T,
        "flags": np.array([True, False]),
        "half": np.ones(3, np.float16),
        "with/slash": np.arange(3),
    }

    class Keeper(Walk):
        def save(self):
            return super().save() | arrays

        def load(self, given):
            super().load(given)
            for name, array in arrays.items():
                np.testing.assert_array_equal(given[name], array)
                assert given[name].shape == array.shape

    first = trainables(tmp_path, factory=Keeper).run(progress=False)
    assert weights(trainables(tmp_path, factory=Keeper).run(progress=False)) == weights(first)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"factory": 3}, "factory: must be a class or function that makes a Trainable, got 3"),
        ({"factory": dict}, r"factory: dict has no method setup\(\)"),
        ({"factory": lambda: 1 / 0}, "factory: ZeroDivisionError: division by zero"),
        ({"mode": "best"}, "mode: must be one of min, max; got 'best'"),
        ({"metric": 3}, "metric: must be the name of a metric, a function or a figure of shoal.merit, got 3"),
    ],
)
def test_wrong_arguments_of_a_study_of_trainables(change, rule):
    with pytest.raises(ValueError, match=rule):
        trainables(**change)
