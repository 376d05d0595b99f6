"""The page about a backtest: what the policy would have earned moment by moment, beside what it planned."""

from typing import Any

from api import evaluation_words as words
from api.pages import blocks, time_charts
from api.pages.charts import Chart
from api.pages.figures import NONE, count, sentence, text

Document = dict[str, Any]


def draw_charts(d: Document) -> dict[str, Chart]:
    """The charts that there is something for, by section."""
    if all(x["estimate"] is None for x in d["origins"]):
        return {}
    return {"origins": time_charts.backtest_chart(d)}


def render(d: Document, drawn: dict[str, Chart]) -> str:
    """The page."""
    name = text(sentence(d["target"]))
    header = (
        f'<p class="when">Backtest at {len(d["origins"])} moments on {count(d["rows"])} decisions of {text(d["log"])} '
        f'· rewards as reported, before costs</p><h1>{name}</h1><p class="story">{text(" ".join(story(d)))}</p>'
    )
    body = blocks.verdict(d, words.verdict(d)) + "".join(blocks.figure(chart) for chart in drawn.values())
    note = (
        "At each moment prior and posterior are trained on what was known then, the campaign is decided as of then, "
        "and the decisions logged until the next moment say what that would have earned. Intervals are of one moment."
    )
    parts = [blocks.section("Would it have worked?", note, body), _moments(d), blocks.notes(d["warnings"])]
    return blocks.page(f"{name} · backtest", header, "".join(parts))


def story(d: Document) -> list[str]:
    """What was found over all moments, a sentence each; nothing where that may not be said."""
    found = d["estimate"]
    if found is None:
        return []
    first = f"Over all moments it would have earned {words.earned(found)}; {words.DONE} earned"
    return [f"{first} {words.earned(d['logged'])}.", words.gap(d), words.promise(d)]


def _moments(d: Document) -> str:
    lines = [(text(x["from"][:10]), count(x["trained_on"]), text(x["until"][:10]), *_figures(x)) for x in d["origins"]]
    heads = ("trained to", "rows", "then until", "rows", "value", "low", "high", "done", "planned", "difference")
    total = ("in all", "", "", *_figures(d))
    table = blocks.table((*heads, "effective sample", "verdict"), lines, total)
    reasons = [f"<li>{text(x['from'][:10])}: {text(why)}</li>" for x in d["origins"] for why in x["reasons"]]
    body = table + (blocks.details("Why not, moment by moment", f"<ul>{''.join(reasons)}</ul>") if reasons else "")
    return blocks.section("Moment by moment", "Rewards per 1,000 decisions.", body)


def _figures(x: Document) -> list[str]:
    found = x["estimate"] or dict.fromkeys(("value", "low", "high"))
    more = x["difference"]
    shown = [found["value"], found["low"], found["high"], x["logged"]["value"], x["planned"]]
    written = [NONE if value is None else words.money(value) for value in shown]
    gap = NONE if more is None else words.signed(more["value"])
    return [count(x["rows"]), *written, gap, count(x["ess"]), text(x["verdict"])]
