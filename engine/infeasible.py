"""Limits that no plan can keep, in words: which of them conflict, and how little each would have to give."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from allot import LimitError
from engine.scenario import Side
from portfolio import Conflict, Limit, Problem, Share, diagnose

_TRIES = 4
_STEP = 1e-3  # of a share: a tenth of a percentage point is as fine as anybody sets one


@dataclass(frozen=True, slots=True)
class Cure:
    """One limit's bound moved `by` so much, to `to`: the smallest step that lets the others hold.

    In the limit's own unit: contacts, currency units, or for a share (`share`) parts of the whole. `enough`: no other
    limits conflict after it.
    """

    limit: str
    side: Side
    measure: str
    share: bool
    by: float
    to: float
    enough: bool = True

    @property
    def words(self) -> str:
        """An advice: raise 'budget' by 1,234.50 to 51,234.50. Parts of a contact are not spoken of."""
        verb = "raise" if self.side == "maximum" else "lower"
        if self.measure == "count" and not self.share and round(self.by, 9) != round(self.by):
            return f"{verb} {self.limit!r} to {self._amount(self.to)}"
        unit = (" contact" if self.by == 1 else " contacts") if self.measure == "count" and not self.share else ""
        return f"{verb} {self.limit!r} by {self._amount(self.by)}{unit} to {self._amount(self.to)}"

    def further(self, more: float) -> "Cure":
        """The same with a little more room; a count or an amount of money stays a whole number of contacts or cents."""
        sign = 1.0 if self.side == "maximum" else -1.0
        if self.share:
            to = min(max(self.to + sign * more, 0.0), 1.0)
        else:
            to = rounded(self.to + sign * more, self.measure, self.side)
            to = to if self.measure == "value" else max(to, 0.0)
        return replace(self, by=self.by + abs(to - self.to), to=to)

    def _amount(self, value: float) -> str:
        if self.share:
            return f"{100 * value:.1f} %"
        return f"{value:,.0f}" if self.measure == "count" else f"{value:,.2f}"


@dataclass(frozen=True, slots=True)
class Infeasible:
    """An irreducible set of limits that conflict, and for each of them what would cure it.

    `drawn`: it is the random draw that has no room; the deterministic optimum may have.
    """

    limits: tuple[str, ...]
    cures: tuple[Cure, ...]
    drawn: bool = False

    @property
    def what(self) -> str:
        """Which limits conflict."""
        together = " together" if len(self.limits) > 1 else ""
        plan = "random draw" if self.drawn else "plan"
        return f"no {plan} can keep {_listed([repr(name) for name in self.limits])}{together}."

    @property
    def remedy(self) -> str:
        """What to do: any one of the cures that are enough, the least step first; else of those that help."""
        enough = [cure for cure in self.cures if cure.enough]
        told = sorted(enough or self.cures, key=lambda cure: cure.by / max(abs(cure.to), cure.by, 1e-9))
        advice = "; or ".join(cure.words for cure in told) or "relax one of them"
        words = f"{advice[0].upper()}{advice[1:]}."
        if self.cures and not enough:
            words += " Other limits conflict as well: ask again afterwards."
        return words + (" Temperature 0 needs less room." if self.drawn else "")

    @property
    def document(self) -> dict[str, Any]:
        """For JSON."""
        cures = [asdict(cure) for cure in self.cures]
        return {"limits": list(self.limits), "what": self.what, "remedy": self.remedy, "cures": cures}

    def error(self) -> LimitError:
        """The refusal of a request."""
        return LimitError(self.what, where="limits", remedy=self.remedy)


def infeasible(problem: Problem) -> Infeasible | None:
    """What keeps every whole plan from being inside the limits, None where nothing was found."""
    conflict = diagnose(problem)
    return None if conflict is None else Infeasible(conflict.limits, cures_of(problem, conflict))


def cures_of(problem: Problem, conflict: Conflict) -> tuple[Cure, ...]:
    """For each member of a conflict the smallest step of one of its bounds that ends this conflict."""
    limits = {limit.name: limit for limit in problem.limits}
    return tuple(_cure(problem, limits[name], conflict.relaxation[name]) for name in conflict.limits)


def applied(problem: Problem, cure: Cure) -> Problem:
    """The problem after the advice was followed."""
    new: dict[str, Any] = {cure.side: cure.to}
    return replace(problem, limits=tuple(replace(x, **new) if x.name == cure.limit else x for x in problem.limits))


def unmoved(limit: Limit | Share) -> tuple[Cure, ...]:
    """Steps of nothing yet, one for each bound."""
    share = isinstance(limit, Share)
    sides: tuple[tuple[Side, float | None], ...] = (("maximum", limit.maximum), ("minimum", limit.minimum))
    return tuple(Cure(limit.name, s, limit.measure, share, 0.0, float(b)) for s, b in sides if b is not None)


def rounded(value: float, measure: str, side: Side) -> float:
    """A bound made looser to whole contacts or cents; what rounding of sums left is none."""
    unit, sign = 1.0 if measure == "count" else 0.01, 1.0 if side == "maximum" else -1.0
    steps = sign * value / unit
    return sign * unit * math.ceil(steps - 1e-6 * max(1.0, abs(steps) * 1e-3)) + 0.0  # no minus before 0


def _cure(problem: Problem, limit: Limit | Share, relaxation: float) -> Cure:
    """The smallest step of the side that helps: a limit with two bounds conflicts by one of them."""
    out: Cure | None = None
    for start in unmoved(limit):
        cure, helps = _share_cure(problem, start) if start.share else _limit_cure(problem, start, relaxation)
        out = cure if helps or out is None else out
        if helps:
            break
    assert out is not None  # noqa: S101  # a limit without bounds conflicts with nothing
    return out


def _limit_cure(problem: Problem, start: Cure, relaxation: float) -> tuple[Cure, bool]:
    """From the stated relaxation on, as far as whole numbers make it necessary; and whether it helps."""
    cure, more = start, relaxation
    for _ in range(_TRIES):
        cure = cure.further(more)
        again = diagnose(applied(problem, cure))
        if again is None or cure.limit not in again.limits:
            return replace(cure, enough=again is None), True
        more = again.relaxation[cure.limit]
    return replace(cure, enough=False), False


def _share_cure(problem: Problem, start: Cure) -> tuple[Cure, bool]:
    """The nearest share, in tenths of a percentage point, that lets the others hold; and whether any does."""
    end = 1.0 if start.side == "maximum" else 0.0
    low, high = 0, math.ceil(abs(end - start.to) / _STEP)
    last = diagnose(applied(problem, start.further(high * _STEP)))
    if last is not None and start.limit in last.limits:
        return replace(start.further(high * _STEP), enough=False), False
    while high - low > 1:
        middle = (low + high) // 2
        again = diagnose(applied(problem, start.further(middle * _STEP)))
        if again is None or start.limit not in again.limits:
            high, last = middle, again
        else:
            low = middle
    return replace(start.further(high * _STEP), enough=last is None), True


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
