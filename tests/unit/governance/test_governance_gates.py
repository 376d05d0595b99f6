"""Each gate stays open for an honest plan and shuts for the one lie it is there for."""

from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest

from allot import ShapeError
from governance import GATES, Evidence, books_of, release

Use = namedtuple("Use", "name used minimum maximum")


def honest():
    """Five customers, two offers: chosen, chosen, no offer drawn, nothing eligible, held out."""
    eligible = np.array([[1, 1], [0, 1], [1, 0], [0, 0], [1, 1]], bool)
    probability = np.array([[0.5, 0.25, 0.25], [0, 0.7, 0.3], [0.4, 0, 0.6], [0, 0, 1], [0, 0, 1]], np.float32)
    choice = np.array([0, 1, -1, -1, -1])
    held_out = np.array([0, 0, 0, 0, 1], bool)
    propensity = np.array([0.5, 0.7, 0.6, 1, 1])
    limits = (Use("mail", 2.0, 1.0, 2.0), Use("budget", 10.0, None, 10.0), Use("share", 0.3, 0.3, None))
    books = books_of(choice, eligible, held_out)
    return Evidence(choice, probability, propensity, eligible, held_out, books, limits)


def edited(array, at, value):
    out = array.copy()
    out[at] = value
    return out


def shut(evidence):
    verdict = release(evidence)
    assert verdict.released == (not verdict.findings)
    return [finding.gate for finding in verdict.findings]


def test_an_honest_plan_is_released():
    assert shut(honest()) == []
    assert len(GATES) == 6


def test_books_account_for_every_pair_and_customer():
    b = honest().books
    assert (b.customers, b.pairs) == (5, 10)
    assert (b.excluded, b.eligible_not_chosen, b.chosen) == (4, 4, 2)
    assert (b.no_offer, b.no_eligible, b.held_out) == (1, 1, 1)


@pytest.mark.parametrize("value", [0.49, 0.51, np.nan])
def test_rows_that_do_not_sum_to_one_are_found(value):
    e = honest()
    assert "probabilities_sum_to_one" in shut(replace(e, probability=edited(e.probability, (0, 0), value)))


def test_a_negative_probability_is_found():
    e = honest()
    assert "probabilities_sum_to_one" in shut(replace(e, probability=edited(e.probability, 0, [0.5, -0.25, 0.75])))


@pytest.mark.parametrize("value", [0.6, 1.0, np.nan])
def test_a_propensity_that_is_not_the_chosen_probability_is_found(value):
    e = honest()
    found = shut(replace(e, propensity=edited(e.propensity, 0, value)))
    assert found == ["propensity_is_the_chosen_probability"]


def test_a_choice_without_a_chance_is_found():
    e = honest()
    row = edited(e.probability, 0, [0, 0.5, 0.5])
    found = shut(replace(e, probability=row, propensity=edited(e.propensity, 0, 0.0)))
    assert found == ["propensity_is_the_chosen_probability"]


def test_an_ineligible_choice_is_found():
    e = honest()
    eligible = edited(e.eligible, (0, 0), False)
    assert "nothing_ineligible" in shut(replace(e, eligible=eligible, books=books_of(e.choice, eligible, e.held_out)))


def test_an_ineligible_chance_is_found():
    e = honest()
    assert shut(replace(e, probability=edited(e.probability, 1, [0.1, 0.7, 0.2]))) == ["nothing_ineligible"]


@pytest.mark.parametrize("field", ["excluded", "chosen", "no_offer", "held_out", "pairs", "customers"])
def test_books_that_do_not_balance_are_found(field):
    e = honest()
    books = replace(e.books, **{field: getattr(e.books, field) + 1})
    assert shut(replace(e, books=books)) == ["books_balance"]


def test_books_that_balance_but_are_not_these_decisions_are_found():
    e = honest()
    books = replace(e.books, no_offer=e.books.no_offer + 1, no_eligible=e.books.no_eligible - 1)
    assert shut(replace(e, books=books)) == ["books_balance"]


@pytest.mark.parametrize("limit", [Use("a", 11.0, None, 10.0), Use("a", 0.0, 1.0, None), Use("a", np.nan, 0.0, 1.0)])
def test_a_broken_limit_is_found_by_name(limit):
    verdict = release(replace(honest(), limits=(limit,)))
    assert [f.gate for f in verdict.findings] == ["limits_kept"]
    assert "a uses" in verdict.findings[0].what


def test_a_held_out_customer_who_is_touched_is_found():
    e = honest()
    chosen = edited(e.choice, 4, 0)
    row = edited(e.probability, 4, [1, 0, 0])
    touched = replace(e, choice=chosen, probability=row, books=books_of(chosen, e.eligible, e.held_out))
    assert shut(touched) == ["held_out_untouched"]
    tempted = replace(e, probability=edited(e.probability, 4, [0.1, 0, 0.9]), propensity=edited(e.propensity, 4, 0.9))
    assert shut(tempted) == ["held_out_untouched"]


def test_evidence_must_agree_in_shape():
    e = honest()
    with pytest.raises(ShapeError):
        replace(e, propensity=e.propensity[:3])
    with pytest.raises(ShapeError):
        replace(e, choice=edited(e.choice, 0, 2))
