"""An experiment in words, the same in a terminal and on a page. Plain text; nobody wins below the floors."""

from typing import Any, Final

from api import evaluation_words as words
from api.console import change, number, percent

Document = dict[str, Any]

VERDICTS: Final = {
    "supported": "as it was registered.",
    "insufficient": "too little has come back to say anything.",
    "invalid": "the comparison does not mean what was registered.",
}
_FINDINGS: Final = {"more": "earns more", "less": "earns less", None: "may or may not earn more"}


def story(d: Document) -> list[str]:
    """What the campaign adds, a sentence each; nothing where that may not be said."""
    found = d["lift"]
    if found is None:
        return []
    value, low, high = (change(round(d["in_all"][key], 2)) for key in ("value", "low", "high"))
    return [
        f"With the campaign a decision {_FINDINGS[d['finding']]} than without: {words.signed(found['value'])} per "
        f"1,000 ({words.level(found)} interval {words.span(found)}, at every look), {value} in all ({low} to {high}), "
        f"at an expected cost of {words.money(d['cost'])} per 1,000. Those held out earn "
        f"{words.money(d['held_out_mean'])}.",
        f"The past explains {number(round(100 * d['variance_removed'], 1))} % of the variance.",
    ]


def split(d: Document) -> str:
    """Whether as many are held out as planned."""
    x = d["split"]
    return (
        f"{x['held_out']:,} of {x['customers']:,} customers are held out, planned {percent(x['planned'])} "
        f"(chance value {x['chance']:.2g}, valid at every look)."
    )


def rests_on(d: Document) -> str:
    """How many decisions there are, and what came first."""
    return (
        f"{d['rows']:,} decisions of {d['allocations']} allocations; {d['waiting']:,} are too young or unanswered. "
        f"Registered {d['registered_at']}, first allocation {d['first_allocation']}."
    )


def detectable(plan: Document) -> str:
    """How small a lift one allocation finds, as it was planned."""
    return (
        f"Past rewards vary by {words.money(plan['sd'])} per 1,000 decisions, so one allocation finds a lift of "
        f"{words.money(plan['detectable'])} with a chance of {percent(plan['power'])}, or of less by what "
        f"{len(plan['covariates'])} columns from before the start explain."
    )
