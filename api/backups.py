"""`allot backup` and `allot restore`: a workspace with all its rows, files, keys and tenants, copied while in use."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.console import say
from api.options import HOME, Format, Home, Output, answer, open_workspace

if TYPE_CHECKING:
    from warehouse import Copied

Document = dict[str, Any]


def backup(
    folder: Annotated[Path, typer.Argument(help="Of the backup: not there yet, or empty.")],
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Copy the workspace, while it is in use. The backup is a workspace itself; its rows are in SQLite."""
    from warehouse import back_up

    home = open_workspace(workspace)
    answer(_document("backup", folder, back_up(home, folder)), output, lambda d: _told("Copied", d))


def restore(
    folder: Annotated[Path, typer.Argument(help="Of a backup.")],
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Make the workspace from a backup: in SQLite or, where ALLOT_DATABASE_URL is set, in PostgreSQL."""
    from warehouse import restore as use_case

    done = use_case(open_workspace(folder), workspace)
    answer(_document("workspace", workspace, done), output, lambda d: _told("Restored", d))


def _document(name: str, folder: Path, done: "Copied") -> Document:
    return {name: str(folder.absolute()), **asdict(done)}


def _told(verb: str, d: Document) -> None:
    where = d.get("backup") or d.get("workspace")
    tenants = ", ".join(d["tenants"])
    say(f"{verb} to {where}: {d['rows']:,} rows, {d['files']:,} files, {d['bytes']:,} bytes of {tenants}.")
