"""Learners hear nothing before its time and give nobody what is not for them; the baselines are what they say."""

import numpy as np
import pytest

from sims.days import LEARNERS, Known, decided, linear, oracle_share, ours
from sims.late import HORIZON_DAYS, late_share
from sims.learners import EpsilonGreedy, Fixed, Linear, Money, Uniform
from sims.world import nbo


@pytest.fixture(scope="module")
def known():
    return Known(nbo(7, days=12, per_day=60, history=1_500))


class Recorder(Fixed):
    """Fixed scores; remembers when it was asked and what it was told."""

    def __init__(self, world):
        super().__init__(world.value(0)[:, :-1])
        self.world, self.log, self.day = world, [], -1

    def scores(self, rows, r):
        self.day += 1
        return super().scores(rows, r)

    def hear(self, rows, arm, outcome, window):
        self.log.append((self.day, window, len(rows)))
        expected, _ = self.world.outcomes(rows, arm, window)
        assert (expected == outcome).all() and (self.world.arrival[rows] == window).all()


@pytest.mark.parametrize("delay", [1, 3])
def test_every_day_is_heard_once_and_so_many_days_later(known, delay):
    told = Recorder(known.world)
    oracle_share(known, told, delay_days=delay)
    assert [(day + 1, window) for day, window, _ in told.log] == [(d, d - delay) for d in range(delay, 12)]


def test_who_knows_the_truth_before_the_drift_earns_all_of_it(known):
    world = known.world
    truth = Fixed(world.value(0)[:, :-1])
    r = np.random.default_rng(0)
    early = [decided(world, truth, day, r) for day in range(world.drift_day)]
    assert all(day.earned == pytest.approx(day.possible, rel=1e-12) for day in early)
    assert oracle_share(known, truth) < 1.0


@pytest.mark.parametrize("name", LEARNERS)
def test_nobody_gets_what_is_not_for_him_and_nobody_beats_the_oracle(known, name):
    learner = LEARNERS[name](known)
    done = decided(known.world, learner, 0, np.random.default_rng(1))
    assert known.world.eligible[done.rows, done.arm].all()
    share = oracle_share(known, learner)
    assert -1.0 < share < 1.0
    assert share == oracle_share(known, LEARNERS[name](known)), "the same seed, the same decisions"


def test_a_linear_learner_is_a_ridge_regression_of_what_was_earned():
    r = np.random.default_rng(2)
    x, arm, outcome = r.normal(size=(80, 3)), r.integers(0, 2, 80), r.integers(0, 2, 80).astype(float)
    money = Money(np.array([3.0, 5.0]), np.array([0.5, 0.1]))
    greedy, careful = Linear(x, money, 0.0), Linear(x, money, 2.0, "add")
    for learner in (greedy, careful):
        learner.add(x, arm, outcome)
    for a in (0, 1):
        here = arm == a
        gram = np.eye(3) + x[here].T @ x[here]
        weight = np.linalg.solve(gram, x[here].T @ (outcome[here] * money.net[a] - money.fee[a]))
        assert greedy.scores(np.arange(80), r)[:, a] == pytest.approx(x @ weight)
        error = np.sqrt(np.einsum("ni,ij,nj->n", x, np.linalg.inv(gram), x))
        assert careful.scores(np.arange(80), r)[:, a] == pytest.approx(x @ weight + 2 * error)


def test_epsilon_greedy_explores_its_share_and_uniform_everything():
    table = np.tile([1.0, 2.0, -1.0], (20_000, 1))
    rows, r = np.arange(20_000), np.random.default_rng(3)
    scores = EpsilonGreedy(Fixed(table), 0.3).scores(rows, r)
    assert np.array_equal(np.sort(scores, 1), np.sort(table, 1)), "explored customers' scores change places only"
    assert np.bincount(scores.argmax(1)) / 20_000 == pytest.approx([0.1, 0.8, 0.1], abs=0.013)
    assert (table == [1.0, 2.0, -1.0]).all(), "the inner learner's scores stay as they are"
    spread = np.column_stack([Uniform(3).scores(rows, r), np.zeros(20_000)]).argmax(1)
    assert np.bincount(spread) / 20_000 == pytest.approx(0.25, abs=0.013)


def test_lateness_costs_and_waiting_hears_nothing_young(known, monkeypatch):
    """A world shorter than the horizon: who waits never hears anything, and decides as on the first day."""
    short = Known(nbo(7, days=HORIZON_DAYS, per_day=60, history=1_500))
    deaf = ours(short)
    monkeypatch.setattr(deaf, "hear", lambda *_: None, raising=False)
    r = np.random.default_rng([7, 2])
    days = [decided(short.world, deaf, day, r) for day in range(HORIZON_DAYS)]
    expected = sum(d.earned for d in days) / sum(d.possible for d in days)
    assert late_share(short, "waiting") == expected
    assert len({late_share(short, how) for how in ("waiting", "failures", "weighted")}) == 3


def test_linear_with_the_log_starts_from_it(known):
    without, taught = linear(known, 0.0), linear(known, 0.0, log=True)
    r = np.random.default_rng(0)
    assert not without.scores(np.arange(5), r).any()
    assert taught.scores(np.arange(5), r)[:, known.world.offers.warm].all()
