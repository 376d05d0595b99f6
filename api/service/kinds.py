"""The kinds of work that are done as jobs: each turns its document into one use case and gives what that gives."""

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from api.console import plain
from api.service.jobs import Context, Kind

Document = Mapping[str, Any]


def allocation(context: Context, document: Document) -> dict[str, Any]:
    """Allocate a campaign: `campaign` its document; `release` and `again` as for the use case.

    The allocation itself says everything; the job gives its id and status.
    """
    from engine.allocate import allocate
    from engine.campaign import read_campaign

    campaign = read_campaign(document["campaign"])
    wish = {"release": document["release"], "again": document["again"]}

    def decide() -> dict[str, Any]:
        made = allocate(
            context.workspace, campaign, now=context.now(), by=context.asked_by, reporter=context.reporter, **wish
        )
        return {"allocation_id": made["allocation_id"], "status": made["status"]}

    found: dict[str, Any] = context.step("allocate", decide)
    return found


def evaluation(context: Context, document: Document) -> Any:
    """Evaluate a policy on our own decisions: what `allot evaluate --output json` prints."""
    from engine.campaign import read_campaign
    from engine.evaluate import Question, evaluate
    from engine.hindsight import in_hindsight

    policy = document["policy"]
    question = Question(
        campaign=None if policy == "logged" else read_campaign(policy),
        log=None,
        target=None,
        allocations=tuple(document["allocations"]),
        outcome_days=30.0,  # of exposures files, which do not come over HTTP
        as_of=_moment(document["as_of"]) or context.now(),
        since=_moment(document["since"]),
        until=_moment(document["until"]),
        by=document["by"],
        every_estimator=document["every_estimator"],
    )
    if document["what_if"]:
        return plain(in_hindsight(context.workspace, question, document["what_if"], reporter=context.reporter))
    return plain(evaluate(context.workspace, question, reporter=context.reporter))


def simulation(context: Context, document: Document) -> Any:
    """Play policies in a world whose truth is known: what `allot simulate --output json` prints."""
    from sims import described
    from sims.comparison import Compared, summarised
    from sims.policies import policies_of
    from sims.runs import played
    from sims.study import Study, seeds_of
    from sims.trust import trusted

    about = described(document["world"])
    sized = replace(about, per_day=document["customers"]) if document["customers"] else about
    study = Study(sized, policies_of(",".join(document["policies"])), seeds_of(document["seeds"]))
    with TemporaryDirectory(prefix="allot-sim-") as folder:
        runs = played(study, Path(folder), processes=os.cpu_count() or 1, reporter=context.reporter)
        compared = Compared(runs)
    return plain(summarised(about.name, compared) | {"trust": trusted(compared)})


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


WRITING: Mapping[str, Kind] = {"allocation": allocation}
"""Work that writes to the workspace: one at a time in each tenant."""

READING: Mapping[str, Kind] = {"evaluation": evaluation, "simulation": simulation}
"""Work that only reads, however long it takes."""
