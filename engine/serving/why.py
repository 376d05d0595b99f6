"""Why a single decision came out as it did: read from what was kept of it. Nothing is written."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bandit import kind_named
from engine.explain import sentence_of, weighed_offers, with_reasons
from engine.serving.features import Asked, columns_of
from engine.serving.snapshot import BUDGET, UNKNOWN
from engine.stamp import Stamp
from warehouse import Store, Workspace
from warehouse.singles import Numbers, Single


def why(workspace: Workspace, store: Store, single: Single) -> dict[str, Any]:
    """Every excluded offer with all its rules; every eligible one with chance, value, cost, price and distance to
    winning; and, where the model spoke, what the chosen offer's score is made of.

    Args:
        workspace, store: where the release, its model and its data are.
        single: the decision.

    Raises:
        NotFoundError, ShapeError: the release is gone, or the row is damaged.
    """
    release = store.allocation(single.release_id)
    numbers, ids = Numbers.unpack(single.numbers), release.summary["offer_ids"]
    kind = kind_named(Stamp.from_json(release.versions).outcome)
    rules = dict(enumerate(line["rule"] for line in release.summary["funnel"]))
    rules |= {BUDGET.bit: BUDGET.name, UNKNOWN.bit: UNKNOWN.name}
    words = {line["rule"]: line["reason"] for line in release.summary["funnel"]}
    words |= {BUDGET.name: BUDGET.reason, UNKNOWN.name: UNKNOWN.reason}
    masks = zip(ids, numbers.reasons.tolist(), strict=True)
    excluded = {offer: [name for bit, name in rules.items() if mask >> bit & 1] for offer, mask in masks if mask}
    tables = {name: getattr(numbers, name) for name in ("probability", "mean", "sd", "values", "costs", "price")}
    row = {**tables, "eligible": numbers.reasons == 0, "excluded": excluded}
    offers, best = weighed_offers(row, ids, words, kind)
    told = {
        **single.answer,
        "chosen": single.offer_id,
        "held_out": single.answer["status"] == "held_out",
        "segment": _segment(release.summary, numbers),
        "outcome": kind.name,
        "sentence": sentence_of(single.answer),
        "offers": offers,
        "no_offer": {"offer_id": None, "probability": float(numbers.probability[-1]), "behind": best},
    }
    if single.answer["mode"] in ("segment_prior", "no_rules"):
        silent = "the model could not be read then: segments spoke for their customers."
        return {**told, "score": None, "reasons": None, "experts": None, "without_reasons": silent}
    made_from = replace(release, versions={**release.versions, "posterior": single.posterior})
    table = None
    if single.features is not None:
        table = columns_of(workspace, store, release, Asked(single.customer_id, single.features))
    return with_reasons(workspace, store, made_from, told, table)


def _segment(summary: Mapping[str, Any], numbers: Numbers) -> str:
    cells = summary["cells"]
    return str(cells[numbers.cell]) if numbers.cell < len(cells) else ""
