"""The benchmark of distances: its peers answer as shoal does; nothing here looks at times."""

import distances
import pytest

from shoal.search.curves import DISTANCES


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("peer", distances.PEERS)
def test_peers_agree(distance, peer):
    pytest.importorskip(peer)
    curves, library = (distances.learning_curves(30, 12, seed) for seed in (0, 1))
    row = distances.measure({"distance": distance, "neighbours": 3}, curves, library, [peer], repeats=1)
    assert set(row["metrics"]) <= {"shoal", peer}
    assert row["share_of_peak"]["shoal"] > 0
