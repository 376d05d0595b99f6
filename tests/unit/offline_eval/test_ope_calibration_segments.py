"""Calibration by segment: a segment's figures are those of its rows alone, and sentences name what they are about."""

import numpy as np
import pytest

import offline_eval as oe

K = 4


def logged(seed=0, n=3_000):
    """Customers have rows in several segments; chances of the last action are wrong in segment 2."""
    r = np.random.default_rng(seed)
    chances = r.dirichlet(np.full(K, 3.0), n)
    action = (chances.cumsum(1) > r.random((n, 1))).argmax(1)
    segment = r.integers(0, 3, n)
    stale = (segment == 2) & (action == 0) & (r.random(n) < 0.6)
    action[stale] = K - 1
    log = oe.Log(r.random(n), action, chances[np.arange(n), action], r.integers(0, 400, n))
    return log, chances, segment


@pytest.mark.parametrize("whole_rows", [True, False])
@pytest.mark.parametrize("named", [True, False])
def test_a_segment_is_judged_by_its_rows_alone(whole_rows, named):
    log, chances, segment = logged()
    cluster = log.cluster if named else None
    log = oe.Log(log.reward, log.action, log.propensity, cluster)
    table = chances if whole_rows else None
    found = oe.calibration(log, actions=K, chances=table, segment=segment)
    for s in range(3):
        at = segment == s
        part = oe.Log(log.reward[at], log.action[at], log.propensity[at], None if cluster is None else cluster[at])
        alone = oe.calibration(part, actions=K, chances=None if table is None else table[at])
        for name in ("expected", "found", "z"):
            assert getattr(found, name)[s] == pytest.approx(getattr(alone, name)[0], rel=1e-9)


def test_the_error_is_that_between_customers_or_of_independent_rows_if_that_is_larger():
    log, chances, segment = logged()
    z = oe.calibration(log, actions=K, chances=chances, segment=segment).z
    for s, a in np.ndindex(3, K):
        at = segment == s
        gap = (log.action[at] == a) - chances[at, a]
        sums = np.array([gap[log.cluster[at] == c].sum() for c in np.unique(log.cluster[at])])
        between = (sums**2).sum() - sums.sum() ** 2 / len(sums)
        independent = (chances[at, a] * (1 - chances[at, a])).sum()
        assert z[s, a] == pytest.approx(sums.sum() / np.sqrt(max(between, independent)))


def test_alarms_name_the_action_and_the_segment():
    log, chances, segment = logged()
    found = oe.calibration(log, actions=K, chances=chances, segment=segment)
    assert found.alarms[2, K - 1] and not found.alarms[:2].any()
    sentence = oe.calibration_sentences(found)[0]
    named = oe.calibration_sentences(found, ["a", "b", "c", "nothing"], ["north", "east", "south"])[0]
    assert sentence.startswith(("Action 3 in segment 2 occurs", "Action 0 in segment 2 occurs"))
    assert named.split(" occurs ")[1] == sentence.split(" occurs ")[1]
    assert named.startswith(("nothing in segment south occurs", "a in segment south occurs"))
