"""The demo: one world, the whole way, and at the end what happened in words."""

import shutil
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from allot import WorkspaceError
from api import console, evaluation_table, evaluation_words, tables
from api.report import write as write_report
from api.withheld import withheld
from engine.allocate import allocate
from engine.campaign import Campaign, campaign_from_file
from engine.evaluate import Question, evaluate
from engine.explain import explain
from engine.feedback import feedback
from engine.learn import learn
from engine.stages import Reporter
from sims.files import OUTCOME_DAYS, moment
from sims.oracle import realised_value
from sims.rounds import ROUND_DAYS, Lab, answer, choices, open_lab
from sims.world import nbo
from warehouse import read_decisions

SEED = 7
ROUNDS = 2

_CAMPAIGN = """\
name = "spring"
as_of = 2026-01-01T00:00:00Z
seed = 7
audience = "starts_with(customer_id, 'c')"
objective = "profit"
outcome_days = 7

[exploration]
share = 0.02
holdout = 0.05

[[rules]]
name = "active"
reason = "Customers who spend next to nothing are left alone"
predicate = "monthly_spend >= 0.4"

[[limits]]
name = "budget"
measure = "cost"
maximum = {budget}
{caps}
[[limits]]
name = "at least some seniors"
measure = "count"
minimum = {minimum}
customers = {{ segment = "senior" }}

[[shares]]
name = "calls at most a third"
measure = "count"
maximum = 0.33
part = {{ offers = {{ channel = "call" }} }}
"""


def run(folder: Path, *, customers: int, quiet: bool) -> dict[str, Any]:
    """Play the demo into a folder, which is made anew.

    Raises:
        WorkspaceError: the folder holds something else.
    """
    _clear(folder)
    with console.progress(quiet=quiet) as reporter:
        lab = open_lab(nbo(SEED, customers=customers), folder)
        campaign = _campaign(lab, folder / "campaign.toml")
        rounds = [_round(lab, campaign, turn, reporter) for turn in range(ROUNDS)]
        last = allocate(lab.workspace, _on(campaign, ROUNDS), now=moment(ROUNDS * ROUND_DAYS), reporter=reporter)
        smaller = _smaller(campaign)
        question = Question(smaller, None, None, (rounds[0]["plan"]["allocation_id"],), 30.0, moment(OUTCOME_DAYS + 1))
        judged = withheld(evaluate(lab.workspace, question, reporter=reporter))
        page = write_report(lab.workspace, rounds[0]["plan"]["allocation_id"], folder / "report", reporter=reporter)
        table = read_decisions(Path(last["decisions"]), ["customer_id", "offer_id"])
        someone = next(c for c, o in zip(*table.to_pydict().values(), strict=True) if o is not None)
        why = explain(lab.workspace, someone, last["allocation_id"])
    picked = choices(lab, last)
    truth = [r["truth"] for r in rounds] + [realised_value(lab.world, picked, ROUNDS * ROUND_DAYS)]
    if not quiet:
        _tell(folder, rounds, last, judged, page, why, truth)
    return {
        "rounds": [{"plan": r["plan"]["allocation_id"], "learnt": r["learnt"], "truth": r["truth"]} for r in rounds],
        "last": last["allocation_id"],
        "truth": truth,
        "limits": last["limits"],
        "evaluation": judged,
        "report": page["html"],
        "workspace": str(lab.workspace.root),
    }


def _clear(folder: Path) -> None:
    """Only ever remove what an earlier demo made."""
    if not folder.exists():
        return
    if any(folder.iterdir()) and not (folder / "workspace" / "workspace.toml").exists():
        raise WorkspaceError("is not a demo's folder.", where=str(folder), remedy="Give another folder with --to.")
    shutil.rmtree(folder)


def _campaign(lab: Lab, path: Path) -> Campaign:
    """The reference budget, three caps, a segment minimum and a share, as a document that people can read."""
    reference = lab.campaign.limits
    budget = next(x for x in reference if x.measure == "cost")
    caps = sorted((x for x in reference if x.measure == "count"), key=lambda x: -(x.maximum or 0.0))[:3]
    lines = []
    for cap in caps:
        offer = dict(cap.part.offers)["offer_id"][0]
        lines += ["", "[[limits]]", f'name = "{cap.name}"', 'measure = "count"', f"maximum = {int(cap.maximum or 0)}"]
        lines += [f'offers = {{ offer_id = "{offer}" }}']
    minimum = len(lab.world.customers) // 200
    path.write_text(
        _CAMPAIGN.format(budget=round(budget.maximum or 0.0), caps="\n".join(lines) + "\n", minimum=minimum)
    )
    return campaign_from_file(path)


def _on(campaign: Campaign, turn: int) -> Campaign:
    return replace(campaign, as_of=campaign.as_of + timedelta(days=turn * ROUND_DAYS))


def _smaller(campaign: Campaign) -> Campaign:
    """The same campaign with half the budget."""
    limits = tuple(replace(x, maximum=(x.maximum or 0.0) / 2) if x.name == "budget" else x for x in campaign.limits)
    return replace(campaign, name="spring with half the budget", limits=limits)


def _round(lab: Lab, campaign: Campaign, turn: int, reporter: Reporter) -> dict[str, Any]:
    day = turn * ROUND_DAYS
    plan = allocate(lab.workspace, _on(campaign, turn), now=moment(day), reporter=reporter)
    feedback(lab.workspace, answer(lab, plan, day), now=moment(day + OUTCOME_DAYS))
    learnt = learn(lab.workspace, as_of=moment(day + ROUND_DAYS), reporter=reporter)
    return {"plan": plan, "learnt": learnt, "truth": realised_value(lab.world, choices(lab, plan), day)}


def _tell(
    folder: Path,
    rounds: list[dict[str, Any]],
    last: dict[str, Any],
    judged: dict[str, Any],
    page: dict[str, Any],
    why: dict[str, Any],
    truth: list[float],
) -> None:
    say, number = console.say, console.number
    command = sys.argv[0] if sys.argv[0].endswith("allot") else "allot"
    first = rounds[0]["plan"]
    tables.allocated(first)
    evaluation_table.evaluated(judged)
    tables.explained(why)
    names = ", ".join(number(x) for x in truth)
    say(
        "",
        "[bold]What happened[/]",
        f"A telecom with {first['audience']:,} customers and {len(first['offer_ids'])} offers, four of them new, "
        "brought a log that favoured some offers. Allot trained on it and spent a budget under three caps, a minimum "
        "for seniors and a share for calls; every limit holds exactly, and every choice carries its probability.",
        f"{sum(r['learnt']['folded'] for r in rounds):,} outcomes came back in two rounds. The world's truth, which "
        f"the engine never sees, says the three plans are worth {names}: the last one {truth[-1] / truth[0] - 1:+.1%} "
        "against the first, at the same budget.",
        f"Asked of the first round's log alone, what half the budget would have earned: {judged['verdict']}, "
        f"{evaluation_words.verdict(judged)}",
        f"The report is {page['html']}; the campaign is {folder / 'campaign.toml'}.",
        "",
        "[bold]Try next[/]",
        f"  {command} explain {why['customer_id']} --workspace {folder / 'workspace'}",
        f"  {command} allocate --reproduce {last['allocation_id']} --workspace {folder / 'workspace'}",
        f"  {command} evaluate {folder / 'campaign.toml'} --as-of 2026-01-20 --workspace {folder / 'workspace'}",
        "and docs/golden-path.md shows how to bring your own files.",
    )
