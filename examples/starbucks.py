"""Ten offers, shown at random to 17,000 people, each paying a reward when its condition is met.

The offers cost nothing to send; the reward is paid on completion. So a budget is a budget of expected rewards.
"""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pa_parquet

from api.console import say, table
from engine.allocate import allocate
from engine.campaign import Campaign, read_campaign
from engine.train import train
from engine.workspaces import init, load
from examples import files
from examples.data import DATA, REFERENCE, missing
from examples.judging import Judged, judge
from portfolio import Limit, Problem, solve
from warehouse import Workspace

FOLDER = DATA / "starbucks"
SHOWN = datetime(2008, 3, 20, tzinfo=UTC)  # the source counts hours from an unnamed day
AS_OF = "2008-05-01T00:00:00Z"
NOW = datetime(2008, 6, 15, tzinfo=UTC)
BUDGETS = (1.00, 1.25, 1.50)
EXPLORATION = {1.0: 0.01, 0.0: 0.0}  # temperature: share
CONSTANT = "discount-2-10-240"
CAP = 0.2
OPTIMA = {(1.5, False): 0.71640, (1.0, False): 0.50000, (1.5, True): 0.57647, (1.0, True): 0.45295}
"""The reference's optima per row: by budget in USD per row, and whether an offer may go to at most a fifth of them."""


@dataclass(frozen=True, slots=True)
class Shop:
    """A trained workspace; eval exposures as files whose reward is the completion, and the money it cost."""

    workspace: Workspace
    completions: Path
    costs: Path
    audience: int
    always: Path


def run(folder: Path) -> None:
    """Budgets planned and realised, the deterministic optimum, and the linear program of the reference."""
    names = [FOLDER / f"{name}.parquet" for name in ("customers", "offers", "exposures")]
    if absent := missing(*names, REFERENCE / "starbucks.json"):
        say(f"Starbucks rewards. {absent}")
        return
    say("", "[bold]Starbucks rewards[/]")
    shop = open_shop(folder)
    budgets(shop)
    deterministic(shop)
    linear_program()


def open_shop(folder: Path) -> Shop:
    """Load the training customers' exposures and train; write those of the others as files."""
    folder.mkdir(parents=True)
    people, catalogue, seen = (
        pa_parquet.read_table(FOLDER / f"{name}.parquet").to_pydict() for name in ("customers", "offers", "exposures")
    )
    shown = files.Shown(seen["customer_id"], seen["offer_id"], seen["completed"], 0.1, SHOWN)
    reward = dict(zip(catalogue["offer_id"], catalogue["reward"], strict=True))
    paid = [reward[o] * float(y) for o, y in zip(seen["offer_id"], seen["completed"], strict=True)]
    halves = {half: [i for i, s in enumerate(seen["split"]) if s == half] for half in ("train", "eval")}
    init(folder / "workspace")
    workspace = Workspace.open(folder / "workspace")
    sources = {
        "customers": _people(folder / "people.parquet", people, seen),
        "offers": _catalogue(folder / "catalogue.csv", catalogue),
        "exposures": files.exposures(folder / "seen.parquet", shown, halves["train"], seen["completed"]),
    }
    load(workspace, sources)
    trained = train(workspace, as_of=NOW)
    say(
        f"Trained on {trained['rows']:,} exposures: log loss {trained['log_loss']:.4f} on held-out customers, "
        f"{trained['base_log_loss']:.4f} for the base rate."
    )
    others = [seen["customer_id"][i] for i in halves["eval"]]
    names = dict(zip(catalogue["offer_name"], catalogue["offer_id"], strict=True))
    return Shop(
        workspace,
        files.exposures(folder / "completions.parquet", shown, halves["eval"], seen["completed"]),
        files.exposures(folder / "costs.parquet", shown, halves["eval"], paid),
        len(set(others)),
        files.always(folder / "always.parquet", others, names[CONSTANT]),
    )


def _people(path: Path, people: dict[str, list[Any]], seen: dict[str, list[Any]]) -> Path:
    split = dict(zip(seen["customer_id"], seen["split"], strict=True))
    columns = {name: people[name] for name in ("customer_id", "gender", "age", "income")}
    newest = max(people["became_member_on"])
    columns["member_days"] = [(newest - day).days for day in people["became_member_on"]]
    return files.write(path, columns | {"split": [split.get(c, "none") for c in people["customer_id"]]})


def _catalogue(path: Path, offers: dict[str, list[Any]]) -> Path:
    k = len(offers["offer_id"])
    columns = {
        "offer_id": offers["offer_id"],
        "name": offers["offer_name"],
        "channel": ["email"] * k,
        "category": offers["offer_type"],
        "contact_cost": [0.0] * k,
        "redemption_cost": [float(r) for r in offers["reward"]],
        "margin": [1.0] * k,
        "starts_on": ["2008-01-01"] * k,
        "ends_on": ["2008-12-31"] * k,
        "eligible_when": ["true"] * k,
    }
    return files.write(path, columns)


def _campaign(budget: float, audience: int, **exploration: float) -> Campaign:
    limit = {"name": "rewards", "measure": "cost", "maximum": round(budget * audience, 2)}
    return read_campaign(
        {
            "name": f"rewards {budget} {exploration}",
            "as_of": AS_OF,
            "seed": 7,
            "audience": "split = 'eval'",
            "objective": "conversions",
            "no_feedback": "ignore",
            "exploration": exploration,
            "limits": [limit],
        }
    )


def budgets(shop: Shop) -> None:
    """Plans under three budgets, and what the others' exposures say they would have completed and cost."""
    n = shop.audience
    campaigns = {(b, t): _campaign(b, n, temperature=t, share=s) for b in BUDGETS for t, s in EXPLORATION.items()}
    plans = {key: allocate(shop.workspace, campaign, now=NOW) for key, campaign in campaigns.items()}
    policies: dict[str, Campaign | Path] = {campaign.name: campaign for campaign in campaigns.values()}
    policies[CONSTANT] = shop.always
    worth = judge(shop.workspace, shop.completions, policies, as_of=NOW)
    money = judge(shop.workspace, shop.costs, policies, as_of=NOW)
    rows = []
    for (budget, temperature), plan in plans.items():
        name, used = campaigns[budget, temperature].name, plan["limits"][0]["used"]
        if used > budget * n:
            raise SystemExit(f"the plan uses {used:.2f} of {budget * n:.2f}: a limit is broken")
        kind = "random" if temperature else "best"
        planned = (f"{plan['planned_value'] / n:.4f}", f"{used / n:.4f}")
        rows.append((f"{budget:.2f}", kind, planned[0], *_two(worth[name]), planned[1], *_two(money[name])))
    columns = ("budget", "plan", "planned", "realised", "±", "planned cost", "realised cost", "±")
    table(f"Completions and rewards in USD per customer of {n:,}; realised by dr ± 95 %", columns, rows)
    verdicts = sorted({judged.report.verdict for judged in (*worth.values(), *money.values())})
    theirs = json.loads((REFERENCE / "starbucks.json").read_text())[f"always {CONSTANT}"]
    (value, error), (cost, cost_error) = _two(worth[CONSTANT]), _two(money[CONSTANT])
    say(
        f"Verdicts: {', '.join(verdicts)}. No plan exceeds its budget; what is realised is estimated from outcomes of "
        "people that the model has not seen, over their exposures.",
        f"Always {CONSTANT}, without any budget: {value} ± {error} completions at {cost} ± {cost_error} USD; reference "
        f"{theirs['completion_DR'][0]:.4f} ({theirs['completion_DR'][1]:.4f} to {theirs['completion_DR'][2]:.4f}) at "
        f"{theirs['reward_cost_DR']:.4f} USD.",
    )


def _two(judged: Judged) -> tuple[str, str]:
    e = judged.estimate("dr")
    return f"{e.value:.4f}", f"{(e.high - e.low) / 2:.4f}"


def deterministic(shop: Shop) -> None:
    """Temperature 0 at 1.00: every row ties at one price there, and a plan that flips them all would send nothing."""
    plan = allocate(shop.workspace, _campaign(1.0, shop.audience, temperature=0.0, share=0.0), now=NOW)
    reached = plan["planned_value"] / shop.audience
    say(
        f"Temperature 0 at 1.00 USD: {reached:.4f} completions per customer planned; optimum 0.5000 where the "
        "informational offers, free and hardly ever completed, are worth exactly nothing."
    )
    if reached < 0.4995:
        raise SystemExit("the deterministic optimum is missed")


def linear_program() -> None:
    """4,000 rows with known completion chances: the optima of the reference's linear program, in whole numbers."""
    path = REFERENCE / "starbucks_lp.npz"
    if absent := missing(path):
        say(absent)
        return
    with np.load(path) as file:
        chance, reward = file["Q"], file["R"]
    rows = []
    for (budget, capped), optimum in OPTIMA.items():
        started = time.process_time()
        found = solve(_known(chance, reward, budget, capped))
        seconds = time.process_time() - started
        cap = f"{CAP:.0%} of rows" if capped else "none"
        value = f"{found.value / len(chance):.5f}"
        rows.append((f"{budget:.2f}", cap, value, f"{optimum:.5f}", f"{found.gap:.1e}", round(seconds, 2)))
    columns = ("budget", "cap per offer", "ours, whole", "reference LP", "gap to our bound", "CPU s")
    table("Completions per row where the chances are known", columns, rows)


def _known(chance: Any, reward: Any, budget: float, capped: bool) -> Problem:
    n, k = chance.shape
    limits = [Limit("budget", "cost", maximum=budget * n)]
    if capped:
        limits += [Limit(f"cap {a}", "count", maximum=CAP * n, offers=(a,)) for a in range(k)]
    return Problem(chance, chance * reward, np.ones((n, k), bool), np.zeros(n, np.int64), tuple(limits))
