"""What a study ranks by: metrics, figures of merit, several of them; and what is measured for them."""

import numpy as np
import pytest
from tests.manager.toys import trainables
from tests.study.studies import SPACE, TEST, TRAIN, VALID, study

import shoal
from shoal import merit, nn, search
from shoal.space import Float, Int


def size_and_skill(metrics):
    return metrics["accuracy"] - metrics["parameters"] / 1e4


def test_a_function_of_the_metrics_ranks():
    result = study(metric=size_and_skill, mode="max").run(progress=False)
    values = {trial.id: size_and_skill(trial.curve[-1][1]) for trial in result.trials}
    assert result.best.id == max(values, key=values.get)
    assert result.best.score == result.best.metrics["size_and_skill"] == values[result.best.id]


def test_several_objectives_give_a_front_with_its_models(tmp_path):
    result = study(
        metric=["accuracy", "parameters"], strategy=search.Random(trials=12, epochs=2), directory=tmp_path
    ).run(progress=False)
    ends = [trial.curve[-1][1] for trial in result.trials]

    def beaten(one):
        return any(
            other["accuracy"] >= one["accuracy"]
            and other["parameters"] <= one["parameters"]
            and (other["accuracy"], other["parameters"]) != (one["accuracy"], one["parameters"])
            for other in ends
        )

    assert {(each.score, each.metrics["parameters"]) for each in result.front} == {
        (end["accuracy"], end["parameters"]) for end in ends if not beaten(end)
    }
    assert [each.score for each in result.front] == sorted((each.score for each in result.front), reverse=True)
    assert result.best.id == result.front[0].id
    for place, each in enumerate(result.front, 1):
        assert each.model.evaluate(VALID)["accuracy"][0] == each.score
        saved = shoal.Population.load(tmp_path / f"front-{place}.safetensors")
        np.testing.assert_array_equal(saved.state(0), each.model.state(0))
    assert repr(result).endswith(f", {len(result.front)} on the front of accuracy, parameters)")


def test_with_one_objective_the_front_is_the_best(tmp_path):
    result = study(directory=tmp_path).run(progress=False)
    assert [(each.id, each.progress) for each in result.front] == [(result.best.id, result.best.progress)]
    assert not list(tmp_path.glob("front-*"))


def test_a_trainable_may_have_several_objectives(tmp_path):
    result = trainables(tmp_path, metric=["score", "first"], mode=["min", "max"]).run(progress=False)
    assert len(result.front) > 1
    for each in result.front:
        assert each.metrics["first"] == each.model.x[0]
    assert (tmp_path / "front-1.safetensors").exists()


def test_a_clock_is_used_only_where_it_counts():
    metric = merit.CostAt("inference_seconds", "accuracy", 0.0)
    best = study(metric=metric).run(progress=False).best
    assert best.score == best.metrics["inference_seconds"] > 0
    assert "seconds" not in best.metrics


@pytest.mark.parametrize(
    ("metric", "mode", "record", "extra"),
    [
        ("train_accuracy", None, [], {"train_accuracy"}),
        ("loss", None, ("train_accuracy", "seconds"), {"train_accuracy", "seconds"}),
        (merit.Penalised("train_accuracy", 0.1), None, [], {"train_accuracy", "penalised train_accuracy"}),
        (
            lambda now: now["accuracy"] + now["train_accuracy"],
            "max",
            ["train_accuracy"],
            {"train_accuracy", "<lambda>"},
        ),
    ],
)
def test_the_training_data_are_evaluated_where_it_is_asked_for(metric, mode, record, extra):
    """On the plain data: neither shuffled nor augmented, the dropout of the toys' network off."""
    space = SPACE | {"augment_pad": Int(1, 2)}
    result = study(metric=metric, mode=mode, record=record, space=space, strategy=search.PBT(4, 4, 2)).run(False)
    best = result.best
    assert {"train_accuracy"} <= extra <= set(best.metrics)
    assert best.metrics["train_accuracy"] == best.model.evaluate(TRAIN)["accuracy"][0]
    assert best.metrics["accuracy"] == best.model.evaluate(VALID)["accuracy"][0]
    replayed = result.replay()
    assert replayed.same
    assert "train_accuracy" in replayed.metrics


def test_the_training_data_are_not_evaluated_where_nobody_asks(monkeypatch):
    seen, evaluate = [], shoal.Population.evaluate
    monkeypatch.setattr(
        shoal.Population, "evaluate", lambda self, data, *rows: seen.append(data) or evaluate(self, data, *rows)
    )
    result = study(form="replicated").run(progress=False)  # in rounds
    assert "train_accuracy" not in result.best.metrics
    assert len(seen) == 3  # epochs
    assert {id(data) for data in seen} == {id(VALID)}


def test_a_regression_has_its_fit_on_the_training_data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 5)).astype(np.float32)
    train, valid = (shoal.data.from_arrays(part, part[:, :2] ** 2) for part in (x[:40], x[40:]))
    names = ["train_mse", "train_correlation", "train_r2"]
    space = {"lr": Float(1e-3, 0.1, log=True)}
    strategy = search.HyperSearch(networks=3, sessions=2, epochs=2)
    arguments = {"space": space, "strategy": strategy, "loss": "mse", "metric": "train_r2", "record": names}
    best = shoal.Study(lambda config: nn.Sequential([nn.Dense(2)]), train, valid, **arguments).run(False).best
    want = best.model.evaluate(train)
    assert {name: best.metrics[name] for name in names} == {
        f"train_{name}": want[name][0] for name in ("mse", "correlation", "r2")
    }
    assert best.score == best.metrics["train_r2"]


def test_where_the_target_is_never_reached_the_nearest_is_best():
    result = study(metric=merit.CostAt("parameters", "accuracy", 2.0)).run(progress=False)
    assert result.best.score == np.inf
    assert result.best.metrics["accuracy"] == max(trial.curve[-1][1]["accuracy"] for trial in result.trials)


@pytest.mark.parametrize(
    ("strategy", "rule"),
    [
        (search.LCM(5, epochs=4), "strategy: LCM needs a single score to rank by, and metric has 2 objectives"),
        (search.Median(5, epochs=4), "strategy: Median needs a single score"),
        (search.ASHA(5, max_epochs=4, sampler="optuna"), r"strategy\.sampler: OptunaSampler needs a single score"),
    ],
)
def test_who_cannot_rank_by_several_objectives_says_so_before(strategy, rule):
    with pytest.raises(ValueError, match=rule):
        study(metric=["accuracy", "parameters"], strategy=strategy)


def worst_recall(predictions, labels):
    right = predictions.argmax(1) == labels
    return min(right[labels == k].mean() for k in np.unique(labels))


def test_a_metric_of_predictions_ranks_and_is_on_the_curve_the_test_and_the_replay(tmp_path):
    metrics = {"worst recall": worst_recall, "certainty": lambda predictions, labels: predictions.max(1).mean()}
    result = study(metric="worst recall", mode="max", metrics=metrics, directory=tmp_path).run(progress=False)
    best = result.best
    assert best.score == max(metrics["worst recall"] for trial in result.trials for _, metrics in trial.curve)
    for each in (best.metrics, result.trials[0].curve[0][1]):
        assert {"worst recall", "certainty", "accuracy"} <= set(each)
    assert best.score == worst_recall(best.model.predict(VALID), VALID.y)
    assert best.metrics["certainty"] == best.model.predict(VALID).max(1).mean()
    assert result.replay().same
    tested = f"{worst_recall(best.model.predict(TEST), TEST.y):.4g}"
    assert tested in result.report(TEST).read_text()


def test_figures_of_merit_take_a_metric_of_predictions():
    result = study(
        metric=merit.Penalised("worst recall", 0.01), mode="max", metrics={"worst recall": worst_recall}
    ).run(progress=False)
    best = result.best.metrics
    assert result.best.score == pytest.approx(best["worst recall"] - 0.01 * np.log10(best["parameters"]))


def test_a_function_of_predictions_cannot_change_them():
    def greedy(predictions, labels):
        predictions[:] = 0

    with pytest.raises(ValueError, match=r"metrics.greedy: ValueError: .*read-only; of an untrained network with the"):
        study(metrics={"greedy": greedy})


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ([worst_recall], "metrics: must map names to functions of predictions and targets"),
        ({"loss": worst_recall}, "metrics: a name must be text, and not that of another metric, got 'loss'"),
        ({"seconds": worst_recall}, "not that of another metric, got 'seconds'"),
        ({3: worst_recall}, "a name must be text"),
        ({"f1": "macro"}, "metrics.f1: must be a function of predictions and targets, got 'macro'"),
        ({"f1": lambda p, y: None}, "metrics.f1: TypeError: must return a number, got None"),
        ({"f1": lambda p, y: p}, "metrics.f1: TypeError"),
        ({"f1": lambda p: 1.0}, "metrics.f1: TypeError"),
    ],
)
def test_functions_of_predictions_are_tried_before_the_study(metrics, message):
    with pytest.raises(ValueError, match=message):
        study(metrics=metrics)


def test_a_metric_of_predictions_needs_a_mode():
    with pytest.raises(ValueError, match="mode: must be one of min, max; got None"):
        study(metric="worst recall", metrics={"worst recall": worst_recall})


def test_a_metric_of_predictions_that_fails_later_names_trial_and_metric():
    calls = []

    def late(predictions, labels):
        calls.append(predictions)
        return 1 / (len(calls) < 4)

    with pytest.raises(shoal.StudyError, match=r"trial \d, metric late: ZeroDivisionError: .*its config: \{"):
        study(metrics={"late": late}).run(progress=False)
