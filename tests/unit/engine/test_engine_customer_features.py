"""What is read of customers at one moment: the model's columns and no others."""

from datetime import UTC, date, datetime

import duckdb
import pyarrow as pa
import pytest

from engine.features import Feature, FeatureSpec
from engine.rows import customer_features

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PEOPLE = pa.table(
    {
        "customer_id": ["x", "y"],
        "household_id": ["h", "h"],
        "age": [41, 17],
        "since": [date(2026, 2, 1), date(2026, 2, 28)],
        "remark": ["long", "longer"],
    }
)


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (("customer.age",), {"customer.age": [17, 41]}),
        (("customer.days_since_since", "customer.vanished"), {"customer.days_since_since": [1.0, 28.0]}),
        (("memory.contacts",), {"memory.contacts": [3, 4]}),
        ((), {"memory.contacts": [3, 4]}),
        (("customer.household_id",), {}),
    ],
)
def test_the_columns_of_the_model_are_read_and_no_others(read, expected):
    spec = FeatureSpec(tuple(Feature(name, "number") for name in read))
    memory = pa.table({"customer_id": ["y", "x"], "contacts": [3, 4]}) if "memory.contacts" in expected else None
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("customers", PEOPLE)
        found = customer_features(connection, pa.array(["y", "x"]), NOW, memory, spec)
    assert found.to_pydict() == expected
    assert found.num_rows == 2 or not expected
