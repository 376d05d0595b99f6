"""`allot budget`: what is left of a campaign's limits, and how to stop it from being spent."""

import os
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from api.console import say, table
from api.options import HOME, Format, Home, Output, answer, open_workspace

Document = dict[str, Any]

app = typer.Typer(no_args_is_help=True, help="Budgets that single decisions draw on: shown, frozen, changed.")

Campaign = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="The campaign's name; its newest release is meant.")]


@app.command()
def show(campaign: Campaign, workspace: Home = HOME, output: Format = Output.TABLE) -> None:
    """What is spent, held and left of every limit, recounted from the decisions."""
    from engine.budget_orders import budget
    from warehouse import open_store

    with open_store(open_workspace(workspace)) as store:
        found = budget(store, campaign, now=datetime.now(UTC))
    answer(found, output, shown)


@app.command()
def freeze(campaign: Campaign, workspace: Home = HOME, output: Format = Output.TABLE) -> None:
    """From now on single decisions give only offers that cost nothing; what is held stays held."""
    _freeze(campaign, workspace, output, frozen=True)


@app.command()
def thaw(campaign: Campaign, workspace: Home = HOME, output: Format = Output.TABLE) -> None:
    """Let single decisions draw on the budget again."""
    _freeze(campaign, workspace, output, frozen=False)


@app.command()
def cap(
    campaign: Campaign,
    limit: Annotated[str, typer.Argument(help="The limit's name.")],
    amount: Annotated[float, typer.Argument(help="Its new maximum: money, or contacts of a count.", min=0.0, max=9e12)],
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Change a limit's cap in mid-campaign; below what is spent and held, nothing more is spent."""
    from engine.budget_orders import change_cap
    from warehouse import open_store

    with open_store(open_workspace(workspace)) as store:
        found = change_cap(store, campaign, limit, amount, by=_actor(), now=datetime.now(UTC))
    answer(found, output, shown)


def shown(d: Document) -> None:
    """The accounts of a campaign."""
    columns = ("cap", "spent", "held", "left")
    table(d["account"], ["limit", *columns], [[x["limit"], *(f"{x[c]:,.2f}" for c in columns)] for x in d["limits"]])
    for x in d["limits"]:
        if x["unfunded"]:
            say(f"{x['limit']}: outcomes that came late cost {x['unfunded']:,.2f} for which no room is left.")
    if any(x["frozen"] for x in d["limits"]):
        say("Frozen: nothing more is taken.")
    wrong = [x["limit"] for x in d["limits"] if not x["right"]]
    if wrong:
        say(f"The accounts of {', '.join(wrong)} are not the sum of their decisions: please report this.")


def _freeze(campaign: str, workspace: Any, output: Output, *, frozen: bool) -> None:
    from engine.budget_orders import freeze
    from warehouse import open_store

    with open_store(open_workspace(workspace)) as store:
        found = freeze(store, campaign, frozen=frozen, by=_actor(), now=datetime.now(UTC))
    answer(found, output, shown)


def _actor() -> str:
    return f"command line, user {os.getuid()}"
