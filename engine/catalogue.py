"""The offers as they are loaded, and their money."""

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from allot import DataError
from bandit import AMOUNTS, Kind
from engine.campaign import Campaign
from engine.objective import Terms

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Floats: TypeAlias = NDArray[np.float64]


def catalogue(connection: "DuckDBPyConnection") -> pa.Table:
    """The offers, ordered by id."""
    return connection.sql("FROM offers ORDER BY offer_id").to_arrow_table()


def terms_of(offers: pa.Table, campaign: Campaign, kind: Kind, relative: Floats | None = None) -> Terms:
    """The offers' money; `relative` (n, k + 1) as in `Terms`.

    Raises:
        DataError: the model learns amounts, and an offer costs something on redemption.
    """
    contact = _money(offers, "contact_cost")
    if kind == AMOUNTS:
        check_offers(offers)
        return Terms(np.ones_like(contact), contact, np.zeros_like(contact), 1.0, kind=kind)
    margin, redemption = _money(offers, "margin"), _money(offers, "redemption_cost")
    return Terms(margin, contact, redemption, campaign.outside_margin, relative)


def check_offers(offers: pa.Table) -> None:
    """Refuse costs that come with a success where amounts are learnt: of successes nothing is known then.

    Raises:
        DataError: an offer has a redemption_cost.
    """
    costly = np.flatnonzero(_money(offers, "redemption_cost"))
    if len(costly):
        raise DataError(
            f"offer {offers['offer_id'][int(costly[0])].as_py()!r} has a redemption_cost, which is paid on success, "
            "and a model of amounts knows no successes.",
            where="offers, column redemption_cost",
            remedy="Load offers without it and rewards net of it, or train with --outcome success.",
        )


def _money(offers: pa.Table, column: str) -> Floats:
    values: list[Any] = offers[column].to_pylist() if column in offers.column_names else [0.0] * offers.num_rows
    return np.array([0.0 if v is None else float(v) for v in values])
