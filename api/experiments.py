"""`allot experiment`: what will be compared is registered before the start, and may then be read at any time."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from api import evaluation_words as words
from api.console import change, number, percent, safe, say, table
from api.options import HOME, AsOf, Format, Home, Output, answer, open_workspace, read_moment

Document = dict[str, Any]

app = typer.Typer(no_args_is_help=True, help="Measure what a campaign adds, against the customers who are held out.")


@app.command()
def plan(
    campaign: Annotated[Path, typer.Argument(help="Campaign document with exploration.holdout above 0.")],
    effect: Annotated[float | None, typer.Option(help="The lift of the reward per decision that matters.")] = None,
    power: Annotated[float, typer.Option(help="The chance to find a lift of the smallest detectable size.")] = 0.8,
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Register what will be compared, and say how small a lift can be found, before anybody is addressed."""
    from engine.campaign import campaign_from_file
    from engine.experiments import register

    read = campaign_from_file(campaign)
    document = register(open_workspace(workspace), read, effect=effect, power=power, now=datetime.now(UTC))
    answer(document, output, planned)


@app.command()
def read(
    name: Annotated[str, typer.Argument(help="The campaign's name.")],
    as_of: AsOf = None,
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Say what the campaign has added so far. The interval holds however often one looks."""
    from engine.experiments import read as use_case

    answer(use_case(open_workspace(workspace), name, as_of=read_moment(as_of)), output, told)


def planned(d: Document) -> None:
    """What is registered, and what can be found."""
    p = d["plan"]
    say(
        f"Registered {safe(p['campaign'])} at {d['registered_at']}; its digest is {d['digest']}.",
        f"{p['customers']:,} customers, of whom {percent(p['holdout'])} are held out as the control. Past rewards vary "
        f"by {words.money(p['sd'])} per 1,000 decisions, so one allocation finds a lift of "
        f"{words.money(p['detectable'])} with a chance of {percent(p['power'])}, or of less by what "
        f"{len(p['covariates'])} columns from before the start explain.",
    )
    if p["effect"] is not None:
        say(f"A lift of {words.money(p['effect'])} per 1,000 decisions needs {p['needed']:,} decisions.")
    say("Next: allot allocate CAMPAIGN, then allot experiment read NAME as often as you like.")


def told(d: Document) -> None:
    """The verdict, the lift in money, and whether the split is as planned."""
    say(f"Verdict: [bold]{d['verdict']}[/] for {safe(d['campaign'])}, {_VERDICTS[d['verdict']]}")
    say(*(f"  {safe(reason)}" for reason in d["reasons"]))
    if d["verdict"] == "supported":
        _lift(d)
    split = d["split"]
    say(
        f"{split['held_out']:,} of {split['customers']:,} customers are held out, planned {percent(split['planned'])} "
        f"(chance value {split['chance']:.2g}, valid at every look).",
        f"{d['rows']:,} decisions of {d['allocations']} allocations; {d['waiting']:,} are too young or unanswered. "
        f"Registered {d['registered_at']}, first allocation {d['first_allocation']}.",
    )


_VERDICTS = {
    "supported": "as it was registered.",
    "insufficient": "too little has come back to say anything.",
    "invalid": "the comparison does not mean what was registered.",
}


def _lift(d: Document) -> None:
    found = d["lift"]
    finding = {"more": "earns more", "less": "earns less", None: "may or may not earn more"}[d["finding"]]
    value, low, high = (change(round(d["in_all"][key], 2)) for key in ("value", "low", "high"))
    say(
        f"With the campaign a decision {finding} than without: {words.signed(found['value'])} per "
        f"1,000 ({words.level(found)} interval {words.span(found)}, at every look), {value} in all ({low} to {high}), "
        f"at an expected cost of {words.money(d['cost'])} per 1,000. Those held out earn "
        f"{words.money(d['held_out_mean'])}."
    )
    rows = [
        (name, *(words.money(e[key]) for key in ("value", "low", "high", "std_error")))
        for name, e in (("adjusted for the past", found), ("plain", d["plain"]))
    ]
    table("Lift per 1,000 decisions", ("", "lift", "low", "high", "standard error"), rows)
    say(f"The past explains {number(round(100 * d['variance_removed'], 1))} % of the variance.")
