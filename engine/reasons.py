"""What a decision's score is made of: the terms of the prior, of what was learnt since, of doubt and of prices."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from allot import WorkspaceError
from bandit import SUCCESSES, Contributions, Kind, contributions
from engine.campaign import read_campaign
from engine.catalogue import catalogue, terms_of
from engine.models import Foundation, load_models, taking_in
from engine.objective import rate_of
from engine.rows import row_features
from engine.stamp import Stamp
from warehouse import Store, StoredAllocation, attach, connect, read_version

if TYPE_CHECKING:
    from warehouse import Workspace

_EXACT = 1e-3  # logits: the scorer's float32 and the trees' own sums differ by far less


@dataclass(frozen=True, slots=True)
class Chosen:
    """The pair to be explained, as it was kept: `offer` is the offer's place in the catalogue, `mean` of the logit or
    amount, `expected` the posterior mean chance or amount; money is in the objective's units.
    """

    customer_id: str
    offer: int
    mean: float
    expected: float
    value: float
    price: float


@dataclass(frozen=True, slots=True)
class Reasons:
    """What a score is made of.

    Args:
        terms: rows of part ("level", "prior", "learnt", "uncertainty", "cost", "no offer", "price"), term, logit (None
            where it has none) and worth; the prior's and the learnt terms by size.
        experts: rows of expert, share (how much it is believed) and logit, which add up to the learnt terms.

    Where amounts are learnt, `amount` stands in the place of `logit`.
    """

    terms: list[dict[str, Any]]
    experts: list[dict[str, Any]]


def reasons(
    workspace: "Workspace", store: Store, stored: StoredAllocation, chosen: Chosen, table: pa.Table | None = None
) -> Reasons:
    """Terms whose `worth` adds up to value less price, and whose `logit`, where they have one, to the mean logit.

    The value of a mean logit is spread over its terms in proportion to them, which is the Aumann-Shapley share along
    the straight line from the prior's level (Sundararajan, Taly and Yan 2017, "Axiomatic attribution").

    Args:
        workspace, store: where the model and the customer's data are.
        stored: the allocation.
        chosen: one of its decisions.
        table: the customer's columns as the model read them; None reads them as of the campaign's moment.

    Raises:
        WorkspaceError, NotFoundError: the model or the data that the decision was made from are gone.
    """
    stamp = Stamp.from_json(stored.versions)
    campaign = read_campaign(stored.summary["document"])
    model = load_models(workspace, store, stamp.posterior)
    with connect(workspace) as connection:
        attach(connection, workspace, read_version(workspace, stamp.data))
        offers = catalogue(connection)
        if table is None:
            moment = pa.array([campaign.as_of], pa.timestamp("us", "UTC"))
            table = row_features(connection, store, workspace, (pa.array([chosen.customer_id]), moment), stamp.past)
    foundation, posterior = taking_in(model, offers)
    customer, arms = foundation.features.encode(table), foundation.arms(offers)
    found = contributions(foundation.prior, posterior, customer, foundation.basis(customer), arms[[chosen.offer]])
    known = foundation.relative_margins(customer)
    relative = None if known is None else known[:, arms]
    kind = foundation.prior.kind
    terms = replace(terms_of(offers, campaign, kind), relative=relative)
    rate, fee = (float(x[..., chosen.offer].item()) for x in rate_of(campaign.objective, terms))
    without = rate * chosen.expected - fee - chosen.value if campaign.objective == "incremental" else 0.0
    experts = [
        {"expert": name, "share": share, "logit": float(logit)}
        for (name, share), logit in zip(posterior.shares.items(), found.voices[0], strict=True)
    ]
    told = _in_money(_named(foundation, found), chosen, (rate, fee, without), kind)
    return Reasons(*([_in_unit(row, kind) for row in rows] for rows in (told, experts)))


def _in_unit(row: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """A row whose logit is called what it is."""
    return row if kind == SUCCESSES else {"amount" if name == "logit" else name: x for name, x in row.items()}


def _named(foundation: Foundation, found: Contributions) -> list[dict[str, Any]]:
    """The one pair's terms with a name; the columns of a segment are one term, and so are all waves of the customer."""
    columns, basis = foundation.prior.columns, foundation.basis
    learnt = {"offer": found.residual[0, 0]}
    at = 1
    widths = [(s.column, s.levels) for s in basis.segments] + [(number.column, 1) for number in basis.numerics]
    for column, width in widths:
        learnt[columns.customer[column]] = found.residual[0, at : at + width].sum()
        at += width
    if at < found.residual.shape[1] - 1:
        learnt["curves in them"] = found.residual[0, at:-1].sum()
    learnt["trust in the prior"] = found.residual[0, -1]
    prior = dict(zip(columns.names, found.columns[0], strict=True))
    parts = {"prior": prior, "learnt": learnt}
    rows = [
        {"part": part, "term": term, "logit": float(logit)}
        for part, terms in parts.items()
        for term, logit in sorted(terms.items(), key=lambda item: -abs(item[1]))
    ]
    return [{"part": "level", "term": "everybody", "logit": float(found.level[0])}, *rows]


def _in_money(
    rows: list[dict[str, Any]], chosen: Chosen, money: tuple[float, float, float], kind: Kind
) -> list[dict[str, Any]]:
    """The rows with their worth, and the rows that have no logit. What float32 rounded goes to the level."""
    rate, fee, without = money
    missing = chosen.mean - sum(row["logit"] for row in rows)
    unit = 1.0 if kind == SUCCESSES else max(abs(row["logit"]) for row in rows)
    if not abs(missing) <= _EXACT * unit:
        raise WorkspaceError(
            f"the model's terms add up to a mean that is {missing:.2g} off the one of the decision.",
            where=chosen.customer_id,
            remedy="Run `allot allocate --reproduce ALLOCATION` to see whether the decision can still be recomputed.",
        )
    level = rows[0]["logit"] + missing
    at_level, at_mean = (rate * float(kind.mean(np.array(x))) for x in (level, chosen.mean))
    slope = (at_mean - at_level) / (chosen.mean - level) if chosen.mean != level else 0.0
    doubt = chosen.value + fee + without - at_mean
    if kind != SUCCESSES:  # the mean of an amount is what it is worth, however unsure: the rest is rounding
        at_level, doubt = at_level + doubt, 0.0
    out = [{**rows[0], "logit": level, "worth": at_level}]
    out += [{**row, "worth": slope * row["logit"]} for row in rows[1:]]
    rest = {
        ("uncertainty", "not knowing the chance exactly"): doubt,
        ("cost", "contact"): -fee,
        ("no offer", "what comes without any offer"): -without,
        ("price", "charged by the limits"): -chosen.price,
    }
    return out + [{"part": p, "term": t, "logit": None, "worth": worth} for (p, t), worth in rest.items()]
