"""Gather what a report shows about an allocation, and write it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allot import DataError, NotFoundError
from api.console import plain
from api.pages.evidence import BEST, THIS, FrontierPoint
from api.withheld import withheld
from engine.evaluate import Question, evaluate
from engine.frontier import Frontier, frontier
from engine.slices import segment_column, segmented_by
from engine.stages import Reporter, Stages, silent
from warehouse import attach, connect, customer_rows, open_store, read_decisions, read_version

if TYPE_CHECKING:
    from api.pages.evidence import Heat, ReportEvidence
    from warehouse import StoredAllocation, Workspace


def write(
    workspace: "Workspace", allocation_id: str | None, folder: Path | None, *, reporter: Reporter = silent
) -> dict[str, Any]:
    """Write the page and its charts.

    Args:
        workspace: where.
        allocation_id: of the allocation; None = the latest.
        folder: where to; None = reports/ in the workspace.
        reporter: told about progress.

    Raises:
        NotFoundError: nothing has been allocated yet, or no such allocation.
    """
    from api.pages import write_report

    stages = Stages(reporter)
    with open_store(workspace) as store:
        stored = store.latest_allocation() if allocation_id is None else store.allocation(allocation_id)
    if stored is None:
        raise NotFoundError("nothing has been allocated yet.", where="report", remedy="Run `allot allocate CAMPAIGN`.")
    evidence = gather(workspace, stored, stages)
    with stages("page"):
        written = write_report(evidence, folder or workspace.reports / stored.allocation_id)
    return {
        "allocation_id": stored.allocation_id,
        "html": str(written.html),
        "charts": [str(path) for path in written.charts],
        "seconds": stages.seconds,
    }


def gather(workspace: "Workspace", stored: "StoredAllocation", stages: Stages) -> "ReportEvidence":
    """Everything that the page shows, from what was kept."""
    from api.pages import ReportEvidence

    s = stored.summary
    with stages("value against budget"):
        curve = frontier(workspace, stored)
    with stages("evaluation"):
        judged = _evaluation(workspace, stored)
    table = read_decisions(workspace.root / str(stored.decisions_path), ["probability", "propensity", "status"])
    k = len(s["offer_ids"])
    options = table["probability"].combine_chunks().flatten().to_numpy().reshape(-1, k + 1)[:, :k]
    chosen = table.filter(pc.equal(pc.cast(table["status"], pa.string()), "chosen"))["propensity"].to_numpy()
    versions = {key: value for key, value in stored.versions.items() if isinstance(value, str)}
    summary: Any = {
        **s,
        "offer_names": [offer["name"] for offer in s["offers"]],
        **_of_chance(s, curve),
        "versions": versions,
    }
    offers: Any = tuple({**offer, "uncertainty": offer["mean_sd"]} for offer in s["offers"])
    return ReportEvidence(
        summary=summary,
        funnel=tuple(s["funnel"]),
        pairs=s["pairs"],
        eligible_not_chosen=s["eligible_not_chosen"],
        heat=_heat(workspace, stored),
        chosen_probability=chosen,
        option_probability=options[options > 0],
        frontier=_curve(s, curve),
        frontier_limit=curve.limit,
        price_holds=curve.holds,
        offers=offers,
        evaluation=judged,
    )


def _of_chance(summary: dict[str, Any], curve: Frontier) -> dict[str, Any]:
    """The best fixed plan and what no plan can exceed; the stored bound is of the drawn value, which is larger."""
    stated = summary.get("cost_of_chance")
    if stated is None:
        return {"deterministic_value": curve.deterministic, "bound": curve.bound}
    best, bound = stated["best_fixed_value"], stated["bound"]
    return {"deterministic_value": best, "bound": bound, "best_is_sampled": stated["sampled"]}


def _curve(summary: dict[str, Any], curve: Frontier) -> tuple[FrontierPoint, ...]:
    """The best fixed plans, and this plan among them."""
    best = [FrontierPoint(maximum=p.maximum, value=p.value, kind=BEST, price=p.price) for p in curve.points]
    if curve.own is None or summary["status"] != "released":
        return tuple(best)
    return (*best, FrontierPoint(maximum=curve.own, value=summary["planned_value"], kind=THIS))


def _evaluation(workspace: "Workspace", stored: "StoredAllocation") -> Any:
    """What the allocation realised, once its outcomes are in."""
    question = Question(None, None, None, (stored.allocation_id,), 30.0, datetime.now(UTC))
    try:
        return plain(withheld(evaluate(workspace, question)))
    except DataError:
        return None  # no outcomes yet


def _heat(workspace: "Workspace", stored: "StoredAllocation") -> "Heat | None":
    """Chosen offers by segment: a customer column of a few texts, one called segment before others."""
    from api.pages import Heat

    version = read_version(workspace, stored.versions["data"])
    path = workspace.root / str(stored.decisions_path)
    table = read_decisions(path, ["customer_id", "offer_id", "value"])
    at = pa.array([stored.as_of] * table.num_rows, pa.timestamp("us", "UTC"))
    pairs = table.select(["customer_id"]).append_column("at", at)
    pairs = pairs.append_column("pair_id", pa.array(np.arange(table.num_rows)))
    with connect(workspace) as connection:
        attach(connection, workspace, version)
        people = customer_rows(connection, pairs)
    column = segment_column(people)
    if column is None:
        return None
    segments = segmented_by(people, column)
    offers = stored.summary["offer_ids"]
    offer = pc.index_in(table["offer_id"], pa.array(offers)).combine_chunks()
    took = np.asarray(pc.is_valid(offer))
    place = segments.code[took] * len(offers) + offer.drop_null().to_numpy()
    shape = (len(segments.names), len(offers))
    size = len(segments.names) * len(offers)
    return Heat(
        segment_names=segments.names,
        offer_names=tuple(o["name"] for o in stored.summary["offers"]),
        counts=np.bincount(place, minlength=size).reshape(shape),
        value=np.bincount(place, table["value"].to_numpy()[took], size).reshape(shape),
    )
