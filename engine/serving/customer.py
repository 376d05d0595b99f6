"""One customer as a single decision sees them: from the release's audience, or from the features of the request."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot.uniforms import key as text_key
from engine.models import Scored
from engine.serving.snapshot import UNKNOWN, Snapshot

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Customer:
    """Everything that does not depend on the moment.

    Args:
        customer_id, key: who.
        cell: among the release's.
        reasons: (k,) uint64, bits of the rules against each offer as of the release.
        held_out: in the control group.
        contacts: by the release and before it, within the contact policy's days.
        scored: one row; None where there is no model.
        missing: columns that the model reads and that nobody gave.
    """

    customer_id: str
    key: int
    cell: int
    reasons: NDArray[np.uint64]
    held_out: bool
    contacts: int
    scored: Scored | None
    missing: tuple[str, ...] = ()


def of_nobody(snapshot: Snapshot, customer_id: str) -> Customer:
    """Somebody of whom nothing is known, for a release of which nothing is left."""
    reasons = np.full(len(snapshot.book.offer_ids), UNKNOWN.mask, np.uint64)
    return Customer(customer_id, text_key(customer_id), 0, reasons, held_out=False, contacts=0, scored=None)


def from_audience(snapshot: Snapshot, customer_id: str) -> Customer | None:
    """A customer of the release's audience; None where nobody has this id."""
    book, row = snapshot.book, snapshot.book.find(customer_id)
    if row is None:
        return None
    scored = None
    if snapshot.scoring is not None:
        kept = snapshot.scoring.scored
        one = slice(row, row + 1)
        scored = Scored(kept.basis[one], kept.logits[one], None if kept.relative is None else kept.relative[one])
    return Customer(
        customer_id=customer_id,
        key=int(book.key[row]),
        cell=int(book.cell[row]),
        reasons=book.reasons[row].astype(np.uint64),
        held_out=bool(book.held_out[row]),
        contacts=int(book.contacts[row]) + int(book.reached.count[row]),
        scored=scored,
    )
