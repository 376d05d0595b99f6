"""Weights of what an offer is like instead of which offer it is: many offers, few kinds."""

import numpy as np

from allot import DataError, ShapeError
from offline_eval.estimate import Estimate, Terms, estimate
from offline_eval.log import Floats, Integers, Log, integers
from offline_eval.tables import Table, read_target, rows_of


def mips(log: Log, target: Table, chances: Table, kind: Integers | Table) -> Estimate:
    """Marginalised IPS: mean of w r with w = p(e | target) / p(e | log), e the kind of offer (Saito and Joachims 2022).

    Unbiased if the offer matters for the reward only through its kind; its weights are never wilder than those of ips.

    Args:
        log: n decisions.
        target: (n, number of actions) probabilities.
        chances: (n, number of actions) the logging policy's whole rows.
        kind: (number of actions,) integers, the group of each action (no offer is usually one of its own); or
            (n, number of actions) p(e_i | x_i, a), how likely each action was to show what row i showed.

    Raises:
        ShapeError: shapes disagree.
        DataError: the log could not have shown what it showed, or the target is no policy for this log.
    """
    table, _, _ = read_target(log, target)
    logging = rows_of("chances", chances, len(table))
    if logging.shape != table.shape:
        raise ShapeError(f"chances must be {table.shape}, not {logging.shape}.", where="chances")
    likely = _likeness(log, kind, table.shape)
    below: Floats = np.einsum("ia,ia->i", logging, likely, dtype=np.float64)
    if not (below > 0).all():
        row = int(np.argmin(below))
        raise DataError(
            "the logging policy could not have shown what was logged.",
            where=f"chances, row {row}",
            remedy="The logged action needs a chance above 0.",
        )
    w: Floats = np.einsum("ia,ia->i", table, likely, dtype=np.float64) / below
    return estimate("mips", Terms(np.zeros_like(w), w * log.reward, np.ones_like(w), w, log.cluster))


def _likeness(log: Log, kind: Integers | Table, shape: tuple[int, ...]) -> Table:
    """(n, number of actions) how likely each action was to show the kind that was logged."""
    if kind.ndim == 1:
        group = integers("kind", kind, shape[1], "Number the kinds; one per action.")
        same: Floats = (group[log.action][:, None] == group).astype(np.float64)
        return same
    table = rows_of("kind", kind, shape[0])
    if table.shape != shape or not (np.isfinite(table) & (table >= 0)).all():
        raise ShapeError(f"kind must be ({shape[1]},) integers or {shape} chances of at least 0.", where="kind")
    return table
