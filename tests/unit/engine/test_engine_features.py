"""From tables to numbers: which columns count, how they are coded, and what becomes of the unseen."""

from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from allot import DataError
from engine.features import MOST_LEVELS, Feature, FeatureSpec, learn_spec, model_inputs, offer_matrix

NAN = float("nan")


def column(values, kind=None):
    return pa.table({"x": pa.array(values, kind)})


def test_numbers_are_numbers_and_texts_are_categories_in_alphabetical_order():
    table = pa.table({"age": [1, 2, 3], "town": ["b", "a", "b"], "rich": [True, False, True], "debt": [0.5, None, 2.0]})
    spec, notes = learn_spec(table)
    assert spec.features == (
        Feature("age", "number"),
        Feature("town", "category", ("a", "b")),
        Feature("rich", "number"),
        Feature("debt", "number"),
    )
    assert notes == ()
    assert spec.names == ("age", "town", "rich", "debt")
    assert spec.categories == {1: 2}
    found = spec.encode(table)
    assert np.array_equal(found, [[1, 1, 1, 0.5], [2, 0, 0, NAN], [3, 1, 1, 2]], equal_nan=True)


@pytest.mark.parametrize(
    "values",
    [[5, 5, 5], ["a", "a"], [True, True], [None, None], [NAN, NAN], [], [1.0, 1.0, 1.0]],
)
def test_columns_that_never_vary_are_left_out_without_a_word(values):
    spec, notes = learn_spec(column(values, pa.float64() if not values or values[0] is None else None))
    assert spec.features == () and notes == ()
    assert spec.encode(column([1, 2])).shape == (2, 0)


@pytest.mark.parametrize("values", [[5.0, None], [NAN, 5.0], [float("inf"), 5.0], ["a", None], [True, None]])
def test_to_be_missing_is_to_vary(values):
    spec, _ = learn_spec(column(values))
    assert spec.names == ("x",)
    assert np.isnan(spec.encode(column(values))).sum() == 1


@pytest.mark.parametrize("bad", [NAN, float("inf"), -float("inf"), None])
def test_what_is_no_number_is_missing(bad):
    spec, _ = learn_spec(column([1.0, 2.0]))
    assert np.array_equal(spec.encode(column([bad, 3.0])), [[NAN], [3.0]], equal_nan=True)


def test_unseen_levels_and_missing_columns_are_missing():
    spec, _ = learn_spec(pa.table({"x": ["a", "b"], "y": [1, 2]}))
    found = spec.encode(column(["b", "new", None]))
    assert np.array_equal(found, [[1, NAN], [NAN, NAN], [NAN, NAN]], equal_nan=True)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b", None], pa.dictionary(pa.int8(), pa.string())),
        (["a", "b", None], pa.large_string()),
        ([1, 2, None], pa.dictionary(pa.int8(), pa.int64())),
        ([Decimal("1.5"), Decimal("2.5"), None], pa.decimal128(5, 2)),
        ([1, 2, None], pa.uint8()),
        ([1.5, 2.5, None], pa.float32()),
    ],
)
def test_the_type_a_column_comes_in_makes_no_difference(values, kind):
    plain = column([float(v) if isinstance(v, Decimal) else v for v in values])
    typed = column(values, kind)
    spec, notes = learn_spec(typed)
    assert notes == ()
    assert spec.features == learn_spec(plain)[0].features
    assert np.array_equal(spec.encode(typed), spec.encode(plain), equal_nan=True)
    assert np.isnan(spec.encode(typed)[2, 0])


def test_a_column_that_is_no_longer_numbers_is_refused_in_words():
    """Unless there is nothing in it: an empty column of a CSV file may be of any type."""
    spec, _ = learn_spec(column([1, 2]))
    for texts in (["a", "b"], ["1", None]):
        with pytest.raises(DataError, match=r"column x is of type string.*allot train"):
            spec.encode(column(texts))
    assert np.isnan(spec.encode(column([None, None], pa.string()))).all()
    assert np.isnan(spec.encode(column([None, None], pa.null()))).all()


def test_chunks_make_no_difference():
    whole = pa.table({"x": ["a", "b", "a", None], "y": [1, 2, 3, 4]})
    parts = pa.concat_tables([whole.slice(0, 1), whole.slice(1, 2), whole.slice(3)])
    assert learn_spec(parts) == learn_spec(whole)
    spec, _ = learn_spec(whole)
    assert np.array_equal(spec.encode(parts), spec.encode(whole), equal_nan=True)


def test_identifiers_are_left_out_and_told():
    spec, notes = learn_spec(column([f"id {i}" for i in range(1200)] * 2))
    assert spec.names == ("x",)  # a level for every other row is not more than that
    spec, notes = learn_spec(column([f"id {i}" for i in range(1200)]))
    assert spec.names == ()
    assert "x looks like an identifier (1,200 different values)" in notes[0]


def test_an_identifier_is_one_however_often_its_owner_comes_back():
    often = column([f"id {i}" for i in range(1200)] * 7)
    assert learn_spec(often)[0].names == ("x",)
    assert learn_spec(often, people=1200)[0].names == ()
    assert learn_spec(often, people=3000)[0].names == ("x",)


def test_of_many_levels_the_most_frequent_keep_a_code():
    often = [f"often {i:03d}" for i in range(MOST_LEVELS)]
    spec, _ = learn_spec(column([*often, *often, *(f"rare {i}" for i in range(40))]))
    assert spec.features[0].levels == tuple(sorted(often))
    assert np.isnan(spec.encode(column(["rare 1"])))[0, 0]


def test_other_types_are_left_out_and_told():
    spec, notes = learn_spec(column([date(2026, 1, 1), date(2026, 1, 2)]))
    assert spec.names == ()
    assert "x is of type date32" in notes[0]


def test_a_spec_comes_back_from_its_text():
    spec, _ = learn_spec(pa.table({"x": ["ä", "b\n"], "y": [1, 2]}))
    assert FeatureSpec.from_json(spec.to_json()) == spec


def test_the_order_of_rows_does_not_change_the_spec():
    table = pa.table({"x": ["a", "b", "b", "c", None], "y": [1.0, 2.0, NAN, 4.0, 4.0]})
    assert learn_spec(table.take(pa.array([4, 2, 0, 3, 1]))) == learn_spec(table)


def test_offers_are_known_by_their_code_and_their_columns_and_no_offer_by_nothing():
    offers = pa.table(
        {
            "offer_id": ["a", "b", "c"],
            "name": ["A", "B", "C"],
            "channel": ["email", "call", "email"],
            "margin": [10.0, 20.0, 30.0],
            "contact_cost": [1.0, 1.0, 1.0],
            "eligible_when": ["true", "x > 1", "true"],
        }
    )
    matrix, names, categories = offer_matrix(offers)
    assert names == ("offer.offer_id", "offer.channel", "offer.margin")
    assert categories == (0, 1)
    expected = [[0, 1, 10], [1, 0, 20], [2, 1, 30], [3, NAN, NAN]]
    assert np.array_equal(matrix, expected, equal_nan=True)


def remembered(*names):
    r = np.random.default_rng(3)
    return pa.table({name: r.normal(size=9) for name in names})


CATALOGUE = pa.table(
    {
        "offer_id": ["o-1", "o2", "o3"],
        "channel": ["E-Mail", "push", None],
        "category": ["a", "b", "a"],
        "margin": [1, 2, 3],
    }
)


def test_an_offer_reads_its_own_memory_and_that_of_its_channel_and_category():
    spec, _ = learn_spec(
        remembered(
            "customer.age",
            "memory.contacts_90d_offer_o_1",
            "memory.contacts_30d_e_mail",
            "memory.share_b",
            "memory.share_a",
            "memory.days_since_refusal_offer_o3",
        )
    )
    matrix, columns = model_inputs(spec, CATALOGUE)
    assert columns.customer == ("customer.age", "memory.contacts_30d_e_mail", "memory.share_b", "memory.share_a")
    assert columns.sources == ("memory.contacts_90d_offer_o_1", "memory.days_since_refusal_offer_o3")
    assert (*columns.customer, *columns.sources) == spec.names
    own = {cross.name: [spec.names[j] if j >= 0 else None for j in cross.own] for cross in columns.cross}
    assert own == {
        "cross.contacts_30d_own_channel": ["memory.contacts_30d_e_mail", None, None],
        "cross.share_own_category": ["memory.share_a", "memory.share_b", "memory.share_a"],
        "cross.contacts_90d_own_offer": ["memory.contacts_90d_offer_o_1", None, None],
        "cross.days_since_refusal_own_offer": [None, None, "memory.days_since_refusal_offer_o3"],
    }
    assert [columns.names[j] for j in columns.categorical] == ["offer.offer_id", "offer.channel", "offer.category"]
    assert matrix.shape == (4, 4)


def test_without_memory_there_is_nothing_to_cross():
    spec, _ = learn_spec(remembered("customer.age", "customer.share_a", "memory.contacts_90d"))
    _, columns = model_inputs(spec, CATALOGUE)
    assert columns.cross == () == columns.sources and columns.customer == spec.names


def test_a_memory_that_all_offers_share_is_not_read_twice():
    spec, _ = learn_spec(remembered("memory.share_a", "memory.contacts_90d_offer_o2"))
    _, columns = model_inputs(spec, CATALOGUE.set_column(2, "category", pa.array(["a", "A", "a"])))
    assert [cross.name for cross in columns.cross] == ["cross.contacts_90d_own_offer"]
