"""What all commands share: the options that say where and how, the workspace they open, how an answer is printed."""

import getpass
import os
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allot import DataError
from api import console
from api.withheld import withheld

if TYPE_CHECKING:
    from warehouse import Workspace


class Output(StrEnum):
    """How answers are printed."""

    TABLE = "table"
    JSON = "json"


class Learnable(StrEnum):
    """What a model can learn of decisions."""

    SUCCESS = "success"
    AMOUNT = "amount"


Home = Annotated[
    Path, typer.Option("--workspace", envvar="ALLOT_HOME", help="Folder that holds data, models and decisions.")
]
Format = Annotated[Output, typer.Option("--output", help="`table` for people, `json` for one document on stdout.")]
AsOf = Annotated[str | None, typer.Option(help="Pretend that it is this time, e.g. 2026-03-01; default now.")]
Page = Annotated[Path | None, typer.Option("--report", help="Folder: also write a page with charts.", file_okay=False)]
HOME = Path("allot-workspace")


def open_workspace(home: Path) -> "Workspace":
    """The workspace in a folder.

    Raises:
        WorkspaceError: there is none.
    """
    from warehouse import Workspace

    return Workspace.open(home)


def who() -> str:
    """Who runs the command, for the record: the name that is logged in, or the number where there is none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def read_moment(text: str | None, option: str = "--as-of") -> datetime:
    """The time that an option gives, UTC where it names no zone; without one, now.

    Raises:
        DataError: it is none.
    """
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise DataError(f"{text!r} is not a time.", where=option, remedy="Write 2026-03-01T00:00:00Z.") from None


def answer(document: dict[str, Any], output: Output, show: Callable[[dict[str, Any]], None]) -> None:
    """Print a use case's answer: for programs as one JSON document, for people as it is `show`n.

    Figures that its verdict does not bear are left out of both.
    """
    document = withheld(document)
    if output is Output.JSON:
        console.print_json(document)
    else:
        show(document)
