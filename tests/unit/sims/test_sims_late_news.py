"""What is heard late, or wrongly at first, changes a learner as if it had been heard rightly and in time."""

from dataclasses import replace

import numpy as np
import pytest

from sims.days import Known, beta_segment, linear, logistic_ts
from sims.description import WORLDS, Bots, Reporting
from sims.news import News
from sims.play import play
from sims.policies import policy_of
from sims.visits import Visits
from sims.world import build, nbo


@pytest.fixture(scope="module")
def known():
    return Known(nbo(7, days=6, per_day=100, history=1_500))


LEARNERS = {"logistic-ts": logistic_ts, "linear": lambda known: linear(known, 1.0), "beta-segment": beta_segment}


def days_of(world):
    r = np.random.default_rng(5)
    for day in range(3):
        rows = np.flatnonzero(world.arrival == day)[::2]
        yield day, rows, r.integers(0, 12, len(rows)), r.integers(0, 2, len(rows)).astype(float)


def scores(learner):
    return learner.scores(np.arange(50), np.random.default_rng(1))


@pytest.mark.parametrize("name", LEARNERS)
def test_a_correction_is_as_if_it_had_been_heard_rightly(known, name):
    right, wrong = LEARNERS[name](known), LEARNERS[name](known)
    for day, rows, arm, outcome in days_of(known.world):
        right.hear(rows, arm, outcome, day)
        off = np.arange(len(rows)) % 5 == day
        wrong.hear(rows, arm, np.where(off, 1 - outcome, outcome), day)
    assert not np.allclose(scores(right), scores(wrong), rtol=1e-4)
    for day, rows, arm, outcome in days_of(known.world):
        off = np.flatnonzero(np.arange(len(rows)) % 5 == day)[::-1]
        wrong.correct(rows[off], arm[off], outcome[off], day)
    assert scores(wrong) == pytest.approx(scores(right), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("name", LEARNERS)
def test_the_order_in_which_reports_arrive_changes_nothing(known, name):
    in_time, late = LEARNERS[name](known), LEARNERS[name](known)
    told = list(days_of(known.world))
    for day, rows, arm, outcome in told:
        in_time.hear(rows, arm, outcome, day)
    for part in (slice(0, 30), slice(30, None)):
        for day, rows, arm, outcome in (told[1], told[2], told[0]):
            late.hear(rows[part], arm[part], outcome[part], day)
    assert scores(late) == pytest.approx(scores(in_time), rel=1e-5, abs=1e-9)


class Listener:
    def __init__(self):
        self.told = []

    def hear(self, rows, arm, outcome, window):
        self.told += [(window, row, "first", said) for row, said in zip(rows, outcome, strict=True)]

    def correct(self, rows, arm, outcome, window):
        self.told += [(window, row, "right", said) for row, said in zip(rows, outcome, strict=True)]


def test_every_report_is_told_once_on_its_day_and_in_the_end_all_are_right():
    how = Reporting(delay_days=1, late=0.5, window_days=9, missing=0.1, wrong=0.2, correction_days=3)
    world = build(replace(WORLDS["nbo"], days=30, per_day=200, history=100, feedback=how), 3)
    news, ear, told = News(world), Listener(), {}
    for day in range(30):
        if day < 2:
            rows = np.flatnonzero(world.arrival == day)
            news.decided(rows, rows % 12, day, 0 * rows)
        before = len(ear.told)
        news.tell(ear, day)
        assert all(window + 1 <= day for window, *_ in ear.told[before:])
    for window, row, kind, said in ear.told:
        assert (kind == "first") == ((window, row) not in told), "first a report, then at most one correction"
        told[window, row] = said
    rows = np.arange(400)
    truth, _ = world.outcomes(rows, rows % 12, rows // 200)
    assert 0.85 * 400 < len(told) < 0.95 * 400
    wrong = [key for key, said in told.items() if said and not truth[key[1]]]
    assert wrong == [], "with a window longer than the delays nothing stays wrong but late successes"
    assert sum(told.values()) >= 0.8 * sum(truth[row] for _, row in told)


def test_bots_change_what_is_learnt_and_nothing_that_is_earned():
    calm = replace(WORLDS["nbo"], days=6, per_day=100, history=1_500)
    flooded = replace(calm, bots=Bots(share=0.5, at=0.0, over=1.0))
    one, other = (list(play(Known(build(about, 4)), policy_of("lints-log"))) for about in (calm, flooded))
    assert [a.reward == b.reward for a, b in zip(one, other, strict=True)] == [True] * 3 + [False] * 3
    assert [a.budget for a in one] == [b.budget for b in other]


def test_where_contacts_tire_customers_come_back_and_contacts_are_counted():
    world = build(replace(WORLDS["nbo"], days=50, per_day=20, history=100, fatigue=0.3), 3)
    visits, seen = Visits(world), []
    for day in range(45):
        rows = visits.on(day)
        assert np.array_equal(rows, np.arange(20) + 20 * (day % 7))
        seen.append(visits.contacts[rows].tolist())
        visits.contacted(rows[:5], day)
    assert seen[0] == [0] * 20
    assert seen[7] == [1] * 5 + [0] * 15
    assert seen[44] == [4] * 5 + [0] * 15, "days 16, 23, 30 and 37; day 9 and 2 are more than 30 days ago"


def test_a_contact_tires_for_thirty_days():
    world = build(replace(WORLDS["nbo"], days=50, per_day=20, history=100, fatigue=0.3), 3)
    visits = Visits(world)
    visits.contacted(visits.on(0), 0)
    visits.on(29)
    assert visits.contacts.sum() == 20
    visits.on(30)
    assert visits.contacts.sum() == 0


def test_elsewhere_nobody_is_met_twice():
    world = build(replace(WORLDS["nbo"], days=9, per_day=20, history=100), 3)
    visits = Visits(world)
    assert np.array_equal(np.concatenate([visits.on(day) for day in range(9)]), np.arange(180))
