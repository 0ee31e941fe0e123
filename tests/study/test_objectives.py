"""What a study ranks by: metrics, figures of merit, several of them; and what is measured for them."""

import numpy as np
import pytest
from tests.manager.toys import trainables
from tests.study.studies import SPACE, TRAIN, VALID, study

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
