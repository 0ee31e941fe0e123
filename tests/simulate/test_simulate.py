"""Tables of curves, and strategies on them in virtual time."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import shoal
from shoal import nn, search
from shoal.errors import DataError
from shoal.manager import StudyRecord
from shoal.simulate import Table, compare, run
from shoal.simulate.table import DIGITS
from shoal.space import Choice, Float, Int, Space

SPACE = Space({"lr": Float(1e-3, 1, log=True), "width": Int(1, 9), "kind": Choice(["a", "b"])})


def table(n=60, length=9, seed=0, **changes):
    """Curves that fall to a level of their own, the better the nearer the learning rate is to 0.03."""
    rng = np.random.default_rng(seed)
    configs = [SPACE.sample(rng) for _ in range(n)]
    levels = np.array([abs(np.log10(config["lr"]) + 1.5) for config in configs])
    scores = levels[:, None] + 2.0 ** -np.arange(1, length + 1)
    return Table.of(SPACE, configs, scores, **changes)


def test_one_worker_trains_one_after_the_other():
    curves = table()
    result = run(search.Full(60, epochs=9, sampler="sobol"), curves, snap="unused")
    assert sorted(result.rows.values()) == list(range(60))
    assert result.spent == result.seconds == 60 * 9
    assert result.utilisation == 1
    assert result.best_after(60 * 9) == curves.scores[:, -1].min()
    assert result.best_after(8) == float("inf")
    spent, best = result.trajectory()
    assert (np.diff(spent) == 9).all()
    assert (np.diff(best) <= 0).all()


def test_workers_train_at_the_same_time():
    curves = Table.of(SPACE, [SPACE.sample(np.random.default_rng(i)) for i in range(2)], np.ones((2, 9)), [1.0, 3.0])
    result = run(search.Random(2, epochs=9), curves, workers=2, snap="unused")
    assert result.times == [9.0, 27.0]
    assert result.utilisation == (9 + 27) / (2 * 27)


def test_asha_waits_for_no_one():
    """While one trial in twenty takes ten times as long, a rung waits for it; a free row does not."""
    seconds = np.where(np.arange(400) % 20 == 0, 10.0, 1.0)
    curves = table(400, 9, seconds=seconds)
    asha, halving = (
        run(strategy, curves, workers=40)
        for strategy in (search.ASHA(400, max_epochs=9), search.SuccessiveHalving(400, max_epochs=9))
    )
    first = {name: np.flatnonzero(np.diff(each.epochs) > 1)[0] for name, each in (("a", asha), ("h", halving))}
    assert asha.times[first["a"]] < halving.times[first["h"]] / 3  # the first promoted trial has reported


def test_every_epoch_is_charged_once():
    curves = table()
    result = run(search.SuccessiveHalving(27, max_epochs=9), curves, workers=4)
    assert result.spent == 27 + 9 * 2 + 3 * 6
    assert result.epochs == sorted(result.epochs)
    assert sorted(Counter(result.trials).values()) == [1] * 18 + [2] * 6 + [3] * 3


def test_nearest_rows_may_repeat_and_unused_ones_do_not():
    curves = table(12)
    nearest = run(search.Random(12, epochs=1), curves)
    unused = run(search.Random(12, epochs=1), curves, snap="unused")
    assert len(set(nearest.rows.values())) < 12
    assert len(set(unused.rows.values())) == 12
    with pytest.raises(ValueError, match="snap: all 12 rows of the table are used"):
        run(search.Random(13, epochs=1), curves, snap="unused")


def test_a_budget_ends_a_search():
    result = run(search.Random(50, epochs=9), table(), budget=100)
    assert 100 <= result.spent < 100 + 9


def test_the_same_seed_gives_the_same_run():
    first, again, other = (run(search.ASHA(40, max_epochs=9), table(), workers=5, seed=seed) for seed in (1, 1, 2))
    assert (first.scores, first.times) == (again.scores, again.times)
    assert first.scores != other.scores


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (search.Random(3, steps=9), "strategy: must count epochs"),
        (search.Random(3, epochs=10), "strategy: trains to 10 epochs, the table has 9"),
        (search.PBT(4, epochs=9, interval_epochs=3), "strategy: changes trials on their way"),
    ],
)
def test_what_a_table_cannot_tell_is_refused(strategy, message):
    space = Space({**SPACE.values, "batch_size": Choice([8, 16])})
    rng = np.random.default_rng(0)
    curves = Table.of(space, [space.sample(rng) for _ in range(9)], rng.random((9, 9)))
    with pytest.raises(ValueError, match=message):
        run(strategy, curves)


def test_a_table_survives_its_file(tmp_path):
    curves = table(seconds=np.linspace(1, 2, 60), name="mine")
    curves.save(tmp_path / "curves.npz")
    again = Table.load(tmp_path / "curves.npz")
    assert (again.name, again.space, len(again), again.length) == ("mine", SPACE, 60, 9)
    for name in ("positions", "scores", "seconds"):
        np.testing.assert_array_equal(getattr(again, name), getattr(curves, name))


def test_files_that_are_none(tmp_path):
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(DataError, match=r"other.npz: not a table of learning curves, it has no 'scores'"):
        Table.load(tmp_path / "other.npz")
    whole = DIGITS.read_bytes()
    damaged = whole[:5000] + bytes(100) + whole[5100:]
    for content in (b"no", b"", whole[: len(whole) // 2], damaged):
        (tmp_path / "damaged.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"damaged.npz: "):
            Table.load(tmp_path / "damaged.npz")
    with pytest.raises(DataError, match=r"absent.npz: "):
        Table.load(tmp_path / "absent.npz")


def test_wrong_tables():
    with pytest.raises(ValueError, match=r"positions: must be \(n, 3\), got \(2, 2\)"):
        Table(SPACE, np.zeros((2, 2)), np.zeros((2, 1)), np.ones(2))
    with pytest.raises(ValueError, match=r"scores: must be \(2, T\), got \(3, 1\)"):
        Table(SPACE, np.zeros((2, 3)), np.zeros((3, 1)), np.ones(2))


def test_rows_are_used_once_to_the_last_one():
    """A tree of rows is planted anew whenever half of it is used: each row is the nearest of those left."""
    curves = table(50)
    positions, left = curves.positions, set(range(50))
    bound = search.Random(50, epochs=1).bind(SPACE, seed=3)
    expected = []
    for order in bound.ask(50):
        near = np.linalg.norm(positions - SPACE.to_unit(order.config), axis=1)
        expected.append(min(left, key=lambda row: near[row]))
        left.remove(expected[-1])
    assert list(run(search.Random(50, epochs=1), curves, seed=3, snap="unused").rows.values()) == expected


def test_regret_ends_at_the_best_of_the_table():
    curves = table(seconds=np.linspace(1, 2, 60))
    curves.scores[7, 3] = np.nan
    everything = run(search.Full(60, epochs=9, sampler="sobol"), curves, workers=7, snap="unused")
    for by, last in (("epochs", everything.spent), ("seconds", everything.seconds)):
        when, regret = everything.regret(by)
        assert when[-1] == last
        assert regret[-1] == 0
        assert (regret >= 0).all()


def test_activity_adds_up_to_the_utilisation():
    seconds = np.random.default_rng(1).uniform(1, 9, 60)
    result = run(search.ASHA(60, max_epochs=9), table(seconds=seconds), workers=7)
    edges, share = result.activity(bins=31)
    assert (edges[0], edges[-1], len(share)) == (0, result.seconds, 31)
    np.testing.assert_allclose(share.mean(), result.utilisation, rtol=1e-12)
    middle = (edges[:-1] + edges[1:]) / 2
    fine, exact = result.activity(bins=31 * 400)
    assert share[0] == pytest.approx(1)
    assert exact.max() <= 1 + 1e-9
    busy = [sum(a <= t < b for a, b in zip(result.begun, result.times, strict=True)) for t in middle]
    near = exact[np.searchsorted(fine, middle) - 1]
    assert np.mean(np.abs(near - np.array(busy) / 7) < 1e-6) > 0.9  # but where someone comes or goes in between


def test_how_far_trials_came():
    halving = run(search.SuccessiveHalving(27, max_epochs=9), table(), workers=4)
    rungs, trials = halving.reached()
    assert rungs.tolist() == [1, 3, 9]
    assert trials.tolist() == [27, 9, 3]


def test_pictures(tmp_path):
    runs = {
        name: run(strategy, table(), workers=4)
        for name, strategy in (("all", search.Random(9, epochs=9)), ("ASHA", search.ASHA(40, max_epochs=9)))
    }
    assert compare(runs, tmp_path / "both.png") == tmp_path / "both.png"
    runs["ASHA"].plot(tmp_path / "one.svg")
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")
    assert "Share of the workers" in (tmp_path / "one.svg").read_text()
    nothing = run(search.Random(9, epochs=9), table(), budget=0)
    with pytest.raises(ValueError, match="runs: none has no report"):
        compare({"none": nothing}, tmp_path / "none.png")


@pytest.mark.parametrize(
    "strategy",
    [
        search.Random(300, epochs=9),
        search.ASHA(300, max_epochs=9),
        search.ASHA(300, max_epochs=9, mode="stopping"),
        search.SuccessiveHalving(300, max_epochs=9),
        search.Hyperband(max_epochs=9, rounds=9),
        search.Median(300, epochs=9),
        search.LCM(300, epochs=9),
    ],
    ids=lambda strategy: type(strategy).__name__,
)
def test_idle_workers_cost_nothing(strategy):
    """Were each looked at whenever a trial reports, this would take hours."""
    result = run(strategy, Table.load("digits"), workers=10**8)
    assert result.utilisation < 1e-4
    assert result.epochs == sorted(result.epochs)


def test_the_table_that_comes_with_shoal():
    digits = Table.load("digits")
    assert (digits.name, len(digits), digits.length) == ("digits", 256, 27)
    assert list(digits.space.parameters) == ["lr", "momentum", "batch_size", "units"]
    assert np.isfinite(digits.scores).all()
    assert 0.04 < digits.best < 0.07 < np.median(digits.scores[:, -1])
    units = np.array([digits.space.from_unit(position)["units"] for position in digits.positions])
    wide, narrow = digits.seconds[units > 64], digits.seconds[units < 8]
    assert np.median(wide) > 2 * np.median(narrow)  # the costs are those of real networks


def recorded(**changes):
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    data = shoal.data.from_arrays(x, (x[:, 0] > 0).astype(np.int64), classes=2)
    arguments = {
        "space": {"lr": Choice([0.01, 0.1, 1e30]), "width": Int(2, 5)},
        "strategy": search.Full(12, epochs=4, sampler="sobol"),
        "metric": "accuracy",
    }
    network = lambda config: nn.Sequential([nn.Dense(config["width"]), nn.ReLU(), nn.Dense(2)])  # noqa: E731
    return shoal.Study(network, data, data, **arguments | changes)


def test_a_study_becomes_a_table(tmp_path):
    result = recorded(directory=tmp_path).run(progress=False)
    curves = Table.of_study(StudyRecord.read(tmp_path), np.arange(1.0, 13), "mine")
    assert (curves.name, len(curves), curves.length) == ("mine", 12, 4)
    assert curves.best == -result.best.score  # lower is better
    assert curves.seconds.tolist() == list(range(1, 13))
    diverged = [trial.id for trial in result.trials if trial.diverged]
    assert diverged
    assert np.isnan(curves.scores[diverged]).any(axis=1).all()
    again = run(search.Full(12, epochs=4, sampler="sobol"), curves)
    assert again.best_after(again.spent) == curves.best


@pytest.mark.parametrize(
    ("metric", "label", "sign"),
    [
        (shoal.merit.Penalised("accuracy", 0.1), "penalised accuracy", -1),
        (shoal.merit.CostAt("parameters", "accuracy", 0.6), "parameters at accuracy 0.6", 1),
        (["accuracy", "parameters"], "accuracy", -1),
    ],
)
def test_a_study_of_any_figure_of_merit_becomes_a_table(metric, label, sign):
    record = recorded(metric=metric).run(progress=False).record
    for trial, row in enumerate(Table.of_study(record).scores):
        curve = [sign * metrics[label] for _, metrics in record.trials[trial].curve]
        np.testing.assert_array_equal(row[: len(curve)], curve)


def test_a_study_that_stopped_trials_is_no_table():
    result = recorded(strategy=search.SuccessiveHalving(9, max_epochs=3), space={"lr": 0.1, "width": Int(2, 5)})
    with pytest.raises(ValueError, match=r"record: trial \d was not trained to 3 epochs with one config"):
        Table.of_study(result.run(progress=False).record)


def test_lcbench():
    path = Path(os.environ.get("SHOAL_DATA", ".")) / "curves" / "lcbench_dev.npz"
    if not path.exists():
        pytest.skip("lcbench_dev.npz is not in $SHOAL_DATA")
    tables = shoal.simulate.read_lcbench(path)
    assert len(tables) == 12
    assert {(len(each), each.length) for each in tables} == {(2000, 51)}
