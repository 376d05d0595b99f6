"""What does a new offer inherit from its relatives? Offers of a category, or of a channel, may be liked alike.

Of two arms that are alike in an attribute, a share ρ of their weights' variance is common: w_a = μ + u_c + e_a with
u_c ~ N(0, ρ·diag σ²) and e_a ~ N(0, (1 − ρ)·diag σ²). Which attribute counts, how much, or none at all, is averaged
over by how likely each makes the arms' evidence (Bayesian model averaging; Hoeting et al. 1999).
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from bandit.hierarchy import Group, Sites

Floats: TypeAlias = NDArray[np.float64]
Keys: TypeAlias = NDArray[np.uint64]

_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
_NO_RELATIVES = 0.5  # how likely it is beforehand that attributes say nothing; the rest is shared evenly


@dataclass(frozen=True, slots=True, eq=False)
class Relatives:
    """What each of L levels of the attributes says of an arm that has it, weighed by how far its attribute is believed.

    `key` (L,) ascending; `lift` (L, d): by how much its weights are above the group's mean; `surplus` (L, d): by how
    much their mean square around that mean exceeds the group's variance, in units of it; `variance` (d,): the group's.
    """

    key: Keys
    lift: Floats
    surplus: Floats
    variance: Floats

    def __post_init__(self) -> None:
        shape = (len(self.key), len(self.variance))
        if self.lift.shape != shape or self.surplus.shape != shape:
            raise ShapeError(f"Lifts {self.lift.shape} and surpluses {self.surplus.shape} are not {shape}.")

    def of(self, kin: Keys) -> tuple[Floats, Floats]:
        """How arms differ from their group before anything is known of them: (A, d) each.

        Args:
            kin: (A, q) keys of their levels; 0, or a level that no known arm has, says nothing.

        Returns:
            `lift` and `width`: the weights are N(μ + lift, width·σ²).
        """
        lift, surplus = np.zeros((len(kin), len(self.variance))), np.zeros((len(kin), len(self.variance)))
        for column in kin.T:
            known = np.flatnonzero(np.isin(column, self.key))
            at = np.searchsorted(self.key, column[known])
            lift[known] += self.lift[at]
            surplus[known] += self.surplus[at]
        return lift, 1.0 + surplus - lift**2 / self.variance


def no_relatives(variance: Floats) -> Relatives:
    """Attributes say nothing: a new arm is like its group, of variance (d,)."""
    none = np.zeros((0, len(variance)))
    return Relatives(np.zeros(0, np.uint64), none, none, variance)


def learn_relatives(group: Group, sites: Sites, kin: Keys) -> Relatives:
    """Find out by which attributes arms are alike.

    Args:
        group: what all arms have in common.
        sites: the evidence of A arms.
        kin: (A, q) keys of each arm's level of each attribute, different for different attributes; 0: unknown.

    Raises:
        ShapeError: the keys are not one row for each arm.
    """
    arms, attributes = kin.shape if kin.ndim == 2 else (-1, 0)
    if arms != len(sites.shift):
        raise ShapeError(f"Keys of shape {kin.shape} are not one row for each of {len(sites.shift)} arms.", where="kin")
    if attributes == 0:
        return no_relatives(group.variance)
    levels = [_levels(column) for column in kin.T]
    found = [[_alike(group, sites, level, share) for share in _SHARES] for _, level in levels]
    alone, _, _ = _alike(group, sites, np.arange(arms), 0.5)  # nobody has a relative: the share means nothing
    evidence = np.array([[one[0] for one in row] for row in found])
    likelihood = (1.0 - _NO_RELATIVES) / evidence.size * np.exp(evidence - max(evidence.max(), alone))
    none = _NO_RELATIVES * np.exp(alone - max(evidence.max(), alone))
    belief = likelihood / (none + likelihood.sum())
    keys, lifts, surpluses = [], [], []
    for (key, _), row, weight in zip(levels, found, belief, strict=True):
        known = key > 0
        keys.append(key[known])
        lifts.append(sum(w * lift[known] for w, (_, lift, _) in zip(weight, row, strict=True)))
        surpluses.append(sum(w * surplus[known] for w, (_, _, surplus) in zip(weight, row, strict=True)))
    every = np.concatenate(keys)
    order = np.argsort(every)
    return Relatives(every[order], np.concatenate(lifts)[order], np.concatenate(surpluses)[order], group.variance)


def _levels(column: Keys) -> tuple[Keys, NDArray[np.intp]]:
    """The levels' keys (L,), and each arm's level (A,); where it is unknown the arm has one of its own, of key 0."""
    key, level = np.unique(column[column > 0], return_inverse=True)
    unknown = np.flatnonzero(column == 0)
    out = np.empty(len(column), np.intp)
    out[column > 0] = level
    out[unknown] = len(key) + np.arange(len(unknown))
    return np.concatenate([key, np.zeros(len(unknown), np.uint64)]), out


def _alike(group: Group, sites: Sites, level: NDArray[Any], share: float) -> tuple[float, Floats, Floats]:
    """If arms of a level (A,) have a `share` of their variance in common: how likely is what they show?

    Every arm tells its level of u_c (a Gaussian message, e_a integrated out), and the level gathers what it is told.

    Returns:
        log evidence, up to a constant that does not depend on levels and share; lift (L, d) and surplus (L, d) of
        another arm of each level, see `Relatives`.
    """
    common, single = share * group.variance, (1.0 - share) * group.variance
    own = np.diag(1.0 / single)
    pull = sites.shift - sites.precision @ group.mean
    total = own + sites.precision
    inverse = np.linalg.inv(total)
    answer = np.einsum("aij,aj->ai", inverse, pull)
    members = np.arange(level.max() + 1)[:, None] == level
    told = np.einsum("la,aij->lij", members.astype(np.float64), own - own @ inverse @ own) + np.diag(1.0 / common)
    said = members @ (answer / single)
    spread = np.linalg.inv(told)
    lift = np.einsum("lij,lj->li", spread, said)
    evidence = (pull * answer).sum() - np.linalg.slogdet(total)[1].sum() - len(level) * np.log(single).sum()
    evidence += (said * lift).sum() - np.linalg.slogdet(told)[1].sum() - len(members) * np.log(common).sum()
    square = lift**2 + np.einsum("lii->li", spread) + single
    return 0.5 * float(evidence), lift, square / group.variance - 1.0
