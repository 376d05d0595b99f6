"""What-if questions in words: `budget=-20%`, `budget=50000, letters=none`, `budget=0.5x..2x`."""

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from allot import CampaignError
from engine.campaign import LimitSpec
from portfolio import Limit, Share

Side: TypeAlias = Literal["minimum", "maximum"]

POINTS, MOST_POINTS = 7, 50
"""Scenarios that a range such as 0.5x..2x stands for: when it does not say how many, and at most."""

_GRAMMAR = "Write a number (50000), a change (-20%, +500), a multiple (1.5x), none, or a range (0.5x..2x)."
_VALUE = re.compile(r"(?P<sign>[+-]?)\s*(?P<number>\d[\d_]*\.?\d*(?:[eE][+-]?\d+)?|\.\d+)\s*(?P<unit>%|x?)")


@dataclass(frozen=True, slots=True)
class Change:
    """One bound of one limit that a scenario sets anew; None = there is no such bound."""

    limit: str
    side: Side
    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True)
class Scenario:
    """A campaign's limits with some bounds set anew.

    `label` is how it can be asked for; `point`: it is one of a range.
    """

    label: str
    changes: tuple[Change, ...]
    point: bool = False

    @property
    def one_maximum(self) -> Change | None:
        """The only change, where it sets one limit's maximum: a point of that limit's frontier."""
        only = self.changes[0] if len(self.changes) == 1 else None
        return only if only is not None and only.side == "maximum" and only.after is not None else None


def read_scenarios(texts: Sequence[str], limits: Iterable[LimitSpec]) -> tuple[Scenario, ...]:
    """The scenarios that people asked for, ranges as their points; the same scenario once.

    Args:
        texts: each one scenario, `LIMIT=VALUE` or several of these with commas between them. LIMIT is a limit's name,
            with `.minimum` or `.maximum` where it has both. VALUE is what the bound becomes.
        limits: of the campaign.

    Raises:
        CampaignError: an unknown limit, a value that is none, or bounds that cannot be.
    """
    known = {spec.name: spec for spec in limits}
    found: dict[tuple[Change, ...], Scenario] = {}
    for text in texts:
        for scenario in _read(text, known):
            found.setdefault(scenario.changes, scenario)
    return tuple(found.values())


def changed(limits: Iterable[Limit | Share], scenario: Scenario) -> tuple[Limit | Share, ...]:
    """The portfolio's limits with a scenario's bounds."""
    new: dict[str, dict[str, Any]] = {}
    for change in scenario.changes:
        new.setdefault(change.limit, {})[change.side] = change.after
    return tuple(replace(limit, **new[limit.name]) if limit.name in new else limit for limit in limits)


def plain(value: float) -> str:
    """A bound as people type it."""
    return f"{value:.10g}"


def _read(text: str, known: dict[str, LimitSpec]) -> list[Scenario]:
    where = f"what-if {text!r}"
    fixed: list[Change] = []
    moving: tuple[LimitSpec, Side, list[float]] | None = None
    for part in _parts(text, where):
        spec, side = _bound(part.rpartition("=")[0].strip(), known, where)
        value = part.rpartition("=")[2].strip()
        if any(c.limit == spec.name and c.side == side for c in fixed) or (moving and moving[:2] == (spec, side)):
            raise CampaignError(f"sets the {side} of {spec.name!r} twice.", where=where, remedy="Set it once.")
        if ".." not in value:
            fixed.append(Change(spec.name, side, getattr(spec, side), _value(value, spec, side, where)))
        elif moving is None:
            moving = (spec, side, _range(value, spec, side, where))
        else:
            remedy = "Give the other limit one value, or ask two questions."
            raise CampaignError("has two ranges.", where=where, remedy=remedy)
    if moving is None:
        scenarios = [Scenario(text.strip(), tuple(fixed))]
    else:
        spec, side, values = moving
        name = spec.name if _only_side(spec) == side else f"{spec.name}.{side}"
        rest = "".join(f", {c.limit}={'none' if c.after is None else plain(c.after)}" for c in fixed)
        scenarios = [
            Scenario(f"{name}={plain(x)}{rest}", (Change(spec.name, side, getattr(spec, side), x), *fixed), True)
            for x in values
        ]
    for scenario in scenarios:
        _check(scenario, known, where)
    return scenarios


def _parts(text: str, where: str) -> list[str]:
    """`a=1, b=2` -> ["a=1", "b=2"]; a comma inside a limit's name stays."""
    out: list[str] = []
    name = ""
    for piece in text.split(","):
        name += piece
        if "=" in piece:
            out.append(name)
            name = ""
        else:
            name += ","
    if not out:
        raise CampaignError("has no '='.", where=where, remedy="Write LIMIT=VALUE, such as budget=-20%.")
    if name:
        what = f"{name.strip(', ')!r} stands behind a comma without '='."
        remedy = "Write numbers without separators (50000), and LIMIT=VALUE behind each comma."
        raise CampaignError(what, where=where, remedy=remedy)
    return out


def _only_side(spec: LimitSpec) -> Side | None:
    """The side that a limit's bare name means: the one bound that it has."""
    if spec.minimum is not None and spec.maximum is not None:
        return None
    return "maximum" if spec.minimum is None else "minimum"


def _bound(name: str, known: dict[str, LimitSpec], where: str) -> tuple[LimitSpec, Side]:
    side: Side | None = None
    if name not in known:
        for ending in ("minimum", "maximum"):
            if name.endswith(f".{ending}") and name.removesuffix(f".{ending}") in known:
                name, side = name.removesuffix(f".{ending}"), ending
    if not known:
        remedy = "Give the campaign a limit, with a generous maximum if need be."
        raise CampaignError("the campaign has no limits that could be changed.", where=where, remedy=remedy)
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"Did you mean {near[0]!r}?" if near else "Its limits are " + ", ".join(map(repr, known)) + "."
        raise CampaignError(f"the campaign has no limit {name!r}.", where=where, remedy=hint)
    spec = known[name]
    if spec.report_only:
        what = f"{name!r} is report_only: whatever its bounds, the plan is the same."
        raise CampaignError(what, where=where, remedy="Ask about a limit that is enforced.")
    side = side or _only_side(spec)
    if side is None:
        remedy = f"Write {name}.minimum=... or {name}.maximum=..."
        raise CampaignError(f"{name!r} has a minimum and a maximum.", where=where, remedy=remedy)
    return spec, side


def _range(text: str, spec: LimitSpec, side: Side, where: str) -> list[float]:
    ends, _, count = text.partition(":")
    points = int(count) if count.strip().isdecimal() else POINTS
    if count and (not count.strip().isdecimal() or not 2 <= points <= MOST_POINTS):
        what = f"{count.strip()!r} is no number of points between 2 and {MOST_POINTS}."
        raise CampaignError(what, where=where, remedy="Write a range such as 0.5x..2x:9.")
    first, last = (_value(end.strip(), spec, side, where) for end in ends.split("..", 1))
    if first is None or last is None:
        raise CampaignError("a range cannot end in none.", where=where, remedy=_GRAMMAR)
    if first >= last:
        what = f"the range runs from {plain(first)} to {plain(last)}: there is nothing between."
        raise CampaignError(what, where=where, remedy="Write the smaller end first.")
    between = [first + (last - first) * i / (points - 1) for i in range(1, points - 1)]
    return [first, *(float(f"{x:.6g}") for x in between), last]


def _value(text: str, spec: LimitSpec, side: Side, where: str) -> float | None:
    """What the bound becomes: a number, or None for no bound."""
    if text == "none":
        return None
    match = _VALUE.fullmatch(text)
    if match is None or not math.isfinite(float(match["number"])):
        raise CampaignError(f"{text!r} is no value for {spec.name!r}.", where=where, remedy=_GRAMMAR)
    sign, number, unit = match["sign"], float(match["number"]), match["unit"]
    share = spec.whole is not None
    if unit == "%" and not sign and not share:
        remedy = f"Write -{number:g}% or +{number:g}% for a change, or {number / 100:g}x for that part of it."
        raise CampaignError(f"{text!r} may be a change or a part.", where=where, remedy=remedy)
    before = getattr(spec, side)
    if not sign and unit != "x":
        return number / 100 if unit == "%" else number
    if before is None:
        what = f"{spec.name!r} has no {side} that {text!r} could change."
        raise CampaignError(what, where=where, remedy="Give the bound itself, a number.")
    signed = -number if sign == "-" else number
    if unit == "x":
        return float(before) * signed
    return float(before) + (abs(before) * signed / 100 if unit == "%" else signed)


def _check(scenario: Scenario, known: dict[str, LimitSpec], where: str) -> None:
    """Bounds that no campaign document may have are refused here as well."""
    bounds = {(name, s): getattr(known[name], s) for name in known for s in ("minimum", "maximum")}
    bounds |= {(c.limit, c.side): c.after for c in scenario.changes}
    for change in scenario.changes:
        spec = known[change.limit]
        low, high = (0.0, 1.0) if spec.whole is not None else (0.0 if spec.measure != "value" else -math.inf, math.inf)
        if change.after is not None and not low <= change.after <= high:
            span = f"between {low:g} and {high:g}" if high < math.inf else f"at least {low:g}"
            what = f"the {change.side} of {change.limit!r} would be {plain(change.after)}."
            raise CampaignError(what, where=where, remedy=f"It must be {span}.")
        minimum, maximum = bounds[change.limit, "minimum"], bounds[change.limit, "maximum"]
        if minimum is not None and maximum is not None and minimum > maximum:
            what = f"the minimum of {change.limit!r} would be {plain(minimum)}, above its maximum {plain(maximum)}."
            raise CampaignError(what, where=where, remedy="Lower one or raise the other.")
