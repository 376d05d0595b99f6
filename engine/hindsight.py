"""What would the past have earned under other limits? A campaign and its what-ifs, replayed side by side on one log."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import CampaignError
from engine.campaign import Campaign, read_campaign
from engine.evaluate import Question, asked_segments, figures, logs_of, report_of, without_propensities
from engine.logs import LoggedRows
from engine.pooled import pooled
from engine.replay import prepared
from engine.replayed import Replayed, together
from engine.scenario import Scenario, read_scenarios
from engine.stages import Reporter, Stages, silent
from engine.whatif import AS_WRITTEN, bounds_set
from offline_eval import Log, Report, compare, dr
from warehouse import Store, Workspace, open_store

Floats: TypeAlias = NDArray[np.float64]

_VERDICTS = ("supported", "insufficient", "invalid")  # from good to bad
_MYOPIC = (
    "each allocation is replayed on the customers as they were: that other offers in one would have changed whom the "
    "next could address is left out"
)


@dataclass(frozen=True, slots=True)
class _Judged:
    """A scenario, its policy on the log, and what that would have earned."""

    scenario: Scenario
    replayed: Replayed
    report: Report


def in_hindsight(
    workspace: Workspace, question: Question, texts: Sequence[str], *, reporter: Reporter = silent
) -> dict[str, Any]:
    """Estimate what other limits would have earned on logged decisions, against the limits as written.

    On every allocation both policies are solved anew for the customers who were logged, with the models that it was
    made with; sums in limits are scaled by the share of customers that are in the log. So they differ in the limits
    only, and their difference is taken row by row, by dr, with customers as clusters across allocations.

    Args:
        workspace: with data and a trained model; it is only read.
        question: which log; `campaign` None = each allocation's own document.
        texts: scenarios, see `engine.scenario.read_scenarios`.
        reporter: told about progress.

    Returns:
        `as_written` and `scenarios`, each with verdict, estimate, planned cost and every allocation's scaled limits;
        scenarios also with the `difference` to the campaign as written: per decision and `in_all`.

    Raises:
        CampaignError, RuleError, DataError, LimitError, NotFoundError: what is wrong with the request.
    """
    if question.target is not None:
        what = "--what-if changes a campaign's limits, and a list has none."
        raise CampaignError(what, where="--target", remedy="Leave one of them out.")
    if question.log is not None and question.campaign is None:
        what = "a file does not say which campaign's limits are meant."
        raise CampaignError(what, where="--what-if", remedy="Give a campaign document.")
    if question.every_estimator:
        what = "--what-if compares policies by one estimator."
        raise CampaignError(what, where="--every-estimator", remedy="Leave one of them out.")
    stages = Stages(reporter)
    with open_store(workspace) as store:
        with stages("log"):
            logs = logs_of(workspace, store, question)
        rows = pooled(logs)
        if rows.unknown_propensity:
            return {**without_propensities(rows), "scenarios": [], "seconds": stages.seconds}
        asked = [(log, *_scenarios(store, question.campaign, log, texts)) for log in logs]
        replays = [[*_replays(workspace, store, one, stages)] for one in asked]
        with stages("reward model", len(rows.reward)):
            q_hat = rows.reward_model()
    judged = []
    scenarios = [Scenario(AS_WRITTEN, ()), *asked[0][2]]
    segments = asked_segments(workspace, rows, question.campaign, question.by)
    with stages("estimate", len(scenarios)) as done:
        for scenario, parts in zip(scenarios, zip(*replays, strict=True), strict=True):
            replayed = together(parts, logs, rows)
            judged.append(_Judged(scenario, replayed, report_of(rows, replayed, q_hat, segments)))
            done(len(judged))
    base = judged[0]
    lines = [_line(one) for one in judged]
    return {
        "target": base.replayed.name,
        "log": rows.name,
        "rows": len(rows.reward),
        "customers": int(rows.cluster.max()) + 1,
        "left_out": rows.left_out,
        "immature": rows.immature,
        "logged": figures(base.report.logged),
        "as_written": lines[0],
        "scenarios": [
            {**line, "difference": _difference(base, one, rows, q_hat)}
            for line, one in zip(lines[1:], judged[1:], strict=True)
        ],
        "warnings": [*rows.notes, *([_MYOPIC] if len(logs) > 1 else [])],
        "seconds": stages.seconds,
    }


def _scenarios(
    store: Store, campaign: Campaign | None, log: LoggedRows, texts: Sequence[str]
) -> tuple[Campaign, tuple[Scenario, ...]]:
    """The campaign to replay on a log, and the scenarios in terms of its limits."""
    own = campaign or read_campaign(store.allocation(log.name).summary["document"])
    scenarios = read_scenarios(texts, own.limits)
    if len(scenarios) != len(texts) and campaign is None:
        what = "a range, or the same question twice, means something else for each allocation's own limits."
        raise CampaignError(
            what, where="--what-if", remedy="Ask for one change at a time, or give a campaign document."
        )
    return own, scenarios


def _replays(
    workspace: Workspace, store: Store, asked: tuple[LoggedRows, Campaign, tuple[Scenario, ...]], stages: Stages
) -> list[Replayed]:
    """The campaign as written on one log, then under each scenario."""
    log, campaign, scenarios = asked
    ready = prepared(workspace, store, campaign, log, stages)
    return [ready.under(scenario, stages) for scenario in (None, *scenarios)]


def _line(one: _Judged) -> dict[str, Any]:
    """A scenario in figures."""
    report, facts = one.report, one.replayed.facts
    found = report.estimate
    replays = facts.get("replays", [facts])
    return {
        "scenario": one.scenario.label,
        "set": bounds_set(one.scenario),
        "verdict": report.verdict,
        "reasons": list(report.reasons),
        "estimator": None if found is None else found.estimator,
        "estimate": None if found is None else figures(found),
        "estimates": [figures(e) for e in report.estimates],
        "ess": report.ess,
        "largest_weight": report.largest_weight,
        "unsupported_mass": report.unsupported_mass,
        "weighted_successes": report.weighted_successes,
        "planned_cost": one.replayed.cost,
        "replays": replays,
    }


def _difference(base: _Judged, other: _Judged, rows: LoggedRows, q_hat: Floats) -> dict[str, Any]:
    """Scenario minus campaign as written; without figures where either is invalid."""
    verdict = max((base.report.verdict, other.report.verdict), key=_VERDICTS.index)
    cost = (
        None if other.replayed.cost is None or base.replayed.cost is None else other.replayed.cost - base.replayed.cost
    )
    out = {"verdict": verdict, "planned_cost": cost}
    if verdict == "invalid":
        return {**out, **dict.fromkeys(("estimator", "value", "std_error", "low", "high", "level", "in_all"))}
    log = Log(rows.reward, rows.arm, rows.propensity, rows.cluster)
    new, old = (dr(log, one.replayed.probability, q_hat) for one in (other, base))
    found, _ = compare(new, old, log)
    in_all = {name: len(rows.reward) * getattr(found, name) for name in ("value", "low", "high")}
    return {**out, **figures(found), "in_all": in_all}
