"""One rank under one manager, without MPI: which states it keeps, of when, and for how long."""

import time
from types import SimpleNamespace

import numpy as np
from tests.manager.test_quantum import BATCHES, CONFIG, OPTIONS, TRAIN, VALID, finish, worker
from tests.manager.toys import network

from shoal.manager.follower import Follower
from shoal.manager.followers import Followers
from shoal.manager.kept import places_of
from shoal.manager.messages import Trained
from shoal.manager.native import NativeWorker
from shoal.manager.snapshot import Snapshot
from shoal.manager.supervised import SupervisingWorker
from shoal.manager.transport import Alone


def supervised():
    transport = Alone()
    own = NativeWorker(network, TRAIN, VALID, rows=5, unit="epochs", options=OPTIONS, partial=True)
    followers = Followers(Follower(own, transport, None), transport)
    lent = SupervisingWorker(followers, 5, lambda _: 1.0)
    for trial, batch in enumerate(BATCHES):
        lent.start(trial, CONFIG | {"batch_size": batch})
    return lent, followers


def arrays(followers, states):
    """What is behind these states, once the rank has them."""
    followers.agree()
    return [state["member"] for state in followers.own.snapshot(places_of(Snapshot(front=states))).front]


def test_a_trial_in_flight_has_the_state_that_it_began_with():
    lent, followers = supervised()
    ones = dict.fromkeys(range(len(BATCHES)), 1)
    finish(lent, ones)
    alone = worker("epochs", partial=False)
    alone.train(ones)
    began = [alone.state(trial)["member"] for trial in ones]
    targets = dict(enumerate([9, 2, 9, 3, 9]))
    expected = alone.train(targets)
    metrics, given = {}, targets
    while len(metrics) < len(targets):
        metrics |= lent.train(given)
        given = {}
        ends = [alone.state(trial)["member"] if trial in metrics else began[trial] for trial in targets]
        np.testing.assert_array_equal(arrays(followers, [lent.state(trial) for trial in targets]), ends)
    assert metrics == expected


def test_in_a_pause_trials_in_flight_are_kept_as_they_are_by_then():
    lent, followers = supervised()
    targets = dict(enumerate([9, 2, 9, 3, 9]))
    metrics = lent.train(targets)
    metrics |= lent.pause()
    flying = [trial for trial in targets if trial not in metrics]
    assert flying
    states = {trial: lent.state(trial) for trial in flying}
    followers.agree()
    kept = followers.own.snapshot(places_of(Snapshot(states))).states
    assert all(state["steps"] > 0 for state in kept.values())
    other = worker("epochs", partial=False)
    for trial, state in kept.items():
        other.restore(trial, CONFIG | {"batch_size": BATCHES[trial]}, state)
    expected = worker("epochs", partial=False).train(targets)
    assert other.train({trial: targets[trial] for trial in flying}) == {trial: expected[trial] for trial in flying}


def test_a_rank_keeps_states_for_as_long_as_somebody_refers_to_them():
    lent, followers = supervised()
    finish(lent, dict.fromkeys(range(len(BATCHES)), 1))
    first, second = lent.state(0), lent.state(1)
    assert len(arrays(followers, [first, second])) == 2
    assert followers.own._kept.keys() == {first.place.key, second.place.key}
    del first
    lent.train({0: 2})
    followers.agree()
    assert followers.own._kept.keys() == {second.place.key}


def test_a_nap_ends_with_what_runs_beside():
    worker = SimpleNamespace(start=lambda trial, config: time.sleep(0.1))
    follower = Follower(worker, Alone(), None)
    begun = time.monotonic()
    assert not follower.start(0, CONFIG)
    follower.nap(200)
    assert follower.start(0, CONFIG)
    assert 0.1 <= time.monotonic() - begun < 100


class Told:
    """Two ranks or more, of which only is known what they were told; the test says who has trained what."""

    def __init__(self, size):
        self.size, self.own, self.calls, self.back = size, Follower(None, Alone(), None), [], []

    def tell(self, rank, call, *given):
        self.calls.append((rank, call.__name__, *given))

    def trained(self):
        rank, trials = self.back.pop(0)
        return rank, Trained({trial: {} for trial in trials}, 1.0)

    def since(self, *names):
        """What they were told of this since the last question, in order."""
        told, self.calls = [call for call in self.calls if call[1] in names], []
        return told


def begun(back):
    """Eight trials on two ranks, four each; these come back first."""
    told = Told(2)
    lent = SupervisingWorker(told, 8, lambda _: 1.0)
    for trial in range(8):
        lent.start(trial, CONFIG)
    told.back = back
    return lent, told


def test_what_a_rank_has_too_much_of_waits_for_the_one_that_trains_least():
    """Rank 1 has three trials less, so when rank 0 has trained its four, one of them waits for it."""
    lent, told = begun([(1, [1, 3, 5, 7]), (0, [0, 2, 4, 6]), (1, [1])])
    assert lent.train(dict.fromkeys(range(8), 1)).keys() == {1, 3, 5, 7}
    for trial in (3, 5, 7):
        lent.stop(trial)
    assert lent.train({1: 2}).keys() == {0, 2, 4, 6}
    told.since()
    assert lent.train(dict.fromkeys([0, 2, 4, 6], 2)).keys() == {1}
    assert told.since("train", "keep", "restore") == [(0, "train", {2: 2, 4: 2, 6: 2})]
    told.back = [(0, [2, 4, 6])]
    lent.train({})
    keep, restore, train = told.since("keep", "restore", "train")
    assert [keep[:3], restore[:3], train] == [(0, "keep", 0), (1, "restore", 0), (1, "train", {0: 2})]


def test_what_waits_in_flight_is_kept_as_it_is_by_then():
    """Rank 0 comes back with one of its four: those in flight there wait as well, and are not trained there."""
    lent, told = begun([(1, [1, 3, 5, 7]), (0, [6])])
    lent.train(dict.fromkeys(range(8), 1))
    for trial in (1, 3, 5, 7):
        lent.stop(trial)
    lent.start(8, CONFIG)
    assert lent.train({8: 1}).keys() == {6}
    lent.stop(6)
    told.since()
    told.back = [(1, [8])]
    assert lent.train({}).keys() == {8}
    noted, keep, stop, train = told.since("noted", "keep", "stop", "train")[:4]
    assert [noted, keep[:3], stop, train] == [(0, "noted", [0]), (0, "keep", 0), (0, "stop", 0), (0, "train", {})]
