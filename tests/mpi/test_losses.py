"""A study outlives ranks, and comes to the same end. Needs an MPI that does, which has its own environment."""

import subprocess

import pytest
from tests.manager.toys import read, story
from tests.mpi.ranks import MPIEXEC, finish, start
from tests.mpi.studies import make
from tests.mpi.supervised import check
from tests.mpi.test_launch import STUDY

pytestmark = pytest.mark.skipif(
    "Open MPI" not in (MPIEXEC and subprocess.run([MPIEXEC, "--version"], capture_output=True, text=True).stdout),
    reason="needs an Open MPI with ULFM: make losses",
)

SURVIVE = "--with-ft", "ulfm"
DETECT = ("mpi_ft_detector", 1), ("mpi_ft_detector_thread", 1)
SOON = ("mpi_ft_detector_period", 0.3), ("mpi_ft_detector_timeout", 1)
PROGRAM = "-m", "tests.mpi.losing"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    directory = tmp_path_factory.mktemp("alone")
    for name in ("pbt", "genetic", "trainables"):
        make(name, directory).run(progress=False)
    return directory


def lose(directory, ranks, name, *deaths, launcher=SURVIVE, **environment):
    """Run to the end; return what was printed, and what was said of losses."""
    process = start(ranks, *PROGRAM, directory, name, *deaths, launcher=launcher, **environment)
    code, out, errors = finish(process)
    assert code == 0, errors
    return out, [line for line in errors.splitlines() if " lost; " in line]


def check_same(directory, alone):
    assert story(directory) == story(alone)
    assert (directory / "best.safetensors").read_bytes() == (alone / "best.safetensors").read_bytes()
    assert not list(directory.glob("*.tmp"))


def test_its_transport_does_what_every_one_does():
    code, out, errors = finish(start(3, "-m", "tests.mpi.conformance", 3, launcher=SURVIVE))
    assert code == 0, errors
    assert out.split() == ["ok"] * 3


@pytest.mark.parametrize(
    ("ranks", "name", "deaths", "losses"),
    [
        (2, "pbt", ["RankedWorker.train:1:3"], 1),
        (3, "trainables", ["RankedWorker.train:0:4"], 1),
        (4, "genetic", ["RankedWorker.train:0:2", "RankedWorker.train:1:4", "RankedWorker.train:2:6"], 3),
        (4, "pbt", ["Ranks.exchange:0:2"], 1),
        (4, "pbt", ["Store.write:3:2", "RankedStore.open:0:2"], 2),  # the second one as the others go on
        (3, "trainables", ["Store.confirm+:0:3"], 1),
        (3, "pbt", ["Study._save:0:1"], 1),  # when the study has ended, but nobody has written the best
        (3, "pbt", ["Ranks.__init__+:1:1"], 0),  # before it began
        (3, "pbt", ["MortalRanks.leave:1:1"], 0),  # after all
    ],
)
def test_lost_ranks(ranks, name, deaths, losses, alone, tmp_path):
    _, said = lose(tmp_path, ranks, name, *deaths)
    assert len(said) == losses
    check_same(tmp_path / name, alone / name)


def test_two_at_once(alone, tmp_path):
    """Or nearly so: then either they are told of together or one after the other."""
    _, said = lose(tmp_path, 4, "genetic", "RankedWorker.train:1:2", "RankedWorker.train:2:2")
    assert len(said) in (1, 2)
    check_same(tmp_path / "genetic", alone / "genetic")


def test_one_while_the_others_agree(alone, tmp_path):
    _, said = lose(tmp_path, 4, "pbt", "RankedWorker.train:1:2", "MortalRanks.survivors:2:1")
    assert len(said) == 1
    assert said[0].startswith("ranks 1, 2 of 4 are lost; 2 go on from the snapshot at ")
    check_same(tmp_path / "pbt", alone / "pbt")


def test_where_nothing_is_kept_it_begins_again(alone, tmp_path):
    out, said = lose(tmp_path, 2, "pbt", "RankedWorker.train:0:3", KEEP="0")
    assert said == ["rank 0 of 2 is lost; 1 begins again: nothing is kept"]
    record = read(alone / "pbt")
    assert out == f"{record.figure(record.best_score)!r}\n"


def test_a_frozen_rank(alone, tmp_path):
    """It has the journal's lock, and is killed."""
    settings = [str(word) for setting in (*DETECT, *SOON) for word in ("--mca", *setting)]
    _, said = lose(tmp_path, 3, "pbt", "RankedWorker.train:0:3", launcher=(*SURVIVE, *settings), FREEZE="1")
    assert len(said) == 1
    check_same(tmp_path / "pbt", alone / "pbt")


@pytest.mark.parametrize(
    ("ranks", "name", "deaths", "losses"),
    [
        (2, "asha", ["Follower._trained:1:3"], 1),
        (3, "asha", ["Follower._trained:0:3"], 1),
        (3, "asha-stopping", ["SupervisingWorker.train:0:8"], 1),
        (3, "dehb", ["Follower._report:2:3"], 1),
        (4, "pbt", ["Follower._trained:1:3", "Follower._trained:0:5"], 2),
        (3, "walk", ["Follower.train:2:5"], 1),
        (3, "walk-pbt", ["Follower.adopt:1:2"], 1),
        (3, "heavy", ["Follower.send+:1:2"], 1),  # dies while the state is on its way
        (3, "heavy", ["Follower.send+:0:2"], 1),
        (3, "heavy", ["Follower.arrived:1:1"], 1),  # and here who waits for it
        (4, "pbt-structure", ["Follower.save:3:4", "RankedStore.open:0:2"], 2),  # the second one as the others go on
        (3, "asha", ["Store.confirm+:0:3"], 1),
        (3, "walk", ["Follower.leave:1:1"], 1),  # when the study has ended, but not all know
        (3, "asha", ["MortalRanks.close:1:1"], 0),  # after all
    ],
)
def test_lost_supervised_ranks(ranks, name, deaths, losses, tmp_path):
    _, said = lose(tmp_path, ranks, name, *deaths, FORM="supervised")
    assert len(said) == losses
    check(name, tmp_path)


@pytest.mark.parametrize("who", [(0, 1), (1, 2)])
def test_two_supervised_ranks_at_once(who, tmp_path):
    _, said = lose(tmp_path, 4, "asha", *(f"Follower._trained:{rank}:2" for rank in who), FORM="supervised")
    assert len(said) in (1, 2)
    check("asha", tmp_path)


@pytest.mark.parametrize("slow", ["train 0", "train 1", "setup 1"])
def test_a_rank_that_is_busy_as_another_is_lost(slow, tmp_path):
    """It ends what its user's code is doing, for 1.5 s, and goes on."""
    name = f"slow-{slow.split()[0]}"
    _, said = lose(tmp_path, 3, name, "Follower._trained:2:4", FORM="supervised", SLOW=slow)
    assert len(said) == 1
    check(name, tmp_path)


def test_where_nothing_is_kept_supervised_ranks_begin_again(tmp_path):
    _, said = lose(tmp_path, 3, "asha", "Follower._trained:0:3", KEEP="0", FORM="supervised")
    assert said == ["rank 0 of 3 is lost; 2 begin again: nothing is kept"]


def test_a_frozen_supervised_rank(tmp_path):
    settings = [str(word) for setting in (*DETECT, *SOON) for word in ("--mca", *setting)]
    where = {"launcher": (*SURVIVE, *settings), "FREEZE": "1", "FORM": "supervised"}
    _, said = lose(tmp_path, 3, "asha", "Follower._trained:0:3", **where)
    assert len(said) == 1
    check("asha", tmp_path)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_rank_that_is_lost_as_the_study_fails(lost, tmp_path):
    """Those that are left go on, and fail alike."""
    process = start(
        3, *PROGRAM, tmp_path, "fails", f"Follower.rest:{lost}:1", launcher=SURVIVE, FORM="supervised", FAILS="train"
    )
    code, out, errors = finish(process)
    assert (code, out) == (2, "")
    assert errors.count("trial 9, train(until=60): ValueError: no") == 1
    assert errors.count(" lost; ") == 1


def test_the_first_that_is_left_speaks(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY.replace("EPOCHS", "4"))
    out, said = lose(tmp_path, 3, "study.toml", "RankedWorker.train:0:2")
    assert len(said) == 1
    assert out.count("is the best") == out.count("report: ") == 1


def test_without_the_launcher_s_consent_a_loss_ends_the_job(tmp_path):
    code, _, errors = finish(start(2, *PROGRAM, tmp_path, "pbt", "RankedWorker.train:1:3"))
    assert code != 0
    assert " lost; " not in errors
