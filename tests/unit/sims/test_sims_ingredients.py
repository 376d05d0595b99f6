"""Every ingredient changes what it is about and nothing else; switched off it leaves the world `nbo`, to the bit."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet
import pytest

from sims import Description, build, nbo
from sims.description import Alone, Amounts, Bots, Cut, Defects, Drift, Offering, Reporting, Season, Taste
from sims.files import write

SMALL = Description(days=10, per_day=60, history=800)
ROWS = np.arange(600)
OFFER = ROWS % 13 - 1
DAY = ROWS % 10


def facets(world):
    """Everything that can be seen of a world, by name."""
    heard = world.heard(ROWS, OFFER, DAY, ROWS % 2)
    log, offers = world.history, world.offers
    return {
        "people": (world.customers.segment, world.customers.numeric),
        "logged people": (log.customers.segment, log.customers.numeric),
        "logger": (log.person, log.offer, log.probability),
        "logged outcomes": (log.outcome,),
        "logged margins": (log.margin_factor,),
        "before": (world.before[:, :-1],),
        "after": (world.after[:, :-1],),
        "organic": (world.before[:, -1], world.after[:, -1]),
        "profit": (offers.margin - offers.redemption_cost,),
        "contact cost": (offers.contact_cost,),
        "redemption cost": (offers.redemption_cost,),
        "factor": (world.margin_factor,),
        "which day": tuple(world.success(ROWS, OFFER, day) for day in (0, 3, 4)),
        "late days": tuple(world.success(ROWS, OFFER, day) for day in (5, 8, 9)),
        "tired": (world.success(ROWS, OFFER, 0, contacts=2) - world.success(ROWS, OFFER, 0),),
        "open": tuple(world.open(day) for day in range(10)),
        "budget": tuple(np.array(world.budget_factor(day)) for day in range(10)),
        "heard when": (heard.day_heard,),
        "heard what": (heard.outcome, heard.missing),
        "corrections": (heard.corrected_day,),
        "known in the end": (heard.corrected_outcome,),
    }


CHANGES = {
    "segments": (
        {"taste": Taste(segments=0.0)},
        {"before", "after", "logged outcomes", "which day", "late days"},
    ),
    "numbers": ({"taste": Taste(numbers=0.0)}, {"before", "after", "logged outcomes", "which day", "late days"}),
    "shared": (
        {"taste": Taste(shared=0.0)},
        {"before", "after", "organic", "logged outcomes", "which day", "late days"},
    ),
    "pairs": ({"taste": Taste(pairs=0.0)}, {"before", "after", "logged outcomes", "which day", "late days"}),
    "trees": ({"taste": Taste(trees=1.0)}, {"before", "after", "logged outcomes", "which day", "late days"}),
    "level": ({"taste": Taste(level=-2.0)}, {"before", "after", "logged outcomes", "which day", "late days"}),
    "free contacts": ({"money": Amounts(contact_cost=0.0)}, {"contact cost"}),
    "free redemption": ({"money": Amounts(redemption_cost=0.0)}, {"redemption cost"}),
    "margins": ({"money": Amounts(margin_spread=0.5)}, {"factor", "logged margins"}),
    "sure things": ({"alone": Alone(sure_things=0.2)}, {"organic", "logged outcomes", "which day", "late days"}),
    "lost causes": (
        {"alone": Alone(lost_causes=0.2)},
        {"before", "after", "organic", "logged outcomes", "which day", "late days"},
    ),
    "fatigue": ({"fatigue": 0.2}, {"tired"}),
    "season": ({"season": Season(0.5)}, {"which day", "late days"}),
    "no drift": ({"drift": Drift("none")}, {"after", "late days"}),
    "larger drift": ({"drift": Drift(size=2.0)}, {"after", "late days"}),
    "later drift": ({"drift": Drift(at=0.9)}, {"late days"}),
    "earlier drift": ({"drift": Drift(at=0.3)}, {"which day"}),
    "gradual drift": ({"drift": Drift("gradual", over=0.5)}, {"late days"}),
    "recurring drift": ({"drift": Drift("recurring", over=0.2)}, {"late days"}),
    "arrivals": ({"offers": Offering(arrivals=(0.5,))}, {"open"}),
    "retirements": ({"offers": Offering(retirements=(0.5,))}, {"open"}),
    "cut": ({"budget": Cut(to=0.5)}, {"budget"}),
    "delay": ({"feedback": Reporting(delay_days=0)}, {"heard when"}),
    "late": ({"feedback": Reporting(late=0.5)}, {"heard when"}),
    "censored": ({"feedback": Reporting(late=0.9, window_days=6)}, {"heard when", "heard what", "known in the end"}),
    "missing": ({"feedback": Reporting(missing=0.2)}, {"heard what"}),
    "wrong": ({"feedback": Reporting(wrong=0.2)}, {"heard what", "corrections"}),
    "bots": ({"bots": Bots(0.3)}, {"heard what", "known in the end"}),
    "copies": (
        {"defects": Defects(duplicated=0.1)},
        {"logged people", "logger", "logged outcomes", "logged margins"},
    ),
    "gaps": ({"defects": Defects(missing_numbers=0.1)}, {"people", "logged people"}),
    "wrong segments": ({"defects": Defects(wrong_segments=0.1)}, {"people", "logged people"}),
}


def same(first, second):
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def plain():
    return facets(build(SMALL, 3))


@pytest.mark.parametrize("ingredient", CHANGES)
def test_an_ingredient_changes_what_it_is_about_and_nothing_else(ingredient, plain):
    keys, expected = CHANGES[ingredient]
    changed = facets(build(replace(SMALL, name="other", **keys), 3))
    assert {name for name, was in plain.items() if not same(was, changed[name])} == expected


def test_the_plain_description_is_the_reference_world_to_the_bit(plain):
    assert all(
        same(was, now)
        for was, now in zip(plain.values(), facets(nbo(3, days=10, per_day=60, history=800)).values(), strict=True)
    )


def test_who_is_not_touched_by_a_kind_answers_as_before():
    """Sure things buy without any offer as with their best; lost causes hardly buy; disturbed ones less than before."""
    world, plain = build(replace(SMALL, alone=Alone(0.2, 0.3, 0.1)), 3), build(SMALL, 3)
    sure = (world.before[:, :-1] == plain.before[:, :-1]).all(1) & (world.before[:, -1] != plain.before[:, -1])
    untouched = (world.before == plain.before).all(1)
    rest = ~sure & ~untouched
    assert (sure.sum(), untouched.sum(), rest.sum()) == (120, 240, 240)
    assert np.array_equal(world.before[sure, -1], plain.before[sure, :-1].max(1))
    assert (world.before[rest, :-1] < plain.before[rest, :-1]).all()
    disturbed = rest & (world.before[:, -1] > world.before[:, :-1].max(1))
    assert disturbed.sum() == 60
    lost = rest & ~disturbed
    odds = world.before[lost] / (1 - world.before[lost]) * (1 - plain.before[lost]) / plain.before[lost]
    assert odds == pytest.approx(np.exp(-3.0))


def test_fatigue_takes_its_logits_for_each_contact_from_offers_alone():
    world = build(replace(SMALL, fatigue=0.2), 3)
    contacts = ROWS % 4
    fresh, tired = (world.success(ROWS, OFFER, 2, contacts=c) for c in (0, contacts))
    fell = np.log(fresh / (1 - fresh)) - np.log(tired / (1 - tired))
    assert fell == pytest.approx(np.where(OFFER < 0, 0.0, 0.2 * contacts))
    table = world.value(2, contacts=contacts)
    expected = world.success(ROWS, 5, 2, contacts=contacts) * (world.offers.margin - world.offers.redemption_cost)[5]
    assert table[:, 5] == pytest.approx(expected - world.offers.contact_cost[5])
    paid = world.cost(2, contacts=contacts)[:, 5] - world.offers.contact_cost[5]
    assert paid == pytest.approx(world.success(ROWS, 5, 2, contacts=contacts) * world.offers.redemption_cost[5])
    came, _ = world.outcomes(ROWS, OFFER, 2, contacts=contacts)
    assert (came <= world.outcomes(ROWS, OFFER, 2)[0]).all(), "the same coin against a lower chance"


@pytest.mark.parametrize(
    ("kind", "weights"),
    [
        ("none", [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("sudden", [0, 0, 0, 1, 1, 1, 1, 1, 1, 1]),
        ("gradual", [0, 0, 0, 0.5, 1, 1, 1, 1, 1, 1]),
        ("recurring", [0, 0, 0, 1, 1, 0, 0, 1, 1, 0]),
    ],
)
def test_a_drift_has_its_course(kind, weights):
    world = build(replace(SMALL, drift=Drift(kind, at=0.3, over=0.2)), 3)
    for day, weight in enumerate(weights):
        expected = (1 - weight) * world.before + weight * world.after
        now = np.column_stack([world.success(ROWS, a, day) for a in (*range(12), -1)])
        assert np.allclose(now, expected, rtol=1e-12)
        paid = world.offers.contact_cost + expected[:, :-1] * world.offers.redemption_cost
        assert np.allclose(world.cost(day), paid, rtol=1e-12)


def test_a_season_comes_back_and_no_offer_has_none():
    world = build(replace(SMALL, season=Season(0.5, period_days=5.0), drift=Drift("none")), 3)
    days = [world.success(ROWS, 4, day) for day in range(10)]
    logit = np.array([np.log(p / (1 - p)) - np.log(world.before[:, 4] / (1 - world.before[:, 4])) for p in days])
    assert logit[:5] == pytest.approx(logit[5:])
    assert 0.4 < np.abs(logit).max() <= 0.5
    assert np.array_equal(world.success(ROWS, -1, 3), world.before[:, -1])
    assert world.value(3)[:, 4] + world.offers.contact_cost[4] == pytest.approx(
        days[3] * (world.offers.margin - world.offers.redemption_cost)[4]
    )


def test_offers_come_and_go_on_their_days_in_the_world_and_in_its_files(tmp_path):
    about = replace(SMALL, offers=Offering(arrivals=(0.2, 0.6), retirements=(0.4,)))
    world = build(about, 3)
    there = np.array([world.open(day) for day in range(10)])
    assert there[:, 8].tolist() == [day >= 2 for day in range(10)]
    assert there[:, 9].tolist() == [day >= 6 for day in range(10)]
    assert there[:, 0].tolist() == [day < 4 for day in range(10)]
    assert there[:, [*range(1, 8), 10, 11]].all()
    lines = write(world, tmp_path).offers.read_text().splitlines()
    assert '"2026-01-03","2026-12-31"' in lines[9]
    assert '"2025-10-01","2026-01-04"' in lines[1]


def test_after_a_cut_a_part_of_the_budget_is_left():
    world = build(replace(SMALL, budget=Cut(at=0.3, to=0.4)), 3)
    assert [world.budget_factor(day) for day in range(5)] == [1.0, 1.0, 1.0, 0.4, 0.4]


def test_rewards_carry_the_customers_own_margin():
    world = build(replace(SMALL, money=Amounts(margin_spread=0.5)), 3)
    outcome, reward = world.outcomes(ROWS, 5, 0)
    assert outcome.any()
    assert reward == pytest.approx(outcome * world.offers.margin[5] * world.margin_factor)
    earned = world.success(ROWS, 5, 0) * (
        world.offers.margin[5] * world.margin_factor - world.offers.redemption_cost[5]
    )
    assert world.value(0)[:, 5] == pytest.approx(earned - world.offers.contact_cost[5])
    some = np.array([7, 3])
    assert np.array_equal(world.value(0, some, basis="incremental"), world.value(0, basis="incremental")[some])


def test_a_report_does_not_depend_on_who_else_is_asked_about():
    about = replace(SMALL, feedback=Reporting(1, 0.7, 5, 0.2, 0.2, 3), bots=Bots(0.2))
    world = build(about, 3)
    whole = world.heard(ROWS, OFFER, DAY, ROWS % 2)
    order = np.random.default_rng(0).permutation(600)[:250]
    part = world.heard(ROWS[order], OFFER[order], DAY[order], ROWS[order] % 2)
    for name in ("day_heard", "outcome", "missing", "corrected_day", "corrected_outcome"):
        assert np.array_equal(getattr(part, name), getattr(whole, name)[order])


def test_a_report_is_put_right_in_the_end_and_no_later_than_the_window():
    world = build(replace(SMALL, feedback=Reporting(1, 0.7, 5, 0.0, 0.3, 4)), 3)
    outcome = ROWS % 2
    said = world.heard(ROWS, OFFER, DAY, outcome)
    waited = said.day_heard - DAY
    assert (waited.min(), waited.max()) == (1, 5)
    wrong = said.corrected_day >= 0
    assert np.array_equal(said.corrected_day[wrong], said.day_heard[wrong] + 4)
    assert np.array_equal(said.outcome != said.corrected_outcome, wrong)
    assert np.array_equal(said.corrected_outcome[waited < 5], outcome[waited < 5])
    assert (said.corrected_outcome <= outcome).all()
    assert (said.corrected_outcome < outcome).any(), "some successes come after the window"


def test_copies_have_the_number_of_the_first_and_the_files_say_so(tmp_path):
    world = build(replace(SMALL, defects=Defects(duplicated=0.1, missing_numbers=0.1)), 3, customers=50)
    log = world.history
    copies = len(log.offer) - 880
    assert 50 < copies < 130
    first = log.taken(log.person[880:])
    for name in ("offer", "outcome", "probability", "margin_factor"):
        assert np.array_equal(getattr(log, name)[880:], getattr(first, name))
    files = write(world, tmp_path)
    exposures = pyarrow.parquet.read_table(files.exposures).to_pylist()
    assert exposures[880:] == [exposures[person] for person in log.person[880:]]
    people = pyarrow.parquet.read_table(files.customers)
    assert people.num_rows == 50 + 880
    assert len(set(people["customer_id"].to_pylist())) == people.num_rows
    assert (
        people["travel_score"].null_count
        == np.isnan(np.concatenate([world.customers.numeric[:, 9], log.customers.numeric[:880, 9]])).sum()
    )


def test_worlds_of_any_number_of_offers_have_names_and_rules_of_their_own():
    world = build(replace(SMALL, offers=Offering(count=30, warm=20)), 3)
    assert len(set(world.offers.ids)) == len(set(world.offers.names)) == 30
    assert world.value(0).shape == (600, 31)
    assert world.eligible.shape == (600, 30)
    assert not world.eligible[:, 21].all() and not world.eligible[:, 23].all()
    assert set(world.history.offer) == {-1, *range(20)}
    least = build(replace(SMALL, offers=Offering(count=1, warm=1)), 3)
    assert least.value(9).shape == (600, 2)
    assert set(least.history.offer) == {-1, 0}


def test_logged_rewards_carry_the_customers_own_margin(tmp_path):
    world = build(replace(SMALL, money=Amounts(margin_spread=0.5)), 3, customers=10)
    log = world.history
    reward = pyarrow.parquet.read_table(write(world, tmp_path).exposures)["reward"].to_numpy()
    margin = np.append(world.offers.margin, world.outside_margin)[log.offer]
    assert reward.any()
    assert reward == pytest.approx(log.outcome * margin * log.margin_factor)
