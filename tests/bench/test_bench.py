"""The benchmarks' helpers, and one short run without peers; nothing here looks at times."""

import json

import compare
import machine
import nets
import numpy as np
import pytest
import train_throughput
from harness import Summary


def test_flops_of_a_sample():
    # forward, weight gradients; input gradients of all but the first layer
    assert nets.NETS["a"].flops == 2 * (2 * 784 * 10)
    assert nets.NETS["b64"].flops == 2 * (2 * 784 * 64) + 3 * (2 * 64 * 64 + 2 * 64 * 10)


def test_parameters_are_weights_and_biases():
    assert nets.NETS["e"].parameters == 8 * 20 + 20 + 20 * 20 + 20 + 20 * 10 + 10 + 10 * 2 + 2


def test_a_member_is_drawn_the_same_whatever_its_share():
    net = nets.NETS["e"]
    (whole, _), *_ = nets.draw_weights(net, members=3)
    (last, _), *_ = nets.draw_weights(net, members=1, first=2)
    np.testing.assert_array_equal(whole[2], last[0])
    orders = nets.draw_order(net, samples=200, members=3, steps=5)
    np.testing.assert_array_equal(orders[2], nets.draw_order(net, samples=200, members=1, steps=5, first=2)[0])
    assert not np.array_equal(orders[1], orders[2])


def test_an_order_is_whole_passes():
    net = nets.NETS["e"]  # batches of 64: three fit into 200 samples
    first, second, rest = np.split(nets.draw_order(net, samples=200, members=1, steps=7)[0], [3, 6])
    for batches in (first, second, rest):
        assert len(np.unique(batches)) == batches.size
    assert not np.array_equal(first, second)


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

    def __init__(self, name, **answer):
        self.name, self.answer = name, answer

    def one(self, do, **arguments):
        return self.answer


@pytest.mark.parametrize("difference", [1e-3, float("nan")])
def test_a_peer_that_computes_something_else_ends_the_run(difference):
    with pytest.raises(SystemExit, match="net e: wrong's losses differ"):
        train_throughput.check("e", Answering("shoal", fell=0.1), [Answering("wrong", difference=difference)])


def test_a_reference_that_does_not_learn_ends_the_run():
    with pytest.raises(SystemExit, match="loss did not fall"):
        train_throughput.check("e", Answering("shoal", fell=float("nan")), [])


def test_an_unknown_peer_is_refused(capsys):
    with pytest.raises(SystemExit):
        train_throughput.parse(["--peers", "torch,theano"])
    assert "'theano' is not one of" in capsys.readouterr().err


def test_a_short_run_writes_a_line_a_case(tmp_path, capsys):
    out = tmp_path / "results.jsonl"
    options = "--nets e --members 1,3 --peers none --repeats 2 --seconds 0.01 --out"
    train_throughput.main([*options.split(), str(out)])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["case"] for row in rows] == [{"net": "e", "members": 1}, {"net": "e", "members": 3}]
    for row in rows:
        assert row["metrics"]["shoal"]["n"] == 2
        assert row["metrics"]["shoal"]["median"] > 0
        assert row["peak"]["gflops"] > 0
        assert row["machine"]["cores"] == len(machine.cpus())
    assert len(compare.compare(*[compare.read(out.read_text().splitlines())] * 2)) == 2
    assert "thousand samples/s" in capsys.readouterr().err
