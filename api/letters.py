"""`allot dead-letters`: feedback that counts for nothing, with its reason; looked at, retried, given up."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from api.console import say, table
from api.options import HOME, Format, Home, Output, answer, open_workspace

Document = dict[str, Any]
Ids = Annotated[list[str], typer.Argument(help="Ids of events.")]

app = typer.Typer(no_args_is_help=True, help="Feedback that belongs to no decision: shown, retried, dropped.")


@app.command("list")
def listing(
    after: Annotated[str, typer.Option(help="Only events of later ids.")] = "",
    most: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Show dead letters by event id, each with the reason why it counts for nothing."""
    from warehouse import open_store
    from warehouse.dead_letters import dead_letters

    with open_store(open_workspace(workspace)) as store:
        found = dead_letters(store, after=after, most=most)
    answer({"dead_letters": list(found)}, output, shown)


@app.command("retry")
def retrying(
    event_ids: Annotated[list[str] | None, typer.Argument(help="Ids of events; default: all.")] = None,
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Look for the decisions of dead events again, and let them wait once more where these are still unknown."""
    from warehouse import KnownDecisions, open_store
    from warehouse.dead_letters import retry, sweep

    home, now = open_workspace(workspace), datetime.now(UTC)
    with open_store(home) as store:
        retried = retry(store, event_ids, now=now)
        swept = sweep(store, KnownDecisions(home, store), now=now)
    answer({"retried": retried, "joined": swept.joined}, output, counted)


@app.command("drop")
def dropping(event_ids: Ids, workspace: Home = HOME, output: Format = Output.TABLE) -> None:
    """Give up dead letters for good; their event ids stay taken."""
    from warehouse import open_store
    from warehouse.dead_letters import drop

    with open_store(open_workspace(workspace)) as store:
        dropped = drop(store, event_ids)
    answer({"dropped": dropped}, output, counted)


def shown(d: Document) -> None:
    """One line a letter."""
    names = ("event_id", "decision_id", "kind", "received_at", "reason")
    table("Dead letters", names, [tuple(letter[name] for name in names) for letter in d["dead_letters"]])


def counted(d: Document) -> None:
    """What was done to how many."""
    say(", ".join(f"{name} {count:,}" for name, count in d.items()) + ".")
