"""Supervised studies: nobody waits, and what a trial trains to is what it would train to alone."""

import platform
import re
import signal

import pytest
from tests.mpi.ranks import finish, needs_mpi, on_ranks, start
from tests.mpi.supervised import LONG, SHORT, STUDIES, check, make

from shoal.manager import StudyRecord
from shoal.manager.journal import encode, read_journal

pytestmark = needs_mpi

ALL = sorted(STUDIES.keys() - {"uneven", "uneven-end", "slow-train", "slow-setup", "fails"})
PROGRAM = "-m", "tests.mpi.supervised"
NODE = re.escape(platform.node())


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_all_kinds_of_strategies(ranks, tmp_path):
    on_ranks(ranks, *PROGRAM, ranks, tmp_path, *ALL, limit=120)
    for name in ALL:
        check(name, tmp_path)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_short_trials_of_a_rank_are_replaced_before_its_long_ones_end(ranks, tmp_path):
    """At first all long ones and 12 short ones are in flight, and each rank has as many of each."""
    on_ranks(ranks, *PROGRAM, ranks, tmp_path, "uneven")
    check("uneven", tmp_path)
    reports = [line.event["trial"] for line in read_journal(tmp_path / "uneven") if line.event["event"] == "report"]
    assert sorted(reports) == list(range(LONG + SHORT))
    assert min(reports.index(trial) for trial in range(LONG)) > 12


@pytest.mark.parametrize("slow", [0, 1])
def test_an_idle_rank_takes_over_trials_in_flight(slow, tmp_path):
    """All are in flight at once, so nothing is left to begin; those of the slow rank come in several trainings."""
    text = on_ranks(2, *PROGRAM, 2, tmp_path, "uneven-end", SLOW=f"networks {slow}")
    check("uneven-end", tmp_path)
    assert f"rank {1 - slow} takes over trial" in text


@pytest.mark.parametrize(("what", "slow"), [("train", 0), ("train", 1), ("train", 2), ("setup", 0)])
def test_nobody_waits_for_a_slow_rank(what, slow, tmp_path):
    """Not for rank 0 either, which decides. A training, or a set-up, takes 1.5 s there, and 0.01 s elsewhere."""
    name = f"slow-{what}"
    on_ranks(3, *PROGRAM, 3, tmp_path, name, SLOW=f"{what} {slow}")
    check(name, tmp_path)
    record = StudyRecord.read(tmp_path / name)
    trained = [trial.curve[-1][1]["rank"] for trial in record.trials.values()]
    assert trained.count(slow) <= 3
    assert set(trained) == {0, 1, 2}
    events = [line.event for line in read_journal(tmp_path / name)]
    ranks = [event["metrics"]["rank"] if event["event"] in ("point", "report") else None for event in events]
    before = ranks.index(slow)
    assert len([rank for rank in ranks[:before] if rank is not None]) > 20, "others had trained much by its first point"
    if what == "train":
        assert "snapshot" in [event["event"] for event in events[:before]], "nor does a snapshot wait"


@pytest.mark.parametrize(
    ("name", "rank", "call"), [("asha", 0, 2), ("pbt", 1, 4), ("walk-pbt", 2, 8), ("pbt-structure", 0, 3)]
)
def test_killed_and_resumed(name, rank, call, tmp_path):
    """A rank is killed and the job with it, twice on other numbers of ranks; then one gets SIGTERM."""
    for number, ranks in ((signal.SIGKILL, 3), (signal.SIGKILL, 4), (signal.SIGTERM, 2)):
        at = f"{int(number)}:{min(rank, ranks - 1)}:{call}"
        code, _, errors = finish(start(ranks, *PROGRAM, ranks, tmp_path, name, AT=at))
        assert code not in (0, None), "the study was longer than that"
        if number == signal.SIGTERM:
            assert code == 128 + number, errors
            assert errors.count("Stopped after") == 1
            assert read_journal(tmp_path / name)[-1].event["event"] == "snapshot"
    kept = [encode(line.event) for line in read_journal(tmp_path / name)]
    on_ranks(4, *PROGRAM, 4, tmp_path, name)
    assert [encode(line.event) for line in read_journal(tmp_path / name)][: len(kept)] == kept, "nothing was lost"
    check(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "number"), [("pbt", signal.SIGTERM), ("walk", signal.SIGKILL), ("uneven", signal.SIGKILL)]
)
def test_goes_on_in_one_process(name, number, tmp_path):
    """After a kill from a snapshot that was taken while trials were in flight, some of them for the first time."""
    code, _, _ = finish(start(3, *PROGRAM, 3, tmp_path, name, AT=f"{int(number)}:1:3"))
    assert code not in (0, None)
    lines = len(read_journal(tmp_path / name))
    make(name, tmp_path).run(progress=False)
    assert len(read_journal(tmp_path / name)) > lines / 2
    check(name, tmp_path)


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize(
    ("fails", "said"),
    [
        ("train", rf"rank \d on {NODE}: trial 9, train\(until=60\): ValueError: no$"),
        ("save", rf"rank \d on {NODE}: trial 9, save\(\): ValueError: no$"),
        ("metric", r"trial \d+, metric "),
    ],
)
def test_what_fails_the_study_fails_it_on_all_ranks(fails, said, ranks, tmp_path):
    code, out, errors = finish(start(ranks, *PROGRAM, ranks, tmp_path, "fails", FAILS=fails), 30)
    assert code == 0, errors
    assert len(out.splitlines()) == ranks
    assert all(re.match(said, line) for line in out.splitlines())


@pytest.mark.parametrize("rank", [0, 1])
def test_an_exception_of_one_rank_ends_the_job(rank, tmp_path):
    code, _, errors = finish(start(3, *PROGRAM, 3, tmp_path, "asha", AT=f"wrong:{rank}:3"), 30)
    assert code not in (0, None)
    assert f"ZeroDivisionError: on rank {rank}" in errors
    assert "Traceback" in errors


def test_the_form_follows_the_strategy_unless_it_is_named():
    supervised = [name for name in ALL if make(name, "nowhere", form=None)._settings.supervised(2)]
    assert sorted(set(ALL) - set(supervised)) == ["demes", "halving"]
    assert not any(make(name, "nowhere", form=None)._settings.supervised(1) for name in ALL)
    assert not any(make(name, "nowhere", form="replicated")._settings.supervised(2) for name in ALL)
    assert all(make(name, "nowhere")._settings.supervised(1) for name in ALL)
    with pytest.raises(ValueError, match=r"^form: must be one of replicated, supervised; got 'central'$"):
        make("asha", "nowhere", form="central")
