"""Several policies judged on one log, so that their differences can be taken row by row."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engine.campaign import Campaign
from engine.logs import log_from_file, target_from_file
from engine.replay import Replayed, replay
from engine.stages import Stages
from offline_eval import Estimate, Log, Report, difference, evaluate
from warehouse import Workspace, open_store

OUTCOME_DAYS = 30.0


@dataclass(frozen=True, slots=True)
class Judged:
    """A policy's report, and its mix: the mean probability of each offer and, last, of no offer."""

    report: Report
    mix: tuple[float, ...]

    def estimate(self, name: str) -> Estimate:
        """One of the report's estimates: ips, snips, dr or sndr."""
        return next(e for e in self.report.estimates if e.estimator == name)


def judge(
    workspace: Workspace, path: Path, policies: Mapping[str, Campaign | Path], *, as_of: datetime
) -> dict[str, Judged]:
    """What `allot evaluate` says about each policy on one file of exposures, with one reward model for all.

    Args:
        workspace: with a trained model.
        path: the exposures; they are read, not loaded.
        policies: a campaign or a target list by the name to call it.
        as_of: rows younger than 30 days then are left out.
    """
    with open_store(workspace) as store:
        rows = log_from_file(workspace, store, path, OUTCOME_DAYS, as_of)
        modelled = rows.reward_model()
        log = Log(rows.reward, rows.arm, rows.propensity, rows.cluster)
        out = {}
        for name, policy in policies.items():
            if isinstance(policy, Path):
                target = Replayed(target_from_file(workspace, policy, rows), name, None, ())
            else:
                target = replay(workspace, store, policy, rows, Stages())
            report = evaluate(log, target.probability, modelled, reasons=target.reasons)
            out[name] = Judged(report, tuple(target.probability.mean(0).tolist()))
    return out


def compare(first: Judged, second: Judged) -> Estimate:
    """First minus second, paired, by dr."""
    return difference(first.estimate("dr"), second.estimate("dr"))


def in_words(first: str, second: str, first_report: Judged, second_report: Judged) -> str:
    """Who wins, if the log can tell; a policy that the log cannot judge wins nothing."""
    for name, judged in ((first, first_report), (second, second_report)):
        if judged.report.verdict != "supported":
            return f"No winner may be named: {name} is {judged.report.verdict}. {' '.join(judged.report.reasons)}"
    gap = compare(first_report, second_report)
    size = f"{gap.value:+.3f} per customer, 95 % interval {gap.low:+.3f} to {gap.high:+.3f}"
    if gap.high < 0:
        return f"{first} is WORSE than {second}: {size}."
    if gap.low > 0:
        return f"{first} is better than {second}: {size}."
    looks = "worse" if gap.value < 0 else "better"
    return f"{first} looks {looks} than {second}, but the log cannot tell them apart: {size}."
