"""Limits in words of columns become limits over cells and offers."""

import numpy as np
import pyarrow as pa
import pytest

from allot import CampaignError
from engine.campaign import LimitSpec, Where
from engine.segments import distinct_rows, rescaled, segmented
from portfolio import Limit, Selection, Share

OFFERS = pa.table({"offer_id": ["a", "b", "c"], "channel": ["call", "email", "call"], "fee": [1, 2, 1]})
CUSTOMERS = pa.table(
    {
        "customer_id": ["u", "v", "w", "x", "y"],
        "segment": pa.array(["old", "young", "old", None, "new"]).dictionary_encode(),
        "region": ["n", "n", "s", "s", "n"],
        "vip": [True, False, False, True, True],
        "children": pa.array([0, 1, 2, None, 2], pa.int32()),
    }
)


def domain(column):
    known = {"segment": {"old", "young", "new", "absent"}, "region": {"n", "s"}, "vip": {True, False}}
    return {**known, "children": {0, 1, 2, 7}}.get(column, set())


def spec(name="limit", *, offers=(), customers=(), whole=None, **bounds):
    return LimitSpec(name, "count", Where(offers, customers), whole, **(bounds or {"maximum": 3.0}))


def resolve(*specs, customers=CUSTOMERS):
    return segmented(specs, OFFERS, customers, domain)


def counted(found, limit):
    """Customers that a limit counts."""
    cells = range(max(found.cell) + 1) if limit.cells is None else limit.cells
    return [name for name, cell in zip("uvwxy", found.cell, strict=True) if cell in cells]


def test_without_conditions_everybody_is_in_one_cell():
    found = resolve(spec(), spec("calls", offers=(("channel", ("call",)),)))
    assert found.cell.tolist() == [0] * 5
    assert found.labels == ("everybody",)
    assert found.limits == (
        Limit("limit", "count", maximum=3.0),
        Limit("calls", "count", maximum=3.0, offers=(0, 2)),
    )


@pytest.mark.parametrize(
    ("customers", "who"),
    [
        ((("segment", ("old",)),), "uw"),
        ((("segment", ("old", "new")),), "uwy"),
        ((("segment", ("old",)), ("region", ("n",))), "u"),
        ((("vip", (True,)),), "uxy"),
        ((("children", (2,)),), "wy"),
        ((("children", (2.0, 0)),), "uwy"),
        ((("segment", ("absent",)),), ""),
    ],
)
def test_a_limit_counts_the_customers_that_meet_all_its_conditions(customers, who):
    """A missing value meets none; a value that only others in the workspace have is no error."""
    found = resolve(spec(customers=customers), spec("other", customers=(("region", ("s",)),)))
    assert counted(found, found.limits[0]) == [*who]
    assert counted(found, found.limits[1]) == [*"wx"]


def test_cells_are_the_combinations_of_conditions_that_occur_and_say_so():
    found = resolve(spec("old", customers=(("segment", ("old",)),)), spec("north", customers=(("region", ("n",)),)))
    said = {name: found.labels[cell] for name, cell in zip("uvwxy", found.cell, strict=True)}
    assert said == {
        "u": "segment = old, region = n", "v": "region = n", "w": "segment = old",
        "x": "everybody else", "y": "region = n",
    }  # fmt: skip
    assert len(found.labels) == 4
    assert found.cell.dtype == np.int32


def test_one_condition_in_several_limits_makes_no_more_cells():
    old = (("segment", ("old",)),)
    found = resolve(spec("one", customers=old), spec("two", customers=old, offers=(("fee", (2,)),)))
    assert len(found.labels) == 2
    assert found.limits[0].cells == found.limits[1].cells
    assert found.limits[1].offers == (1,)


def test_a_share_keeps_part_and_whole_apart():
    whole = Where((("channel", ("call",)),), (("region", ("n",)),))
    found = resolve(spec(offers=(("fee", (1,)), ("offer_id", ("a",))), whole=whole, minimum=0.1, maximum=0.5))
    (share,) = found.limits
    assert isinstance(share, Share)
    assert (share.part, share.minimum, share.maximum) == (Selection((0,), None), 0.1, 0.5)
    assert share.whole.offers == (0, 2)
    assert counted(found, share.whole) == [*"uvy"]


def test_an_empty_audience_has_cells_all_the_same():
    found = resolve(spec(customers=(("segment", ("old",)),)), customers=CUSTOMERS.slice(0, 0))
    assert len(found.cell) == 0


@pytest.mark.parametrize(
    ("customers", "offers", "said"),
    [
        ((("segmnt", ("old",)),), (), "no column 'segmnt'. Did you mean 'segment'?"),
        ((("colour", ("old",)),), (), "Known columns: customer_id, segment"),
        ((("segment", ("olt",)),), (), "segment = 'olt'. Did you mean 'old'?"),
        ((("region", ("west",)),), (), "Known values: n, s."),
        ((), (("chanel", ("call",)),), "Did you mean 'channel'?"),
        ((), (("channel", ("post",)),), "Known values: call, email."),
    ],
)
def test_an_unknown_column_or_value_is_told_with_the_known_ones(customers, offers, said):
    with pytest.raises(CampaignError) as error:
        resolve(spec("fine"), spec("budget", customers=customers, offers=offers))
    assert said in str(error.value)
    assert "limit 'budget'" in str(error.value)


def test_limits_of_a_part_of_the_population_are_scaled_and_shares_stay():
    limits = resolve(
        spec("cap", minimum=2.0, maximum=8.0),
        spec("floor", minimum=3.0),
        spec("share", offers=(("fee", (1,)),), whole=Where(), maximum=0.5),
    ).limits
    cap, floor, share = rescaled(limits, 0.25)
    assert (cap.minimum, cap.maximum) == (0.5, 2.0)
    assert (floor.minimum, floor.maximum) == (0.75, None)
    assert share == limits[2]


@pytest.mark.parametrize("columns", [1, 29, 30, 31, 75])
def test_different_rows_are_those_of_a_plain_sort(columns):
    r = np.random.default_rng(columns)
    met = r.random((40, columns))[r.integers(0, 40, 500)] < 0.4
    rows, which = distinct_rows(met)
    expected, place = np.unique(met, axis=0, return_inverse=True)
    assert (rows == expected).all() and (which == place.reshape(-1)).all() and (rows[which] == met).all()
