"""The benchmarks' helpers, and one short run without peers; nothing here looks at times."""

import json

import compare
import machine
import pytest
import train_throughput
from harness import LONGEST, Crew, Summary


def test_summary_has_the_quartiles():
    assert Summary.of([4.0, 1.0, 3.0, 2.0, 5.0]) == Summary(median=3, q1=2, q3=4, n=5)
    assert Summary.of([7.0]) == Summary(median=7, q1=7, q3=7, n=1)


@pytest.mark.parametrize(
    ("new", "higher_is_better", "expected"),
    [
        ((13, 12.1, 14), True, "better"),
        ((13, 12.1, 14), False, "worse"),
        ((7, 6, 7.9), True, "worse"),
        ((7, 6, 7.9), False, "better"),
        ((13, 12, 14), True, "tie"),  # the quartiles touch
        ((9, 5, 20), True, "tie"),
    ],
)
def test_only_a_difference_beyond_the_spread_counts(new, higher_is_better, expected):
    old = {"median": 10, "q1": 8, "q3": 12}
    assert compare.verdict(old, dict(zip(("median", "q1", "q3"), new, strict=True)), higher_is_better) == expected


def test_compare_shows_what_both_files_have():
    def line(members, speed):
        row = {"bench": "b", "case": {"members": members}, "better": "higher", "metrics": {"shoal": {"median": speed}}}
        return json.dumps(row)

    lines = compare.compare(compare.read([line(1, 10), line(8, 10)]), compare.read([line(8, 20), line(32, 1)]))
    assert len(lines) == 1
    assert "members=8" in lines[0]
    assert "+100.0%  better" in lines[0]


def test_variables_that_slow_blas_are_dropped():
    assert machine.clean_environment({"OPENBLAS_CORETYPE": "Haswell", "HOME": "/"}) == {"HOME": "/"}


class Answering:
    """A crew that only answers."""

    cpus = (0,)

    def __init__(self, name, **answer):
        self.name, self.answer = name, answer

    def one(self, do, **arguments):
        return self.answer


@pytest.mark.parametrize("difference", [1e-3, float("nan")])
def test_a_peer_that_computes_something_else_ends_the_run(difference):
    with pytest.raises(SystemExit, match="net e: wrong's losses differ"):
        train_throughput.check("e", Answering("shoal", fell=0.1), [Answering("wrong", difference=difference)])


def test_a_reference_that_does_not_learn_ends_the_run():
    with pytest.raises(SystemExit, match="did not lower shoal's loss"):
        train_throughput.check("e", Answering("shoal", fell=float("nan")), [])


def test_an_unknown_peer_is_refused(capsys):
    with pytest.raises(SystemExit):
        train_throughput.parse(["--peers", "torch,theano"])
    assert "'theano' is not one of" in capsys.readouterr().err


def test_a_precision_needs_a_gpu(capsys):
    assert train_throughput.parse(["--device", "cuda", "--precision", "tf32"]).precision == "tf32"
    with pytest.raises(SystemExit):
        train_throughput.parse(["--precision", "bf16"])
    assert "--precision bf16: needs --device cuda" in capsys.readouterr().err


def test_a_peer_that_refuses_a_net_is_left_out():
    peers = [Answering("able", reason=""), Answering("unable", reason="no images")]
    assert train_throughput.refusals("e", peers) == {"unable": "no images"}


class Pretending(Crew):
    """A crew whose steps take as long as we say."""

    def __init__(self, workers, seconds_per_step):
        self.workers = [Answering("worker") for _ in range(workers)]
        self.seconds_per_step, self.tried = seconds_per_step, []

    def _share(self, workers, net, members):
        self.busy, self.members = list(workers), members

    def _try(self, steps):
        self.tried.append(steps)
        return self.seconds_per_step * self.members * steps


def test_a_turn_takes_about_as_long_as_asked():
    crew = Pretending(2, seconds_per_step=1e-4)
    load = crew.load("c", members=4, seconds=1)
    assert 0.5 <= load.seconds <= 1.5
    assert (load.members, load.steps, load.cores) == (4, crew.tried[-1], 2)


def test_a_crew_that_is_too_slow_gets_fewer_members():
    load = Pretending(2, seconds_per_step=LONGEST / 4).load("c", members=32, seconds=1)
    assert (load.members, load.steps) == (4, 1)
    assert Pretending(2, seconds_per_step=10 * LONGEST).load("c", members=32, seconds=1).members == 2  # one a worker


@pytest.mark.parametrize("net", ["e", "c"])
def test_a_short_run_writes_a_line_a_case(net, tmp_path, capsys):
    out = tmp_path / "results.jsonl"
    options = f"--nets {net} --members 1,3 --peers none --repeats 2 --seconds 0.01 --out"
    train_throughput.main([*options.split(), str(out)])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["case"] for row in rows] == [{"net": net, "members": 1}, {"net": net, "members": 3}]
    for row in rows:
        assert row["metrics"]["shoal"]["n"] == 2
        assert row["metrics"]["shoal"]["median"] > 0
        assert row["peak"]["gflops"] > 0
        assert row["cores"]["shoal"] == row["machine"]["cores"] == len(machine.cpus())
    assert len(compare.compare(*[compare.read(out.read_text().splitlines())] * 2)) == 2
    assert "thousand samples/s" in capsys.readouterr().err
