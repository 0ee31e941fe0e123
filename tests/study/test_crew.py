"""Where ranks train."""

import pytest

from shoal.errors import StudyError
from shoal.study.crew import Seat, View, assigned, chart

CORES = tuple(range(8))


def ranks(count, node="a", cores=CORES, visible="", gpus=()):
    return [View(node, cores, visible, tuple(gpus))] * count


def test_ranks_share_the_cores_of_their_node():
    views = [*ranks(3), *ranks(1, "b")]
    assert [seat.threads for seat in assigned(views, "auto", None)] == [2, 2, 2, 8]
    assert [seat.threads for seat in assigned(ranks(12), "cpu", None)] == [1] * 12
    assert [seat.threads for seat in assigned(views, "cpu", 5)] == [5] * 4


def test_bound_ranks_have_their_own_cores():
    views = [*ranks(1, cores=(0, 1, 2)), *ranks(1, cores=(3, 4))]
    assert [seat.threads for seat in assigned(views, "cpu", None)] == [3, 2]


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_each_rank_has_a_gpu_of_its_own(device):
    two = {"gpus": ("cuda:0", "cuda:1")}
    views = [*ranks(2, "a", **two), *ranks(2, "b", **two)]
    assert [seat.device for seat in assigned(views, device, None)] == ["cuda:0", "cuda:1"] * 2
    views = [*ranks(1, visible="0", gpus=["cuda:0"]), *ranks(1, visible="1", gpus=["cuda:0"])]
    assert [seat.device for seat in assigned(views, device, None)] == ["cuda:0", "cuda:0"], "a batch system has chosen"


def test_a_gpu_is_shared_only_if_the_study_names_it():
    views = ranks(2, gpus=["cuda:0"])
    with pytest.raises(StudyError, match=r"^device: a has 1 GPUs for more ranks than that; .* such as 'cuda:0'$"):
        assigned(views, "auto", None)
    assert [seat.device for seat in assigned(views, "cuda:0", None)] == ["cuda:0"] * 2
    assert [seat.device for seat in assigned(views, "cpu", None)] == ["cpu"] * 2


def test_chart():
    seats = [Seat("a", "cuda:0", 4), Seat("b", "cpu", 1), Seat("a", "cuda:1", 4)]
    assert (
        chart(seats) == "a: rank 0 on cuda:0 with 4 threads, 2 on cuda:1 with 4 threads\nb: rank 1 on cpu with 1 thread"
    )
