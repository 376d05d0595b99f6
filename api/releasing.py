"""The commands of a second person: approve a draft, and release what is approved."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from api import tables
from api.options import HOME, Format, Home, Output, answer, open_workspace, who

AllocationId = Annotated[str, typer.Argument(help="Allocation id (alloc-…).")]


def approve(
    allocation: AllocationId,
    by: Annotated[str, typer.Option(help="Who approves it: somebody else than who asked for it.")],
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Approve a draft: an allocation of a campaign with `approval = "second_person"`."""
    from engine.allocate import with_paths
    from engine.approval import approve as use_case
    from warehouse import open_store

    opened = open_workspace(workspace)
    with open_store(opened) as store:
        stored = use_case(store, allocation, by=by, now=datetime.now(UTC))
    answer(with_paths(opened, stored.summary), output, tables.handled)


def release(
    allocation: AllocationId,
    by: Annotated[str | None, typer.Option(help="Who releases it; default: who is logged in.")] = None,
    again: Annotated[
        bool, typer.Option(help="Replace an allocation of the same name and as_of that has outcomes.")
    ] = False,
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Let an approved allocation count, for ever: its decisions are our log from now on."""
    from engine.allocate import with_paths
    from engine.approval import release as use_case
    from warehouse import open_store

    opened = open_workspace(workspace)
    with open_store(opened) as store:
        stored = use_case(store, allocation, by=by or who(), now=datetime.now(UTC), again=again)
    answer(with_paths(opened, stored.summary), output, tables.handled)
