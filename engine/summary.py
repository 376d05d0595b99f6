"""An allocation in figures: one definition of each, for JSON, tables and pages alike."""

from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.campaign import Campaign
from engine.computed import Computed
from engine.stamp import Stamp
from governance import Books, Evidence, books_of
from portfolio import TOLERATED, Limit, Selection, Share, Usage, usage, use_of


def facts(computed: Computed, stamp: Stamp) -> dict[str, Any]:
    """What is kept inside the decisions file: how the decisions were made. Nothing here depends on when or how fast."""
    plan, campaign = computed.plan, computed.campaign
    return {
        "allocation_id": stamp.allocation_id,
        "campaign": campaign.name,
        "as_of": campaign.as_of.isoformat(),
        "objective": campaign.objective,
        "offer_ids": computed.audience.offer_ids,
        "versions": stamp.to_json(),
        "mechanism": plan.mechanism,
        "exploration": campaign.to_document()["exploration"],
        "temperature_played": computed.played.tolist(),
        "seed": campaign.seed,
        "attempts": plan.attempts,
        "rejection_rate": plan.rejection_rate,
        "quadrature_residual": plan.residual,
        "price_version": stamp.allocation_id,
        "cells": list(computed.segments.labels),
        "charges": plan.charges.tolist(),
        "limits": [_compiled(x) for x in computed.segments.limits],
    }


def summarise(computed: Computed, stamp: Stamp) -> dict[str, Any]:
    """The allocation's answer: the books, the plan in posterior means, every limit recounted, every offer.

    `planned_value` is the sum over the released choices of the objective's value in posterior means (conversions and
    value are gross of cost; profit and incremental are net); `planned_cost` of the expected cost.
    """
    audience, plan, campaign = computed.audience, computed.plan, computed.campaign
    books = books_of(computed.choice, audience.eligible, audience.held_out)
    chosen = computed.choice >= 0
    row, offer = np.flatnonzero(chosen), computed.choice[chosen]
    return {
        **{key: value for key, value in facts(computed, stamp).items() if key not in ("charges", "campaign", "limits")},
        "campaign": {"name": campaign.name, "as_of": campaign.as_of.isoformat(), "objective": campaign.objective},
        "document": campaign.to_document(),
        "status": plan.status,
        "breached": list(plan.breached),
        **books.told(),
        "planned_value": _sum(computed.worth.value[row, offer]),
        "planned_cost": _sum(computed.worth.cost[row, offer]),
        "expected_value": float(
            np.einsum("na,na->", computed.probability[:, :-1], _masked(computed), dtype=np.float64)
        ),
        "drawn_value_bound": plan.bound,
        "limits": limit_lines(campaign, plan.usage),
        "offers": _offers(computed),
        "newcomers": list(computed.newcomers),
        "funnel": _funnel(computed),
        "acceptance": plan.acceptance,
        "headroom": plan.headroom.tolist(),
        "passes": plan.passes,
        "warnings": _warnings(computed),
    }


def evidence_of(computed: Computed, summary: dict[str, Any]) -> Evidence:
    """What the gates look at: the books as stated, the limits recounted from the choices."""
    audience = computed.audience
    counts = {f.name: summary["audience" if f.name == "customers" else f.name] for f in fields(Books)}
    limits = computed.segments.limits
    hard = {x.name for x in limits if x.penalty is None and not (isinstance(x, Limit) and x.report_only)}
    recounted = usage(limits, use_of(computed.problem, computed.choice))
    shares = {x.name for x in limits if isinstance(x, Share)}
    # a share may be of a negative whole, or of nothing: what counts is how far it is on its side of the bound
    kept = (replace(x, used=-x.slack, minimum=None, maximum=0.0) if x.name in shares else x for x in recounted)
    released = summary["status"] == "released"
    return Evidence(
        computed.choice,
        computed.probability,
        computed.propensity,
        audience.eligible,
        audience.held_out,
        Books(**counts),
        tuple(x for x in kept if x.name in hard and np.isfinite(x.slack)) if released else (),  # infinite: no bound
    )


def _compiled(limit: Limit | Share) -> dict[str, Any]:
    """A limit over the file's own cells and offers, so that the file alone can recount it; see `limits_of`."""
    return {"kind": type(limit).__name__.lower(), **asdict(limit)}


def limits_of(meta: dict[str, Any]) -> tuple[Limit | Share, ...]:
    """The limits that a decisions file was drawn under, over its cells and offers."""
    out: list[Limit | Share] = []
    for stored in meta["limits"]:
        kind, rest = stored["kind"], {key: value for key, value in stored.items() if key != "kind"}
        if kind == "share":
            part, whole = (Selection(**_tuples(rest.pop(key))) for key in ("part", "whole"))
            out.append(Share(part=part, whole=whole, **rest))
        else:
            out.append(Limit(**_tuples(rest)))
    return tuple(out)


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _masked(computed: Computed) -> NDArray[np.float64]:
    """Values of the pairs that could be chosen, 0 elsewhere: an excluded pair's value means nothing."""
    return np.where(computed.probability[:, :-1] > 0, computed.worth.value, 0.0)


def _sum(values: NDArray[Any]) -> float:
    return float(values.sum(dtype=np.float64))


def limit_lines(campaign: Campaign, used: Iterable[Usage]) -> list[dict[str, Any]]:
    """Every limit of a campaign as recounted from a plan, with its price."""
    measures = {spec.name: spec.measure for spec in campaign.limits}
    shares = {spec.name for spec in campaign.limits if spec.whole is not None}
    return [
        {
            "name": x.name,
            "measure": measures[x.name],
            "share": x.name in shares,
            "used": x.used,
            "minimum": x.minimum,
            "maximum": x.maximum,
            "slack": x.slack if np.isfinite(x.slack) else None,
            "price": x.price,
        }
        for x in used
    ]


def _offers(computed: Computed) -> list[dict[str, Any]]:
    audience, worth = computed.audience, computed.worth
    names = audience.offers["name"].to_pylist() if "name" in audience.offers.column_names else audience.offer_ids
    out = []
    for a, offer_id in enumerate(audience.offer_ids):
        picked = computed.choice == a
        possible = audience.eligible[:, a] & ~audience.held_out
        out.append(
            {
                "offer_id": offer_id,
                "name": names[a] or offer_id,
                "chosen": int(picked.sum()),
                "eligible": int(audience.eligible[:, a].sum()),
                "planned_value": _sum(worth.value[picked, a]),
                "planned_cost": _sum(worth.cost[picked, a]),
                "mean_probability": float(computed.probability[possible, a].mean()) if possible.any() else 0.0,
                f"mean_{computed.kind.name}": float(worth.expected[picked, a].mean()) if picked.any() else None,
                "mean_sd": float(computed.beliefs.sd[possible, a].mean()) if possible.any() else None,
                "temperature": float(computed.played[a]),
            }
        )
    return out


def _funnel(computed: Computed) -> list[dict[str, Any]]:
    """How many pairs each rule excludes: as the first rule that does, and in all."""
    reasons = computed.audience.people.reasons
    left = np.ones(reasons.shape, bool)
    out = []
    for rule in computed.audience.rules.rules:
        hit = (reasons & np.uint64(rule.mask)) != 0
        out.append(
            {
                "rule": rule.name,
                "reason": rule.reason,
                "first_hit": int((hit & left).sum()),
                "all_hits": int(hit.sum()),
            }
        )
        left &= ~hit
    return out


def _warnings(computed: Computed) -> list[str]:
    out = []
    explore = computed.campaign.exploration
    if computed.plan.acceptance < TOLERATED:
        out.append(f"only {computed.plan.acceptance:.0%} of the rehearsed draws kept every limit")
    if len(computed.active) and not computed.active.any():
        worst = max(_funnel(computed), key=lambda line: line["all_hits"])
        out.append(
            f"nobody could get anything: rule {worst['rule']!r} excludes {worst['all_hits']:,} pairs, more than any"
        )
    if computed.newcomers:
        out.append(
            f"{', '.join(computed.newcomers)}: newer than the model, believed like any new offer until outcomes tell; "
            "run `allot train` once there are hundreds of them"
        )
    if computed.plan.mechanism == "deterministic":
        out.append("temperature 0 gives every choice with probability one: nothing can be learnt from these decisions")
        if explore.share > 0:
            out.append(f"exploration.share = {explore.share:g} is ignored at temperature 0")
    return out
