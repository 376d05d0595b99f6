"""What a segment is known to do, for the time that the model cannot be read: means over its customers, kept apart."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import WorkspaceError
from bandit import Beliefs
from warehouse import Workspace, pack_arrays, unpack_arrays, write_atomically

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SegmentPrior:
    """Beliefs about whoever is in a cell.

    mean, sd: (g, k + 1) of the logit or amount, no offer last; the sd is that of a customer of the cell: what is not
    known of the mean, and how customers differ. relative: (g, k + 1) what a success brings over the margin. played:
    (k + 1,) temperatures.
    """

    mean: Floats
    sd: Floats
    relative: Floats
    played: Floats


def segment_prior(
    cell: NDArray[np.int32], cells: int, beliefs: Beliefs, relative: Floats | None, played: Floats
) -> SegmentPrior:
    """Means over the customers of each cell.

    Args:
        cell: (n,) of each customer; every cell has one.
        cells: how many there are.
        beliefs: (n, k + 1).
        relative: (n, k + 1), or None: 1 for everybody.
        played: (k + 1,).
    """
    size = np.maximum(np.bincount(cell, minlength=cells), 1)[:, None]

    def averaged(table: NDArray[np.floating]) -> Floats:
        sums = [np.bincount(cell, table[:, a].astype(np.float64), cells) for a in range(table.shape[1])]
        return np.stack(sums, 1) / size

    mean = averaged(beliefs.mean)
    apart = averaged(np.square(beliefs.mean, dtype=np.float64)) - np.square(mean)
    sd = np.sqrt(np.maximum(apart, 0.0) + averaged(np.square(beliefs.sd, dtype=np.float64)))
    return SegmentPrior(mean, sd, np.ones_like(mean) if relative is None else averaged(relative), played)


def save_segment_prior(workspace: Workspace, release_id: str, prior: SegmentPrior) -> None:
    """Keep it apart from the model, for `load_segment_prior`."""
    workspace.serving.mkdir(exist_ok=True)
    arrays = {name: getattr(prior, name) for name in SegmentPrior.__dataclass_fields__}
    write_atomically(workspace.serving / f"{release_id}.npz", pack_arrays(arrays))


def load_segment_prior(workspace: Workspace, release_id: str) -> SegmentPrior | None:
    """What was kept of a release; None where nothing was, or where that is damaged too."""
    try:
        return SegmentPrior(**unpack_arrays((workspace.serving / f"{release_id}.npz").read_bytes()))
    except (OSError, WorkspaceError, TypeError):
        return None
