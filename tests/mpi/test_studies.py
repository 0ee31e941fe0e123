"""A study is the same on any number of ranks as in one process, bit for bit."""

import signal

import pytest
from tests.manager.toys import read, story
from tests.mpi.ranks import finish, needs_mpi, on_ranks, start
from tests.mpi.studies import STUDIES, make

pytestmark = needs_mpi


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The directory of all studies, each run in one process."""
    directory = tmp_path_factory.mktemp("alone")
    for name in STUDIES:
        make(name, directory).run(progress=False)
    trials = [trial for name in STUDIES for trial in read(directory / name).trials.values()]
    assert any(change.layers for trial in trials for change in trial.changes), "somebody inherits another structure"
    return directory


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_same_on_ranks(ranks, alone, tmp_path):
    on_ranks(ranks, "-m", "tests.mpi.studies", ranks, tmp_path, *STUDIES, limit=120)
    for name in STUDIES:
        check_same(tmp_path / name, alone / name)


@pytest.mark.parametrize("name", ["pbt", "trainables"])
def test_a_slow_rank_gives_its_trials_away(name, alone, tmp_path):
    """Its pace is measured, or what its trials take; the study is the same."""
    trained = int(on_ranks(2, "-m", "tests.mpi.studies", 2, tmp_path, name, SLOW="1"))
    check_same(tmp_path / name, alone / name)
    points = sum(len(trial.curve) for trial in read(alone / name).trials.values())
    assert trained < points * (0.33 if name == "pbt" else 0.45), "where trials are measured, new ones come to it too"


def test_on_some_ranks_of_an_application(alone, tmp_path):
    on_ranks(3, "-m", "tests.mpi.studies", 2, tmp_path, "genetic", APART="1")
    check_same(tmp_path / "genetic", alone / "genetic")


@pytest.mark.parametrize("name", ["pbt-async", "genetic", "trainables"])
def test_goes_on_with_another_number_of_ranks(name, alone, tmp_path):
    """Asked to stop, on another number of ranks killed, on a third left alone."""
    arguments = "-m", "tests.mpi.studies"
    code, _, errors = finish(start(3, *arguments, 3, tmp_path, name, STOP=f"{int(signal.SIGTERM)}:2"))
    assert code == 128 + signal.SIGTERM
    assert errors.count("Stopping after this round") == errors.count("Stopped after") == 1
    code, _, errors = finish(start(2, *arguments, 2, tmp_path, name, STOP=f"{int(signal.SIGKILL)}:2"))
    assert code != 0
    assert 0 < len(story(tmp_path / name)) < len(story(alone / name))
    on_ranks(4, *arguments, 4, tmp_path, name)
    check_same(tmp_path / name, alone / name)


def check_same(one, other):
    assert story(one) == story(other)
    kept = [sorted(each.glob("[bf]*.safetensors")) for each in (one, other)]
    assert [path.name for path in kept[0]] == [path.name for path in kept[1]]
    assert [path.read_bytes() for path in kept[0]] == [path.read_bytes() for path in kept[1]]
