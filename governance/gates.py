"""The last look before decisions go out: a list of gates, each of which may find something and so stop the release."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError

SUM_TOLERANCE = 1e-6
# A propensity is stored in float64, the row it was drawn from in float32.
PROPENSITY_TOLERANCE = 1e-6
# Sums of a million float64 amounts, recounted in another order, agree within this share of the bound.
LIMIT_TOLERANCE = 1e-9


class LimitUse(Protocol):
    """One enforced limit, recounted from the choices; for a share all three are shares of the whole."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def used(self) -> float: ...  # noqa: D102
    @property
    def minimum(self) -> float | None: ...  # noqa: D102
    @property
    def maximum(self) -> float | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Books:
    """What became of every pair and every customer; see `books_balance` for the two equations."""

    customers: int
    pairs: int
    excluded: int
    eligible_not_chosen: int
    chosen: int
    no_offer: int
    no_eligible: int
    held_out: int

    def told(self) -> dict[str, int]:
        """For an allocation's summary, which calls its customers the audience."""
        counted = asdict(self)
        return {"audience": counted.pop("customers"), **counted}


@dataclass(frozen=True, slots=True)
class Evidence:
    """A plan that asks to be released: n customers, k offers.

    Args:
        choice: (n,) integers, -1 = no offer.
        probability: (n, k + 1), the last column is no offer.
        propensity: (n,) the logged chance of the choice.
        eligible: (n, k) bool.
        held_out: (n,) bool.
        books: as they will be reported.
        limits: the enforced ones, recounted from the choices.

    Raises:
        ShapeError: arrays disagree, or a choice is not an offer.
    """

    choice: NDArray[np.integer]
    probability: NDArray[np.floating]
    propensity: NDArray[np.floating]
    eligible: NDArray[np.bool_]
    held_out: NDArray[np.bool_]
    books: Books
    limits: Sequence[LimitUse] = ()

    def __post_init__(self) -> None:
        n, k = self.eligible.shape
        shapes = (self.choice.shape, self.propensity.shape, self.held_out.shape)
        if shapes != ((n,),) * 3 or self.probability.shape != (n, k + 1):
            raise ShapeError(
                f"choice, propensity, held_out {shapes} and probability {self.probability.shape} disagree."
            )
        if n and not (int(self.choice.min()) >= -1 and int(self.choice.max()) < k):
            raise ShapeError(f"a choice is not between -1 and {k - 1}.")


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a gate stays shut: its name, what is wrong, and how many rows or limits it concerns."""

    gate: str
    what: str
    count: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Released, or the findings that forbid it."""

    released: bool
    findings: tuple[Finding, ...]


Gate: TypeAlias = Callable[[Evidence], Finding | None]


def books_of(choice: NDArray[np.integer], eligible: NDArray[np.bool_], held_out: NDArray[np.bool_]) -> Books:
    """Count what became of every pair and every customer.

    Being held out wins over having no eligible offer. The pairs of held-out customers are counted like all others.
    """
    chosen, any_eligible, n_eligible = choice >= 0, eligible.any(axis=1), int(eligible.sum())
    picked = eligible[np.flatnonzero(chosen), choice[chosen]] if chosen.any() else np.zeros(0, bool)
    return Books(
        customers=len(choice),
        pairs=eligible.size,
        excluded=eligible.size - n_eligible,
        eligible_not_chosen=n_eligible - int(picked.sum()),
        chosen=int(chosen.sum()),
        no_offer=int((~chosen & ~held_out & any_eligible).sum()),
        no_eligible=int((~chosen & ~held_out & ~any_eligible).sum()),
        held_out=int((~chosen & held_out).sum()),
    )


def probabilities_sum_to_one(evidence: Evidence) -> Finding | None:
    """Every row is a distribution: between 0 and 1, and summing to 1."""
    p = evidence.probability
    off = np.abs(p.sum(axis=1, dtype=np.float64) - 1.0)
    return _rows(
        "probabilities_sum_to_one",
        ~(off <= SUM_TOLERANCE) | ~((p >= 0).all(axis=1) & (p <= 1 + SUM_TOLERANCE).all(axis=1)),
        "the probabilities of a customer do not sum to 1",
    )


def propensity_is_the_chosen_probability(evidence: Evidence) -> Finding | None:
    """What is logged is how likely the choice was, and it was possible."""
    n, k = evidence.eligible.shape
    chosen = evidence.probability[np.arange(n), np.where(evidence.choice < 0, k, evidence.choice)].astype(np.float64)
    wrong = ~(np.abs(chosen - evidence.propensity) <= PROPENSITY_TOLERANCE) | ~(evidence.propensity > 0)
    what = "the logged propensity is not the probability of the choice"
    return _rows("propensity_is_the_chosen_probability", wrong, what)


def nothing_ineligible(evidence: Evidence) -> Finding | None:
    """No excluded pair is chosen, or could have been."""
    k = evidence.eligible.shape[1]
    possible = (evidence.probability[:, :k] > 0) & ~evidence.eligible
    rows = np.flatnonzero(evidence.choice >= 0)
    wrong = np.asarray(possible.any(axis=1))
    wrong[rows] |= ~evidence.eligible[rows, evidence.choice[rows]]
    return _rows("nothing_ineligible", wrong, "an excluded offer is chosen or has a chance")


def books_balance(evidence: Evidence) -> Finding | None:
    """The reported books are those of the decisions, and add up.

    pairs = excluded + eligible not chosen + chosen; customers = chosen + no offer + no eligible offer + held out.
    """
    b = evidence.books
    recount = books_of(evidence.choice, evidence.eligible, evidence.held_out)
    if b.pairs != b.excluded + b.eligible_not_chosen + b.chosen:
        return Finding("books_balance", f"{b.pairs} pairs are not accounted for.", 1)
    if b.customers != b.chosen + b.no_offer + b.no_eligible + b.held_out:
        return Finding("books_balance", f"{b.customers} customers are not accounted for.", 1)
    return None if b == recount else Finding("books_balance", f"reported are {b}, counted {recount}.", 1)


def limits_kept(evidence: Evidence) -> Finding | None:
    """Every enforced limit holds on recount."""
    broken = []
    for limit in evidence.limits:
        low = -np.inf if limit.minimum is None else limit.minimum
        high = np.inf if limit.maximum is None else limit.maximum
        room = LIMIT_TOLERANCE * max([1.0, *(abs(x) for x in (low, high) if np.isfinite(x))])
        if not low - room <= limit.used <= high + room:
            broken.append(f"{limit.name} uses {limit.used:g} of [{low:g}, {high:g}]")
    return Finding("limits_kept", "; ".join(broken) + ".", len(broken)) if broken else None


def held_out_untouched(evidence: Evidence) -> Finding | None:
    """Held-out customers get nothing, with certainty."""
    k = evidence.eligible.shape[1]
    certain = (evidence.probability[:, k] == 1) & (evidence.probability[:, :k] == 0).all(axis=1)
    wrong = evidence.held_out & ((evidence.choice >= 0) | ~certain | (evidence.propensity != 1))
    return _rows("held_out_untouched", wrong, "a held-out customer is not left alone")


GATES: tuple[Gate, ...] = (
    probabilities_sum_to_one,
    propensity_is_the_chosen_probability,
    nothing_ineligible,
    books_balance,
    limits_kept,
    held_out_untouched,
)


def release(evidence: Evidence, gates: Sequence[Gate] = GATES) -> Verdict:
    """Ask every gate; one finding is enough to hold the plan back."""
    findings = tuple(found for found in (gate(evidence) for gate in gates) if found is not None)
    return Verdict(not findings, findings)


def _rows(gate: str, wrong: NDArray[np.bool_], what: str) -> Finding | None:
    count = int(wrong.sum())
    return Finding(gate, f"{what}: {count:,} rows, first row {int(np.argmax(wrong))}.", count) if count else None
