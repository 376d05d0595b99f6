"""What a user's systems report of decisions is what the world says is heard, and when."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from sims import build
from sims.description import NBO, Reporting
from sims.files import campaign_text, moment, outcome_days
from sims.reports import reports_of

DAY = 4
HOW = Reporting(delay_days=1, late=0.5, window_days=9, missing=0.1, wrong=0.2, correction_days=3)


@pytest.fixture(scope="module")
def world():
    return build(replace(NBO, days=30, history=100, fatigue=0.5, feedback=HOW), 3, 400)


@pytest.fixture(scope="module")
def decisions(world):
    offers = [world.offers.ids[i % 12] if i % 13 else None for i in range(400)]
    return [(f"d{i}", world.customer_ids[i], offers[i]) for i in reversed(range(400))]


def offer_of(world, decisions):
    return np.array([-1 if o is None else world.offers.ids.index(o) for _, _, o in reversed(decisions)])


def test_everything_that_is_heard_is_reported_once_with_its_money(world, decisions):
    rows, offer = np.arange(400), offer_of(world, decisions)
    heard = world.heard(rows, offer, DAY, world.outcomes(rows, offer, DAY)[0])
    margin = np.append(world.offers.margin, world.outside_margin)[offer] * world.margin_factor
    first, second = {}, {}
    for report in reports_of(world, decisions, DAY):
        line = report.line
        i = int(line.decision_id[1:])
        told = first if line.event_id == f"d{i}-1" else second
        assert line.event_id in (f"d{i}-1", f"d{i}-2") and i not in told
        told[i] = (report.day, line.outcome)
        assert line.reward == pytest.approx(line.outcome * margin[i])
    assert first == {i: (heard.day_heard[i], heard.outcome[i]) for i in np.flatnonzero(~heard.missing)}
    right = np.flatnonzero(heard.corrected_day >= 0)
    assert second == {i: (heard.corrected_day[i], heard.corrected_outcome[i]) for i in right}
    assert len(second) > 40 and len(first) < 400


def test_a_report_is_of_a_time_before_its_day_and_after_the_decision(world, decisions):
    at_once = build(replace(world.about, feedback=Reporting(delay_days=0)), 3, 400)
    for where, soonest in ((world, DAY + 1), (at_once, DAY)):
        for report in reports_of(where, decisions, DAY):
            assert report.day >= soonest
            occurred = datetime.fromisoformat(report.line.occurred_at)
            assert moment(DAY) <= occurred and (occurred < moment(report.day) or report.day == DAY)


def test_contacts_make_successes_rarer(world, decisions):
    sure = build(replace(world.about, feedback=Reporting()), 3, 400)
    fresh, tired = (sum(x.line.outcome for x in reports_of(sure, decisions, DAY, contacts=c)) for c in (0, 5))
    some = reports_of(sure, decisions, DAY, contacts=np.full(400, 5))
    assert tired < fresh and sum(x.line.outcome for x in some) == tired


@pytest.mark.parametrize(
    ("how", "days"),
    [
        (Reporting(), 7.0),
        (Reporting(delay_days=20), 20.0),
        (Reporting(delay_days=40), 30.0),
        (Reporting(late=0.5), 30.0),
        (Reporting(late=0.5, window_days=2), 7.0),
    ],
)
def test_a_campaign_waits_for_whatever_is_reported(how, days):
    assert outcome_days(how) == days


def test_silence_is_no_failure_where_reports_are_missing(world):
    assert 'no_feedback = "ignore"' in campaign_text(world)
    assert "no_feedback" not in campaign_text(build(replace(world.about, feedback=Reporting()), 3, 400))
