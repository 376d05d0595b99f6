"""The part of a simulation report that asks: is what a policy says of itself true?"""

from typing import Any

from api.pages import blocks, simulation_trust_charts
from api.pages.charts import Chart
from api.pages.figures import NONE, count, decimal, percent, text
from sims.claims import INTERVAL
from sims.comparison import Compared
from sims.policies import ORACLE
from sims.trust import BUDGET, supported

Document = dict[str, Any]


def draw_charts(d: Document, compared: Compared) -> dict[str, Chart]:
    """Charts of whatever is claimed, by section."""
    drawn = {}
    believers = {policy: x["beliefs"]["bins"] for policy, x in d["trust"].items() if x["beliefs"]}
    own = d["trust"].get(_drawer(d), {})
    if believers:
        drawn["beliefs"] = simulation_trust_charts.belief_chart(believers)
    if own.get("chances"):
        drawn["chances"] = simulation_trust_charts.chance_chart(own["chances"]["bins"])
    points = supported(compared, _drawer(d)) if own.get("estimates") else []
    if points:
        drawn["estimates"] = simulation_trust_charts.estimate_chart(points)
    priced = [policy for policy, x in d["trust"].items() if x["prices"] and BUDGET in x["prices"]]
    if priced:
        drawn["prices"] = simulation_trust_charts.price_chart(compared, priced)
    return drawn


def _drawer(d: Document) -> str:
    """The policy whose draws are shown: the reference where it draws, else the first that does."""
    drawing = [policy for policy, x in d["trust"].items() if x["chances"]]
    reference = str(d["reference"])
    return reference if reference in drawing or not drawing else str(drawing[0])


def section(d: Document, drawn: dict[str, Chart]) -> str:
    """Sentences, charts and a table; nothing where nobody claims anything."""
    if not d["trust"]:
        return ""
    own = d["trust"].get(_drawer(d), {})
    words = {
        "beliefs": "".join(
            _line(beliefs_in_words(policy, x["beliefs"])) for policy, x in d["trust"].items() if x["beliefs"]
        ),
        "chances": _line(chances_in_words(own["chances"])) if own.get("chances") else "",
        "estimates": _line(estimates_in_words(own["estimates"])) if own.get("estimates") else "",
        "prices": _line(prices_in_words(d)),
    }
    parts = ((words[name], blocks.figure(drawn[name]) if name in drawn else "") for name in words)
    note = (
        "A day's decisions are compared with what the world knows: beliefs as they were before the decision, chances "
        "that were stated before the draw, and, week by week, what the log of the draws says that others would have "
        "earned."
    )
    return blocks.section("Is what it says true?", note, "".join(f"{said}{chart}" for said, chart in parts) + _table(d))


def _line(words: str) -> str:
    return f"<p>{text(words)}</p>" if words else ""


def beliefs_in_words(policy: str, x: Document) -> str:
    """Does it promise too much, and how sure may it be?"""
    more = x["stated"] / x["true"] - 1.0 if x["true"] > 0 else float("nan")
    promise = f"{percent(abs(more))} too {'much' if more > 0 else 'little'}"
    inside, chosen = x["inside"], x["inside_chosen"]["value"]
    return (
        f"{policy} expects {percent(x['stated'])} of the offers it chooses to succeed; {percent(x['true'])} truly do: "
        f"it promises {promise}. Its 90 % intervals hold the true chance of {percent(inside['value'])} of all offers "
        f"that could be made, and of {percent(chosen)} of those that were chosen{_sureness(inside)}."
    )


def _sureness(inside: Document) -> str:
    """What it means that intervals hold fewer or more than they should; `inside` as `sims.comparison.interval` says."""
    low, high = (inside["value"] if inside[key] is None else inside[key] for key in ("low", "high"))
    if high < INTERVAL:
        return (
            ": it is surer of itself than it may be, and its ranges are too narrow to plan by. What it earned, and "
            "what is said below of chances and of other policies, does not rest on them"
        )
    return f": it is {'less sure of itself than it could' if low > INTERVAL else 'as sure of itself as it may'} be"


def chances_in_words(x: Document) -> str:
    """Are options drawn as often as stated?"""
    words = f"{count(x['options'])} options were drawn as often as their stated chances say"
    if x["z"] > x["reached_by_chance"]:
        words = f"{count(x['options'])} options were not drawn as often as their stated chances say"
    why = "more than" if x["z"] > x["reached_by_chance"] else "no more than"
    return f"{words}: the largest gap is {decimal(x['z'])} standard errors, {why} chance explains."


def estimates_in_words(x: Document) -> str:
    """May estimates of policies that did not play be believed?"""
    words = (
        f"What the log says that {x['targets']} other policies would have earned, week by week: {x['supported']} of "
        f"{x['count']} estimates are supported"
    )
    if x["inside"] is not None:
        words += f", and the 95 % intervals of {percent(x['inside']['value'])} of these hold the truth"
    words += "."
    error = x["error"]
    if error is None or error["low"] is None:
        return words
    chance = "which chance explains" if error["low"] <= 0.0 <= error["high"] else "more than chance explains"
    side = "high" if error["value"] > 0 else "low"
    return f"{words} All estimates together are {percent(abs(error['value']))} too {side}, {chance}."


def prices_in_words(d: Document) -> str:
    """Do prices jump from day to day more than the world does?"""
    said = []
    for policy, x in d["trust"].items():
        budget = (x["prices"] or {}).get(BUDGET)
        if budget and budget["change"] is not None:
            said.append(f"{percent(budget['change'])} for {policy}")
    if not said:
        return ""
    words = f"From one day to the next the price of the budget changes by {', '.join(said)}."
    if ORACLE in d["trust"] and len(said) > 1:
        words += " The oracle's changes are the world's own: every day brings other customers and another budget."
    return words


def _table(d: Document) -> str:
    heads = ("policy", "predicted", "true", "mean error", "intervals", "of chosen", "budget’s price", "its change")
    rows = [(text(policy), *_cells(x)) for policy, x in d["trust"].items()]
    return blocks.details("Every policy that claims something", blocks.table(heads, rows))


def _cells(x: Document) -> tuple[str, ...]:
    said = x["beliefs"]
    believed = (
        (NONE,) * 5
        if said is None
        else tuple(
            percent(share)
            for share in (
                said["stated"],
                said["true"],
                said["error"],
                said["inside"]["value"],
                said["inside_chosen"]["value"],
            )
        )
    )
    budget = (x["prices"] or {}).get(BUDGET)
    return (*believed, *((NONE, NONE) if budget is None else (decimal(budget["mean"]), percent(budget["change"]))))
