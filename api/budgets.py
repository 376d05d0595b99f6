"""`allot budget`: what is left of a campaign's limits, and stopping single decisions from drawing on them."""

import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from api.console import say, table
from api.options import HOME, Format, Home, Output, answer, open_workspace

Document = dict[str, Any]
Campaign = Annotated[str, typer.Argument(help="The campaign's name.")]

app = typer.Typer(no_args_is_help=True, help="Budgets that single decisions draw on: shown, frozen, thawed.")


@app.command()
def show(campaign: Campaign, workspace: Home = HOME, output: Format = Output.TABLE) -> None:
    """What is held, spent and left of each limit, in millionths of its unit."""
    answer(_budgets(campaign, workspace), output, shown)


@app.command()
def freeze(campaign: Campaign, workspace: Home = HOME, output: Format = Output.TABLE) -> None:
    """Let no decision take anything more, from now on; what is held stays held and is settled by its outcome."""
    answer(_budgets(campaign, workspace, frozen=True), output, shown)


@app.command()
def thaw(campaign: Campaign, workspace: Home = HOME, output: Format = Output.TABLE) -> None:
    """Let decisions draw on the budgets again."""
    answer(_budgets(campaign, workspace, frozen=False), output, shown)


def _budgets(campaign: str, home: Path, *, frozen: bool | None = None) -> Document:
    """The campaign's accounts, after freezing or thawing them where that is asked for.

    Raises:
        NotFoundError: it has none.
    """
    from allot import NotFoundError
    from warehouse import Ledger, open_store

    with open_store(open_workspace(home)) as store:
        ledger = Ledger(store, worker=f"command line {os.getpid()}", clock=lambda: datetime.now(UTC))
        if frozen is not None:
            ledger.freeze(campaign, frozen=frozen)
        accounts = [asdict(balance) for balance in ledger.balances(campaign)]
    if not accounts:
        remedy = "A campaign has budgets from the first release on, where it keeps a share for single decisions."
        raise NotFoundError(f"the campaign {campaign!r} has no budgets.", remedy=remedy)
    return {"campaign": campaign, "unit": "millionths", "budgets": accounts}


def shown(d: Document) -> None:
    """The accounts."""
    names = ("limit", "cap", "spent", "held", "free", "lent")
    table(d["campaign"], list(names), [[account[name] for name in names] for account in d["budgets"]])
    if any(account["frozen"] for account in d["budgets"]):
        say("Frozen: nothing more is taken.")
