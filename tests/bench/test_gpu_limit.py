"""What a step computes and carries at least, counted by hand."""

import json

import gpu_limit
import nets
import pytest


def test_a_member_that_fits_on_chip_carries_its_batch_alone():
    assert gpu_limit.carried(nets.NETS["a"]) == 4 * 32 * (3 * 784 + 2 * 10)


def test_a_tiny_network_carries_its_samples_alone():
    assert gpu_limit.carried(nets.NETS["e"]) == 4 * 64 * 8


def test_others_carry_their_weights_too():
    first, others = 784 * 64 + 64, (64 * 64 + 64) + (64 * 10 + 10)
    weights = first * (1 + 4) + others * (2 + 4)
    batch = 3 * 784 + 2 * 64 + (3 * 64 + 3 * 64) + (3 * 64 + 3 * 10)
    assert gpu_limit.carried(nets.NETS["b64"]) == 4 * (weights + 32 * batch)


@pytest.mark.parametrize(("flops", "bytes", "bound"), [(1e12, 1e15, "flops"), (1e15, 1e12, "bytes")])
def test_the_lower_ceiling_binds(flops, bytes, bound):
    net = nets.NETS["b64"]
    most, binding = gpu_limit.limit(net, gpu_limit.Ceilings(flops, bytes))
    assert binding == bound
    cost = net.flops / flops if bound == "flops" else gpu_limit.carried(net) / net.batch / bytes
    assert most == pytest.approx(1 / cost)


def test_a_run_writes_a_line_a_net(tmp_path, capsys):
    out = tmp_path / "limits.jsonl"
    options = "--gflops 67000 --gbytes 3350 --memory HBM --how"
    gpu_limit.main([*options.split(), "a data sheet", "--out", str(out)])
    rows = {row["case"]["net"]: row for row in map(json.loads, out.read_text().splitlines())}
    assert list(rows) == list(nets.NETS)
    for name, row in rows.items():
        assert row["case"] == {"net": name, "precision": "fp32", "memory": "HBM"}
        by = {"flops": row["a_sample"]["flops"] / 67e12, "bytes": row["a_sample"]["bytes"] / 3350e9}
        assert row["limit"]["bound"] == max(by, key=by.get)
        assert row["limit"]["thousand_samples_per_s"] == pytest.approx(1e-3 / max(by.values()), rel=1e-3)
        assert row["peak"] == {"gflops": 67000, "gbytes": 3350, "how": "a data sheet"}
    told = capsys.readouterr()
    assert (told.out, len(told.err.splitlines())) == ("", len(rows) + 1)
