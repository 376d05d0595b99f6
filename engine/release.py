"""A computed allocation on its way out: its files, its summary, and the gates before a release."""

from pathlib import Path
from typing import Any

import numpy as np

from allot import WorkspaceError
from engine.chance import CostOfChance, cost_of_chance
from engine.computed import Computed
from engine.objective import rate_of
from engine.spread import Chosen, planned_range
from engine.stamp import Stamp
from engine.summary import evidence_of, facts, summarise
from governance import GATES, release
from warehouse import Decisions, Written, write_decisions, write_exclusions


def summarised(computed: Computed, stamp: Stamp, written: Written, chance: CostOfChance | None) -> dict[str, Any]:
    """What is told of an allocation; a released plan has passed the gates.

    Raises:
        WorkspaceError: a gate found the plan at fault.
    """
    told = summarise(computed, stamp)
    summary = {
        **told,
        "cost_of_chance": None if chance is None else chance.document(),
        "gap": None if chance is None else max(0.0, 1.0 - chance.of_bound),
        "planned_range": _range(computed, told["planned_value"]),
        "decisions_sha256": written.sha256,
    }
    if computed.plan.status == "released":
        _check(computed, summary)
    return summary


def _range(computed: Computed, planned: float) -> dict[str, float]:
    """Between what the plan may come out."""
    objective, terms = computed.campaign.objective, computed.terms
    outside = terms.earned_outside if objective == "incremental" else None
    chosen = Chosen(computed.choice, rate_of(objective, terms)[0], outside)
    return planned_range(planned, chosen, computed.beliefs, computed.shared, computed.kind).document()


def chance_of(computed: Computed) -> CostOfChance | None:
    """Of a plan that was drawn and released: any other has no chance in it."""
    if computed.plan.mechanism != "balanced" or computed.plan.status != "released":
        return None
    return cost_of_chance(computed.asked, computed.plan.choice)


def write_files(folder: Path, computed: Computed, stamp: Stamp) -> Written:
    """Decisions and exclusions into a folder."""
    audience = computed.audience
    n, k = audience.eligible.shape
    row = np.arange(n)
    chosen = computed.choice >= 0
    at = np.where(chosen, computed.choice, 0)
    decisions = Decisions(
        customer_id=audience.people.customer_id,
        key=audience.people.key,
        choice=computed.choice,
        held_out=audience.held_out,
        cell=computed.segments.cell,
        propensity=computed.propensity,
        value=np.where(chosen, computed.worth.value[row, at], 0.0),
        cost=np.where(chosen, computed.worth.cost[row, at], 0.0),
        probability=computed.probability,
        mean=computed.beliefs.mean[:, :k],
        sd=computed.beliefs.sd[:, :k],
        values=computed.worth.value,
        costs=computed.worth.cost,
        eligible=audience.eligible,
    )
    meta = facts(computed, stamp)
    write_exclusions(
        folder,
        audience.people.customer_id,
        audience.people.reasons,
        rules=[rule.name for rule in audience.rules.rules],
        meta={"allocation_id": stamp.allocation_id, "offer_ids": audience.offer_ids},
    )
    return write_decisions(folder, decisions, meta)


def _check(computed: Computed, summary: dict[str, Any]) -> None:
    """The gates before a release."""
    verdict = release(evidence_of(computed, summary), GATES)
    if not verdict.released:
        found = "; ".join(f"{f.gate}: {f.what}" for f in verdict.findings)
        raise WorkspaceError(
            f"the plan did not pass its gates and was not released: {found}.",
            where=summary["allocation_id"],
            remedy="This is a defect of allot; please report it with the campaign document.",
        )
