"""What would another policy have earned? From our own decisions or from an exposures file, with a verdict."""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import CampaignError, DataError
from engine.campaign import Campaign
from engine.evaluation_detail import detail
from engine.every_estimator import NOTE, every_estimate
from engine.logs import LoggedRows, log_from_allocation, log_from_file, target_from_file
from engine.pooled import pooled
from engine.replayed import Replayed, together
from engine.slices import Segments, by_segment, segments_of
from engine.stages import Reporter, Stages, silent
from offline_eval import Estimate, Log, Report, calibration_sentences
from offline_eval import evaluate as judge
from warehouse import Store, StoredAllocation, Workspace, open_store, outcomes
from warehouse.singles import heard_releases

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Question:
    """Which policy, on which log.

    Args:
        campaign: the target is this campaign's policy, replayed on the logged customers.
        log: an exposures file; None = our own decisions.
        target: a file of customer_id, offer_id, probability.
        allocations: those whose decisions are the log; empty = those of `since` and `until`, and without these the
            latest with outcomes.
        outcome_days: with `log`, how long an outcome may take.
        as_of: younger decisions are left out.
        since, until: the log is all allocations decided from then and before then; with `campaign`, those of its name.
        by: a customer column, in whose segments the policy is compared with what was done; None = a column that the
            campaign's limits speak of, or another of a few texts.
        every_estimator: also estimate by those that are not judged by.
    """

    campaign: Campaign | None
    log: Path | None
    target: Path | None
    allocations: tuple[str, ...]
    outcome_days: float
    as_of: datetime
    since: datetime | None = None
    until: datetime | None = None
    by: str | None = None
    every_estimator: bool = False


def evaluate(workspace: Workspace, question: Question, *, reporter: Reporter = silent) -> dict[str, Any]:
    """Estimate the mean reward per decision that a policy would have had.

    Without campaign and target the policy is the one that was logged: then the answer compares plan and result.

    Args:
        workspace: with data and, for our own decisions or a campaign, a trained model.
        question: which policy on which log.
        reporter: told about progress.

    Returns:
        verdict, reasons, the estimates with intervals, diagnostics, the log's own mean, the paired difference to it.

    Raises:
        DataError: a file breaks its contract, or the target does not cover the log.
        NotFoundError: no such allocation.
    """
    if question.campaign is not None and question.target is not None:
        raise CampaignError("both a campaign and --target are given.", remedy="Give one of them.")
    if question.log is not None and question.campaign is None and question.target is None:
        raise CampaignError(
            "no policy to evaluate on this file.", where="--log", remedy="Give a campaign document or --target."
        )
    stages = Stages(reporter)
    with open_store(workspace) as store:
        with stages("log"):
            logs = logs_of(workspace, store, question)
        rows = pooled(logs)
        if rows.unknown_propensity:
            return without_propensities(rows)
        replayed = _target(workspace, store, question, logs, stages)
        with stages("reward model", len(rows.reward)):
            tables = rows.read()
            q_hat = rows.modelled(*tables)
    with stages("estimate", len(rows.reward)):
        segments = asked_segments(workspace, rows, question.campaign, question.by)
        report = report_of(rows, replayed, q_hat, segments)
        told = detail(report, rows, replayed.success, segments)
        compared = question.by or replayed.name  # what was done itself has nothing to be compared with
        cut = segments if compared else None
        told["slices"] = None if cut is None else by_segment(report, rows, replayed.probability, q_hat, cut)
        answer = _answer(report, rows, replayed)
        if question.every_estimator:
            more = every_estimate(rows, replayed.probability, q_hat, tables)
            answer["estimates"] += [figures(one) for one in more]
            answer["warnings"].append(NOTE)
    return {**answer, **told, "seconds": stages.seconds}


def report_of(rows: LoggedRows, replayed: Replayed, q_hat: Floats, segments: Segments | None = None) -> Report:
    """The evaluation of one policy on logged rows, with the modelled rewards (r, k + 1).

    Propensities are checked in each of the segments, too; alarms name offers and segments.
    """
    report = judge(
        Log(rows.reward, rows.arm, rows.propensity, rows.cluster),
        replayed.probability,
        q_hat,
        support=rows.support,
        chances=rows.probability,
        segment=None if segments is None else segments.code,
        decision=rows.decision,
        planned=_planned(rows, replayed),
        reasons=(*rows.reasons, *replayed.reasons),
    )
    found = report.calibration
    cut = None if segments is None else [f"{name} of {segments.column}" for name in segments.names]
    named = calibration_sentences(found, [*rows.offer_ids, "no offer"], cut)
    words = dict(zip(calibration_sentences(found), named, strict=True))
    ours = {*rows.reasons, *replayed.reasons}
    told = (words.get(reason, reason if reason in ours else _whose(reason, rows)) for reason in report.reasons)
    return replace(report, reasons=tuple(told))


def _whose(reason: str, rows: LoggedRows) -> str:
    """A sentence in which rows have numbers, which are nobody's but ours, with the customers and moments instead."""

    def name(found: re.Match[str]) -> str:
        row = int(found[2])
        at = rows.decided_at[row].as_py()
        the = "The" if found[1] == "R" else "the"
        return f"{the} row of customer {rows.customer_id[row].as_py()} at {at:%Y-%m-%d %H:%M:%S}"

    return re.sub(r"\b([Rr])ow (\d+)\b", name, reason)


def asked_segments(
    workspace: Workspace, rows: LoggedRows, campaign: Campaign | None, by: str | None = None
) -> Segments | None:
    """The segments of a log: by the column that is named, or by one that the campaign's limits speak of."""
    limits = () if campaign is None else campaign.limits
    preferred = dict.fromkeys(column for limit in limits for column, _ in limit.part.customers)
    return segments_of(workspace, rows, by, preferred)


def logs_of(workspace: Workspace, store: Store, question: Question) -> list[LoggedRows]:
    """What a question asks about: one file, or some of our own allocations in the order of their moments.

    Raises:
        CampaignError: a file and allocations are asked for together.
        DataError: there is no such log, or nothing of it can be evaluated yet.
        NotFoundError: no such allocation.
    """
    if question.log is None:
        chosen = _allocations(store, question)
        return [log_from_allocation(workspace, store, one, question.as_of) for one in chosen]
    if question.allocations or question.since or question.until:
        what = "a file does not go with --allocation, --since or --until, which name our own decisions."
        raise CampaignError(what, where="--log", remedy="Give one of them.")
    return [log_from_file(workspace, store, question.log, question.outcome_days, question.as_of)]


def _allocations(store: Store, question: Question) -> list[StoredAllocation]:
    if question.allocations:
        named = [store.allocation(one) for one in dict.fromkeys(question.allocations)]
        return sorted(named, key=lambda a: (a.as_of, a.created_at))
    asked = [a for a in store.allocations(status="released") if _asked(a, question)]
    if not (question.since or question.until):
        asked = [a for a in asked if not a.single]
    random = [a for a in asked if a.summary["mechanism"] != "deterministic"]
    due = [a for a in random if question.as_of - a.as_of >= timedelta(days=a.summary["document"]["outcome_days"])]
    if not due:
        raise DataError(
            f"none of {len(asked)} released allocations{_span(question)} is random and has all its outcomes.",
            where="evaluate",
            remedy="Allocate, feed outcomes back and wait for outcome_days; or give --log with an exposures file.",
        )
    answered = {decision.rpartition("-")[0] for decision in outcomes(store)["decision_id"].to_pylist()}
    with store.transaction(write=False) as session:
        singly = heard_releases(session)
    heard = [a for a in due if (a.summary["release_id"] in singly if a.single else a.allocation_id in answered)]
    found = sorted(heard or due, key=lambda a: (a.as_of, a.created_at))
    return found if question.since or question.until else found[-1:]


def _asked(one: StoredAllocation, question: Question) -> bool:
    """Whether an allocation is in the span that is asked about; within one, only a given campaign's own."""
    since, until = question.since, question.until
    if since is None and until is None:
        return True
    named = question.campaign is None or one.summary["document"]["name"] == question.campaign.name
    return named and (since is None or since <= one.as_of) and (until is None or one.as_of < until)


def _span(question: Question) -> str:
    """The span that is asked about, in words; empty without."""
    parts = [f"{word} {at:%Y-%m-%d}" for word, at in (("since", question.since), ("until", question.until)) if at]
    if not parts:
        return ""
    of = f" of {question.campaign.name!r}" if question.campaign else ""
    return f"{of} {' '.join(parts)}"


def _target(workspace: Workspace, store: Store, question: Question, logs: list[LoggedRows], stages: Stages) -> Replayed:
    rows = pooled(logs)
    if question.target is not None:
        table = target_from_file(workspace, question.target, rows)
        return Replayed(table, f"the list {question.target.name}", None, ())
    if question.campaign is not None:
        from engine.replay import replay

        parts = [replay(workspace, store, question.campaign, log, stages) for log in logs]
        return together(parts, logs, rows)
    if rows.probability is None:
        raise CampaignError("no policy to evaluate.", remedy="Give a campaign document or --target.")
    return Replayed(rows.probability, "", rows.success, (), amount=rows.amount)


def _planned(rows: LoggedRows, replayed: Replayed) -> float | None:
    """Mean reward per decision that the policy's own beliefs promise: amounts, or chances at what a success earned.

    None where it believes nothing of some logged customers: those outside its campaign's audience.
    """
    if _outside(rows, replayed):
        return None
    if replayed.amount is not None:
        return float((replayed.probability * replayed.amount).sum(1).mean())
    if replayed.success is None:
        return None
    won = rows.outcome > 0
    arms = replayed.probability.shape[1]
    overall = float(rows.reward[won].mean()) if won.any() else 0.0
    count = np.bincount(rows.arm[won], minlength=arms)
    total = np.bincount(rows.arm[won], rows.reward[won], arms)
    worth = np.where(count > 0, total / np.maximum(count, 1), overall)
    return float((replayed.probability * replayed.success * worth).sum(1).mean())


def _answer(report: Report, rows: LoggedRows, replayed: Replayed) -> dict[str, Any]:
    chosen = report.estimate
    return {
        "target": replayed.name,
        "log": rows.name,
        "rows": report.rows,
        "left_out": rows.left_out,
        "immature": rows.immature,
        "verdict": report.verdict,
        "reasons": list(report.reasons),
        "estimator": None if chosen is None else chosen.estimator,
        "chosen_because": report.chosen_because,
        "estimate": None if chosen is None else figures(chosen),
        "estimates": [figures(e) for e in report.estimates],
        "logged": figures(report.logged),
        "difference": None if report.difference is None else figures(report.difference),
        "ess": report.ess,
        "largest_weight": report.largest_weight,
        "mean_weight": report.mean_weight,
        "clipped_share": report.clipped_share,
        "unsupported_mass": report.unsupported_mass,
        "weighted_successes": report.weighted_successes,
        "spread": report.spread,
        "planned": _plus(report.planned_minus_realised, chosen),
        "realised": None if chosen is None else chosen.value,
        "planned_minus_realised": report.planned_minus_realised,
        "warnings": [*rows.notes, *_outside(rows, replayed)],
        **replayed.facts,
    }


def _outside(rows: LoggedRows, replayed: Replayed) -> list[str]:
    """That a campaign does not address some of the logged customers: there it is judged by what no offer brings."""
    logged = len(rows.reward)
    outside = logged - replayed.facts.get("logged_in_audience", logged)
    if not outside:
        return []
    what = f"{outside:,} of {logged:,} logged decisions are about customers outside the campaign's audience"
    return [f"{what}: it makes them no offer, and plans nothing for them"]


def _plus(excess: float | None, chosen: Estimate | None) -> float | None:
    return None if excess is None or chosen is None else excess + chosen.value


def figures(e: Estimate) -> dict[str, Any]:
    """An estimate in figures, for the answer."""
    return {
        "estimator": e.estimator,
        "value": e.value,
        "std_error": e.std_error,
        "low": e.low,
        "high": e.high,
        "level": e.level,
        "ess": e.ess,
    }


def without_propensities(rows: LoggedRows) -> dict[str, Any]:
    """Nothing may be estimated; say what to log next time."""
    what = f"{rows.unknown_propensity:,} of {len(rows.reward):,} logged rows have no propensity"
    why = "log with each decision the probability with which it was made"
    empty = dict.fromkeys(
        ("estimator", "estimate", "difference", "ess", "planned", "realised", "planned_minus_realised", "target")
    )
    mean = float(rows.reward.mean())
    return {
        **empty,
        "log": rows.name,
        "rows": len(rows.reward),
        "left_out": rows.left_out,
        "immature": rows.immature,
        "verdict": "invalid",
        "reasons": [f"{what}: {why}, and this question can be answered next time."],
        "chosen_because": "",
        "estimates": [],
        "logged": {"estimator": "logged", "value": mean},
        "warnings": list(rows.notes),
    }
