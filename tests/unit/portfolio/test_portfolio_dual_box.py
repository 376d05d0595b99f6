"""Where prices may lie: a penalty is a price like any other, and no breach is worth a hard limit."""

import numpy as np
import pytest

from portfolio import Limit, compile_rows
from portfolio.dual import HARD_BOX, domain_of


def rows_of(*limits):
    return compile_rows(limits, 1, 2)


HARD = Limit("hard", "cost", maximum=5.0)
PER_CONTACT, USE = np.array([1.0, 2.0, 9.0]), np.ones((3, 1, 2))


@pytest.mark.parametrize("penalty", [0.0, 1e-3, 5.0, 1e9])
def test_the_box_of_an_elastic_limit_is_its_penalty(penalty):
    domain = domain_of(rows_of(HARD, Limit("soft", "count", maximum=1.0, penalty=penalty)), 10.0, PER_CONTACT, USE)
    assert domain.box[1] == penalty
    assert domain.clip(np.array([0.0, 1e12]))[1] == penalty


def test_hard_prices_may_exceed_every_penalty_and_are_as_before_where_penalties_are_small():
    """In its own unit a hard limit may cost a thousand times what the dearest breach does."""
    alone = domain_of(rows_of(HARD), 10.0, PER_CONTACT, USE)
    assert alone.box.tolist() == [HARD_BOX * 10.0 / 2.0]
    for penalty, dearest in ((3.0, 1.0), (10.0, 1.0), (4e6, 4e5)):
        soft = (Limit("soft", "count", maximum=1.0, penalty=penalty), Limit("cheap", "cost", maximum=1.0, penalty=0.1))
        domain = domain_of(rows_of(HARD, *soft), 10.0, PER_CONTACT, USE)
        assert domain.box[0] == pytest.approx(dearest * alone.box[0])
