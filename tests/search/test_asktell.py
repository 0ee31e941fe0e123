"""A user's own sampler."""

from __future__ import annotations

import json
import math
import random
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from tests.search.simulator import Problem, simulate

from shoal import search
from shoal.search import ASHA, AskTellSampler, Full, Grid, SuccessiveHalving
from shoal.search.protocol import Report
from shoal.space import Float, Int, Space

SPACE = Space({"lr": Float(0, 1), "width": Int(1, 8), "fixed": 3})


class Mine:
    """Draws, and remembers what it was told."""

    def __init__(self, **changes: Any) -> None:
        self.rng, self.changes, self.told = random.Random(5), changes, list[tuple[Mapping[str, Any], float]]()

    def ask(self) -> Mapping[str, Any]:
        return {"lr": self.rng.random(), "width": 2, **self.changes}

    def tell(self, config: Mapping[str, Any], score: float) -> None:
        self.told.append((config, score))


class Watched(Mine):
    """Is not copied, so that a test can look into it."""

    def __deepcopy__(self, memo: Any) -> Watched:
        return self


def test_each_trial_is_told_once_when_it_has_ended() -> None:
    mine = Watched()
    bound = SuccessiveHalving(6, max_epochs=3, sampler=mine).bind(SPACE)
    scores = {0: 0.3, 1: 0.1, 2: math.nan, 3: 0.5, 4: 0.2, 5: -math.inf}
    result = simulate(bound, SPACE, Problem(lambda trial, _: scores[trial]), rows=6)
    configs = {trial: kept.config for trial, kept in result.trials.items()}
    assert all(config["fixed"] == 3 for config in configs.values())
    told = {config["lr"]: score for config, score in mine.told}
    assert len(mine.told) == 6
    assert told == {
        configs[trial]["lr"]: score if math.isfinite(score) else math.inf for trial, score in scores.items()
    }


def test_each_run_works_on_its_own_copy() -> None:
    mine = Mine()
    strategy = Full(5, epochs=1, sampler=mine)
    first, second = strategy.bind(SPACE), strategy.bind(SPACE, seed=9)
    for trial, order in enumerate(first.ask(5)):
        first.tell(Report(trial, 1, 0.5))
        assert second.ask(1) == [order]
    assert not mine.told


def test_a_scheduler_takes_the_object_as_it_stands() -> None:
    mine = Mine()
    assert ASHA(5, max_epochs=3, sampler=mine) == ASHA(5, max_epochs=3, sampler=AskTellSampler(mine))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 2}, r"sampler Mine: lr: must be in \[0.0, 1.0\], got 2"),
        ({"speed": 1}, "sampler Mine: speed: unknown; the space has lr, width, fixed"),
        ({"fixed": 4}, "sampler Mine: fixed: must be the constant 3, got 4"),
    ],
)
def test_a_config_outside_the_space_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Full(5, epochs=1, sampler=Mine(**changes)).bind(SPACE).ask(1)


def test_what_is_no_config_is_refused() -> None:
    class Tuples(Mine):
        def ask(self) -> Any:
            return (0.1, 2)

    with pytest.raises(
        ValueError, match=r"sampler Tuples: ask must return a mapping of names to values, got \(0.1, 2\)"
    ):
        Full(5, epochs=1, sampler=Tuples()).bind(SPACE).ask(1)


def test_what_is_no_sampler_is_refused() -> None:
    for wrong in (Mine, 3, Grid(epochs=1)):
        with pytest.raises(ValueError, match=r"sampler: must be .* object with .*ask and tell, got"):
            Full(5, epochs=1, sampler=wrong)  # type: ignore[arg-type]
    locked = Mine(lock=threading.Lock())
    with pytest.raises(ValueError, match=r"sampler: must be an object that copy.deepcopy can copy, got Mine: .*lock"):
        Full(5, epochs=1, sampler=locked).bind(SPACE)


def test_a_table_has_its_class_and_cannot_make_it() -> None:
    table = json.loads(json.dumps(Full(5, epochs=1, sampler=Mine()).describe()))
    assert table["sampler"] == {"name": "AskTellSampler", "sampler": "Mine"}
    with pytest.raises(
        ValueError, match=r"strategy.sampler: must be one of .*, or in Python an object with ask and tell"
    ):
        search.from_description(table)


def test_a_sampler_of_ones_own_says_what_comes_first() -> None:
    space = Space(SPACE.values, begin_with=[{"lr": 0.5, "width": 3}])
    with pytest.raises(ValueError, match=r"^space.begin_with: must be empty for Mine, whose ask says which .* first$"):
        Full(5, epochs=1, sampler=Mine()).bind(space)
