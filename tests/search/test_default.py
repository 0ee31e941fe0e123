"""The recommended strategy."""

from __future__ import annotations

import pytest

from shoal import search
from shoal.space import Float, Space

SPACE = Space({"lr": Float(1e-4, 1, log=True)})


@pytest.mark.parametrize("trainings", [1, 2, 10, 30, 97])
@pytest.mark.parametrize("epochs", [1, 2, 5, 27, 50])
def test_as_many_configs_as_the_budget_allows(trainings: int, epochs: int) -> None:
    def budget(trials: int) -> int:
        return search.SuccessiveHalving(trials, max_epochs=epochs).bind(SPACE).plan().budget

    chosen = search.default(trainings, epochs)
    assert budget(chosen.trials) <= trainings * epochs < budget(chosen.trials + 1)
    assert chosen.sampler == search.SobolSampler()


def test_a_known_size() -> None:
    """464 + 154 * 2 + 51 * 6 + 17 * 18 + 5 * 23 epochs."""
    plan = search.default().bind(SPACE).plan()
    assert plan.lines == ("464 to 1, 154 to 3, 51 to 9, 17 to 27, 5 to 50 epochs",)
    assert plan.budget == 1499


def test_it_has_a_name() -> None:
    assert search.from_description({"name": "default", "epochs": 9}) == search.default(epochs=9)
    assert search.from_description(search.default(3).describe()) == search.default(3)
    with pytest.raises(ValueError, match=r"^strategy.trials: unknown key; expected trainings, epochs"):
        search.from_description({"name": "default", "trials": 9})
    with pytest.raises(ValueError, match=r"^strategy.trainings: must be a whole number >= 1, got 0"):
        search.from_description({"name": "default", "trainings": 0})
