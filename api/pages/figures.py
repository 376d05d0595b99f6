"""How numbers and sentences are written: the one definition for page, table and chart."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any, Final

from api.pages.evidence import LimitLine, Summary

NONE: Final = "–"
PLANNED: Final = {
    "profit": "planned profit",
    "value": "planned value",
    "conversions": "planned conversions",
    "incremental": "planned incremental profit",
}
UNIT: Final = {"count": "contact", "cost": "money unit of cost", "value": "unit of value"}
STATUS: Final = {
    "headroom_too_small": "Draws broke a limit too often. Give that limit more room.",
    "infeasible": "No plan keeps all limits. Relax one of them.",
    "draft": "It waits for a second person to approve it.",
    "approved": "It may be released, and has not been yet.",
}


def text(value: object) -> str:
    """Any value, escaped for HTML."""
    return escape(str(value), quote=True)


def count(value: float) -> str:
    """A whole number: 2,130."""
    return _signed(f"{value:,.0f}")


def money(value: float | None) -> str:
    """An amount: 18,240 from 1,000 on, else 18.24."""
    if value is None or not math.isfinite(value):
        return NONE
    return _signed(f"{value:,.0f}" if abs(value) >= 999.995 else f"{value:,.2f}")


def percent(value: float | None) -> str:
    """A share: 12.3 %."""
    return NONE if value is None or not math.isfinite(value) else _signed(f"{100 * value:.1f} %")


def decimal(value: float | None) -> str:
    """A plain number to three significant digits: 0.0123."""
    return NONE if value is None or not math.isfinite(value) else _signed(f"{value:,.3g}")


def measured(limit: LimitLine, value: float | None) -> str:
    """A use or a bound of a limit in its own unit."""
    if value is None or not math.isfinite(value):
        return NONE
    if limit.get("share", False):
        return percent(value)
    return count(value) if limit["measure"] == "count" else money(value)


def price(limit: LimitLine) -> str:
    """What one more unit of room is worth."""
    return NONE if limit["price"] == 0 else f"{money(abs(limit['price']))} per {unit(limit)}"


def unit(limit: LimitLine) -> str:
    """What the limit counts, in the singular."""
    return "whole share" if limit.get("share", False) else UNIT.get(limit["measure"], "unit")


def worth(summary: Summary, value: float | None) -> str:
    """A value of the objective: conversions are not money."""
    if summary["campaign"]["objective"] == "conversions":
        return NONE if value is None else _signed(f"{value:,.1f}")
    return money(value)


def planned(summary: Summary) -> str:
    """What the planned value is called."""
    return PLANNED.get(summary["campaign"]["objective"], "planned value")


def holding_back(limits: list[LimitLine]) -> LimitLine | None:
    """The limit where one per cent more room would be worth most; None where no limit has a price."""

    def stake(limit: LimitLine) -> float:
        bound = limit["maximum"] if limit["price"] > 0 else limit["minimum"]
        return abs(limit["price"] * (bound if bound else 1.0))

    priced = [limit for limit in limits if limit["price"] != 0]
    return max(priced, key=stake, default=None)


def story(summary: Summary) -> str:
    """The allocation in words for the person who runs the campaign."""
    audience = count(summary["audience"])
    if summary["chosen"] == 0:
        return (
            f"None of {audience} customers gets an offer: {count(summary['no_eligible'])} had no eligible offer, "
            f"{count(summary['held_out'])} are held out, and for {count(summary['no_offer'])} no offer was drawn."
        )
    verb = "gets" if summary["chosen"] == 1 else "get"
    first = f"{count(summary['chosen'])} of {audience} customers {verb} an offer."
    second = f"{sentence(planned(summary))}: {worth(summary, summary['planned_value'])}"
    third = f"{_limits_in_words(summary)}{_learning_in_words(summary)}"
    return f"{first} {second}, at an expected cost of {money(summary['planned_cost'])}. {third}"


@dataclass(frozen=True, slots=True)
class GivenUp:
    """What a random plan earns less than the best fixed one, in the objective's units and as a part of it."""

    value: float
    part: float
    best: float


def given_up(summary: Summary) -> GivenUp | None:
    """None for a fixed plan, and where no best one is known."""
    best = summary["deterministic_value"]
    if summary["mechanism"] == "deterministic" or best is None or best <= 0:
        return None
    lost = best - summary["planned_value"]
    return GivenUp(lost, lost / best, best)


def _learning_in_words(summary: Summary) -> str:
    lost = given_up(summary)
    if lost is None or lost.value <= 0:
        return ""
    about = "about " if summary.get("best_is_sampled", False) else ""
    amount = f"{about}{worth(summary, lost.value)} ({percent(lost.part)})"
    return f" That every choice has a known chance, so that one can learn, costs {amount} against the best fixed plan."


def _limits_in_words(summary: Summary) -> str:
    limits = summary["limits"]
    if not limits:
        return "The campaign has no limits."
    main = holding_back(limits)
    if main is None:
        return "No limit holds the plan back."
    if main["price"] < 0:
        return (
            f"“{main['name']}” costs most: at least {measured(main, main['minimum'])} are asked for, "
            f"and one {unit(main)} less would be worth {money(-main['price'])}."
        )
    return (
        f"“{main['name']}” is what holds the plan back: {measured(main, main['used'])} of "
        f"{measured(main, main['maximum'])} are used, and one more {unit(main)} would be worth {money(main['price'])}."
    )


def moment(value: str) -> str:
    """A time: 2026-03-01 00:00 UTC. What is no time stays as it is."""
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return value
    return f"{at:%Y-%m-%d %H:%M}" if at.tzinfo is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def sentence(words: str) -> str:
    """With a capital at the beginning."""
    return words[:1].upper() + words[1:]


def named(value: Any) -> str:
    """A key of a document as words: `no_offer` -> no offer."""
    return str(value).replace("_", " ")


def _signed(number: str) -> str:
    """A real minus sign, and none before zero."""
    if number.startswith("-"):
        return number[1:] if not any(c in "123456789" for c in number) else "−" + number[1:]
    return number
