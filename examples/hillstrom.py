"""An e-mail test with a control group: men's or women's merchandise, or nothing. Kevin Hillstrom's challenge of 2008.

The training half is loaded and trained on; the other half, of which the model knows no outcome, judges every policy.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pa_parquet

from api.console import number, say, table
from engine.allocate import allocate
from engine.campaign import Campaign, read_campaign
from engine.evaluate import Question, evaluate
from engine.feedback import feedback
from engine.learn import learn
from engine.train import train
from engine.workspaces import init, load
from examples import files
from examples.data import DATA, REFERENCE, missing
from examples.judging import Judged, compare, in_words, judge
from offline_eval import Estimate
from warehouse import Workspace

SENT = datetime(2008, 3, 20, tzinfo=UTC)
AS_OF = "2008-05-01T00:00:00Z"
NOW = datetime(2008, 6, 15, tzinfo=UTC)
OFFERS = ("mens", "womens")
ARMS: dict[str, str | None] = {"Mens E-Mail": "mens", "Womens E-Mail": "womens", "No E-Mail": None}
COLUMNS = ("recency", "history", "history_segment", "mens", "womens", "zip_code", "newbie", "channel", "split")
CONSTANTS: dict[str, str | None] = {"all mens": "mens", "all womens": "womens", "no mail": None}
THEIRS = {"all mens": "always_mens", "all womens": "always_womens", "no mail": "always_none", "LightGBM": "lgbm_greedy"}
MAILS = 9_600


@dataclass(frozen=True, slots=True)
class Test:
    """The e-mail test as columns; `train` and `evaluation` are the row numbers of its halves."""

    columns: dict[str, list[Any]]
    train: list[int]
    evaluation: list[int]

    @property
    def customers(self) -> list[str]:
        """Ids of the evaluation half."""
        return [self.columns["customer_id"][i] for i in self.evaluation]


def run(folder: Path) -> None:
    """Both parts, in workspaces of their own."""
    if absent := missing(DATA / "hillstrom.parquet", REFERENCE / "hillstrom.json"):
        say(f"Hillstrom e-mail test. {absent}")
        return
    test = _read()
    visits(test, folder / "visits")
    spending(test, folder / "spending")


def _read() -> Test:
    columns = pa_parquet.read_table(DATA / "hillstrom.parquet").to_pydict()
    columns["customer_id"] = [f"h{i}" for i in columns["customer_id"]]
    columns["offer_id"] = [ARMS[segment] for segment in columns["segment"]]
    halves = {half: [i for i, s in enumerate(columns["split"]) if s == half] for half in ("train", "eval")}
    return Test(columns, halves["train"], halves["eval"])


def _workspace(test: Test, folder: Path, outcome: str, margin: float) -> tuple[Workspace, Path]:
    """A workspace trained on one half for an outcome, and the other half as an exposures file.

    A success earns `margin`; an e-mail costs nothing, so that plans and logs speak of the same money.
    """
    folder.mkdir(parents=True)
    columns = test.columns
    shown = files.Shown(columns["customer_id"], columns["offer_id"], columns[outcome], 1 / 3, SENT)
    earned = columns["spend"] if outcome == "conversion" else columns[outcome]
    catalogue = {
        "offer_id": OFFERS,
        "name": ("Men's merchandise", "Women's merchandise"),
        "channel": ("email",) * 2,
        "category": OFFERS,
        "contact_cost": (0.0,) * 2,
        "redemption_cost": (0.0,) * 2,
        "margin": (margin,) * 2,
        "starts_on": ("2008-01-01",) * 2,
        "ends_on": ("2008-12-31",) * 2,
        "eligible_when": ("true",) * 2,
    }
    people = {name: columns[name] for name in ("customer_id", *COLUMNS)}
    sources = {
        "customers": files.write(folder / "customers.parquet", people),
        "offers": files.write(folder / "offers.csv", catalogue),
        "exposures": files.exposures(folder / "train.parquet", shown, test.train, earned),
    }
    init(folder / "workspace")
    workspace = Workspace.open(folder / "workspace")
    load(workspace, sources)
    trained = train(workspace, as_of=NOW)
    say(
        f"Trained on {trained['rows']:,} customers for {outcome}s: log loss {trained['log_loss']:.4f} on held-out "
        f"customers, {trained['base_log_loss']:.4f} for the base rate."
    )
    return workspace, files.exposures(folder / "eval.parquet", shown, test.evaluation, earned)


def _campaign(name: str, objective: str, **more: Any) -> Campaign:
    document = {"name": name, "as_of": AS_OF, "seed": 7, "audience": "split = 'eval'", "objective": objective}
    return read_campaign({**document, "no_feedback": "ignore", **more})


def _constants(test: Test, folder: Path) -> dict[str, Path]:
    return {
        name: files.always(folder / f"{name.replace(' ', '-')}.parquet", test.customers, offer)
        for name, offer in CONSTANTS.items()
    }


def visits(test: Test, folder: Path) -> None:
    """Most visits from 9,600 e-mails; the constants beside the reference; learning from what came back."""
    say("", "[bold]Hillstrom e-mail test, visits[/]")
    workspace, log = _workspace(test, folder, "visit", 1.0)
    limit = {"name": "mail", "measure": "count", "maximum": MAILS}
    campaign = _campaign("mail", "conversions", limits=[limit])
    plan = allocate(workspace, campaign, now=NOW)
    say(
        f"{plan['limits'][0]['used']:,.0f} of at most {MAILS:,} e-mails to {plan['audience']:,} customers: planned "
        f"{number(plan['planned_value'])} visits by those who get one."
    )
    reference = json.loads((REFERENCE / "hillstrom.json").read_text())["visit"]
    rows = []
    for name, target in _constants(test, folder).items():
        question = Question(None, log, target, (), 30.0, NOW)
        report = evaluate(workspace, question)
        for estimate in report["estimates"]:
            theirs = reference[THEIRS[name]].get(estimate["estimator"].upper())
            if theirs:
                rows.append(
                    (name, estimate["estimator"], estimate["value"], theirs[0], _span(theirs), report["verdict"])
                )
    columns = ("policy", "estimator", "ours", "reference", "its interval", "verdict")
    table("Visits per customer on the other half: ours beside an outside computation", columns, rows)
    judged = evaluate(workspace, Question(campaign, log, None, (), 30.0, NOW))
    estimate = judged["estimate"]
    say(
        f"The campaign itself on that half: planned {judged['planned']:.4f} visits per customer, realised "
        f"{judged['realised']:.4f} ({estimate['low']:.4f} to {estimate['high']:.4f}; {judged['verdict']})."
    )
    _feed_back(test, workspace, plan, folder / "feedback.ndjson")


def _feed_back(test: Test, workspace: Workspace, plan: dict[str, Any], path: Path) -> None:
    """Customers whose e-mail happened to be the decided one tell what came of it."""
    columns = test.columns
    place = {columns["customer_id"][i]: i for i in test.evaluation}
    decided = pa_parquet.read_table(plan["decisions"], columns=["decision_id", "customer_id", "offer_id"]).to_pylist()
    lines = [
        {
            "event_id": f"e-{d['customer_id']}",
            "decision_id": d["decision_id"],
            "outcome": columns["visit"][i],
            "reward": float(columns["visit"][i]),
            "occurred_at": AS_OF,
        }
        for d in decided
        if columns["offer_id"][i := place[d["customer_id"]]] == d["offer_id"]
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    taken = feedback(workspace, path, now=NOW)
    learnt = learn(workspace, as_of=NOW)
    say(
        f"{len(lines):,} customers had in fact been sent what was decided for them: {taken['accepted']:,} outcomes "
        f"accepted, {learnt['folded']:,} folded into {learnt['posterior']}."
    )


def spending(test: Test, folder: Path) -> None:
    """Incremental spend against naive greedy policies and the constants: the evaluation must not flatter anyone."""
    say("", "[bold]Hillstrom e-mail test, spend[/]")
    spend = np.array([test.columns["spend"][i] for i in test.train])
    margin = float(spend[spend > 0].mean())
    say(f"A conversion is worth {margin:.2f} USD, the mean of the training half.")
    workspace, log = _workspace(test, folder, "conversion", margin)
    incremental = _campaign("incremental", "incremental")
    greedy = _campaign("greedy", "value", exploration={"temperature": 0.0, "share": 0.0})
    plan = allocate(workspace, incremental, now=NOW)
    say(
        f"Incremental: {plan['chosen']:,} of {plan['audience']:,} get an e-mail, planned to add "
        f"{number(plan['planned_value'])} USD over sending none."
    )
    policies: dict[str, Campaign | Path] = {"incremental": incremental, "greedy": greedy}
    policies["LightGBM"] = _lightgbm_greedy(test, folder / "lightgbm.parquet")
    judged = judge(workspace, log, {**policies, **_constants(test, folder)}, as_of=NOW)
    reference = json.loads((REFERENCE / "hillstrom.json").read_text())["spend"]
    _show_spending(judged, reference)
    _show_differences(judged, reference["DR greedy - always_mens"])
    added = compare(judged["incremental"], judged["no mail"])
    say(
        f"Planned to add {plan['planned_value'] / plan['audience']:.3f} USD per customer, realised {added.value:.3f} "
        f"({added.low:.3f} to {added.high:.3f}): what a plan promises is shown beside what it earned."
    )


def _lightgbm_greedy(test: Test, path: Path) -> Path:
    """The naive way: a model of spend for each arm, default settings, and everybody gets the arm that looks best."""
    import lightgbm as lgb

    columns = test.columns
    features = np.column_stack([_codes(columns[name]) for name in COLUMNS if name != "split"])
    spend = np.array(columns["spend"])
    expected = []
    for arm in (*OFFERS, None):
        rows = [i for i in test.train if columns["offer_id"][i] == arm]
        data = lgb.Dataset(features[rows], spend[rows])
        model = lgb.train({"objective": "regression", "verbose": -1, "num_threads": 1, "seed": 0}, data)
        expected.append(model.predict(features[test.evaluation]))
    best = np.array([*OFFERS, None], object)[np.argmax(expected, axis=0)]
    chance = np.ones(len(best))
    return files.write(path, {"customer_id": test.customers, "offer_id": best.tolist(), "probability": chance})


def _codes(values: list[Any]) -> Any:
    """Numbers as they are, texts as the position of their level."""
    return np.unique(values, return_inverse=True)[1] if isinstance(values[0], str) else np.array(values, float)


def _show_spending(judged: dict[str, Judged], reference: dict[str, Any]) -> None:
    rows = []
    for name, policy in judged.items():
        ours = policy.estimate("dr")
        theirs = f"{reference[THEIRS[name]]['DR'][0]:.3f}" if name in THEIRS else "-"
        mix = "/".join(f"{100 * share:.0f}" for share in policy.mix)
        rows.append((name, mix, *_three(ours), theirs, policy.report.verdict))
    columns = ("policy", "% m/w/none", "USD", "low", "high", "reference", "verdict")
    table("Spend per customer on the other half, dr with 95 % interval", columns, rows)


def _show_differences(judged: dict[str, Judged], reference: list[float]) -> None:
    pairs = (
        ("LightGBM", "all mens"),
        ("greedy", "all mens"),
        ("incremental", "all mens"),
        ("incremental", "greedy"),
        ("incremental", "no mail"),
    )
    rows = [(f"{a} - {b}", *_three(compare(judged[a], judged[b]))) for a, b in pairs]
    table("Paired differences, USD per customer, 95 % interval", ("difference", "USD", "low", "high"), rows)
    say(
        f"Reference, another LightGBM greedy - all mens: {reference[0]:+.3f}, {reference[1]:+.3f} to "
        f"{reference[2]:+.3f}. Models differ; what must agree is that such a policy is not flattered.",
        *(in_words(a, b, judged[a], judged[b]) for a, b in pairs),
    )


def _three(e: Estimate) -> tuple[str, str, str]:
    return f"{e.value:.3f}", f"{e.low:.3f}", f"{e.high:.3f}"


def _span(figures: Any) -> str:
    return f"{figures[1]:.3f} to {figures[2]:.3f}"
