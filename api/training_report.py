"""The report of a training, from what was kept of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from allot import NotFoundError
from engine.stages import Reporter, Stages, silent
from warehouse import open_store

if TYPE_CHECKING:
    from warehouse import Workspace


def write_training(
    workspace: "Workspace", prior_id: str, folder: Path | None, *, reporter: Reporter = silent
) -> dict[str, Any]:
    """Write the page and its charts, also for a model that was not put to use.

    Args:
        workspace: where.
        prior_id: of the model.
        folder: where to; None = reports/ in the workspace.
        reporter: told about progress.

    Raises:
        NotFoundError: no such model, or nothing was kept of its training.
    """
    from api.pages import blocks, training

    stages = Stages(reporter)
    with open_store(workspace) as store:
        document = store.model("prior", prior_id).manifest.get("report")
    if document is None:
        raise NotFoundError("its training left no report.", where=prior_id, remedy="Run `allot train` again.")
    with stages("page"):
        to = folder or workspace.reports / prior_id
        written = blocks.publish(document, to, training.draw_charts, training.render)
    return {
        "prior": prior_id,
        "html": str(written.html),
        "charts": [str(path) for path in written.charts],
        "seconds": stages.seconds,
    }
