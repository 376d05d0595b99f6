"""Whole rows of a file: what each offer's column says, and what they leave to no offer."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from allot import DataError
from engine.logged_chances import whole_rows

OFFERS = ("letter", "mail", "visit")
ARM = np.array([0, 3, 1])
PROPENSITY = np.array([0.5, 0.1, 0.3])


def table(**columns):
    who = {"customer_id": ["a", "b", "c"], "decided_at": [datetime(2026, 3, day, tzinfo=UTC) for day in (1, 2, 3)]}
    return pa.table(who | {f"p_{name}": values for name, values in columns.items()})


def test_no_offer_has_what_the_columns_leave():
    given = table(letter=[0.5, 0.4, 0.2], mail=[0.2, 0.3, 0.3], visit=[0.0, 0.2, 0.5])
    found, notes = whole_rows(given, OFFERS, ARM, PROPENSITY, "log.csv")
    assert found == pytest.approx(np.array([[0.5, 0.2, 0, 0.3], [0.4, 0.3, 0.2, 0.1], [0.2, 0.3, 0.5, 0]]))
    assert notes == ()


def test_an_offer_without_a_column_had_no_chance():
    found, _ = whole_rows(table(letter=[0.5, 0.9, 0.2], mail=[0.2, 0.0, 0.3]), OFFERS, ARM, PROPENSITY, "log.csv")
    assert found[:, 2].tolist() == [0, 0, 0]


def test_three_digits_are_enough():
    given = table(letter=[0.5, 0.333, 0.2], mail=[0.2, 0.333, 0.3], visit=[0.3, 0.2345, 0.5])
    found, _ = whole_rows(given, OFFERS, ARM, PROPENSITY, "log.csv")
    assert found[1, 3] == pytest.approx(0.1, rel=1e-3)  # not the .0995 that is left
    assert found.sum(1) == pytest.approx(1.0, abs=1e-12)


def test_files_that_do_not_say_have_no_rows():
    assert whole_rows(table(), OFFERS, ARM, PROPENSITY, "log.csv") == (None, ())
    found, notes = whole_rows(table(letter=[0.5, None, 0.2]), OFFERS, ARM, PROPENSITY, "log.csv")
    assert found is None and "1 cells" in notes[0]


def test_more_than_one_is_refused_with_its_row():
    given = table(letter=[0.5, 0.9, 0.2], mail=[0.2, 0.2, 0.3])
    with pytest.raises(DataError, match=r"1\.1 for customer b at 2026-03-02"):
        whole_rows(given, OFFERS, ARM, PROPENSITY, "log.csv")
