"""The benchmarks' helpers, and one short run without peers; nothing here looks at times."""

import json

import compare
import machine
import nets
import pytest
import train_throughput
import worker
from harness import LONGEST, Crew, OutOfMemoryError, Summary


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


def test_a_machine_is_described_without_git_and_a_driver(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv(machine.DEVICE, "cuda")
    about = machine.describe()
    assert about["commit"] == about["gpu"] == "unknown"


class Answering:
    """A crew that only answers."""

    cpus = (0,)

    def __init__(self, name, **answer):
        self.name, self.answer = name, answer

    def one(self, do, **arguments):
        return self.answer

    def renew(self):
        pass


def field(shoal, *peers):
    return train_throughput.Field(shoal, peers, [])


@pytest.mark.parametrize("difference", [1e-3, float("nan")])
def test_a_peer_that_computes_something_else_is_left_out(difference):
    peers = Answering("wrong", difference=difference), Answering("right", difference=1e-7)
    race = field(Answering("shoal", fell=0.1), *peers)
    assert train_throughput.check("e", race) == {"right": 1e-7}
    assert "its losses differ" in race.left_out["wrong"]
    assert len(race.failures) == 1
    assert [crew.name for crew in race.able()] == ["shoal", "right"]


def test_a_reference_that_does_not_learn_ends_the_net():
    with pytest.raises(RuntimeError, match="did not lower shoal's loss"):
        train_throughput.check("e", field(Answering("shoal", fell=float("nan"))))


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


class Small(Pretending):
    """A crew on whose GPU five members have room."""

    renewed = 0

    def _share(self, workers, net, members):
        super()._share(workers, net, members)
        if members > 5:
            raise OutOfMemoryError

    def renew(self):
        self.renewed += 1


def test_a_crew_without_room_gets_fewer_members():
    crew = Small(1, seconds_per_step=1e-4)
    assert crew.load("c", members=32, seconds=1).members == 4
    assert crew.renewed == 3


@pytest.mark.parametrize(
    "words", ["CUDA out of memory. Tried", "RESOURCE_EXHAUSTED: while", "CUBLAS_STATUS_ALLOC_FAILED"]
)
def test_a_lack_of_memory_is_known_by_its_words(words):
    assert worker.out_of_memory(RuntimeError(words))
    assert worker.out_of_memory(MemoryError())
    assert not worker.out_of_memory(RuntimeError("a member diverged"))


def test_a_peer_that_fails_in_a_turn_is_left_out_and_the_others_are_timed():
    def crew(name):
        each = Pretending(1, seconds_per_step=0.1)
        each.name = name
        each.drop = lambda: None
        each.one = lambda do: {"gflops": 1.0, "how": "", "name": "made up"}
        each.seconds = lambda: 1.0
        return each

    crews = [crew(name) for name in ("shoal", "failing", "able")]

    def fail():
        raise RuntimeError("Traceback\nfell over")

    crews[1].seconds, crews[1].renew = fail, lambda: None
    race = field(*crews)
    row = train_throughput.case(nets.NETS["e"], 2, race, repeats=2, seconds=0.1)
    assert set(row["metrics"]) == {"shoal", "able"}
    assert set(row["ratios"]) == {"able"}
    assert race.left_out == {"failing": "fell over"}


def test_on_a_gpu_speeds_are_shares_of_its_limit(monkeypatch):
    monkeypatch.setenv(machine.DEVICE, "cuda")
    shoal = Pretending(1, seconds_per_step=0.1)
    shoal.name, shoal.drop, shoal.seconds = "shoal", lambda: None, lambda: 1.0
    shoal.one = lambda do: {"gflops": 1.0, "gbytes": 1e6, "how": "", "name": "made up"}
    net = nets.NETS["e"]
    row = train_throughput.case(net, 2, field(shoal), repeats=2, seconds=0.1)
    assert row["limit"] == {"thousand_samples_per_s": round(1e9 / net.flops / 1e3, 1), "bound": "flops"}
    assert row["share_of_limit"] == row["share_of_peak"]
    assert "(" + f"{row['share_of_limit']['shoal']:.1%}" + ")" in train_throughput.table([row])


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
