"""What if a limit were different? Scenarios on a campaign's own customers; nothing is kept, nothing superseded."""

from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from allot import DataError
from engine.campaign import Campaign
from engine.chance import random_share
from engine.computed import Setup, set_up, some_worth
from engine.house import under_house_rules
from engine.infeasible import infeasible
from engine.scenario import Scenario, changed, read_scenarios
from engine.stages import Reporter, Stages, silent
from engine.stamp import stamp_now
from engine.summary import limit_lines
from portfolio import Change, Problem, Solution, compare, frontier, price_range, solve
from warehouse import open_store, write_atomically

if TYPE_CHECKING:
    from warehouse import Workspace

GAP = 1e-4
"""How near, relative to its bound, each scenario's plan is wanted to be to the best one."""

AS_WRITTEN = "as written"

_NOTHING_FOUND: dict[str, Any] = {
    "limits": [],
    "what": "no plan that keeps the limits was found.",
    "remedy": "Give the tightest limits a little more room.",
    "cures": [],
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """A scenario, its limits over cells, and the best plan under them."""

    scenario: Scenario
    problem: Problem
    solution: Solution

    @property
    def possible(self) -> bool:
        """Whether there is a plan that keeps every hard limit."""
        return self.solution.status != "infeasible" and not self.solution.broken


def what_if(
    workspace: "Workspace",
    campaign: Campaign,
    texts: tuple[str, ...],
    *,
    changes_to: Path | None = None,
    reporter: Reporter = silent,
) -> dict[str, Any]:
    """Plan a campaign under other limits, and say what that changes.

    The plans are deterministic optima for posterior means, of the audience, rules and beliefs that an allocation made
    now would have. A random plan of the same campaign is worth a little less: `random_less` says about how much.

    Args:
        workspace: with data and a trained model; it is only read.
        campaign: as written; its exploration only matters for its holdout and for `random_less`.
        texts: scenarios, see `engine.scenario.read_scenarios`.
        changes_to: a Parquet or CSV file to write, by its ending: one row per scenario and customer who changes.
        reporter: told about progress.

    Returns:
        `as_written` and `scenarios`, each with status, planned value and cost, contacts, bound, gap and every limit
        with its use and price (for a limit that is changed also the range over which the price holds, an estimate);
        scenarios also with the `difference` to the campaign as written. Where no plan keeps the limits, `conflict` says
        so in words.

    Raises:
        CampaignError, RuleError, DataError: what is wrong with the request.
    """
    if changes_to is not None:
        _check_target(changes_to)
    scenarios = (Scenario(AS_WRITTEN, ()), *read_scenarios(texts, campaign.limits))
    stages = Stages(reporter)
    with open_store(workspace) as store:
        campaign = under_house_rules(store, campaign)
        setup = set_up(workspace, store, campaign, stamp_now(workspace, store, campaign), stages)
    active = setup.audience.eligible.any(1) & ~setup.audience.held_out
    problem = setup.problem(active)
    asked = _solved(problem, scenarios, stages)
    compared = [_compared(asked[0], one) for one in asked[1:]]
    lines = _lines(campaign, asked, stages)
    with stages("cost of chance"):
        less = random_share(some_worth(setup.worth, active), problem, campaign.exploration)
    if changes_to is not None:
        _write_changes(changes_to, setup, active, asked, compared)
    names = setup.audience.offer_ids
    return {
        "campaign": {"name": campaign.name, "as_of": campaign.as_of.isoformat(), "objective": campaign.objective},
        "stored": False,
        "basis": "deterministic optimum in posterior means",
        "temperature": campaign.exploration.temperature,
        "random_less": less,
        "audience": len(active),
        "deciding": int(active.sum()),
        "as_written": lines[0],
        "scenarios": [
            {**line, "difference": None if change is None else _difference(change, names)}
            for line, change in zip(lines[1:], compared, strict=True)
        ],
        "changes": None if changes_to is None else str(changes_to),
        "seconds": stages.seconds,
    }


def _solved(problem: Problem, scenarios: tuple[Scenario, ...], stages: Stages) -> list[_Asked]:
    """Best plans; scenarios that only move one limit's maximum are points of its frontier and share their work."""
    out: list[_Asked] = []
    with stages("scenarios", len(scenarios)) as done:
        for name, group in groupby(scenarios, lambda s: s.one_maximum.limit if s.one_maximum else None):
            these = list(group)
            problems = [replace(problem, limits=changed(problem.limits, s)) for s in these]
            if name is None:
                solutions = tuple(solve(p, gap=GAP) for p in problems)
            else:
                maxima = [float(s.one_maximum.after or 0.0) for s in these if s.one_maximum]
                solutions = frontier(problem, name, maxima, gap=GAP)
            out += map(_Asked, these, problems, solutions)
            done(len(out))
    return out


def _compared(base: _Asked, other: _Asked) -> Change | None:
    if not base.possible or not other.possible:
        return None
    return compare(base.problem, base.solution.choice, other.solution.choice)


def _lines(campaign: Campaign, asked: list[_Asked], stages: Stages) -> list[dict[str, Any]]:
    """Every scenario in figures."""
    out = []
    every = tuple(dict.fromkeys(c.limit for one in asked for c in one.scenario.changes))
    with stages("prices", len(asked)) as done:
        for one in asked:
            own = tuple(c.limit for c in one.scenario.changes)
            # a range shows by its own points where the price changes
            out.append(_line(campaign, one, () if one.scenario.point else own or every))
            done(len(out))
    return out


def _line(campaign: Campaign, one: _Asked, moved: tuple[str, ...]) -> dict[str, Any]:
    """One scenario in figures, recounted from its plan; for the limits in `moved` with the range of their price."""
    s = one.solution
    conflict = None
    if not one.possible:
        found = infeasible(one.problem)
        conflict = _NOTHING_FOUND if found is None else found.document
    chosen = s.choice >= 0
    picked = (np.flatnonzero(chosen), s.choice[chosen])
    limits = limit_lines(campaign, s.usage)
    for line in limits:
        line["price_range"] = _range(one, line["name"]) if line["name"] in moved and one.possible else None
    return {
        "scenario": one.scenario.label,
        "set": bounds_set(one.scenario),
        "status": s.status,
        "planned_value": _sum(one.problem.value[picked]) if one.possible else None,
        "planned_cost": _sum(one.problem.cost[picked]) if one.possible else None,
        "contacts": int(chosen.sum()) if one.possible else None,
        "bound": s.bound if one.possible else None,
        "gap": s.gap if one.possible else None,
        "limits": limits if one.possible else [],
        "conflict": conflict,
    }


def bounds_set(scenario: Scenario) -> list[dict[str, Any]]:
    """What a scenario changes, for the answer."""
    return [{"limit": c.limit, "bound": c.side, "before": c.before, "after": c.after} for c in scenario.changes]


def _range(one: _Asked, name: str) -> dict[str, float] | None:
    """Between which maxima a limit's price holds: an estimate, and named one."""
    limit = next(x for x in one.problem.limits if x.name == name)
    if limit.maximum is None or one.solution.prices.get(name, 0.0) <= 0.0:
        return None
    found = price_range(one.problem, name, one.solution)
    return {"tolerance": found.tolerance, "estimated_low": found.estimated_low, "estimated_high": found.estimated_high}


def _difference(change: Change, offer_ids: list[str]) -> dict[str, Any]:
    """Scenario minus campaign as written; moves from offer to offer, the most frequent first, None = no offer."""
    ids: list[str | None] = [*offer_ids, None]
    moves = [
        {"before": ids[i], "after": ids[j], "customers": int(change.flows[i, j])}
        for i, j in zip(*np.nonzero(change.flows), strict=True)
    ]
    return {
        "planned_value": change.after.value - change.before.value,
        "planned_cost": change.after.cost - change.before.cost,
        "contacts": int(change.after.contacts - change.before.contacts),
        "customers": len(change.customers),
        "moves": sorted(moves, key=lambda m: (-m["customers"], str(m["before"]), str(m["after"]))),
    }


def _check_target(path: Path) -> None:
    if path.suffix not in (".parquet", ".csv"):
        raise DataError(
            f"is no file that can be written ({path.suffix or 'no ending'}).",
            where=str(path),
            remedy="Give a name that ends in .parquet or .csv.",
        )
    if not path.parent.is_dir():
        raise DataError("its folder does not exist.", where=str(path), remedy="Make the folder, or give another name.")


def _write_changes(
    path: Path, setup: Setup, active: NDArray[np.bool_], asked: list[_Asked], compared: list[Change | None]
) -> None:
    """One row per scenario and customer who gets something else than as written; published whole."""
    people = setup.audience.people.customer_id.filter(pa.array(active))
    offers = pa.array(setup.audience.offer_ids, pa.string())
    before = asked[0].solution.choice
    tables = [
        pa.table(
            {
                "scenario": pa.array([one.scenario.label] * len(change.customers), pa.string()),
                "customer_id": people.take(pa.array(change.customers)).cast(pa.string()),
                "before": _offer(offers, before[change.customers]),
                "after": _offer(offers, one.solution.choice[change.customers]),
                "value_change": change.value,
                "cost_change": change.cost,
            }
        )
        for one, change in zip(asked[1:], compared, strict=True)
        if change is not None
    ]
    columns = ("scenario", "customer_id", "before", "after")
    schema = pa.schema(
        [*((c, pa.string()) for c in columns), ("value_change", pa.float64()), ("cost_change", pa.float64())]
    )
    table = pa.concat_tables(tables) if tables else schema.empty_table()
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink) if path.suffix == ".parquet" else pa_csv.write_csv(table, sink)
    write_atomically(path, sink.getvalue().to_pybytes())


def _offer(offers: pa.Array, choice: NDArray[np.int64]) -> pa.Array:
    return offers.take(pa.array(np.maximum(choice, 0), mask=choice < 0))


def _sum(values: NDArray[Any]) -> float:
    return float(values.sum(dtype=np.float64))
