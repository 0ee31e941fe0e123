"""What a user writes and gets."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.manager.toys import Walk, trainables, weights
from tests.study.studies import SPACE, TEST, VALID, study

import shoal
from shoal import nn, search
from shoal.errors import StudyError
from shoal.manager import StudyRecord
from shoal.merit import COSTS
from shoal.space import Bool, Float, Int, Space


def test_the_result_is_all_that_a_user_wants():
    result = study(seed=4).run(progress=False)
    best = result.best
    assert best.id == max(result.trials, key=lambda trial: trial.curve[-1][1]["accuracy"]).id
    assert best.score == best.metrics["accuracy"] == max(trial.curve[-1][1]["accuracy"] for trial in result.trials)
    assert best.config["rate"] == 0.1
    assert best.schedule == [(0, best.config)]
    assert best.progress == 3
    assert [len(trial.curve) for trial in result.trials] == [3] * 5
    assert set(best.metrics) == {"train_loss", "loss", "accuracy", *COSTS}
    assert repr(result) == f"Result(5 trials, best accuracy {best.score:.6g} by trial {best.id})"


def test_the_best_model_is_a_population_with_the_weights_of_its_score(tmp_path):
    best = study(directory=tmp_path).run(progress=False).best
    assert best.model.evaluate(VALID)["accuracy"][0] == best.score
    assert best.model.networks[0].layers[1] == nn.Dense(best.config["width"])
    assert best.model.hyperparameters(0)["lr"] == best.config["lr"]
    np.testing.assert_array_equal(best.model.predict(TEST.x), best.model.predict(TEST))
    loaded = shoal.Population.load(tmp_path / "best.safetensors")
    np.testing.assert_array_equal(loaded.predict(TEST.x), best.model.predict(TEST.x))


@pytest.mark.parametrize("length", ["epochs", lambda config: config["epochs"]])
def test_what_sets_a_trials_length_is_no_business_of_the_network(length):
    strategy = search.LCM(6, epochs=4, length=length, split=1, points=[], checkpoints=[])
    result = study(space=SPACE | {"epochs": Int(2, 4)}, strategy=strategy).run(progress=False)
    assert [trial.progress for trial in result.trials] == [trial.config["epochs"] for trial in result.trials]
    assert result.record.spent < strategy.bind(SPACE | {"epochs": 4}).plan().budget
    with pytest.raises(ValueError, match=r"^strategy\.length: must be in the space, .* got 'epoch'"):
        study(space=SPACE | {"epochs": Int(2, 4)}, strategy=search.LCM(6, epochs=4, length="epoch"))


def test_audits_are_in_the_record_and_in_the_journal(tmp_path):
    """The first of them is stopped where it is audited by a study that audits nobody."""
    how = {"strategy": search.LCM(12, epochs=8, split=0.25, stop=0.7, spare=0, audit=1.0), "rows": 1}
    record = study(**how, directory=tmp_path).run(progress=False).record
    assert len(record.audits) > 1
    assert {trial.status for trial in record.trials.values()} <= {"completed", "diverged"}
    assert record.audit_regret >= 0
    first, read = record.audits[0], StudyRecord.read(tmp_path)
    assert (read.audits[0], len(read.audits)) == (first, len(record.audits))
    assert read.audit_regret == record.audit_regret
    stopped = study(**how | {"strategy": replace(how["strategy"], audit=0.0)}).run(progress=False).record
    assert (stopped.trials[first.id].status, stopped.trials[first.id].progress) == ("stopped", first.audited)


def test_augmentation_is_hot_and_no_business_of_the_network():
    result = study(space=SPACE | {"augment_pad": Int(0, 2), "augment_flip": True}).run(progress=False)
    values = result.best.model.hyperparameters(0)
    assert values["augment_pad"] == result.best.config["augment_pad"]
    assert values["augment_flip"] is True


def test_the_same_seed_gives_the_same_study_and_another_seed_another():
    first, again, other = (study(seed=seed).run(progress=False) for seed in (1, 1, 2))
    assert weights(first) == weights(again)
    assert weights(first) != weights(other)


def test_regression_ranks_by_loss():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4)).astype(np.float32)
    data = shoal.data.from_arrays(x, x @ np.ones((4, 2), np.float32))
    result = study(
        network=lambda config: nn.Sequential([nn.Dense(config["width"]), nn.Tanh(), nn.Dense(2)]),
        train=data,
        valid=data,
        space={"lr": Float(1e-3, 0.05, log=True), "width": Int(3, 9)},
        loss="mse",
        optimizer="adam",
        metric="loss",
    ).run(progress=False)
    assert set(result.best.metrics) == {"train_loss", "loss", "mse", "correlation", "r2", *COSTS}
    assert result.best.score == min(trial.curve[-1][1]["loss"] for trial in result.trials)


def test_steps_count_steps_and_record_every_sets_the_points():
    result = study(strategy=search.Random(trials=2, steps=25), record_every=10).run(progress=False)
    assert [progress for progress, _ in result.trials[0].curve] == [10, 20, 25]
    assert result.best.model.steps.tolist() == [25]
    reports_only = study(strategy=search.Random(trials=2, steps=25)).run(progress=False)
    assert [progress for progress, _ in reports_only.trials[0].curve] == [25]


def test_the_plan_is_known_before():
    plan = study().plan
    assert (plan.trials, plan.budget, plan.unit) == (5, 15, "epochs")


def deep(config):
    """One hidden layer, or two, of which the second has a width of its own."""
    widths = [config["width"], *([config["second"]] if config["layers"] == 2 else [])]
    return nn.Sequential([*(layer for width in widths for layer in (nn.Dense(width), nn.ReLU())), nn.Dense(4)])


CONDITIONS = Space(
    {
        "lr": Float(1e-3, 0.3, log=True),
        "heavy": Bool(),  # a switch: the network need not read it
        "momentum": Float(0.5, 0.9, when={"heavy": [True]}),
        "width": Int(3, 12),
        "layers": Int(1, 200),
        "second": Int(3, 9, when={"layers": [2]}),  # active in one of 200
    },
    forbidden=[{"layers": [1], "width": [3]}, {"layers": [200], "width": [12]}],  # at the ends
)


@pytest.mark.parametrize(
    "strategy", [search.PBT(6, epochs=4, interval_epochs=1), search.Random(6, epochs=2)], ids=["pbt", "random"]
)
def test_a_space_with_conditions_and_forbidden_combinations(tmp_path, strategy):
    tuned = study(network=deep, space=CONDITIONS, strategy=strategy, directory=tmp_path, seed=2)
    result = tuned.run(progress=False)
    configs = [change.config for trial in result.trials for change in trial.changes]
    assert all(CONDITIONS.check(config) == config for config in configs)
    assert len({"momentum" in config for config in configs}) == 2
    assert result.best.model.hyperparameters(0)["momentum"] == result.best.config.get("momentum", 0.0)
    assert result.report().read_text()
    again = study(network=deep, space=CONDITIONS, strategy=strategy, directory=tmp_path, seed=2).run(progress=False)
    assert again.best.schedule == result.best.schedule


def test_what_only_a_conditional_parameter_breaks_is_found_before():
    def failing(config):
        return deep(config | {"second": 0} if "second" in config else config)

    with pytest.raises(ValueError, match=r"units: must be .*; with the config .*'layers': 2, 'second'"):
        study(network=failing, space=CONDITIONS)
    unread = Space(CONDITIONS.values | {"third": Int(3, 9, when={"layers": [3]})})
    with pytest.raises(ValueError, match=r"^space\.third: makes no difference to network"):
        study(network=deep, space=unread)


def test_when_all_diverge_there_is_no_best():
    class Lost(Walk):
        def train(self, until):
            return {"score": np.nan}

    result = trainables(factory=Lost, strategy=search.Random(trials=3, epochs=4)).run(progress=False)
    assert {trial.status for trial in result.trials} == {"diverged"}
    with pytest.raises(StudyError, match="all 3 trials diverged, so none is best"):
        _ = result.best
    assert repr(result) == "Result(3 trials, all diverged)"


@pytest.mark.parametrize("kept", [True, False])
def test_the_report_has_the_test_score(monkeypatch, tmp_path, kept):
    monkeypatch.chdir(tmp_path)
    result = study(directory="runs" if kept else None).run(progress=False)
    page = result.report(TEST)
    assert page == Path("runs" if kept else "shoal-report") / "report.html"
    score = result.best.model.evaluate(TEST)["accuracy"][0]
    notes = json.loads(page.with_name("report.json").read_text())
    assert notes["test"]["accuracy"] == score
    assert page.stat().st_size > 10_000


def test_the_report_of_trainables_takes_metrics(tmp_path):
    result = trainables(tmp_path, space={"lr": Float(0.01, 0.5)}).run(progress=False)
    assert result.report({"score": 0.5}).exists()
    with pytest.raises(ValueError, match="test: must be metrics by name in a study of trainables, got Dataset"):
        result.report(TEST)
