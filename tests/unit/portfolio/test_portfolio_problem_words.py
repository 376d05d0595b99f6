"""What cannot be a problem is refused where it is written."""

import numpy as np
import pytest

from allot import LimitError, ShapeError
from portfolio import Limit, Problem


@pytest.mark.parametrize("groups", [np.array([-1, -1, 0]), np.array([0, 1]), np.array([0.0, 1.0, 1.0])])
def test_groups_are_one_integer_from_zero_for_each_offer(groups):
    arrays = (np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 3), bool), np.zeros(2, int))
    with pytest.raises(ShapeError, match="groups"):
        Problem(*arrays, (), most=2, groups=groups)


@pytest.mark.parametrize("bounds", [{"minimum": np.inf}, {"maximum": -np.inf}])
def test_no_limit_asks_for_the_infinite(bounds):
    with pytest.raises(LimitError, match="infinite"):
        Limit("x", "count", **bounds)
