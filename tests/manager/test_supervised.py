"""One rank under one manager, without MPI: which states it keeps, of when, and for how long."""

import numpy as np
from tests.manager.test_quantum import BATCHES, CONFIG, OPTIONS, TRAIN, VALID, finish, worker
from tests.manager.toys import network

from shoal.manager.follower import Follower
from shoal.manager.followers import Followers
from shoal.manager.kept import places_of
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
