"""Why this customer got this offer, and why not the others: read from what was kept.

Only what the chosen offer's score is made of is computed anew, from the model and the data of the decision.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from allot import DataError, NotFoundError, WorkspaceError
from allot.uniforms import key
from bandit import Kind, kind_named
from engine.reasons import Chosen, reasons
from engine.stamp import Stamp
from warehouse import EXCLUSIONS, Store, StoredAllocation, decision_row, decisions_meta, excluded_by, open_store
from warehouse.singles import sealed_single

if TYPE_CHECKING:
    from warehouse import Workspace


def explain(workspace: "Workspace", customer_id: str, allocation_id: str | None) -> dict[str, Any]:
    """One customer's decision.

    Args:
        workspace: where.
        customer_id: whom it is about.
        allocation_id: of the allocation; None = the latest.

    Returns:
        `chosen` (None = no offer), `sentence`, and for each offer: eligible, excluded_by, probability, success
        (posterior mean chance) or amount (posterior mean), sd, value, cost, price (what the limits charge) and
        `behind`: how much more it would have to be worth to equal the best option, in the objective's units;
        `outcome` says which of the two the model learns. `score` is the chosen offer's value less
        its price, `reasons` are terms that add up to it, and `experts` say who has learnt the learnt ones (see
        `engine.reasons.Reasons`); None where no offer was chosen, or where the model or data of the decision are gone
        (`without_reasons` says so).

    Raises:
        NotFoundError: nothing was allocated yet, no such allocation, or the customer is not in it.
    """
    with open_store(workspace) as store:
        stored = store.latest_allocation() if allocation_id is None else store.allocation(allocation_id)
        if stored is None:
            raise NotFoundError(
                "nothing has been allocated yet.", where="explain", remedy="Run `allot allocate CAMPAIGN`."
            )
        if stored.single:
            return _one_of(workspace, store, stored, customer_id)
        return with_reasons(workspace, store, stored, _told(workspace, stored, customer_id))


def _one_of(workspace: "Workspace", store: Store, stored: StoredAllocation, customer_id: str) -> dict[str, Any]:
    """The customer's latest of some single decisions."""
    from engine.serving.why import why

    with store.transaction(write=False) as session:
        single = sealed_single(session, key(customer_id), stored.allocation_id)
    if single is None or single.customer_id != customer_id:
        remedy = "Check the id, or name another allocation."
        raise NotFoundError(f"customer {customer_id!r} is not in it.", where=stored.allocation_id, remedy=remedy)
    return {**why(workspace, store, single), "allocation_id": stored.allocation_id}


def with_reasons(
    workspace: "Workspace",
    store: Store,
    stored: StoredAllocation,
    told: Mapping[str, Any],
    table: pa.Table | None = None,
) -> dict[str, Any]:
    """What was told, with the chosen offer's score taken apart, or in words why it cannot be.

    Args:
        workspace, store: where the model and the customer's data are.
        stored: the allocation, with the versions that the decision was made from.
        told: customer_id, chosen, outcome and offers.
        table: the columns that the model read; None reads them anew.
    """
    place = next((a for a, offer in enumerate(told["offers"]) if offer["offer_id"] == told["chosen"]), None)
    if place is None:
        return {**told, "score": None, "reasons": None, "experts": None, "without_reasons": ""}
    chosen = told["offers"][place]
    numbers = {name: chosen[name] for name in ("mean", "value", "price")}
    numbers["expected"] = chosen[told["outcome"]]
    out = {**told, "score": chosen["value"] - chosen["price"]}
    try:
        found = reasons(workspace, store, stored, Chosen(told["customer_id"], place, **numbers), table)
    except (DataError, WorkspaceError, NotFoundError) as error:
        return {**out, "reasons": None, "experts": None, "without_reasons": str(error)}
    return {**out, "reasons": found.terms, "experts": found.experts, "without_reasons": ""}


def _told(workspace: "Workspace", stored: StoredAllocation, customer_id: str) -> dict[str, Any]:
    """What was kept of the decision."""
    path = workspace.root / str(stored.decisions_path)
    row, meta = decision_row(path, customer_id), decisions_meta(path)
    names = {rule["rule"]: rule["reason"] for rule in stored.summary["funnel"]}
    excluded = excluded_by(path.with_name(EXCLUSIONS), customer_id)
    charges = np.asarray(meta["charges"])[:, row["cell"]] if meta["charges"] else np.zeros((3, len(row["values"])))
    price = charges[0] + charges[1] * np.asarray(row["costs"]) + charges[2] * np.asarray(row["values"])
    kind = kind_named(Stamp.from_json(stored.versions).outcome)
    offers, best = weighed_offers({**row, "price": price, "excluded": excluded}, meta["offer_ids"], names, kind)
    nothing = {"offer_id": None, "probability": row["probability"][-1], "behind": best}
    return {
        "customer_id": customer_id,
        "allocation_id": stored.allocation_id,
        "decision_id": row["decision_id"],
        "chosen": row["offer_id"],
        "status": row["status"],
        "held_out": row["held_out"],
        "propensity": row["propensity"],
        "segment": meta["cells"][row["cell"]],
        "outcome": kind.name,
        "sentence": sentence_of(row),
        "offers": offers,
        "no_offer": nothing,
        "versions": stored.versions,
    }


def weighed_offers(
    row: Mapping[str, Any], offer_ids: Sequence[str], names: Mapping[str, str], kind: Kind
) -> tuple[list[dict[str, Any]], float]:
    """Every offer as it stood in one decision, and what the best option was worth after its price.

    Args:
        row: of the decision: eligible, probability, mean, sd, values, costs and price, for each offer in turn, and
            `excluded`: for each excluded offer the names of all rules that exclude it.
        offer_ids: in their order.
        names: of rules, in words.
        kind: of the outcomes that beliefs are about.
    """
    values, price = np.asarray(row["values"]), np.asarray(row["price"])
    expected = kind.expected(np.asarray([row["mean"]]), np.asarray([row["sd"]]))[0]
    net = np.where(row["eligible"], values - price, -np.inf)
    best = max(0.0, float(net.max(initial=-np.inf)))
    offers = [
        {
            "offer_id": offer_id,
            "eligible": bool(row["eligible"][a]),
            "excluded_by": [names.get(rule, rule) for rule in row["excluded"].get(offer_id, [])],
            "rules": row["excluded"].get(offer_id, []),
            "probability": float(row["probability"][a]),
            kind.name: float(expected[a]),
            "mean": float(row["mean"][a]),
            "sd": float(row["sd"][a]),
            "value": float(values[a]),
            "cost": float(row["costs"][a]),
            "price": float(price[a]),
            "behind": best - float(net[a]) if row["eligible"][a] else None,
            "why": _why(float(values[a]), float(price[a]), best - float(net[a])) if row["eligible"][a] else "",
        }
        for a, offer_id in enumerate(offer_ids)
    ]
    return offers, best


def _why(value: float, price: float, behind: float) -> str:
    if value <= 0:
        return "worth less than nothing"
    if value - price <= 0:
        return "not worth its charge"
    return "worth most; chance decided" if behind <= 0 else f"{behind:.3g} behind the best"


def sentence_of(row: Mapping[str, Any]) -> str:
    """A decision in a few words.

    Args:
        row: of the decision: status, offer_id and propensity.
    """
    if row["status"] == "held_out":
        return "held out: in the control group, which is never addressed"
    if row["status"] == "no_eligible":
        return "no offer: none is eligible"
    if row["offer_id"] is None:
        return f"no offer, which had a chance of {row['propensity']:.3g}"
    return f"{row['offer_id']}, which had a chance of {row['propensity']:.3g}"
