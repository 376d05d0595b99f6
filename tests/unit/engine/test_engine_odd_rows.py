"""Offers whose outcomes may come late are named in logs that do not say when outcomes came."""

import numpy as np

from engine.odd_rows import perhaps_late

OFFERS = ("a", "b", "c")


def made(late=None, n=40_000):
    """Rows 30 to 120 days old over three offers and no offer; successes of `late` take 60 days on average."""
    r = np.random.default_rng(0)
    arm, age = r.integers(0, 4, n), r.uniform(30, 120, n)
    won = (r.random(n) < 0.1) & ((arm != late) | (r.exponential(60, n) < age))
    return arm, won.astype(float), age


def test_the_offer_is_named_and_what_to_do():
    arm, outcome, age = made(late=1)
    (note,) = perhaps_late(OFFERS, arm, outcome, age)
    assert note.startswith("the outcomes of b may come late: ")
    assert "log when outcomes came, or give a larger outcome_days" in note


def test_no_offer_is_called_so():
    (note,) = perhaps_late(OFFERS, *made(late=3))
    assert "outcomes of no offer may come late" in note


def test_nothing_is_said_of_a_log_whose_outcomes_have_come():
    assert perhaps_late(OFFERS, *made()) == ()
