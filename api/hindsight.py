"""Answers about the past as a person reads them: what other limits would have earned, and what a backtest found."""

from typing import Any

from api.console import change, number, safe, say, table
from api.evaluation_words import left_out

Document = dict[str, Any]

_TOLD = 6
"""Scenarios that are told in words."""

_MOST_ROWS = 40
"""Rows of a table that people still read."""


def hindsight(d: Document) -> None:
    """What other limits would have earned on logged decisions."""
    if not d["scenarios"]:
        say("Verdict: [bold red]invalid[/]", *(f"  {safe(reason)}" for reason in d["reasons"]))
        return
    say(f"Had the limits been others, on {d['rows']:,} logged decisions about {d['customers']:,} customers:")
    for line in d["scenarios"][:_TOLD]:
        say(f"[bold]{safe(line['scenario'])}[/]: {_told(line['difference'])}")
    lines = [d["as_written"], *d["scenarios"]]
    columns = ("limits", "verdict", "reward per decision", "low", "high", "effective sample", "planned cost")
    table("Policies, 95 % intervals", columns, [_policy(line) for line in lines])
    for line in lines:
        for reason in line["reasons"]:
            say(f"[bold]{safe(line['scenario'])}[/]: {safe(reason)}")
    rows = [row for line in lines for row in _limits(line)]
    if rows:
        names = ("limits", "limit", "minimum", "maximum", "of the campaign's", "price")
        table("Limits for the customers who were logged", names, rows[:_MOST_ROWS])
    say(f"The log itself earned {number(d['logged']['value'])} per decision (rewards as reported, before costs).")
    for note in filter(None, (*d["warnings"], left_out(d))):
        say(f"[yellow]note:[/] {safe(note)}")
    if d.get("html"):
        say(f"Page: {safe(d['html'])}")


def _told(more: Document) -> str:
    """A difference in a sentence; no better or worse is named where the interval does not."""
    if more["verdict"] == "invalid":
        return "[red]cannot be judged on this log[/]; the reasons are below."
    if more["verdict"] == "insufficient":
        return "[yellow]the log is too thin to tell the two apart[/]; the reasons are below."
    cost = "" if more["planned_cost"] is None else f", planned cost {more['planned_cost']:+,.0f}"
    all_of_it = more["in_all"]
    span = f"{all_of_it['low']:+,.0f} to {all_of_it['high']:+,.0f}"
    figures = f"rewards {all_of_it['value']:+,.0f} in all (between {span}{cost})"
    if all_of_it["low"] <= 0.0 <= all_of_it["high"]:
        return f"{figures}; the log does not tell the two apart."
    return f"{figures}."


def _policy(line: Document) -> tuple[Any, ...]:
    found = line["estimate"] or dict.fromkeys(("value", "low", "high"), "-")
    cost = "-" if line["planned_cost"] is None else line["planned_cost"]
    return (line["scenario"], line["verdict"], found["value"], found["low"], found["high"], line["ess"], cost)


def _limits(line: Document) -> list[tuple[Any, ...]]:
    """Scaled bounds, by allocation; of a scenario, of the limits that it changes."""
    changed = {change["limit"] for change in line["set"]}
    return [
        (
            line["scenario"],
            limit["name"],
            *("-" if limit[side] is None else limit[side] for side in ("minimum", "maximum")),
            f"{replay['limits_scaled_by']:.4g}",
            "-" if limit["price"] is None else limit["price"],
        )
        for replay in line["replays"]
        for limit in replay["limits"]
        if not changed or limit["name"] in changed
    ]


def backtested(d: Document) -> None:
    """The verdict over all moments, then moment by moment."""
    colour = {"supported": "green", "insufficient": "yellow", "invalid": "red"}[d["verdict"]]
    say(f"Verdict: [bold {colour}]{d['verdict']}[/]" + (f" for {safe(d['target'])}" if d["target"] else ""))
    for reason in d["reasons"]:
        say(f"  {safe(reason)}")
    if d["origins"]:
        names = ("trained to", "rows", "then until", "rows", "reward per decision", "low", "high", "logged", "planned")
        lines = _moments(d)
        table("Trained, decided, judged by what was logged next", (*names, "effective sample", "verdict"), lines)
    more = d["difference"]
    if more is not None:
        span = f"{change(more['low'])} to {change(more['high'])}"
        say(f"Over all {d['rows']:,} decisions, policy minus log: {change(more['value'])} each, interval {span}.")
    if d.get("plan_missed"):
        say(f"[yellow]note:[/] it planned {number(d['planned'])} and found {number(d['realised'])}")
    for note in d["warnings"]:
        say(f"[yellow]note:[/] {safe(note)}")
    if d.get("html"):
        say(f"Page: {safe(d['html'])}")


def _moments(d: Document) -> list[tuple[Any, ...]]:
    """One row for each moment, the whole last."""
    rows = [(x["from"][:10], x["trained_on"], x["until"][:10], *_found(x)) for x in d["origins"]]
    return [*rows, ("in all", "", "", *_found(d))]


def _found(x: Document) -> tuple[Any, ...]:
    found = x["estimate"] or dict.fromkeys(("value", "low", "high"), "-")
    planned = "-" if x["planned"] is None else x["planned"]
    shown = (found["value"], found["low"], found["high"], x["logged"]["value"], planned)
    return (x["rows"], *shown, x["ess"], x["verdict"])
