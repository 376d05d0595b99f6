"""The world `nbo-trees` is frozen as `nbo` is."""

import numpy as np
import pytest

from sims import build, described

FROZEN = {
    7: (0.0831318780748622, 0.08771688396507274, 6.908426934785855, 0.0818),
    1000: (0.07763266269626057, 0.07361694285517636, 8.557904848223098, 0.0856),
}


@pytest.mark.parametrize("seed", FROZEN)
def test_a_seed_means_the_same_world_with_trees_for_good(seed):
    before, after, best, response = FROZEN[seed]
    world = build(described("nbo-trees"), seed)
    logged = world.history.offer >= 0
    assert world.before[:, :-1].mean() == pytest.approx(before, rel=1e-9)
    assert world.after[:, :-1].mean() == pytest.approx(after, rel=1e-9)
    assert world.value(0).max(1).mean() == pytest.approx(best, rel=1e-9)
    assert world.history.outcome[logged].mean() == pytest.approx(response, rel=1e-12)
    assert np.array_equal(world.before[:, -1], world.after[:, -1])


def test_only_the_response_differs_from_the_reference():
    trees, plain = (build(described(name), 7) for name in ("nbo-trees", "nbo"))
    assert np.array_equal(trees.customers.numeric, plain.customers.numeric)
    assert np.array_equal(trees.history.offer, plain.history.offer)
    assert np.array_equal(trees.offers.margin, plain.offers.margin)
    assert not np.array_equal(trees.before, plain.before)
