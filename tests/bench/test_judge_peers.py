"""The judge's peers, where they are installed, on a small table whose early scores tell all."""

import functools
import itertools
from collections import Counter

import numpy as np
import pytest
from judge_peers import PEERS
from judge_runs import run_peer

from shoal.simulate import Table
from shoal.space import Float, Int, Space

LENGTH, BUDGET = 9, 130
SPACE = Space(
    {"lr": Float(1e-4, 1e-1, log=True), "width": Int(16, 512, log=True), "depth": Int(1, 5), "p": Float(0, 1)}
)

# Theirs: each warns of what its own dependencies will change.
pytestmark = pytest.mark.filterwarnings("ignore")


@functools.cache
def table():
    rng = np.random.default_rng(0)
    configs = [SPACE.sample(rng) for _ in range(300)]
    levels = np.array([abs(np.log10(config["lr"]) + 2) + config["p"] for config in configs])
    return Table.of(SPACE, configs, levels[:, None] + 1 / np.arange(1, LENGTH + 1))


@pytest.fixture(params=PEERS)
def peer(request):
    packaged = PEERS[request.param]
    if packaged.version is None:
        pytest.skip(f"{packaged.package} is not installed")
    return request.param


@functools.cache
def followed(name, budget, seed):
    """Return the account of a run, and what was asked and answered; the budget cuts the last one short."""
    answers = []

    def noting(peer):
        asked = next(peer)
        while True:
            score = yield asked
            answers.append((asked, score))
            asked = peer.send(score)

    peer = noting(PEERS[name].start(SPACE, LENGTH, budget, seed))
    return run_peer(peer, table(), budget, "nearest"), answers


def test_the_budget_is_kept_to_the_epoch(peer):
    account, answers = followed(peer, BUDGET, seed=0)
    progress = Counter()
    for asked, _ in answers:
        progress[asked.trial] = max(progress[asked.trial], asked.until)
    assert account.spent == BUDGET
    assert BUDGET - LENGTH <= progress.total() < BUDGET


def test_the_same_seed_asks_for_the_same(peer):
    first, again, other = followed(peer, BUDGET, 0), followed.__wrapped__(peer, BUDGET, 0), followed(peer, BUDGET, 1)
    assert first[1] == again[1]
    assert first[0].best == again[0].best
    assert first[1] != other[1]


def test_configs_are_of_the_space(peer):
    for asked, _ in followed(peer, BUDGET, seed=0)[1]:
        assert SPACE.check(asked.config) == asked.config


def test_trials_end_at_the_rungs(peer):
    answers = [asked for asked, _ in followed(peer, BUDGET, seed=0)[1]]
    ends = {asked.trial: asked.until for asked in answers}
    del ends[answers[-1].trial]  # perhaps before its rung
    assert set(ends.values()) == ({9} if peer == "optuna/tpe" else {1, 3, 9})
    for former, later in itertools.pairwise(answers):
        assert former.trial != later.trial or former.until < later.until


@pytest.mark.parametrize("peer", ["dehb/dehb", "smac/hyperband"], indirect=True)
def test_the_first_bracket_promotes_the_best(peer):
    answers = followed(peer, BUDGET, seed=0)[1]
    rungs = [[], [], []]
    for asked, score in answers[: [asked.until for asked, _ in answers].index(9) + 1]:
        rungs[[1, 3, 9].index(asked.until)].append((score, asked.trial))
    assert 7 <= len(rungs[0]) <= 9  # SMAC may draw a config of its beginning again
    assert [len(rung) for rung in rungs[1:]] == [3, 1]
    for below, above in itertools.pairwise(rungs):
        assert {trial for _, trial in above} == {trial for _, trial in sorted(below)[: len(above)]}


def test_nothing_is_written_or_said(peer, tmp_path, monkeypatch, capfd, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    followed.__wrapped__(peer, 60, seed=0)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert caplog.text == ""
