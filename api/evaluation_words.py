"""An evaluation in words, the same in a terminal and on a page. Plain text; below the floors nobody is said to win."""

import math
from typing import Any, Final

from api.console import change, number, percent

Document = dict[str, Any]

THOUSAND: Final = 1_000
DONE: Final = "what was done"
VERDICTS: Final = {
    "supported": "the log can answer this question.",
    "insufficient": "the log is too thin for this question, so no winner is named.",
    "invalid": "these estimates would not mean what they say, so none is shown.",
}


def policy(d: Document) -> str:
    """What the evaluated policy is called; the log's own has no name."""
    return str(d["target"]) if d["target"] else DONE


def verdict(d: Document) -> str:
    """What may be believed, in half a sentence."""
    return VERDICTS.get(d["verdict"], "")


def story(d: Document) -> list[str]:
    """What the policy would have earned against what was done, a sentence each; nothing where that may not be said."""
    found = d["estimate"]
    if found is None or found["value"] is None:
        return []
    if not d["target"]:
        return [f"What was done earned {earned(d['logged'])}.", total(d)]
    return [f"{policy(d)} would have earned {earned(found)}; {DONE} earned {earned(d['logged'])}.", total(d), gap(d)]


def earned(e: Document) -> str:
    """An estimate per 1,000 decisions with its interval."""
    return f"{money(e['value'])} per 1,000 decisions ({level(e)} interval {span(e)})"


def total(d: Document) -> str:
    """The same over all decisions of the log."""
    found, rows = d["estimate"] if d["target"] else d["logged"], d["rows"]
    words = (
        f"Over all {rows:,} logged decisions that is {number(round(found['value'] * rows, 2))} "
        f"({number(round(found['low'] * rows, 2))} to {number(round(found['high'] * rows, 2))})"
    )
    if d["target"]:
        words += f" against {number(round(d['logged']['value'] * rows, 2))}"
    return words + ", rewards as reported, before costs."


def gap(d: Document) -> str:
    """The paired difference, and whether chance explains it; empty where there is none or nothing may be said."""
    x = d["difference"]
    if x is None:
        return ""
    size = f"{money(abs(x['value']))} {'more' if x['value'] >= 0 else 'less'} per 1,000 decisions"
    reach = f"{signed(x['low'])} to {signed(x['high'])}"
    known = x["low"] > 0 or x["high"] < 0
    return f"That is {size} ({reach}): " + ("more than chance explains." if known else "chance explains that.")


def promise(d: Document) -> str:
    """What the policy's own beliefs promised, beside what it realised; empty where there is nothing to hold to it."""
    if d["planned"] is None or d["realised"] is None:
        return ""
    off = d["planned"] - d["realised"]
    words = (
        f"Its own beliefs promised {money(d['planned'])} per 1,000 decisions, {money(abs(off))} "
        f"{'more' if off >= 0 else 'less'} than the estimate"
    )
    found = d["estimate"]
    if found["low"] is None or found["low"] <= d["planned"] <= found["high"]:
        return f"{words}: within its interval."
    return f"{words}: outside its interval, so the beliefs are too {'high' if off > 0 else 'low'} here."


def diagnosis(d: Document) -> list[str]:
    """How much the log says about this policy, a sentence each."""
    if d["verdict"] == "invalid":
        return []
    if not d["target"]:
        return [checked] if (checked := propensities(d)) else []
    out = [
        f"The log says as much about it as {d['ess']:,.0f} decisions of its own would (effective sample size), of "
        f"{d['rows']:,}. Weighted so, {d['weighted_successes']:,.0f} decisions earned something.",
        f"The heaviest decision counts {number(d['largest_weight'])} times; {_part(d['clipped_share'])} count more "
        "than 10 times.",
        f"Of what the policy would do, {_part(d['unsupported_mass'])} is something the log cannot speak about.",
    ]
    if d["spread"] is not None:
        out.append(f"The estimators lie {d['spread']:.2g} standard errors apart.")
    checked = propensities(d)
    return [*out, checked] if checked else out


def beliefs(d: Document) -> str:
    """How well the policy's beliefs foresaw what was seen; empty where it has none."""
    out = []
    if d.get("ranking"):
        found = d["ranking"]
        out.append(
            f"Mean average precision {found['map']:.3f} ({found['rate_map']:.3f} by rates alone), from "
            f"{found['successes']:,} successes worth {found['effective']:,.0f} equally weighted ones."
        )
    if d.get("calibration_error") is not None:
        out.append(f"Believed chances and observed shares differ by {percent(d['calibration_error'])} on average.")
    return " ".join(out)


def propensities(d: Document) -> str:
    """Whether offers occur as often as their logged chances say."""
    lines = [x for x in d.get("propensities", []) if x["z"] is not None]
    wrong = [x for x in lines if x["alarm"]]
    if not lines:
        return ""
    if not wrong:
        return f"Offers occur as often as their logged chances say ({len(lines)} checked)."
    names = ", ".join(offer(x["offer_id"]) for x in wrong[:5])
    return f"Logged chances are wrong for {len(wrong)} of {len(lines)} offers: {names}."


def left_out(d: Document) -> str:
    """How many decisions are not counted, and why; empty where all are."""
    if not d["left_out"]:
        return ""
    young, rest = d["immature"], d["left_out"] - d["immature"]
    parts = [f"{young:,} are too young to have all their outcomes"] if young else []
    parts += [f"{rest:,} are held out or unanswered"] if rest else []
    return f"{d['left_out']:,} decisions are left out: {', '.join(parts)}"


def scenarios(d: Document) -> list[str]:
    """What each scenario of `allot evaluate --what-if` changes, a sentence each; no figures below the floors."""
    out = []
    for line in d["scenarios"]:
        more = line["difference"]
        if more["verdict"] != "supported":
            out.append(f"{line['scenario']}: {VERDICTS[more['verdict']]}")
            continue
        whole = more["in_all"]
        cost = "" if more["planned_cost"] is None else f", for {change(round(more['planned_cost'], 2))} of planned cost"
        span = f"{change(round(whole['low'], 2))} to {change(round(whole['high'], 2))}"
        known = more["low"] > 0 or more["high"] < 0
        out.append(
            f"{line['scenario']}: {change(round(whole['value'], 2))} of reward in all ({span}){cost}; "
            + ("more than chance explains." if known else "chance explains that.")
        )
    return out


def segments(d: Document) -> list[str]:
    """In which segments the policy differs from what was done, corrected for their number."""
    found = d.get("slices")
    if not found:
        return []
    lines = found["segments"]
    out = []
    for kind in ("more", "less"):
        names = [str(x["segment"]) for x in lines if x["finding"] == kind]
        if names:
            out.append(f"It earns {kind} than what was done where {found['column']} is {_listed(names)}.")
    thin = sum(x["verdict"] != "supported" for x in lines)
    if not out:
        out.append(f"In none of {len(lines)} segments by {found['column']} is a difference beyond chance.")
    if thin:
        out.append(f"In {thin} of {len(lines)} the log is too thin to say.")
    return out


def offer(offer_id: str | None) -> str:
    """An offer's id, or no offer."""
    return "no offer" if offer_id is None else offer_id


def money(value: float | None) -> str:
    """A reward per decision as money per 1,000 of them, to the cent."""
    if value is None or not math.isfinite(value):
        return number(value)
    return f"{round(THOUSAND * value, 2) + 0.0:,.2f}".removesuffix(".00")  # + 0.0: minus zero is zero


def signed(value: float) -> str:
    """The same for a difference, always with its sign."""
    written = money(value)
    return written if written.startswith("-") or written == "0" else f"+{written}"


def level(e: Document) -> str:
    """Of an interval: 95 %."""
    return f"{100 * e['level']:.4g} %"


def span(e: Document) -> str:
    """An interval as money per 1,000 decisions."""
    if e["low"] is None or e["high"] is None:
        return "anything"
    return f"{money(e['low'])} to {money(e['high'])}"


def _part(share: float) -> str:
    return percent(share) if share > 0 else "none"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
