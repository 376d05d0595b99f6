"""The pages about what a policy would have earned, did earn, or adds."""

from pathlib import Path
from typing import Any, Literal

from api.console import plain


def write_page(
    kind: Literal["evaluation", "hindsight", "backtest", "experiment"], document: dict[str, Any], folder: Path
) -> dict[str, Any]:
    """Write the page and its charts into a folder, and say where they are.

    Args:
        kind: of page: one policy, limits beside one another, moments one after the other, or treated against control.
        document: what the command answered.
        folder: made where it is missing.

    Raises:
        OSError: the folder cannot be written.
    """
    from api.pages import backtest, blocks, evaluation, experiment, hindsight

    page = {"evaluation": evaluation, "hindsight": hindsight, "backtest": backtest, "experiment": experiment}[kind]
    written = blocks.publish(plain(document), folder, page.draw_charts, page.render)
    return {"html": str(written.html), "charts": [str(path) for path in written.charts]}
