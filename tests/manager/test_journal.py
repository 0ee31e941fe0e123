"""The file itself: what is written is read, what is torn is dropped, what is damaged is named."""

import errno
import fcntl
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import StudyError
from shoal.manager.journal import Journal, encode, read_journal

EVENTS = [{"event": "ask", "free": 3}, {"event": "point", "metrics": {"loss": 0.1}}, {"event": "end", "seconds": 2.5}]


def write(path, events):
    journal = Journal(path)
    for event in events:
        journal.append(event)
    journal.flush()
    journal.close()


def test_events_come_back_with_their_places(tmp_path):
    path = tmp_path / "journal.jsonl"
    write(path, EVENTS)
    lines = read_journal(path)
    assert [line.event for line in lines] == EVENTS
    assert [line.number for line in lines] == [1, 2, 3]
    assert lines[-1].end == path.stat().st_size
    assert read_journal(tmp_path) == lines  # a study's directory will do


def test_the_writer_goes_on_at_the_end_or_where_it_is_told_to_cut(tmp_path):
    path = tmp_path / "journal.jsonl"
    write(path, EVENTS)
    journal = Journal(path)
    journal.cut(read_journal(path)[0].end)
    journal.append(EVENTS[2])
    journal.sync()
    journal.close()
    assert [line.event for line in read_journal(path)] == [EVENTS[0], EVENTS[2]]


def test_what_was_not_flushed_is_not_there(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(EVENTS[0])
    journal.close()
    assert read_journal(tmp_path) == []


@given(st.data())
def test_every_beginning_of_a_journal_reads_as_its_whole_lines(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("torn") / "journal.jsonl"
    text = "".join(encode(event) + "\n" for event in EVENTS).encode()
    torn = text[: data.draw(st.integers(0, len(text)))]
    path.write_bytes(torn)
    assert [line.event for line in read_journal(path)] == EVENTS[: torn.count(b"\n")]


@pytest.mark.parametrize("tail", [b"\x00\x00\x00\n", b"\xff\xfe", b'{"event"\n', b"[1, 2]\n", b"12"])
def test_a_torn_last_line_is_dropped_whatever_it_holds(tmp_path, tail):
    path = tmp_path / "journal.jsonl"
    write(path, EVENTS)
    path.write_bytes(path.read_bytes() + tail)
    assert [line.event for line in read_journal(path)] == EVENTS


@pytest.mark.parametrize("damage", [b"garbage", b"", b"[]", b"\xff\xff", b"null"])
def test_damage_before_the_last_line_names_the_line(tmp_path, damage):
    path = tmp_path / "journal.jsonl"
    first, second, third = (encode(event).encode() for event in EVENTS)
    path.write_bytes(b"\n".join([first, damage, second, third]) + b"\n")
    with pytest.raises(StudyError, match=r"journal\.jsonl, line 2: not a JSON object"):
        read_journal(path)


def test_a_journal_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StudyError, match="none: cannot be read as a study's journal: No such file"):
        read_journal(tmp_path / "none")
    with pytest.raises(StudyError, match=r"journal\.jsonl: cannot be read"):
        read_journal(tmp_path)


def test_numbers_that_are_not_finite_become_null():
    event = {"score": math.inf, "metrics": {"loss": math.nan, "accuracy": 0.5}, "config": {"sizes": (1, -math.inf)}}
    assert encode(event) == '{"score":null,"metrics":{"loss":null,"accuracy":0.5},"config":{"sizes":[1,null]}}'


def test_one_journal_has_one_writer(tmp_path):
    first = Journal(tmp_path / "journal.jsonl")
    with pytest.raises(StudyError, match="another process is running this study"):
        Journal(tmp_path / "journal.jsonl")
    first.close()
    Journal(tmp_path / "journal.jsonl").close()


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(StudyError, match=r"journal\.jsonl: cannot be locked.*Function not implemented"):
        Journal(tmp_path / "journal.jsonl")


def test_a_full_disk_is_named():
    journal = Journal(Path("/dev/full"))
    journal.append(EVENTS[0])
    for write in (journal.flush, journal.close):
        with pytest.raises(OSError, match="No space left on device") as caught:
            write()
        assert caught.value.filename == "/dev/full"
