"""The page about an evaluation."""

from pathlib import Path
from typing import Any

from api.console import plain


def write_evaluation(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write the page and its charts into a folder, and say where they are.

    One policy has one page; limits beside one another, as `--what-if` asks, have another.

    Args:
        document: what the evaluation answered.
        folder: made where it is missing.

    Raises:
        OSError: the folder cannot be written.
    """
    from api.pages.evaluation import write_evaluation_report
    from api.pages.hindsight import write_hindsight_report

    write = write_hindsight_report if document.get("scenarios") else write_evaluation_report
    written = write(plain(document), folder)
    return {"html": str(written.html), "charts": [str(path) for path in written.charts]}
