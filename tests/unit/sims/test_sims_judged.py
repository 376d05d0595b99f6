"""Other policies on the days of one: tables are chances, the truth is the world's, what is judged is forgotten."""

from types import SimpleNamespace

import numpy as np
import pytest

from sims.allocations import Batch, Drawn, batch_of
from sims.days import Known
from sims.judged import WINDOW_DAYS, Judge
from sims.play import _earned, play
from sims.policies import policy_of
from sims.targets import ITSELF, TARGETS, by_chance, certain, greedy, itself, mixed, nobody, soft
from sims.world import nbo


def drawn(value, chances, *, believed=None, eligible=None, choice=None):
    """A day without prices: true values (n, k) and chances (n, k + 1)."""
    value, chances = np.asarray(value, float), np.asarray(chances, np.float32)
    n, k = value.shape
    allowed = np.ones((n, k), np.bool_) if eligible is None else np.asarray(eligible)
    batch = Batch(None, 0, np.arange(n), allowed, value, np.zeros((n, k)), ())
    worth = SimpleNamespace(value=value if believed is None else np.asarray(believed, float))
    picked = np.full(n, -1) if choice is None else np.asarray(choice)
    return Drawn(batch, worth, SimpleNamespace(probability=chances, choice=picked, charges=np.zeros((3, 1, k))))


DAY = drawn([[3, 1], [-1, 2], [5, 0.5]], [[0.2, 0.3, 0.5], [0.1, 0.8, 0.1], [0.0, 0.6, 0.4]],
            eligible=[[True, True], [True, True], [False, True]])  # fmt: skip


@pytest.mark.parametrize("target", [*TARGETS.values(), nobody])
def test_a_target_is_a_table_of_chances_of_what_may_be_sent(target):
    table = target(DAY)
    assert table.sum(1) == pytest.approx(np.ones(3))
    assert (table >= 0).all()
    assert not table[:, :-1][~DAY.batch.eligible].any()


def test_targets_are_what_they_are_called():
    assert greedy(DAY).argmax(1).tolist() == [0, 1, 1]
    assert by_chance(DAY)[2].tolist() == [0, 0.5, 0.5]
    assert mixed(nobody, by_chance, 0.5)(DAY)[2] == pytest.approx([0, 0.25, 0.75])
    assert itself(DAY) == pytest.approx(DAY.plan.probability)
    assert (np.diff(soft(DAY)[0][[2, 1, 0]]) > 0).all(), "better is likelier"
    assert certain(np.array([-1, 0]), 2).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_the_truth_of_a_target_is_what_its_chances_truly_earn_and_days_are_judged_once():
    judge = Judge({ITSELF: itself, "nobody": nobody})
    for _ in range(2):
        judge.add(DAY, np.zeros(3))
    own, none = judge.judged()
    assert own.target == ITSELF and own.rows == 6
    assert own.truth == pytest.approx((0.2 * 3 + 0.3 * 1 - 0.1 + 0.8 * 2 + 0.6 * 0.5) / 3)
    assert none.truth == 0.0
    assert judge.judged() == ()


def test_estimates_have_no_bias_and_their_intervals_hold_the_truth():
    """300 logs of 2,000 decisions: what a model believes is far off, yet the estimates are right."""
    r = np.random.default_rng(5)
    chance = r.uniform(0.05, 0.4, (2_000, 3))
    table = r.dirichlet([2.0, 2.0, 2.0, 2.0], 2_000)
    errors, held = [], []
    for _ in range(300):
        choice = (table.cumsum(1) < r.random((2_000, 1))).sum(1).clip(0, 3)
        shown = np.where(choice < 3, choice, 0)
        reward = 10.0 * ((r.random(2_000) < chance[np.arange(2_000), shown]) & (choice < 3))
        judge = Judge({"by chance": by_chance})
        judge.add(
            drawn(10 * chance, table, believed=np.full((2_000, 3), 1.0), choice=np.where(choice < 3, choice, -1)),
            reward,
        )
        (one,) = judge.judged()
        errors.append(one.value - one.truth)
        held.append(one.low <= one.truth <= one.high)
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(300)
    assert np.mean(held) > 0.95 - 4 * np.sqrt(0.95 * 0.05 / 300)


@pytest.fixture(scope="module")
def known():
    return Known(nbo(7, days=WINDOW_DAYS + 1, per_day=150, history=1_500))


@pytest.fixture(scope="module")
def days(known):
    return list(play(known, policy_of("allot")))


def test_a_log_is_a_week_of_decisions(days):
    assert [len(day.judged) for day in days] == [0] * (WINDOW_DAYS - 1) + [len(TARGETS)] * 2
    assert [day.judged[0].rows for day in days[WINDOW_DAYS - 1 :]] == [150 * WINDOW_DAYS, 150]


def test_checking_fewer_decisions_changes_none(known, days):
    fewer = list(play(known, policy_of("allot"), checked=60))
    assert all(a.reward == b.reward and a.prices == b.prices for a, b in zip(days, fewer, strict=True))
    assert fewer[-1].judged[0].rows == 50
    assert fewer[0].claims.inside[1, 0] < days[0].claims.inside[1, 0]


def test_options_are_drawn_as_often_as_they_are_stated(days):
    total = sum(day.claims.chances for day in days)
    assert total[:, 2].sum() == pytest.approx(total[:, 1].sum()) == 150 * len(days)
    enough = np.minimum(total[:, 1], total[:, 0] - total[:, 1]) >= 30
    assert enough.sum() >= 5
    assert (np.abs(total[enough, 2] - total[enough, 1]) < 4 * np.sqrt(total[enough, 3])).all()


def test_what_decisions_earned_is_their_true_worth_but_for_luck():
    """Every offer to 20,000 customers each time: margins, contacts and redemptions are all in it."""
    world = nbo(7, customers=20_000, days=1, history=1_500)
    rows, none = np.arange(20_000), np.zeros(20_000, np.int64)
    batch = batch_of(world, 0, rows, np.ones((20_000, len(world.offers)), np.bool_), none)
    for offer in range(len(world.offers)):
        gap = _earned(batch, np.full(20_000, offer), none) - batch.value[:, offer]
        assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(20_000)
    assert not _earned(batch, np.full(20_000, -1), none).any()


def test_who_has_no_beliefs_claims_nothing(known):
    day = next(play(known, policy_of("lints")))
    assert day.claims is None and day.judged == ()
