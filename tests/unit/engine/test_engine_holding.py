"""What decisions hold until their outcome is known, and what of it is there again in the end."""

import numpy as np
import pytest

from engine.serving.holding import how_soon, tied_up

DAY = 24


def soon(hours, *, ages=96, each=10_000, longest=4.0):
    """Decisions of four days, as many every hour; outcomes come after some hours."""
    waiting = [each if age < hours else 0 for age in range(ages)]
    return how_soon([each] * ages, waiting, width=1 / DAY, longest=longest)


def test_a_decision_is_tied_up_for_as_long_as_outcomes_take_of_the_time_that_is_left():
    outcomes = soon(12)
    for days in (0.25, 0.5, 1.0, 3.0):
        assert outcomes.mean(days) == pytest.approx(min(1.0, 0.5 / days), abs=0.001)


def test_who_knows_nothing_reckons_with_the_longest_wait():
    nobody = how_soon([], [], width=0.0, longest=14.0)
    assert [nobody.mean(days) for days in (0.0, 7.0, 28.0)] == [1.0, 1.0, 0.5]
    assert how_soon([], [], width=0.0, longest=0.0).mean(3.0) == 0.0


def test_ages_that_nobody_has_reached_are_as_the_oldest_known():
    outcomes = soon(6, ages=3, longest=1.0)
    assert outcomes.mean(1.0) == 1.0
    assert soon(2, ages=4, longest=1.0).mean(1.0) == pytest.approx(2 / DAY, abs=0.01)


def test_few_decisions_of_an_age_say_little():
    assert how_soon([1], [0], width=1.0, longest=9.0).mean(9.0) > 0.9
    assert how_soon([1_000], [0], width=1.0, longest=9.0).mean(9.0) < 0.02


def test_at_an_even_pace_as_much_comes_back_as_is_tied_up_anew():
    """So that a budget in the middle of its life may be spent as if nothing was ever held."""
    outcomes, hourly, days = soon(12), 100, 2.0
    tied = tied_up(outcomes, {"budget": [hourly] * 12}, days)
    assert tied.back["budget"] == pytest.approx(12 * hourly, rel=0.01)
    assert tied.part * hourly * DAY * days == pytest.approx(tied.back["budget"], rel=0.01)


def test_what_was_held_lately_is_not_back_before_its_time():
    outcomes = soon(12)
    tied = tied_up(outcomes, {"budget": [1.0] * 12}, 0.25)  # six hours are left: the younger half still waits
    assert tied.back["budget"] == pytest.approx(6, abs=0.1)
    assert np.isfinite(tied_up(how_soon([], [], width=0.0, longest=0.0), {"budget": [5]}, 1.0).back["budget"])
