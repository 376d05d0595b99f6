"""What may be believed is what one works out by hand over seeds."""

from dataclasses import replace

import numpy as np
import pytest

from sims.claims import BELIEF_EDGES, CHANCE_EDGES, Claims
from sims.comparison import Compared
from sims.judged import Judged
from sims.run_files import Run
from sims.targets import ITSELF
from sims.trust import daily_price, supported, trust, trusted


def bare(policy, seed):
    flat = np.ones(3)
    return Run(policy, seed, ("a",), flat, np.ones((3, 1)), flat, flat, flat, flat, flat, ("released",) * 3, ({},) * 3,
               None, ())  # fmt: skip


def compared(*runs):
    return Compared([*runs, *(bare("oracle", run.seed) for run in runs)])


def claims(beliefs=(0, 0, 0), inside=((1, 1), (1, 1)), chances=(0, 0, 0, 0)):
    """Everything in the second bin."""
    told, stated = np.zeros((len(BELIEF_EDGES) - 1, 3)), np.zeros((len(CHANCE_EDGES) - 1, 4))
    told[1], stated[1] = beliefs, chances
    return Claims(told, np.array(inside), stated)


def judged(value, *, verdict="supported", target="greedy", truth=10.0):
    return Judged(target, 50, verdict, value, 1.0, value - 2.0, value + 2.0, truth)


def test_beliefs_are_pooled_over_seeds_and_intervals_are_means_of_seeds():
    one = replace(bare("allot", 1), claims=claims((10, 1.0, 0.5), ((10, 6), (40, 30))))
    other = replace(bare("allot", 2), claims=claims((30, 2.0, 2.5), ((30, 30), (40, 20))))
    x = trust(compared(one, other), "allot")["beliefs"]
    assert (x["choices"], x["stated"], x["true"], x["error"]) == (40, 0.075, 0.075, 0.0)
    assert x["inside_chosen"]["value"] == pytest.approx((0.6 + 1.0) / 2)
    assert x["inside"]["value"] == pytest.approx((0.75 + 0.5) / 2)
    assert x["bins"] == [{"from": 0.01, "to": 0.02, "choices": 40, "stated": 0.075, "true": 0.075}]


def test_chances_are_tested_where_enough_options_should_have_been_drawn():
    few = trust(compared(replace(bare("allot", 1), claims=claims(chances=(100, 29, 60, 16)))), "allot")["chances"]
    assert few["z"] == 0.0 and few["options"] == 100
    many = trust(compared(replace(bare("allot", 1), claims=claims(chances=(100, 31, 39, 16)))), "allot")["chances"]
    assert many["z"] == pytest.approx(2.0)
    assert many["reached_by_chance"] == pytest.approx(1.96, abs=0.01)


def test_coverage_is_of_supported_estimates_and_bias_of_all():
    """What the policy says of itself counts for neither; an invalid one has no value."""
    one = (judged(11.0), judged(15.0), judged(40.0, verdict="insufficient"), judged(99.0, target=ITSELF))
    other = (judged(9.0), judged(np.nan, verdict="invalid"))
    runs = compared(replace(bare("allot", 1), judged=one), replace(bare("allot", 2), judged=other))
    x = trust(runs, "allot")["estimates"]
    assert (x["count"], x["targets"], x["supported"]) == (5, 1, 3)
    assert x["inside"]["value"] == pytest.approx((0.5 + 1.0) / 2)
    assert x["error"]["value"] == pytest.approx(((1 + 5 + 30) / 3 - 1) / 2 / 10)
    assert [one.value for one in supported(runs, "allot")] == [11.0, 15.0, 9.0]


def test_price_changes_are_shares_of_the_prices_before():
    prices = ({"budget": 2.0, "cap a": 1.0}, {"budget": 3.0}, {"budget": 1.0, "cap a": 5.0})
    other = ({"budget": 4.0}, {"budget": 5.0}, {})
    runs = compared(replace(bare("allot", 1), prices=prices), replace(bare("allot", 2), prices=other))
    x = trust(runs, "allot")["prices"]
    assert x["budget"]["mean"] == pytest.approx(3.0)
    assert x["budget"]["change"] == pytest.approx((1 + 2 + 1) / (2 + 3 + 4))
    assert x["caps"] == {"mean": 3.0, "change": None}, "no cap has a price on two days running"
    assert daily_price(runs, "allot") == [3.0, 4.0, 1.0]


def test_who_claims_nothing_is_not_asked():
    runs = compared(replace(bare("allot", 1), claims=claims((1, 0.1, 0.1))))
    assert list(trusted(runs)) == ["allot"]
