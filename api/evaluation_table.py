"""The answer of `allot evaluate` as a manager reads it: the verdict, money, then why it may be believed."""

from typing import Any

from api import evaluation_words as words
from api.console import number, plain, safe, say, table

Document = dict[str, Any]

_COLOURS = {"supported": "green", "insufficient": "yellow", "invalid": "red"}


def evaluated(d: Document) -> None:
    """Words first, then the policies and estimators, segments and diagnostics."""
    d = plain(d)
    colour = _COLOURS[d["verdict"]]
    about = f" for {safe(d['target'])}" if d["target"] else ""
    say(f"Verdict: [bold {colour}]{d['verdict']}[/]{about}: {words.verdict(d)}")
    say(*(f"  {safe(reason)}" for reason in d["reasons"]))
    say(*(safe(line[:1].upper() + line[1:]) for line in words.story(d) if line))
    if d["verdict"] != "invalid":
        _estimates(d)
        _segments(d)
        _ranking(d)
    say(*(safe(line) for line in (words.promise(d), *words.diagnosis(d), words.beliefs(d)) if line))
    if d["chosen_because"] and d["verdict"] != "invalid":
        say(safe(f"Judged by {d['chosen_because']}"))
    for warning in filter(None, (*d["warnings"], words.left_out(d))):
        say(f"[yellow]note:[/] {safe(warning)}")
    if d.get("html"):
        say(f"Page: {safe(d['html'])}")


def _estimates(d: Document) -> None:
    lines = [(words.DONE, d["logged"])]
    if d["target"] and d["estimate"]:
        lines.append((f"{words.policy(d)}, by {d['estimator']}", {**d["estimate"], "ess": d["ess"]}))
    lines += [(f"  by {e['estimator']}", e) for e in d["estimates"]]
    rows = [
        (
            name,
            *(words.money(e[key]) for key in ("value", "low", "high")),
            _sum(e["value"], d["rows"]),
            _whole(e["ess"]),
        )
        for name, e in lines
    ]
    title = f"{d['rows']:,} logged decisions: reward per 1,000, {words.level(d['logged'])} intervals"
    table(title, ("", "reward", "low", "high", "in total", "effective sample"), rows)


def _segments(d: Document) -> None:
    found = d.get("slices")
    if not found:
        return
    rows = [
        (
            str(x["segment"]),
            x["rows"],
            *(_difference(x, key) for key in ("difference", "low", "high")),
            "insufficient" if x["verdict"] != "supported" else x["finding"] or "none",
        )
        for x in found["segments"]
    ]
    title = f"Reward per 1,000 less what was done; all intervals hold together ({found['method']})"
    table(title, (found["column"], "decisions", "difference", "low", "high", "finding"), rows)
    say(*(safe(line) for line in words.segments(d)))


def _ranking(d: Document) -> None:
    found = d.get("ranking")
    if not found:
        return
    rows = [(x["k"], x["recall"], x["rate_recall"], x["ndcg"], x["rate_ndcg"]) for x in found["at"]]
    title = "How high the beliefs rank what customers take, beside the offers' rates alone"
    table(title, ("first offers", "recall", "recall of rates", "NDCG", "NDCG of rates"), rows)


def _difference(line: Document, key: str) -> str:
    return "-" if line["verdict"] != "supported" else words.signed(line[key])


def _sum(value: float | None, rows: int) -> str:
    return "-" if value is None else number(round(value * rows, 2))


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
