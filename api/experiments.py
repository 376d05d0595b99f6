"""`allot experiment`: what will be compared is registered before the start, and may then be read at any time."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from api import experiment_words as words
from api.console import percent, safe, say, table
from api.evaluation_words import money
from api.options import HOME, AsOf, Format, Home, Output, Page, answer, open_workspace, read_moment

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
    page: Page = None,
    as_of: AsOf = None,
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Say what the campaign has added so far. The interval holds however often one looks."""
    from engine.experiments import read as use_case

    document = use_case(open_workspace(workspace), name, as_of=read_moment(as_of))
    if page is not None:
        from api.evaluation_report import write_page

        document |= write_page("experiment", document, page)
    answer(document, output, told)


def planned(d: Document) -> None:
    """What is registered, and what can be found."""
    p = d["plan"]
    say(
        f"Registered {safe(p['campaign'])} at {d['registered_at']}; its digest is {d['digest']}.",
        f"{p['customers']:,} customers, of whom {percent(p['holdout'])} are held out as the control. "
        f"{words.detectable(p)}",
    )
    if p["effect"] is not None:
        say(f"A lift of {money(p['effect'])} per 1,000 decisions needs {p['needed']:,} decisions.")
    say("Next: allot allocate CAMPAIGN, then allot experiment read NAME as often as you like.")


def told(d: Document) -> None:
    """The verdict, the lift in money, and whether the split is as planned."""
    say(f"Verdict: [bold]{d['verdict']}[/] for {safe(d['campaign'])}, {words.VERDICTS[d['verdict']]}")
    say(*(f"  {safe(reason)}" for reason in d["reasons"]))
    say(*words.story(d)[:1])
    if d["lift"] is not None:
        rows = [
            (name, *(money(e[key]) for key in ("value", "low", "high", "std_error")))
            for name, e in (("adjusted for the past", d["lift"]), ("plain", d["plain"]))
        ]
        table("Lift per 1,000 decisions", ("", "lift", "low", "high", "standard error"), rows)
    say(*words.story(d)[1:], words.split(d), words.rests_on(d))
    if d.get("html"):
        say(f"Page: {safe(d['html'])}")
