"""A customer with features that come with the request: the same rules, coding, prior and basis, for one row.

What the request says takes the place of what is loaded; what neither says is missing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from allot import DataError, NotFoundError
from allot.uniforms import key as text_key
from engine.audience import Audience, addressed, find_audience, held_out
from engine.campaign import Campaign, read_campaign
from engine.features import FeatureSpec
from engine.models import Scored, load_foundation
from engine.rows import customer_features
from engine.segments import segmented
from engine.served import SINCE, plain_type, typed
from engine.serving.customer import Customer
from engine.serving.snapshot import Book, Snapshot, contacts_of
from engine.stamp import Stamp
from warehouse import DataVersion, Store, StoredAllocation, Workspace, attach, connect, read_version
from warehouse.eligible import view_present

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class Asked:
    """Who, and what the request says of them: customer columns by name."""

    customer_id: str
    features: Mapping[str, Any]


def from_features(workspace: Workspace, store: Store, snapshot: Snapshot, asked: Asked) -> Customer:
    """A customer of the release's audience, with the request's features; about a fifth of a second.

    Raises:
        NotFoundError: the campaign's audience leaves them out.
        DataError: a feature is no customer column, or of another type; or they belong to no segment of the release.
        RuleError, WorkspaceError: the rules or their data are gone.
    """
    book, scoring = snapshot.book, snapshot.scoring
    with _alone(workspace, book.campaign, book.stamp, asked) as (connection, version, row):
        if not len(addressed(connection, book.campaign, version)):
            what = f"customer {asked.customer_id!r} is not in the campaign's audience."
            raise NotFoundError(what, where=book.campaign.name, remedy="Widen the audience, or do not ask.")
        audience = find_audience(connection, store, workspace, book.campaign, (version, book.stamp.past))
        scored: Scored | None = None
        missing: tuple[str, ...] = ()
        if scoring is not None:
            read = scoring.foundation.features
            scored = scoring.foundation.scored(_columns(connection, audience, book.campaign, read))
            missing = _missing(read, row)
    key = text_key(asked.customer_id)
    found = book.find(asked.customer_id)
    keys = np.array([key], np.uint64)
    return Customer(
        customer_id=asked.customer_id,
        key=key,
        cell=_cell(book, audience),
        reasons=_with_household(book, audience, row, found),
        held_out=bool(held_out(workspace, keys, book.campaign.exploration.holdout)[0]),
        contacts=int(contacts_of(audience.people, book.campaign)[0])
        + (0 if found is None else book.reached.count[found]),
        scored=scored,
        missing=missing,
    )


def columns_of(workspace: Workspace, store: Store, release: StoredAllocation, asked: Asked) -> pa.Table:
    """The columns that the model read of a customer with features, one row.

    Raises:
        as `from_features`.
    """
    campaign, stamp = read_campaign(release.summary["document"]), Stamp.from_json(release.versions)
    read = load_foundation(workspace, stamp.prior).features
    with _alone(workspace, campaign, stamp, asked) as (connection, version, _):
        audience = find_audience(connection, store, workspace, campaign, (version, stamp.past))
        return _columns(connection, audience, campaign, read)


@contextmanager
def _alone(
    workspace: Workspace, campaign: Campaign, stamp: Stamp, asked: Asked
) -> "Iterator[tuple[DuckDBPyConnection, DataVersion, dict[str, Any]]]":
    """A connection in which this customer is the only one, the version of the data, and the customer's row."""
    version = read_version(workspace, stamp.data)
    with connect(workspace, user_sql=True, threads=1) as connection:
        attach(connection, workspace, version)
        schema = connection.sql("FROM customers LIMIT 0").to_arrow_table().schema
        view_present(connection, campaign.as_of)
        known = connection.sql("FROM present_customers WHERE customer_id = $who", params={"who": asked.customer_id})
        row = next(iter(known.to_arrow_table().to_pylist()), dict.fromkeys(schema.names))
        for name, value in asked.features.items():
            if name not in schema.names or name in ("customer_id", "valid_from"):
                raise DataError(f"customers have no column {name!r}.", where=f"/features/{name}")
            row[name] = typed(name, value, plain_type(schema.field(name).type))
        row["customer_id"] = asked.customer_id
        if "valid_from" in schema.names and row["valid_from"] is None:
            row["valid_from"] = campaign.as_of
        columns = {field.name: pa.array([row[field.name]], plain_type(field.type)) for field in schema}
        connection.register("one_customer", pa.table(columns))
        connection.execute("CREATE OR REPLACE VIEW customers AS FROM one_customer")
        yield connection, version, row


def _columns(connection: "DuckDBPyConnection", audience: Audience, campaign: Campaign, read: FeatureSpec) -> pa.Table:
    people = audience.people
    return customer_features(connection, people.customer_id, campaign.as_of, people.memory, read)


def _missing(read: FeatureSpec, row: Mapping[str, Any]) -> tuple[str, ...]:
    """Customer columns that the model reads and of which nothing is known."""
    names = (name.removeprefix("customer.") for name in read.names if name.startswith("customer."))
    return tuple(n for n in names if row.get(n, row.get(n.removeprefix(SINCE))) is None)


def _cell(book: Book, audience: Audience) -> int:
    """The customer's cell among the release's."""

    def told(column: str) -> set[object]:
        where = (w for spec in book.campaign.limits for w in (spec.part, spec.whole) if w is not None)
        return {value for w in where for name, values in w.customers if name == column for value in values}

    own = segmented(book.campaign.limits, audience.offers, audience.people.columns, told)
    label = own.labels[int(own.cell[0])]
    if label not in book.labels:
        what = f"nobody of the release is in the segment {label!r}, and it has no prices."
        raise DataError(what, where="features", remedy="Allocate again with such customers in the audience.")
    return book.labels.index(label)


def _with_household(book: Book, audience: Audience, row: Mapping[str, Any], found: int | None) -> Any:
    """The rules' bits; who stands for a household is settled by the release, and a stranger does not."""
    reasons = audience.people.reasons[0]
    mask = np.uint64(audience.rules.household)
    if not mask or row.get("household_id") is None:
        return reasons
    return reasons | (mask if found is None else mask & book.reasons[found].astype(np.uint64))
