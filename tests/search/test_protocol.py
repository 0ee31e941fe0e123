"""How reports are ranked."""

from __future__ import annotations

import math
import random

import pytest

from shoal.search.protocol import Report, rank_key


def test_finite_first_then_score_then_loss_then_id() -> None:
    ranked = [
        Report(9, 1, -1.0),
        Report(5, 1, 0.0, {"loss": 0.1}),
        Report(4, 1, 0.0, {"loss": 0.2}),
        Report(1, 1, 0.0, {"loss": math.nan}),  # no better than none
        Report(2, 1, 0.0),
        Report(3, 1, 0.0, {"loss": math.inf}),
        Report(8, 1, 1.0),
        Report(0, 1, -math.inf, {"loss": 0.0}),
        Report(6, 1, math.nan, {"loss": 0.1}),
        Report(7, 1, math.inf),
    ]
    shuffled = random.Random(0).sample(ranked, len(ranked))
    assert sorted(shuffled, key=rank_key) == ranked


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_has_diverged(score: float) -> None:
    assert Report(0, 1, score).diverged
    assert not Report(0, 1, -1e308).diverged
