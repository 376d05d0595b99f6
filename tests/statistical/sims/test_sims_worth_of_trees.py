"""What the prior is worth where taste is made of thresholds, paired over the reported seeds."""

from dataclasses import replace

import numpy as np
import pytest

from sims import build, described
from sims.days import LEARNERS, Known, oracle_share


@pytest.mark.soak
def test_in_nbo_trees_the_prior_is_worth_three_points_of_the_oracle():
    gain = []
    for seed in range(1000, 1010):
        known = Known(build(described("nbo-trees"), seed))
        shares = [oracle_share(known, LEARNERS[name](known)) for name in ("allot", "logistic-ts")]
        gain.append(100 * (shares[0] - shares[1]))
    assert np.mean(gain) >= 3.0
    assert min(gain) > 0.0


def test_in_a_small_world_of_trees_they_are_worth_something():
    known = Known(build(replace(described("nbo-trees"), days=20, per_day=500), 2))
    shares = [oracle_share(known, LEARNERS[name](known)) for name in ("allot", "logistic-ts")]
    assert shares[0] > shares[1] + 0.01
