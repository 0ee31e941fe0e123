"""Each rank writes its own states, and any number of ranks goes on from them."""

import signal

import pytest
from tests.manager.toys import story
from tests.mpi.ranks import finish, needs_mpi, on_ranks, start
from tests.mpi.studies import make

from shoal.manager.journal import read_journal
from shoal.manager.snapshot import list_parts

pytestmark = needs_mpi

NAME = "genetic"
PROGRAM = "-m", "tests.mpi.studies"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    directory = tmp_path_factory.mktemp("alone")
    make(NAME, directory).run(progress=False)
    return directory / NAME


@pytest.fixture
def killed(tmp_path):
    """A directory that four ranks have written, until they were killed."""
    code, _, _ = finish(start(4, *PROGRAM, 4, tmp_path, NAME, STOP=f"{int(signal.SIGKILL)}:2"))
    assert code != 0
    return tmp_path / NAME


def snapshots(directory):
    return [line.event for line in read_journal(directory) if line.event["event"] == "snapshot"]


def kept(directory, pattern="snapshot-*"):
    return sorted(path.name for path in directory.glob(pattern))


def test_each_rank_writes_its_own(killed):
    last = snapshots(killed)[-1]
    assert (last["file"], last["parts"]) == (f"snapshot-{last['number']}-*-of-4.safetensors", 4)
    contents = [list_parts(killed / last["file"].replace("*", str(part), 1)) for part in (1, 2, 3, 4)]
    parts = sorted(part for each in contents for part in each)
    assert parts == ["0", "1", "2", "3", "4", "5", "front0"], "once each"
    assert max(map(len, contents)) <= 3


def test_one_process_goes_on_from_four_files(killed, alone):
    for leftover in ("snapshot-1-9-of-9.safetensors", "snapshot-3-2-of-4.safetensors.77.tmp"):
        (killed / leftover).write_bytes(b"torn")
    make(NAME, killed.parent).run(progress=False)
    check_same(killed, alone)


def test_four_ranks_go_on_from_one_file(alone, tmp_path):
    def stop(record, stats):
        if stats.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(NAME, tmp_path).run(progress=stop)
    on_ranks(4, *PROGRAM, 4, tmp_path, NAME)
    check_same(tmp_path / NAME, alone, parts=4)
    assert [event["file"] for event in snapshots(tmp_path / NAME)][:1] == ["snapshot-1.safetensors"]


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_without_one_file_the_snapshot_before_serves(damage, killed, alone):
    numbers = [event["number"] for event in snapshots(killed)]
    assert len(numbers) > 1
    path = killed / f"snapshot-{numbers[-1]}-3-of-4.safetensors"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    on_ranks(2, *PROGRAM, 2, killed.parent, NAME)
    check_same(killed, alone, parts=2)
    found = [event["parts"] for event in snapshots(killed)]
    assert found[: len(numbers)] == [4] * (len(numbers) - 1) + [2]


def check_same(directory, alone, parts=1):
    assert story(directory) == story(alone)
    assert (directory / "best.safetensors").read_bytes() == (alone / "best.safetensors").read_bytes()
    assert len(kept(directory)) == 2 * parts, "of the last two snapshots"
    assert not kept(directory, "*.tmp")
