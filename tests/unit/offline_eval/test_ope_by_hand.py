"""Three rows with weights 1/2, 5 and 20, worked out on paper; every number but the last is a binary fraction."""

import numpy as np
import pytest

import offline_eval as oe

LOG = oe.Log(np.array([1.0, 1.0, 0.5]), np.array([0, 1, 0]), np.array([1 / 2, 1 / 8, 1 / 32]))
TARGET = np.array([[1 / 4, 3 / 4], [3 / 8, 5 / 8], [5 / 8, 3 / 8]])
MODEL = np.full((3, 2), 0.5)  # so the errors are 1/2, 1/2 and 0


@pytest.mark.parametrize(
    ("found", "value"),
    [
        (oe.ips(LOG, TARGET), (0.5 + 5 + 10) / 3),
        (oe.clipped_ips(LOG, TARGET, 10.0), (0.5 + 5 + 10 * 0.5) / 3),
        (oe.snips(LOG, TARGET), 15.5 / 25.5),
        (oe.dm(LOG, TARGET, MODEL), 0.5),
        (oe.dr(LOG, TARGET, MODEL), 0.5 + (0.25 + 2.5) / 3),
        (oe.sndr(LOG, TARGET, MODEL), 0.5 + 2.75 / 25.5),
        (oe.switch_dr(LOG, TARGET, MODEL, 5.0), 0.5 + (0.25 + 2.5) / 3),
        (oe.switch_dr(LOG, TARGET, MODEL, 4.9), 0.5 + 0.25 / 3),
        (oe.dr_os(LOG, TARGET, MODEL, 10.0), 0.5 + (5 / 10.25 + 50 / 35) / 2 / 3),
        (oe.subgaussian_ips(LOG, TARGET, 0.1), (0.5 / 0.95 + 5 / 1.4 + 10 / 2.9) / 3),
        (oe.subgaussian_dr(LOG, TARGET, MODEL, 0.1), 0.5 + (0.5 / 0.95 + 5 / 1.4) / 2 / 3),
    ],
    ids=lambda x: x.estimator if isinstance(x, oe.Estimate) else "",
)
def test_values_worked_out_by_hand(found, value):
    assert found.value == pytest.approx(value, rel=1e-14)
    assert found.ess == pytest.approx(25.5**2 / 425.25)
    assert found.largest_weight == 20.0
