"""The page about an experiment: what the campaign adds, look by look, and whether it was done as registered."""

from typing import Any

from api import evaluation_words, experiment_words
from api.evaluation_words import money
from api.pages import blocks, time_charts
from api.pages.charts import Chart
from api.pages.figures import NONE, count, decimal, moment, percent, sentence, text

Document = dict[str, Any]


def draw_charts(d: Document) -> dict[str, Chart]:
    """The charts that there is something for, by section."""
    drawn: dict[str, Chart] = {}
    if any(x["lift"] is not None for x in d["looks"]):
        drawn["lift"] = time_charts.lift_chart(d)
    if d["looks"]:
        drawn["split"] = time_charts.split_chart(d, d["split"]["broken"])
    return drawn


def render(d: Document, drawn: dict[str, Chart]) -> str:
    """The page."""
    name = text(sentence(d["campaign"]))
    told = experiment_words.story(d)
    header = (
        f'<p class="when">Experiment on {count(d["rows"])} decisions of {d["allocations"]} allocations · rewards as '
        f'reported, before costs</p><h1>{name}</h1><p class="story">{text(" ".join(told))}</p>'
    )
    parts = [_lift(d, drawn), _split(d, drawn), _plan(d)]
    return blocks.page(f"{name} · experiment", header, "".join(parts))


def _lift(d: Document, drawn: dict[str, Chart]) -> str:
    body = blocks.verdict(d, experiment_words.VERDICTS[d["verdict"]])
    if "lift" in drawn:
        body += blocks.figure(drawn["lift"])
    if d["lift"] is not None:
        kinds = (("adjusted for the past", d["lift"]), ("plain", d["plain"]))
        rows = [(name, *(money(e[key]) for key in ("value", "low", "high", "std_error"))) for name, e in kinds]
        body += blocks.table(("per 1,000 decisions", "lift", "low", "high", "standard error"), rows)
    note = (
        "Everybody who was not held out, with or without an offer, less everybody who was. The intervals hold at all "
        "looks together: one may look daily, and stop when they leave out 0."
    )
    return blocks.section("What the campaign adds", note, body)


def _split(d: Document, drawn: dict[str, Chart]) -> str:
    rows = []
    for x in d["looks"]:
        lift = (NONE, NONE) if x["lift"] is None else (money(x["lift"]["value"]), evaluation_words.span(x["lift"]))
        rows.append((text(x["at"][:10]), count(x["rows"]), count(x["held_out"]), decimal(x["chance"]), *lift))
    body = f"<p>{text(experiment_words.split(d))}</p>" + (blocks.figure(drawn["split"]) if "split" in drawn else "")
    if rows:
        heads = ("allocations up to", "decisions", "held out", "chance value", "lift", "interval")
        body += blocks.details("Look by look", blocks.table(heads, rows))
    note = (
        "If customers are held out as planned, the chance value ever falls below x in at most x of all experiments, "
        f"however often one looks. Below {d['split']['broken']:g} assignment or logging is broken."
    )
    return blocks.section("Is the split as planned?", note, body)


def _plan(d: Document) -> str:
    plan = d["plan"]
    rows = [
        ("registered", text(moment(d["registered_at"]))),
        ("first allocation", text(moment(d["first_allocation"]))),
        ("digest of the plan", f"<code>{text(d['digest'])}</code>"),
        ("compared", text(plan["measure"])),
        ("who", text(plan["audience"])),
        ("held out", percent(plan["holdout"])),
        ("days for outcomes", text(plan["outcome_days"])),
        ("adjusted for", text(", ".join(plan["covariates"]) or "nothing")),
        ("smallest lift that one allocation finds, per 1,000", money(plan["detectable"])),
        ("with a chance of", percent(plan["power"])),
    ]
    if plan["effect"] is not None:
        rows.append(("the lift that matters, per 1,000", money(plan["effect"])))
        rows.append(("decisions that find it", count(plan["needed"])))
    body = f"<p>{text(experiment_words.detectable(plan))}</p>" + blocks.table(("", ""), rows)
    return blocks.section("What was registered before the start", "", body)
