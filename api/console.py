"""What people see in a terminal: progress on stderr, tables and sentences on stdout, errors in one readable line."""

import json
import math
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from allot import AllotError

if TYPE_CHECKING:
    from engine.stages import Reporter


_NUMBER = re.compile(r"|-|no plan|[+-]?[\d,.]+( %)?")
"""What stands right in a table although it is written already: nothing, a change with its sign, a per cent."""


def plain(value: Any) -> Any:
    """The same value for JSON: numpy scalars become numbers, infinities and NaN become null, tuples become lists."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(plain(document), indent=1, default=str) + "\n")


def print_error(error: AllotError, *, as_json: bool) -> None:
    """Where, what and remedy on stderr; with JSON output also as a document on stdout."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    line = Text("error: ", style="bold red")
    line.append(f"{error.where}: {error.what}" if error.where else error.what, style="not bold default")
    console.print(line)
    if error.remedy:
        console.print(Text(f"  {error.remedy}", style="yellow"))
    if as_json:
        kind = type(error).__name__
        print_json({"error": {"kind": kind, "where": error.where, "what": error.what, "remedy": error.remedy}})


def say(*lines: str) -> None:
    """Sentences on stdout."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        console.print(line)


def safe(value: Any) -> str:
    """A value that people named, for a sentence of `say`: its square brackets are no markup."""
    from rich.markup import escape

    return escape(str(value))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table on stdout; numbers stand right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    out = Table(title=Text(title), title_justify="left", header_style="bold")
    for j, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[j], int | float) or _NUMBER.fullmatch(str(row[j])) for row in rows)
        out.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        out.add_row(*(Text(number(x) if isinstance(x, int | float) else str(x)) for x in row))
    Console(highlight=False).print(out)


def number(value: float | None) -> str:
    """How every number is written: thousands separators, four significant digits where it is small."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float) and math.isinf(value):
        return "no bound"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.2f}" if abs(value) >= 100 else f"{value:.4g}"


def change(value: float) -> str:
    """A difference, always with its sign."""
    written = number(value)
    return written if written.startswith("-") or value == 0 else f"+{written}"


def percent(value: float) -> str:
    """A share: 2.3 %."""
    return f"{100 * value:.1f} %" if abs(value) >= 0.001 or value == 0 else f"{100 * value:.2g} %"


@contextmanager
def progress(*, quiet: bool = False) -> Iterator["Reporter"]:
    """A reporter that draws stages, rows per second and time left on stderr; plain lines where it is no terminal."""
    if quiet:
        from engine.stages import silent

        yield silent
        return
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks or bars.tasks[tasks[stage]].finished:
                tasks[stage] = bars.add_task(stage, total=total, rate="")
            speed = bars.tasks[tasks[stage]].finished_speed or bars.tasks[tasks[stage]].speed
            rate = f"{speed:,.0f} rows/s" if speed and speed >= 1.0 and total > 1 else ""
            bars.update(tasks[stage], completed=done, rate=rate)

        yield report


class _Lines:
    """One line per finished stage; its speed is that of the rows that were not done when it began."""

    def __init__(self) -> None:
        self._started: dict[str, tuple[float, int]] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._started or done == 0:
            self._started[stage] = time.perf_counter(), done
        if done >= total:
            began, before = self._started[stage]
            seconds = time.perf_counter() - began
            speed = (total - before) / max(seconds, 1e-9)
            rate = f", {speed:,.0f} rows/s" if total > 1 and speed >= 1.0 else ""
            sys.stderr.write(f"{stage}: {seconds:.1f} s{rate}\n")
            sys.stderr.flush()
