"""What a user writes and gets, and what is said to wrong arguments before anything is trained."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.manager.toys import Walk, images, network, networks, trainables, weights

import shoal
from shoal import merit, nn, search
from shoal.errors import StudyError
from shoal.manager import Listener
from shoal.merit import COSTS
from shoal.space import Bool, Choice, Float, Int, Space

TRAIN, VALID, TEST = images(103, 0), images(50, 1), images(40, 2)
SPACE = {"lr": Float(1e-3, 0.3, log=True), "width": Int(3, 12), "rate": 0.1}


def study(**changes):
    arguments = {
        "network": network,
        "train": TRAIN,
        "valid": VALID,
        "space": SPACE,
        "strategy": search.Random(trials=5, epochs=3),
        "metric": "accuracy",
    }
    return shoal.Study(**arguments | changes)


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


def test_augmentation_is_hot_and_no_business_of_the_network():
    result = study(space=SPACE | {"augment_pad": Int(0, 2), "augment_flip": True}).run(progress=False)
    values = result.best.model.hyperparameters(0)
    assert values["augment_pad"] == result.best.config["augment_pad"]
    assert values["augment_flip"] is True


def lineage(record, trial, end):
    """Who trained the weights of a trial at ``end``: (trial, start, end, config), first ancestor first."""
    steps = []
    for change in reversed([change for change in record.trials[trial].changes if change.progress < end]):
        steps.insert(0, (trial, change.progress, end, change.config))
        end = change.progress
        if change.donor is not None:
            return lineage(record, change.donor, end) + steps
    return steps


STRATEGIES = {
    "pbt": search.PBT(6, epochs=8, interval_epochs=2, explore={"rate": search.Factors(0.8, 1.2)}),
    "genetic-structure": search.Genetic(6, 5, epochs=2, inherit_weights=True, breed_structure=True),
}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_best_weights_can_be_trained_again_from_the_record_alone(strategy):
    result = networks(strategy=STRATEGIES[strategy], seed=2).run(progress=False)
    best = result.best
    steps = lineage(result.record, best.id, best.progress)
    assert [(start, config) for _, start, _, config in steps] == best.schedule
    assert len({trial for trial, *_ in steps}) > 1, "the winner has ancestors"
    pair = shoal.Population(network(best.config), 2, input_shape=TRAIN.shape, seed=2)
    changed = 0
    for trial, start, end, config in steps:
        hot = {name: config[name] for name in ("lr", "momentum", "batch_size")}
        pair.reset(1, network(config), id=trial, hyperparameters=hot)
        if start:
            layers = pair.inherit(0, 1)
            (change,) = (each for each in result.record.trials[trial].changes if each.progress == start)
            if network(config).structure == pair.networks[0].structure:
                assert change.layers is None
            else:
                changed += 1
                assert change.layers == layers
        pair.train(TRAIN, epochs=[0, end - start])
        pair.reset(0, network(config))
        pair.load_state(0, pair.state(1))
    assert (changed > 0) is strategy.endswith("structure")
    np.testing.assert_array_equal(pair.state(0), best.model.state(0))


def test_pbt_may_explore_structure():
    rules = {"depth": search.Resample(0.9), "lr": None}
    strategy = search.PBT(6, epochs=8, interval_epochs=2, explore=rules)
    result = networks(strategy=strategy).run(progress=False)
    births = [(trial, change) for trial in result.trials for change in trial.changes if change.donor is not None]
    for trial, birth in births:
        donor = result.record.trials[birth.donor].changes[birth.donor_changes - 1].config
        before, after = network(donor), network(birth.config)
        assert (birth.layers is None) is (before.structure == after.structure)
        if birth.layers is not None:
            assert [*birth.layers] == [f"dense{i + 1}" for i in range(2 + birth.config["depth"])]
            assert birth.layers["dense1"]
            assert birth.fresh[-1] == f"dense{2 + birth.config['depth']}"
        assert trial.progress == 8
    assert {birth.layers is None for _, birth in births} == {True, False}


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


def test_progress_can_be_a_function_or_a_listener():
    seen = []
    study(rows=2).run(progress=lambda record, stats: seen.append((stats.trained, record.spent)))
    assert seen[0] == ((0, 1), 2)
    assert seen[-1] == ((4,), 15)

    class Ear(Listener):
        def on_end(self, record):
            seen.append(record.ended)

    study().run(progress=Ear())
    assert seen[-1] is True


def test_progress_is_a_line_for_each_tenth(capsys, tmp_path):
    result = study(strategy=search.Random(trials=20, epochs=1), rows=1, directory=tmp_path).run()
    lines = capsys.readouterr().err.splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(2, 21, 2))
    assert lines[-1].startswith("20 of 20 epochs, ")
    assert lines[-1].endswith(f" s, best accuracy {result.best.score:.4g} by trial {result.best.id}")
    study(strategy=search.Random(trials=20, epochs=1), rows=1, directory=tmp_path).run()
    assert capsys.readouterr().err.splitlines()[0].startswith("20 of 20 epochs, ")


def test_in_a_terminal_progress_is_a_table(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    study().run()
    assert "15 of 15 epochs" in capsys.readouterr().err


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


# Figures of merit


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


# Wrong arguments


def wrong_network(config):
    return nn.Sequential([nn.Flatten(), nn.Dense(3)])


def failing_network(config):
    return nn.Sequential([nn.Dense(config["width"] - 5)])


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"network": "net"}, r"network: must be a function of a config that returns an nn\.Sequential, got 'net'"),
        ({"network": lambda config: 3}, r"network: must return an nn\.Sequential, got 3 with the config \{'lr'"),
        ({"network": lambda config: config["widht"]}, r"network: KeyError: 'widht'; with the config \{'lr': 0\.001"),
        ({"network": failing_network}, r"network: ValueError: Dense\.units: .* got -2; with the config \{.*'width': 3"),
        ({"network": wrong_network}, "must have one output for each of the 4 classes of toy, got 3; with the config"),
        ({"train": TRAIN.x}, "train: must be a Dataset .*, got ndarray"),
        ({"valid": None}, "valid: must be a Dataset .*, got NoneType"),
        (
            {"valid": shoal.data.from_arrays(np.zeros((5, 7), np.float32), np.zeros(5, int), classes=4)},
            r"valid: shape must be that of train, got \(7,\) and \(5, 3\)",
        ),
        (
            {"valid": shoal.data.from_arrays(VALID.x, VALID.y, classes=5)},
            "valid: outputs must be that of train, got 5 and 4",
        ),
        ({"loss": "mse"}, "loss mse needs float targets"),
        ({"loss": "huber"}, "loss: must be one of cross_entropy, mse"),
        ({"optimizer": "lion"}, "optimizer: must be one of sgd, adam, .* got 'lion'"),
        (
            {"metric": "f1"},
            "metric: must be one of loss, train_loss, accuracy, train_accuracy, parameters, .*; got 'f1'",
        ),
        ({"metric": "train_r2"}, "metric: must be one of .*train_accuracy.*; got 'train_r2'"),
        ({"record": "train_accuracy"}, "record: must be a list of metrics, got 'train_accuracy'"),
        ({"record": ["seconds", "train_r2"]}, r"record\[1\]: must be one of .*train_accuracy.*; got 'train_r2'"),
        ({"mode": "min"}, "mode: must be \"max\" for the metric accuracy, got 'min'"),
        ({"mode": "biggest"}, "mode: must be \"max\" for the metric accuracy, got 'biggest'"),
        ({"device": "tpu"}, "device: .*'tpu'"),
        ({"data_order": "mine"}, "data_order: must be one of own, shared"),
        ({"seed": -1}, r"seed: must be an integer in \[0, 4294967295\], got -1"),
        ({"seed": 2**32}, "seed: must be an integer in"),
        ({"rows": 0}, "rows: must be an integer in .* got 0"),
        ({"threads": 0}, "threads: must be an integer in .* got 0"),
        ({"record_every": 0}, "record_every: must be an integer in .* got 0"),
        ({"snapshot_interval": -1}, "snapshot_interval: must be >= 0"),
        ({"directory": 3}, "directory: must be a path, got 3"),
        ({"strategy": "pbt"}, r"strategy: must be a search strategy such as search\.PBT\(\.\.\.\), got 'pbt'"),
        ({"strategy": search.Grid(epochs=1)}, r"strategy\.counts\.lr"),
        (
            {"space": SPACE | {"learning_rate": 0.1}},
            r"space\.learning_rate: makes no difference to network",
        ),
        ({"space": SPACE | {"dropout": 0.1}}, r"space\.dropout: makes no difference"),
        ({"space": SPACE | {"momentum": Float(0, 1.5)}}, r"momentum: must be in \[0, 1\).*; with the config"),
        ({"space": SPACE | {"beta1": 0.9}}, "sgd has no 'beta1'.*; with the config"),
        ({"space": SPACE | {"batch_size": Choice([16, 0])}}, "batch_size: must be an integer in .*, got 0"),
        ({"space": [1]}, "space: must map names"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_trained(change, rule):
    with pytest.raises(ValueError, match=rule):
        study(**change)


def test_a_wrong_argument_leaves_no_directory_behind(tmp_path):
    with pytest.raises(ValueError, match="metric"):
        study(metric="f1", directory=tmp_path / "runs")
    study(directory=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()  # until it runs


def test_a_file_is_no_directory(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="directory: must be a directory, got the file"):
        study(directory=tmp_path / "file")


def test_wrong_progress_is_named():
    with pytest.raises(ValueError, match="progress: must be True, False, a Listener or a function, got 3"):
        study().run(progress=3)


@pytest.mark.parametrize(
    "reader",
    [
        lambda config: nn.Dense(config.pop("width")),
        lambda config: nn.Dense(dict(config)["width"]),
        lambda config: (lambda width, **rest: nn.Dense(width))(**config),
        lambda config: nn.Dense({**config}["width"]),
        lambda config: nn.Dense(config.copy()["width"]),
        lambda config: nn.Dense(config.get("width", 3)),
        lambda config: nn.Dense(next(value for name, value in config.items() if name == "width")),
    ],
)
def test_however_a_config_is_read_it_is_noticed(reader):
    space = {"lr": 0.1, "width": Int(3, 12)}
    study(space=space, network=lambda config: nn.Sequential([nn.Flatten(), reader(config), nn.Dense(4)]))


def test_network_may_change_its_config_without_harm():
    def careless(config):
        width = config.pop("width")
        return nn.Sequential([nn.Flatten(), nn.Dense(width), nn.Dense(4)])

    result = study(space={"lr": 0.1, "width": Int(3, 12)}, network=careless).run(progress=False)
    assert all("width" in trial.config for trial in result.trials)


def test_a_network_that_fails_later_names_the_trial():
    calls = []

    def moody(config):
        calls.append(config)
        if len(calls) > 100:
            raise RuntimeError("enough")
        return network(config)

    unlucky = study(network=moody, strategy=search.Random(trials=100, epochs=1))
    with pytest.raises(StudyError, match=r"trial \d+, network\(config\): RuntimeError: enough; its config: \{'lr'"):
        unlucky.run(progress=False)


# A user's own trainables


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
