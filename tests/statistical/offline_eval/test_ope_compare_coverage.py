"""The interval of a difference of two policies holds the truth, also where the two differ in few successes."""

import numpy as np
import pytest
from coverage_worlds import rows, world

import offline_eval as oe

CELLS = [
    (0.004, "wide", 2_000), (0.004, "wide", 8_000), (0.02, "mild", 1_000), (0.02, "mild", 10_000),
    (0.02, "narrow", 4_000), (0.1, "mild", 500), (0.1, "narrow", 2_000), (0.5, "narrow", 1_000),
]  # fmt: skip
KINDS = ("against the log", "of two policies", "of two policies, with a model")


def compared(rate, overlap, n, logs, seed=3):
    """For each kind of comparison (logs, 2): whether the chosen interval and the normal one hold the truth."""
    of = world(rate, overlap, 5, "good")
    other = 0.7 * of.target + 0.3 / 5
    gain = [((of.target - policy) * of.success).sum(1).mean() for policy in (of.logging, other, other)]
    out = np.empty((len(KINDS), logs, 2))
    for i, counts in enumerate(of.draw(n, logs, seed)):
        context, action, reward = rows(counts)
        log = oe.Log(reward, action, of.logging[context, action])
        one, two, q_hat = of.target[context], other[context], of.q_hat[context]
        snips = oe.snips(log, one)
        pairs = ((snips, oe.logged(log)), (snips, oe.snips(log, two)), (oe.dr(log, one, q_hat), oe.dr(log, two, q_hat)))
        for kind, (pair, truth) in enumerate(zip(pairs, gain, strict=True)):
            for j, found in enumerate((oe.compare(*pair, log)[0], oe.difference(*pair))):
                out[kind, i, j] = found.low <= truth <= found.high
    return out.mean(1)


def test_few_successes_are_covered_where_normal_intervals_of_a_difference_fail():
    """400 logs of about five weighted successes: the count's own error is .011."""
    for chosen, normal in compared(0.004, "wide", 2_000, 400):
        assert chosen > 0.95 - 0.011
        assert normal < 0.95 - 4 * 0.011


@pytest.mark.soak
@pytest.mark.parametrize(("rate", "overlap", "n"), CELLS)
def test_intervals_of_differences_cover(rate, overlap, n, record_property):
    """2,000 logs: the count's own error is .005."""
    found = compared(rate, overlap, n, 2_000)
    told = "; ".join(f"{kind} {a:.1%} (normal {b:.1%})" for kind, (a, b) in zip(KINDS, found, strict=True))
    record_property("coverage of differences", f"success rate {rate:g}, {overlap} overlap, n = {n:,}: {told}")
    assert found[:, 0].min() >= 0.94
