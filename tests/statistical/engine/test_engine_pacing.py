"""A day with twice the traffic that was foreseen: the budget lasts, brings nearly what hindsight would, and is kept."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.stats import chi2

from bandit import Beliefs, choice_probabilities
from engine.objective import Terms, worth_of
from engine.oracle import some_scores
from engine.policy import Setting, policy_of
from engine.serving.pacing import Crowd, due, expected_demand, resolve_prices
from portfolio import Limit, Problem

N, K, CROWD = 6_000, 6, 600
FORESEEN, CAME = 3_000, 6_000
EARLIER = 100  # requests until an outcome is known
SHARE = 0.01
MORNING = datetime(2026, 4, 1, tzinfo=UTC)


@dataclass
class Town:
    """Everybody who asks, in the order in which they come, and the limits."""

    worth: object
    problem: Problem
    need: np.ndarray  # (m, K) micros that an offer takes of each limit at most
    sure: np.ndarray
    chance: np.ndarray  # (N, K) of success
    caps: dict


def town(seed):
    r = np.random.default_rng(seed)
    mean = (r.normal(-2.0, 0.9, (N, 1)) + r.normal(0, 0.7, (N, K + 1))).astype(np.float32)
    sd = (0.4 * np.exp(r.normal(0, 0.3, (N, K + 1)))).astype(np.float32)
    terms = Terms(r.uniform(20, 60, K), np.round(r.uniform(0.5, 3, K), 2), np.round(r.uniform(0, 6, K), 2), 0.0)
    eligible = r.random((N, K)) < 0.8
    worth = worth_of("profit", Beliefs(mean, sd), eligible, terms, np.ones(K + 1))
    free = Problem(worth.value, worth.cost, eligible, r.integers(0, 2, N).astype(np.int32))
    count, cost, _ = policy_of(worth.scores, free, Setting(0.0)).use
    limits = (
        Limit("budget", "cost", maximum=round(0.25 * cost.sum(), 2)),
        Limit("letters", "count", maximum=float(round(0.5 * count[:, :3].sum())), offers=(0, 1, 2)),
        Limit("gold", "cost", maximum=round(0.4 * cost[1, 2:].sum(), 2), offers=(2, 3, 4, 5), cells=(1,)),
    )
    most, least = terms.contact_cost + terms.redemption_cost, terms.contact_cost
    need = np.round(np.stack([most, np.ones(K), most]) * 1e6).astype(np.int64)
    sure = np.round(np.stack([least, np.ones(K), least]) * 1e6).astype(np.int64)
    caps = {x.name: round(x.maximum * 1e6) for x in limits}
    return Town(worth, replace(free, limits=limits), need, sure, worth.expected.astype(float), caps)


def crowd_of(t):
    rows = np.arange(0, N, N // CROWD)
    p = t.problem
    few = Problem(p.value[rows], p.cost[rows], p.eligible[rows], p.cell[rows], p.limits, n_cells=2)
    return Crowd(some_scores(t.worth.scores, rows), few, SHARE, N)


def drawing_on(t):
    """(m, 2, K): whether an offer in a cell draws on a limit."""
    on = np.zeros((3, 2, K), bool)
    on[0] = True
    on[1, :, :3] = True
    on[2, 1, 2:] = True
    return on


class Day:
    """One day of single decisions; `resolving` and `honest` are what mutants leave out."""

    def __init__(self, t, seed, *, resolving=True, honest=True):
        self.t, self.r = t, np.random.default_rng(seed)
        self.resolving, self.honest = resolving, honest
        self.left = np.array(list(t.caps.values()))
        self.held, self.stated, self.played, self.late = [], [], [], []
        self.value, self.versions = 0.0, []
        self.lowest = self.left.copy()

    def remaining(self):
        return dict(zip(self.t.caps, self.left.tolist(), strict=True))

    def reprice(self, i):
        now = MORNING + timedelta(days=i / CAME)
        last = self.versions[-1] if self.versions else None
        if last is not None and not (self.resolving and due(last, now, self.remaining(), self.t.caps)):
            return False
        gone = i / CAME
        demand = expected_demand(FORESEEN, days_gone=gone, days_left=1.0 - gone, observed=i)
        start = None if last is None else last.prices
        found = resolve_prices(crowd_of(self.t), "day", self.remaining(), demand, now=now, start=start)
        if found is not None:
            self.versions.append(found)
        return found is not None

    def run(self):
        on, i = drawing_on(self.t), 0
        while i < CAME:
            self.reprice(i)
            block = slice(i, min(i + 20, CAME))
            p = self.probabilities(block, self.t.problem.eligible[block])
            for row in range(block.start, block.stop):
                self.settle(row)
                need = self.t.need * on[:, self.t.problem.cell[row]]
                can = (need <= self.left[:, None]).all(0) & self.t.problem.eligible[row]
                dropped = bool((self.t.problem.eligible[row] & ~can).any())
                chances = p[row - i]
                if dropped and self.honest:
                    chances = self.probabilities(slice(row, row + 1), can[None])[0]
                self.play(row, chances, can, need)
            i = block.stop
        return self

    def probabilities(self, rows, eligible):
        s, v, problem = self.t.worth.scores, self.versions[-1], self.t.problem
        charge = v.charges[:, problem.cell[rows]]
        fee = s.fee + charge[0] + charge[1] * problem.cost[rows] + charge[2] * problem.value[rows]
        found = choice_probabilities(s.mean[rows], s.sd[rows], s.value, fee, eligible, threads=1)
        even = eligible * v.even[problem.cell[rows]] / (1.0 + eligible.sum(1, keepdims=True))
        return (1.0 - SHARE) * found + SHARE * np.column_stack([even, 1.0 - even.sum(1)])

    def play(self, row, chances, can, need):
        chosen = int(self.r.choice(K + 1, p=chances / chances.sum()))
        if chosen < K and not can[chosen]:  # only where somebody does not play what they say
            chosen = K
        self.stated.append(chances)
        self.played.append(chosen)
        self.late.append(self.left[0] <= 0.05 * self.t.caps["budget"])
        if chosen < K:
            self.value += float(self.t.problem.value[row, chosen])
            self.left = self.left - need[:, chosen]
            self.lowest = np.minimum(self.lowest, self.left)
            self.held.append((row, chosen, need[:, chosen]))

    def settle(self, row):
        while self.held and self.held[0][0] <= row - EARLIER:
            earlier, offer, amounts = self.held.pop(0)
            if self.r.random() >= self.t.chance[earlier, offer]:
                self.left = self.left + amounts - np.where(amounts > 0, self.t.sure[:, offer], 0)


def in_hindsight(t):
    """What the same people would have been worth had it been known how many come."""
    policy = policy_of(t.worth.scores, t.problem, Setting(SHARE))
    return float((policy.probability[:, :K].astype(float) * t.problem.value).sum())


def calibration(day):
    """The chance of a chi-square this large, of what was played in the last twentieth of the budget; and how often."""
    some = np.array(day.late)
    stated, played = np.array(day.stated)[some], np.array(day.played)[some]
    stated = stated / stated.sum(1, keepdims=True)
    seen = np.bincount(played, minlength=K + 1)
    expected, between = stated.sum(0), np.diag(stated.sum(0)) - stated.T @ stated
    alive = expected[:K] > 5
    gap = (seen - expected)[:K][alive]
    statistic = gap @ np.linalg.solve(between[:K, :K][np.ix_(alive, alive)], gap)
    return float(chi2.sf(statistic, alive.sum())), int(some.sum())


@pytest.fixture(scope="module")
def busy():
    t = town(5)
    return t, Day(t, 1).run()


@pytest.fixture(scope="module")
def spent_early():
    """The same day at the morning's prices: the budget is gone by noon, and offers drop out all the time."""
    return Day(town(5), 1, resolving=False).run()


def test_twice_the_traffic_brings_nearly_what_hindsight_would_and_overspends_nothing(busy):
    t, day = busy
    assert day.lowest.min() >= 0
    assert day.value >= 0.95 * in_hindsight(t)


def test_prices_that_are_never_solved_again_bring_much_less(busy, spent_early):
    assert spent_early.value < 0.8 * in_hindsight(busy[0])


def test_chances_are_those_that_are_played_in_the_last_of_the_budget(busy, spent_early):
    for day in (busy[1], spent_early):
        p, rows = calibration(day)
        assert rows > 100
        assert p > 1e-4


def test_chances_stated_before_the_budget_was_asked_are_found_out(busy):
    assert calibration(Day(busy[0], 1, resolving=False, honest=False).run())[0] < 1e-9


def test_prices_rise_with_the_demand_and_fall_with_the_room():
    t = town(3)
    few = expected_demand(1_000, days_gone=0, days_left=1, observed=0)
    many = expected_demand(4_000, days_gone=0, days_left=1, observed=0)
    calm, busy, rich = (
        resolve_prices(crowd_of(t), "day", room, demand, now=MORNING).prices["budget"]
        for room, demand in ((t.caps, few), (t.caps, many), ({k: 10 * v for k, v in t.caps.items()}, many))
    )
    assert 0 <= rich < busy
    assert calm < busy
