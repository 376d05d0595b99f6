"""May a newly trained model take the place of the one in use? Not where it is shown to be worse."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from allot import DataError, WorkspaceError
from bandit import AMOUNTS, Comparison, FittedPrior, compare
from engine.exposed import Exposed
from engine.models import Foundation, load_foundation
from engine.rows import column_keys
from warehouse import Store, Workspace

if TYPE_CHECKING:
    from bandit import Log

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Succession:
    """What was found.

    Args:
        predecessor: id of the prior in use; None before the first.
        comparison: of both priors on held-out rows that neither was fitted to, where there is a predecessor to ask.
        refused: why the new model should not be used, in words; empty where it may be.
        notes: what else there is to say.
    """

    predecessor: str | None = None
    comparison: Comparison | None = None
    refused: str = ""
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any] | None:
        """For the answer; None without a predecessor."""
        if self.predecessor is None:
            return None
        return {"prior": self.predecessor, **({} if self.comparison is None else asdict(self.comparison))}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A newly fitted prior with the log it was fitted to: rows, feature table and arms."""

    fitted: FittedPrior
    exposed: Exposed
    table: pa.Table
    log: "Log"
    offer_ids: tuple[str, ...]


def succession(workspace: Workspace, store: Store, new: Candidate) -> Succession:
    """Compare a candidate with the model in use.

    Both are compared on the candidate's held-out rows that the model in use never saw, or had held out itself. The
    candidate is refused where it loses more there than chance explains; and where it is constant, already where it
    cannot be shown to lose no more, for otherwise a log that was cut short by mistake would wipe out what was known. A
    model that cannot serve today's customers is no rival; offers that it does not know it serves as newcomers.
    """
    current = store.current("posterior")
    if current is None:
        return Succession()
    prior_id = current.parents[0]
    try:
        old = load_foundation(workspace, prior_id).widened(new.offer_ids)
    except WorkspaceError as error:
        return Succession(prior_id, notes=(f"the model in use cannot be read ({error}): nothing was compared",))
    unfit = _unfit(old, new)
    if unfit:
        return Succession(prior_id, notes=(f"the model in use {unfit}: nothing was compared",))
    try:
        found = _compared(old, new)
    except DataError as error:
        return Succession(prior_id, notes=(f"the model in use cannot read today's customers ({error})",))
    return Succession(prior_id, found, _refusal(old, new, found))


def _unfit(old: Foundation, new: Candidate) -> str:
    """Why the model in use could not decide for today's data at all, or of what else it is; empty where it could."""
    if old.prior.kind != new.log.kind:
        return f"learns {'amounts' if old.prior.kind == AMOUNTS else 'successes'}, this one does not"
    gone = [n for n in old.features.names if n.startswith("customer.") and n not in new.table.column_names]
    return f"reads a column that customers no longer have, {gone[0].removeprefix('customer.')}" if gone else ""


def _refusal(old: Foundation, new: Candidate, found: Comparison) -> str:
    if found.worse:
        kind = new.log.kind
        mine, other = (kind.loss_in_words(loss) for loss in (found.log_loss, found.other_log_loss))
        return (
            f"on {found.rows:,} rows that neither model was fitted to, its {kind.loss} is {mine}, that of the model in "
            f"use {other}: more than chance explains"
        )
    constant = new.fitted.report.constant
    if constant and not old.prior.constant and (not found.says_enough or found.difference > 0):
        return f"it says the same of everybody ({constant}), and the model in use does not"
    return ""


def _compared(old: Foundation, new: Candidate) -> Comparison:
    held = new.fitted.held
    key = new.exposed.key[held.rows]
    place = {offer: arm for arm, offer in enumerate(old.offer_ids)}
    arm_of = np.array([*(place[offer] for offer in new.offer_ids), len(place)])
    at = np.minimum(np.searchsorted(old.held_key, key), max(len(old.held_key) - 1, 0))
    judged = old.held_key[at] == key if len(old.held_key) else np.zeros(len(key), np.bool_)
    unseen = ~np.isin(key, old.seen)
    other = np.zeros(len(key))
    other[judged] = old.held_logit[at[judged]]
    rows = held.rows[unseen]
    logits = old.prior.logits(old.features.encode(new.table.take(pa.array(rows))))
    other[unseen] = logits[np.arange(len(rows)), arm_of[new.exposed.arm[rows]]]
    fair = unseen | judged
    rows = held.rows[fair]
    who = column_keys(new.exposed.customer_id)[rows]
    mine = held.logit[fair].astype(np.float32)  # as the other's are kept: or a model would seem worse than itself
    return compare(mine, other[fair], new.log.outcome[rows], who, new.log.weights[rows], kind=new.log.kind)
