"""What pages are built of: sections, tables, figures and the page around them. Cells are HTML already."""

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from api.pages.charts import Chart, png, svg
from api.pages.figures import sentence, text
from api.withheld import withheld


def page(title: str, header: str, body: str) -> str:
    """A whole page that needs nothing else; header and body are HTML."""
    style = files("api.pages").joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f"<header>{header}</header>\n{body}</main>\n</body>\n</html>\n"
    )


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where a report is."""

    html: Path
    charts: tuple[Path, ...]


def publish(
    about: Any,
    folder: Path,
    draw_charts: Callable[[Any], dict[str, Chart]],
    render: Callable[[Any, dict[str, Chart]], str],
) -> ReportFiles:
    """Write report.html and one PNG for each chart into a folder; about the same there is the same page.

    Figures that a verdict does not bear are left out. Each file is written under a temporary name and renamed, so that
    nobody reads half a page. The page comes last.

    Args:
        about: what the page is about: what a use case answered, or evidence.
        folder: made where it is missing.
        draw_charts: gives the charts that there is something for, by section.
        render: gives the page.

    Raises:
        OSError: the folder cannot be written.
    """
    shown = withheld(about)
    drawn = draw_charts(shown)
    page = render(shown, drawn)
    folder.mkdir(parents=True, exist_ok=True)
    images = tuple(_renamed(folder / f"{chart.name}.png", png(chart)) for chart in drawn.values())
    return ReportFiles(_renamed(folder / "report.html", page.encode()), images)


def _renamed(path: Path, content: bytes) -> Path:
    """Write under a temporary name in the same folder, then rename."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def cards(figures: Iterable[tuple[str, str, str]]) -> str:
    """Key figures: what, how much, and a note; plain text."""
    cells = "".join(
        f'<div class="card"><dt>{text(a)}</dt><dd class="figure">{text(b)}</dd><dd class="note">{text(c)}</dd></div>'
        for a, b, c in figures
    )
    return f'<dl class="cards">{cells}</dl>'


def section(title: str, note: str, body: str) -> str:
    """A section with a title and a note."""
    words = f'<p class="note">{note}</p>' if note else ""
    return f"<section><h2>{text(title)}</h2>{words}{body}</section>\n"


def verdict(d: dict[str, Any], words: str) -> str:
    """The verdict in words, and its reasons."""
    kind = "" if d["verdict"] == "supported" else ' class="warning"'
    first = f"<p{kind}><strong>{text(sentence(d['verdict']))}</strong>: {text(words)}</p>"
    reasons = "".join(f"<li>{text(reason)}</li>" for reason in d["reasons"])
    return first + (f"<ul>{reasons}</ul>" if reasons else "")


def notes(facts: Sequence[str]) -> str:
    """What else to know, a line each; nothing without."""
    lines = "".join(f"<li>{text(fact)}</li>" for fact in facts)
    return section("Notes", "", f"<ul>{lines}</ul>") if lines else ""


def figure(chart: Chart) -> str:
    """A chart, and what is to be seen in words."""
    return f'<figure role="img" aria-label="{text(chart.alt)}">{svg(chart)}</figure>'


def details(caption: str, table: str) -> str:
    """A table that opens on demand."""
    return f"<details><summary>{text(caption)}</summary>{table}</details>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], total: Sequence[str] = ()) -> str:
    """A table; an empty row of heads is left out."""
    head = "".join(f'<th scope="col">{h}</th>' for h in heads)
    body = "".join(_row(row, "") for row in rows) + (_row(total, ' class="total"') if total else "")
    top = f"<thead><tr>{head}</tr></thead>" if any(heads) else ""
    return f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>'


def _row(cells: Sequence[str], kind: str) -> str:
    first, *rest = cells
    return f'<tr{kind}><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest) + "</tr>"
