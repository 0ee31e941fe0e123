"""Heirs in whole studies of real networks: what they begin with is, byte for byte, what the record says."""

from collections import defaultdict

import pytest
from tests.manager.scripted import HEADER
from tests.manager.toys import images, network

from shoal.manager.manager import Manager
from shoal.manager.native import NativeWorker
from shoal.search import LTFB, PBT
from shoal.space import Float, Int, Space

SPACE = Space({"lr": Float(0.01, 0.3, log=True), "momentum": 0.9, "width": Int(3, 9), "rate": Float(0, 0.3)})
OPTIONS = {"optimizer": "sgd", "loss": "cross_entropy", "seed": 5, "threads": 1}


class Witness(NativeWorker):
    """Notes every state that training has led to, and every state that an heir has been given."""

    def __init__(self, rows):
        super().__init__(network, images(90, 0), images(40, 1), rows=rows, unit="epochs", options=OPTIONS)
        self.reached, self.given = defaultdict(list), defaultdict(list)

    def train(self, targets):
        metrics = super().train(targets)
        for trial, until in targets.items():
            self.reached[trial, until].append(self.state(trial)["member"].tobytes())
        return metrics

    def inherit(self, moves, origins):
        layers = super().inherit(moves, origins)
        self._note([heir for heir, _, _ in moves])
        return layers

    def _note(self, heirs):
        for heir in heirs:
            self.given[heir].append(self.state(heir)["member"].tobytes())


@pytest.mark.parametrize(
    "search",
    [
        PBT(5, epochs=6, interval_epochs=2, quantile=0.4, recombine=True),
        PBT(5, epochs=6, interval_epochs=2, quantile=0.4, synchronous=False),
        LTFB(5, epochs=6, interval_epochs=2),
        PBT(5, epochs=10, interval_epochs=1, exploit="t-test"),
    ],
    ids=["recombine", "async", "ltfb", "t-test"],
)
@pytest.mark.parametrize("every", [None, 1])
@pytest.mark.parametrize("rows", [2, 5])
def test_an_heir_has_its_donors_weights_optimiser_state_and_counters(search, every, rows):
    witness = Witness(rows)
    manager = Manager(search.bind(SPACE, seed=2), witness, {**HEADER, "unit": "epochs"}, record_every=every)
    manager.run()
    inherited = 0
    for trial in manager.record.trials.values():
        for (progress, donor), state in zip(trial.parents, witness.given[trial.id], strict=True):
            assert state in witness.reached[donor, progress]
            assert progress in {report.progress for report in manager.record.trials[donor].reports}
            inherited += 1
    assert inherited
