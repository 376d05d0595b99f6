"""The page about what other limits would have earned: policies side by side, and what each changes."""

from typing import Any

from api import evaluation_words as words
from api.pages import blocks, evaluation_charts
from api.pages.charts import Chart
from api.pages.figures import NONE, count, money, text

Document = dict[str, Any]


def draw_charts(d: Document) -> dict[str, Chart]:
    """The charts that there is something for, by section."""
    drawn = {"policies": evaluation_charts.policy_chart(d)}
    if any(x["difference"]["verdict"] == "supported" for x in d["scenarios"]):
        drawn["differences"] = evaluation_charts.difference_chart(d)
    return drawn


def render(d: Document, drawn: dict[str, Chart]) -> str:
    """The page."""
    header = (
        f'<p class="when">Evaluation on {count(d["rows"])} logged decisions about {count(d["customers"])} customers '
        "· rewards as reported, before costs</p><h1>What other limits would have earned</h1>"
    )
    told = "".join(f"<li>{text(line)}</li>" for line in words.scenarios(d))
    first = f"<ul>{told}</ul>" + (blocks.figure(drawn["differences"]) if "differences" in drawn else "")
    note = (
        "Every policy is solved anew for the customers who were logged, limits scaled to their number, so that they "
        "differ in the limits only. Differences are paired, decision by decision."
    )
    parts = [
        blocks.section("What would change", note, first),
        _policies(d, drawn),
        _limits(d),
        blocks.notes([fact for fact in (*d["warnings"], words.left_out(d)) if fact]),
    ]
    return blocks.page("What other limits would have earned", header, "".join(parts))


def _policies(d: Document, drawn: dict[str, Chart]) -> str:
    rows = [(text(words.DONE), "", *_value(d["logged"]), "")]
    reasons = []
    for x in (d["as_written"], *d["scenarios"]):
        cost = NONE if x["planned_cost"] is None else money(x["planned_cost"])
        rows.append((text(x["scenario"]), text(x["verdict"]), *_value(x["estimate"], x["ess"]), cost))
        reasons += [f"<li><strong>{text(x['scenario'])}</strong>: {text(reason)}</li>" for reason in x["reasons"]]
    heads = ("limits", "verdict", "reward per 1,000", "low", "high", "effective sample", "planned cost")
    told = f'<div class="warning"><ul>{"".join(reasons)}</ul></div>' if reasons else ""
    body = told + blocks.figure(drawn["policies"]) + blocks.table(heads, rows)
    return blocks.section("The policies side by side", "", body)


def _value(e: Document | None, ess: float | None = None) -> list[str]:
    if e is None:
        return [NONE] * 4
    return [*(words.money(e[key]) for key in ("value", "low", "high")), count(e["ess"] if ess is None else ess)]


def _limits(d: Document) -> str:
    """Every limit of every policy on every allocation, as scaled to the customers who were logged."""
    rows = [
        (
            text(x["scenario"]),
            text(limit["name"]),
            *(NONE if limit[side] is None else money(limit[side]) for side in ("minimum", "maximum", "price")),
            f"{replay['limits_scaled_by']:.4g}",
        )
        for x in (d["as_written"], *d["scenarios"])
        for replay in x["replays"]
        for limit in replay["limits"]
    ]
    if not rows:
        return ""
    heads = ("limits", "limit", "minimum", "maximum", "price", "of the campaign's")
    return blocks.section("Limits", "", blocks.details("As scaled and solved", blocks.table(heads, rows)))
