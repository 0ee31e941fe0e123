"""Killed at any moment and run again: the same trials, curves, best and weights, bit for bit."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from tests.manager.toys import STUDIES, Walk, networks, read, same, story, trainables, weights

from shoal import merit, search
from shoal.errors import StudyError
from shoal.manager.journal import FILE, Journal, read_journal
from shoal.manager.snapshot import Snapshot
from shoal.manager.store import Store
from shoal.manager.worker import TrainableWorker
from shoal.population import files
from shoal.search import PBT


class Killed(BaseException):
    """What a test's own death looks like: nothing catches it."""


@pytest.fixture(scope="module", params=STUDIES)
def study(request):
    return STUDIES[request.param]


@pytest.fixture(scope="module")
def undisturbed(study, tmp_path_factory):
    """A study that was left alone, and its journal."""
    directory = tmp_path_factory.mktemp("undisturbed")
    result = study(directory).run(progress=False)
    assert any(trial.parents for trial in result.trials), "somebody inherits"
    assert any("null" in line for line in story(directory)), "somebody diverges"
    return result, story(directory)


@pytest.fixture
def killer(monkeypatch):
    """Call it with a seed: the process 'dies' at some write to come, with whatever that write has done by then."""
    moments = {"left": 10**9, "rng": random.Random(0)}
    flush, write = Journal.flush, files.write

    def dies():
        moments["left"] -= 1
        return moments["left"] == 0

    def torn_flush(journal):
        if dies():
            text = ("\n".join(journal._pending) + "\n").encode()
            journal._file.write(text[: moments["rng"].randrange(len(text) + 1)])
            raise Killed
        flush(journal)

    def torn_write(path, tensors, description):
        if dies():
            if moments["rng"].random() < 0.5:
                path.with_name(path.name + ".1.tmp").write_bytes(b"half a snapsh")
            else:
                write(path, tensors, description)  # but the journal never hears of it
            raise Killed
        write(path, tensors, description)

    monkeypatch.setattr(Journal, "flush", torn_flush)
    monkeypatch.setattr(files, "write", torn_write)

    def arm(seed):
        moments["rng"] = random.Random(seed)
        moments["left"] = moments["rng"].randint(1, 12)

    yield arm
    moments["left"] = 10**9


@pytest.mark.parametrize("seed", range(8))
def test_killed_again_and_again_it_ends_the_same(study, undisturbed, killer, tmp_path, seed):
    result, kills, rows = None, 0, None
    while result is None:
        killer(100 * seed + kills)
        try:
            result = study(tmp_path, rows=rows).run(progress=False)
        except Killed:
            kills += 1
            rows = 1 + kills % 7 if seed % 2 else None
    assert kills > 0
    assert same(result, undisturbed[0])
    in_order = list if rows is None else sorted  # with other rows the same things happen in another order
    assert in_order(story(tmp_path)) == in_order(undisturbed[1])
    assert not list(tmp_path.glob("*.tmp"))
    assert len(list(tmp_path.glob("snapshot-*"))) == 2


class Climber:
    """A user's own sampler, which learns: it goes on from the best config that it was told of."""

    def __init__(self):
        self.rng, self.least, self.best = random.Random(3), float("inf"), {"width": 9, "rate": 0.2}

    def ask(self):
        lr, batch = self.rng.choice([0.02, 0.1, 1e30]), self.rng.choice([7, 33])
        width = min(20, max(3, self.best["width"] + self.rng.randint(-2, 2)))
        return {
            "lr": lr,
            "batch_size": batch,
            "width": width,
            "rate": self.best["rate"] * self.rng.random(),
            "depth": 1,
        }

    def tell(self, config, score):
        if score < self.least:
            self.least, self.best = score, config


def own_length(config):
    return 3 + config["width"] % 6


STRATEGIES = {
    "topk": search.TopK(12, keep=4, epochs=4),
    "hyperband": search.Hyperband(max_epochs=4, eta=2),
    "dehb": search.DEHB(max_epochs=4, eta=2, rounds=2),
    "asha": search.ASHA(14, max_epochs=9),
    "asha-tpe": search.ASHA(14, max_epochs=4, eta=2, mode="stopping", sampler=search.OptunaSampler()),
    "asha-genetic": search.ASHA(14, max_epochs=4, eta=2, sampler=search.GeneticSampler(population=3)),
    "asha-own": search.ASHA(12, max_epochs=4, eta=2, mode="stopping", sampler=Climber()),
    "lcm": search.LCM(12, epochs=8, split=0.3, audit=0.3),
    "lcm-lengths": search.LCM(12, epochs=8, length=own_length, split=0.3, audit=0.3, learn_from_stopped=True),
    "median": search.Median(10, epochs=4),
    "genetic": search.Genetic(6, 3, epochs=2, demes=2, migration_interval=1),
    "genetic-weights": search.Genetic(6, 4, epochs=2, inherit_weights=True, mutation_rate=0.4),
    "elitist": search.Elitist(5, 3, epochs=2, parents=3),
    "genetic-structure": search.Genetic(6, 4, epochs=2, inherit_weights=True, breed_structure=True, mutation_rate=0.4),
    "pbt-structure": search.PBT(6, epochs=8, interval_epochs=2, explore={"depth": search.Resample(0.8)}),
    "hypersearch": search.HyperSearch(5, 4, epochs=2),
    "pbt-async": search.PBT(5, epochs=8, interval_epochs=2, quantile=0.4, synchronous=False),
    "pb2": search.PB2(5, epochs=8, interval_epochs=2, explore={"rate": search.Factors(0.8, 1.2)}),
    "ltfb": search.LTFB(5, epochs=8, interval_epochs=2),
    "pbt-t-test": search.PBT(5, epochs=8, interval_epochs=1, exploit="t-test", recombine=True),
}


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
@pytest.mark.parametrize(("rows", "every"), [(3, 1), (100, None)])
def test_every_strategy_survives(strategy, rows, every, killer, tmp_path):
    """Trials that wait are kept as those that train are; a strategy is what its reports have made of it."""
    how = {"strategy": strategy, "rows": rows, "record_every": every}
    undisturbed = networks(tmp_path / "undisturbed", **how).run(progress=False)
    result, kills = None, 0
    while result is None:
        killer(1000 + kills)
        try:
            result = networks(tmp_path / "killed", **how).run(progress=False)
        except Killed:
            kills += 1
    assert kills > 0
    assert same(result, undisturbed)
    assert story(tmp_path / "killed") == story(tmp_path / "undisturbed")


EVERY_EVENT = {
    "pbt": (networks, search.PBT(4, epochs=3, interval_epochs=1, explore={"depth": search.Resample(1.0)})),
    "asha": (trainables, search.ASHA(4, max_steps=180, min_steps=60, eta=2)),
    "lcm": (trainables, search.LCM(4, steps=180, split=0.25, spare=0, audit=0.5, checkpoints=[60, 120], points=[])),
}


def dying_after(events):
    """Return a ``Journal.flush`` that writes so many events in all; with the last of them the process 'dies'."""
    left, flush = events, Journal.flush

    def dies(journal):
        nonlocal left
        del journal._pending[left:]
        left -= len(journal._pending)
        flush(journal)
        if left == 0:
            raise Killed

    return dies


@pytest.mark.parametrize(("study", "strategy"), EVERY_EVENT.values(), ids=EVERY_EVENT)
def test_killed_at_any_event_of_the_journal_it_ends_the_same(study, strategy, monkeypatch, tmp_path):
    undisturbed = study(tmp_path / "undisturbed", strategy=strategy).run(progress=False)
    for last in range(1, len(read_journal(tmp_path / "undisturbed")) + 1):
        directory = tmp_path / str(last)
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "flush", dying_after(last))
            with pytest.raises(Killed):
                study(directory, strategy=strategy).run(progress=False)
        assert len(read_journal(directory)) == last
        assert same(study(directory, strategy=strategy).run(progress=False), undisturbed)
        assert story(directory) == story(tmp_path / "undisturbed")


def test_donors_in_training_keep_what_it_began_with(tmp_path):
    """Stopped after every round, so in the middle of intervals: heirs get what their donors were before them."""
    strategy = search.PBT(6, steps=18, interval=3, exploit="tournament", synchronous=False)
    how = {"strategy": strategy, "rows": 6, "record_every": 1}
    undisturbed = trainables(tmp_path / "undisturbed", **how).run(progress=False)
    assert any(change.before > change.progress for trial in undisturbed.trials for change in trial.changes)
    result = None
    while result is None:
        with contextlib.suppress(Killed):
            result = trainables(tmp_path / "stopped", **how).run(progress=stop_after(1))
    assert same(result, undisturbed)
    assert story(tmp_path / "stopped") == story(tmp_path / "undisturbed")


@pytest.mark.parametrize("state", [{}, None])
def test_a_fresh_trial_may_be_restored(state):
    """Of an empty state: a snapshot may be taken before a trial has trained."""
    fresh, worker = (TrainableWorker(Walk, seed=1) for _ in range(2))
    fresh.start(3, {"lr": 0.1})
    worker.restore(3, {"lr": 0.1}, fresh.state(3) if state is None else state)
    assert worker.train({3: 60}) == fresh.train({3: 60})


@pytest.mark.parametrize("rows", [1, 2, 4, 100])
def test_rows_change_nothing(study, undisturbed, rows):
    assert same(study(rows=rows).run(progress=False), undisturbed[0])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_nothing(threads):
    assert same(networks(threads=threads).run(progress=False), networks().run(progress=False))


@pytest.mark.parametrize("interval", [0, 0.01, 1000])
def test_when_snapshots_are_taken_changes_nothing(study, undisturbed, tmp_path, interval):
    assert same(study(tmp_path, snapshot_interval=interval).run(progress=False), undisturbed[0])
    assert story(tmp_path) == undisturbed[1]


def test_a_study_that_has_ended_only_tells(study, undisturbed, tmp_path):
    study(tmp_path).run(progress=False)
    before = (tmp_path / FILE).read_bytes()
    again = study(tmp_path).run(progress=lambda *_: pytest.fail("it trained"))
    assert same(again, undisturbed[0])
    assert (tmp_path / FILE).read_bytes().startswith(before[: before.rfind(b'{"event":"end"')])
    assert read(tmp_path).ended


def stop_after(rounds):
    def stop(record, stats):
        if stats.number == rounds:
            raise Killed

    return stop


@pytest.fixture
def stopped(study, tmp_path):
    """A directory in which a study died after the first inheritance."""
    with pytest.raises(Killed):
        study(tmp_path).run(progress=stop_after(30 if study is trainables else 5))
    return tmp_path


def newest(directory):
    return max(directory.glob("snapshot-*"), key=lambda path: int(path.stem.split("-")[1]))


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "other"])
def test_without_the_newest_snapshot_the_one_before_it_serves(study, undisturbed, stopped, damage):
    path = newest(stopped)
    if damage == "missing":
        path.unlink()
    elif damage == "other":
        files.write(path, {"x": np.zeros(3)}, {"something": "else"})
    else:
        path.write_bytes(path.read_bytes()[: 100 if damage == "truncated" else 0])
    assert same(study(stopped).run(progress=False), undisturbed[0])
    assert story(stopped) == undisturbed[1]


def test_without_any_snapshot_it_starts_again(study, undisturbed, stopped):
    for path in stopped.glob("snapshot-*"):
        path.unlink()
    assert same(study(stopped).run(progress=False), undisturbed[0])
    assert story(stopped) == undisturbed[1]


def test_what_is_the_users_in_the_directory_stays(tmp_path):
    mine = [tmp_path / name for name in ("notes.tmp", "snapshot-mine.safetensors", "snapshot-1-copy.safetensors")]
    for path in mine:
        path.write_text("mine")
    (tmp_path / "snapshot-1.safetensors.123.tmp").write_text("of a write that was killed")
    (tmp_path / "study.toml.123.tmp").write_text("likewise")
    networks(tmp_path).run(progress=False)
    assert [path.read_text() for path in mine] == ["mine"] * 3
    assert not list(tmp_path.glob("*.123.tmp"))


def test_a_journal_damaged_in_the_middle_is_left_alone(study, stopped):
    path = stopped / FILE
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = b"garbage\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(StudyError, match=r"journal\.jsonl, line 4: not a JSON object"):
        study(stopped)
    assert path.read_bytes() == b"".join(lines)


def test_a_strategy_that_decides_otherwise_is_noticed(study, stopped):
    path = stopped / FILE
    text = path.read_text()
    number = next(i for i, line in enumerate(text.splitlines(), 1) if '"inherit"' in line)
    path.write_text(text.replace('"why":"exploit"', '"why":"whim"').replace('"why":"diverged"', '"why":"whim"'))
    with pytest.raises(StudyError, match=f'journal, line {number}: the strategy now orders {{"event":"order"'):
        study(stopped).run(progress=False)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"seed": 4}, "seed is 1 there and 4 here"),
        (
            {"strategy": PBT(6, epochs=8, interval_epochs=2, quantile=0.5)},
            r"strategy\.quantile is 0\.2 there and 0\.5 here",
        ),
        ({"metric": "loss"}, "metric is 'accuracy' there and 'loss' here"),
        ({"optimizer": "rmsprop"}, "optimizer is 'sgd' there and 'rmsprop' here"),
        ({"record_every": 2}, "record_every is 1 there and 2 here"),
    ],
)
def test_a_changed_study_is_refused_and_the_change_is_named(tmp_path, change, difference):
    networks(tmp_path).run(progress=False)
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(StudyError, match=f"belongs to another study: .*{difference}"):
        networks(tmp_path, **change)
    assert (tmp_path / FILE).read_bytes() == before


def test_what_does_not_decide_the_result_may_change(tmp_path):
    networks(tmp_path).run(progress=False)
    networks(tmp_path, rows=2, threads=1, device="cpu", snapshot_interval=5)


def test_two_processes_cannot_run_one_study(tmp_path):
    def again(record, stats):
        if stats.number == 3:  # once, for it waits a moment for the other to end
            with pytest.raises(StudyError, match="another process is running this study"):
                trainables(tmp_path).run(progress=False)
            tried.append(stats.number)

    tried = []
    trainables(tmp_path).run(progress=again)
    assert tried


OBJECTIVES = {
    "front": {"metric": ["accuracy", "parameters"]},
    "time": {"metric": merit.TimeToReach("accuracy", 0.5)},
    "penalised": {"metric": merit.Penalised("loss", 0.1)},
}


@pytest.mark.parametrize("changes", OBJECTIVES.values(), ids=OBJECTIVES)
@pytest.mark.parametrize("strategy", [PBT(6, epochs=8, interval_epochs=2), search.ASHA(14, max_epochs=9)])
def test_fronts_and_figures_survive(changes, strategy, killer, tmp_path):
    changes = {**changes, "strategy": strategy}
    undisturbed = networks(tmp_path / "undisturbed", **changes).run(progress=False)
    result, kills = None, 0
    while result is None:
        killer(3000 + kills)
        try:
            result = networks(tmp_path / "killed", **changes).run(progress=False)
        except Killed:
            kills += 1
    assert kills > 0
    assert same(result, undisturbed)
    assert story(tmp_path / "killed") == story(tmp_path / "undisturbed")
    assert result.record.front == undisturbed.record.front == read(tmp_path / "killed").front
    fronts = [[each.model.state(0).tobytes() for each in ended.front] for ended in (result, undisturbed)]
    assert fronts[0] == fronts[1]
    if isinstance(changes["metric"], list):
        assert len(result.front) > 1, "there is something to keep"


def test_seconds_that_were_told_stay_told_and_go_on(tmp_path):
    """What a clock says is never the same again, so it comes from the journal and the snapshot."""

    def study():
        metric = merit.TimeToReach("accuracy", 0.5, on="seconds")
        return networks(tmp_path, metric=metric, strategy=PBT(6, epochs=8, interval_epochs=2))

    def die(record, stats):
        if stats.number == 5:
            raise Killed

    with pytest.raises(Killed):
        study().run(progress=die)
    told = story(tmp_path)
    result = study().run(progress=False)
    assert story(tmp_path)[: len(told)] == told
    for trial in result.trials:
        seconds = [metrics["seconds"] for _, metrics in result.record.past(trial.id)]
        assert seconds == sorted(set(seconds)), "they rise, over the restart and from donor to heir"


def test_a_snapshot_takes_at_most_its_share_of_the_time(tmp_path):
    store = Store(tmp_path, {"event": "study"}, interval=0.001)
    with store.open():
        store.save(Snapshot({0: {"x": np.zeros(3)}}), 1.0)
        store._cost = 1000.0
        time.sleep(0.002)
        assert not store.due
        store._cost = 0.0
        assert store.due


def launch(kind, directory):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "tests.manager.toys", kind, str(directory)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for_events(process, directory, count):
    path, deadline = directory / FILE, time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.001)


def finish(kind, directory):
    process = launch(kind, directory)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


@pytest.mark.parametrize("kind", STUDIES)
def test_sigkill(kind, tmp_path):
    finish(kind, tmp_path / "undisturbed")
    killed, rng = tmp_path / "killed", random.Random(kind)
    for lines in (2, 40, 70):
        process = launch(kind, killed)
        wait_for_events(process, killed, lines)
        time.sleep(rng.uniform(0, 0.02))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    finish(kind, killed)
    assert story(killed) == story(tmp_path / "undisturbed")
    best = [files.read(tmp_path / name / "best.safetensors")[0] for name in ("killed", "undisturbed")]
    assert {name: array.tobytes() for name, array in best[0].items()} == {
        name: array.tobytes() for name, array in best[1].items()
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_round_and_keeps_the_study(tmp_path, number):
    process = launch("trainables", tmp_path)
    wait_for_events(process, tmp_path, 20)
    process.send_signal(number)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    answer, end = message.splitlines()
    assert answer.startswith("Stopping after this round")
    assert end.startswith("Stopped after ")
    assert end.endswith(f"Run it again to go on from {tmp_path}.")
    assert not read(tmp_path).ended
    assert (tmp_path / FILE).read_text().splitlines()[-1].startswith('{"event":"snapshot"')
    finish("trainables", tmp_path)
    assert read(tmp_path).ended


@pytest.mark.parametrize("name", ["asha", "dehb", "lcm-lengths", "pbt-async", "median", "hyperband"])
def test_a_signal_changes_nothing(name, tmp_path):
    """What is in flight when it comes goes on from where it is."""

    def stop(record, stats):
        if stats.number == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    how = {"strategy": STRATEGIES[name], "rows": 4}
    undisturbed = networks(tmp_path / "undisturbed", **how).run(progress=False)
    for _ in range(2):
        with pytest.raises(SystemExit):
            networks(tmp_path / "stopped", **how).run(progress=stop)
    assert same(networks(tmp_path / "stopped", **how).run(progress=False), undisturbed)
    assert story(tmp_path / "stopped") == story(tmp_path / "undisturbed")


def test_weights_are_compared_by_this_suite():
    assert weights(networks().run(progress=False)) != weights(networks(seed=2).run(progress=False))
