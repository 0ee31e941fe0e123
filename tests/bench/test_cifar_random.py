"""The random configurations and what is computed of their accuracies; nothing is trained."""

import cifar_random
import pytest


def test_configs_are_drawn_once_and_trained_with_several_seeds():
    todo = cifar_random.runs(configs=3, seeds=2)
    assert [(run.number, run.seed) for run in todo] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    assert todo[0].config == todo[1].config != todo[2].config
    assert todo[:4] == cifar_random.runs(configs=2, seeds=2)


def test_rows_gather_the_seeds_of_a_config():
    todo = cifar_random.runs(configs=2, seeds=2)
    first, second = cifar_random.rows_of(todo, [0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8])
    assert first["accuracies"] == {"shoal": [0.1, 0.2], "torch": [0.5, 0.6]}
    assert (second["case"], second["config"]) == ({"config": 1}, todo[2].config)


@pytest.mark.parametrize(("shift", "within"), [(0.0, True), (0.03, True), (0.05, False), (-0.05, False)])
def test_differences_are_held_against_the_spread_over_seeds(shift, within):
    # deviation over seeds 0.02 sqrt(2) on both sides: of a config's mean over two seeds 0.02, of a difference
    # 0.02 sqrt(2), of the mean difference of two configs 0.02
    configs = [0.3, 0.5]
    accuracies = [{"shoal": [a + shift - 0.02, a + shift + 0.02], "torch": [a - 0.02, a + 0.02]} for a in configs]
    total = cifar_random.verdict(accuracies)
    assert total["spread_over_seeds"] == {"shoal": 0.0283, "torch": 0.0283}
    assert total["expected_deviation"] == 0.02
    assert total["mean_difference"] == pytest.approx(shift)
    assert total["within"] == within
