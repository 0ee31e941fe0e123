"""Where ranks train."""

from dataclasses import replace

import pytest

from shoal.errors import StudyError
from shoal.study.seats import GPU, Seat, View, assigned, chart

CORES = tuple(range(8))


def ranks(count, node="a", cores=CORES, gpus=""):
    """Ranks that see these GPUs, each a letter, in this order."""
    seen = tuple(GPU(f"cuda:{number}", f"{uuid}-1") for number, uuid in enumerate(gpus))
    return [View(node, cores, seen)] * count


def places(views, device="auto"):
    return [(seat.device, seat.uuid.removesuffix("-1")) for seat in assigned(views, device, None)]


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
    views = [*ranks(2, "a", gpus="AB"), *ranks(2, "b", gpus="CD")]
    assert places(views, device) == [("cuda:0", "A"), ("cuda:1", "B"), ("cuda:0", "C"), ("cuda:1", "D")]


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_gpus_of_one_name_are_told_apart(device):
    """As where a batch system shows each rank its own, or two of four."""
    assert places([*ranks(1, gpus="B"), *ranks(1, gpus="A")], device) == [("cuda:0", "B"), ("cuda:0", "A")]
    views = [*ranks(2, gpus="AB"), *ranks(2, gpus="DC")]
    assert places(views, device) == [("cuda:0", "A"), ("cuda:1", "B"), ("cuda:0", "D"), ("cuda:1", "C")]


def test_who_sees_fewest_chooses_first():
    views = [*ranks(1, gpus="ABC"), *ranks(1, gpus="A"), *ranks(1, gpus="AB")]
    assert places(views) == [("cuda:2", "C"), ("cuda:0", "A"), ("cuda:1", "B")]


def test_who_sees_none_has_the_processor():
    assert places([*ranks(1, gpus="A"), *ranks(2)]) == [("cuda:0", "A"), ("cpu", ""), ("cpu", "")]


@pytest.mark.parametrize(
    ("views", "said"),
    [
        (ranks(2, gpus="A"), r"rank 1 on a has no GPU of its own, cuda:0 \(A\) is rank 0's"),
        ([*ranks(1, gpus="B"), *ranks(2, gpus="A")], r"rank 2 on a has no GPU of its own, cuda:0 \(A\) is rank 1's"),
        (ranks(3, gpus="AB"), r"rank 2 on a has .*, cuda:0 \(A\) is rank 0's, cuda:1 \(B\) is rank 1's"),
        ([*ranks(1, "a", gpus="A"), *ranks(1, "b", gpus="A")], r"rank 1 on b has .*, cuda:0 \(A\) is rank 0's"),
    ],
    ids=["one", "behind one name", "two", "two names of a machine"],
)
def test_a_gpu_is_shared_only_if_the_study_names_it(views, said):
    for device in ("auto", "cuda"):
        with pytest.raises(StudyError, match=rf"^device: {said}; start one rank a GPU, or name .* such as 'cuda:0'$"):
            assigned(views, device, None)
    assert places(views, "cuda:0") == [("cuda:0", view.gpus[0].uuid[0]) for view in views]
    assert places(views, "cpu") == [("cpu", "")] * len(views)


def test_states_go_between_gpus_only_if_all_ranks_can_do_that():
    views = [view._replace(direct=True) for view in ranks(2, gpus="AB")]
    assert [seat.direct for seat in assigned(views, "auto", None)] == [True, True]
    assert [seat.direct for seat in assigned([*views, *ranks(1)], "auto", None)] == [False] * 3


def test_chart():
    gpus = [f"{first}-4a3c-11ee-be56-0242ac120002" for first in ("5d1c9f3e", "07b2aa41")]
    seats = [Seat("a", "cuda:0", 4, gpus[0]), Seat("b", "cpu", 1), Seat("a", "cuda:0", 4, gpus[1])]
    assert chart(seats, supervised=False).splitlines() == [
        "a: rank 0 on cuda:0 (5d1c9f3e) with 4 threads, 2 on cuda:0 (07b2aa41) with 4 threads",
        "b: rank 1 on cpu with 1 thread",
        "states go through pinned memory of the host: MPI does not say that it is CUDA-aware (SHOAL_MPI_CUDA=1 does)",
    ]
    assert chart(seats, supervised=True).splitlines()[2] == "states go through the host's memory, beside training"
    direct = [replace(seat, direct=True) for seat in seats]
    assert chart(direct, supervised=False).splitlines()[2] == "states go from GPU to GPU: MPI is CUDA-aware"


def test_chart_of_processors():
    assert chart([Seat("a", "cpu", 1), Seat("b", "cpu", 2)], supervised=False).splitlines() == [
        "a: rank 0 on cpu with 1 thread",
        "b: rank 1 on cpu with 2 threads",
    ]
    assert chart([Seat("a", "cuda:0", 1, "5d1c-1")], supervised=False) == "a: rank 0 on cuda:0 (5d1c) with 1 thread"
