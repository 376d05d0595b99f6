"""A maximum of zero leaves no room for chance: whatever uses anything of it is ruled out, and so on from there."""

import numpy as np

from portfolio import Limit, Problem, Selection, Share, compile_rows, ruled_out, usage, use_of


def problem(*limits, cost=None):
    n, k = 4, 3
    money = np.ones((n, k)) if cost is None else cost
    return Problem(np.ones((n, k)), money, np.ones((n, k), bool), np.array([0, 0, 1, 1]), limits)


def gone(p):
    return ruled_out(p, compile_rows(p.limits, p.n_cells, 3))


def test_a_cap_of_zero_rules_out_its_pairs():
    found = gone(problem(Limit("cap", "count", maximum=0, offers=(1,), cells=(1,))))
    assert found.sum() == 2
    assert found[2:, 1].all()


def test_a_budget_of_zero_leaves_what_is_free():
    cost = np.ones((4, 3))
    cost[:, 2] = 0.0
    found = gone(problem(Limit("budget", "cost", maximum=0), cost=cost))
    assert found[:, :2].all()
    assert not found[:, 2].any()


def test_a_limit_with_room_or_a_penalty_rules_nothing_out():
    assert not gone(problem(Limit("cap", "count", maximum=1))).any()
    assert not gone(problem(Limit("cap", "count", maximum=0, penalty=2.0))).any()
    assert not gone(problem(Limit("cap", "count", maximum=0, report_only=True))).any()


def test_a_share_of_what_is_ruled_out_is_ruled_out_with_it():
    """At least a fifth must be offer 0, which is capped at nothing: then nothing of the whole is possible."""
    share = Share("share", "count", Selection(offers=(0,)), Selection(offers=(0, 1)), minimum=0.2)
    found = gone(problem(Limit("cap", "count", maximum=0, offers=(0,)), share))
    assert found[:, :2].all()
    assert not found[:, 2].any()
    assert not gone(problem(share)).any()


def test_a_share_of_nothing_keeps_every_bound():
    p = problem(Share("share", "count", Selection(offers=(0,)), Selection(), minimum=0.2))
    (counted,) = usage(p.limits, use_of(p, np.full(4, -1)))
    assert (counted.used, counted.slack) == (0.0, 0.0)


def test_a_share_of_a_loss_is_kept_when_its_part_is_small_enough():
    """At most 40 % of a total value of -10: -4 keeps it, -3 is too much."""
    share = Share("share", "value", Selection(offers=(0,)), Selection(), maximum=0.4)
    value = np.array([[-4.0, -6.0, 0.0], [-3.0, -7.0, 0.0]])
    for row, kept in ((0, True), (1, False)):
        p = Problem(value[[row, row]], np.ones((2, 3)), np.ones((2, 3), bool), np.zeros(2, int), (share,))
        (counted,) = usage(p.limits, use_of(p, np.array([0, 1])))
        assert (counted.slack >= -1e-12) is kept
        rows = compile_rows(p.limits, p.n_cells, 3)
        assert bool((rows.consumption(use_of(p, np.array([0, 1]))) <= rows.upper + 1e-12).all()) is kept
