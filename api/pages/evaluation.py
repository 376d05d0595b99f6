"""The pages about an evaluation: one of its own, and the sections of it that an allocation's report ends with."""

from collections.abc import Iterable
from typing import Any

from api import evaluation_words as words
from api.pages import blocks, evaluation_charts
from api.pages.charts import Chart
from api.pages.figures import NONE, count, decimal, sentence, text

Document = dict[str, Any]


def draw_charts(d: Document) -> dict[str, Chart]:
    """The charts that there is something for, by section."""
    drawn: dict[str, Chart] = {}
    if d["estimates"]:
        drawn["estimates"] = evaluation_charts.forest_chart(d)
        if any(x["verdict"] == "supported" for x in _segments(d)):
            drawn["segments"] = evaluation_charts.segment_chart(d)
    if d["target"] and d.get("weights"):  # those of what was done are all 1
        drawn["weights"] = evaluation_charts.weight_chart(d)
    if any(x["z"] for x in d.get("propensities", ())):
        drawn["propensities"] = evaluation_charts.propensity_chart(d)
    return drawn


def render(d: Document, drawn: dict[str, Chart]) -> str:
    """The page."""
    name = text(sentence(words.policy(d)))
    header = (
        f'<p class="when">Evaluation on {count(d["rows"])} logged decisions of {text(d["log"])} · rewards as reported, '
        f'before costs</p><h1>{name}</h1><p class="story">{text(sentence(" ".join(words.story(d))))}</p>'
    )
    return blocks.page(f"{name} · evaluation", header, cards(d) + "".join(_sections(d, drawn)))


def sections(d: Document, drawn: dict[str, Chart]) -> list[str]:
    """For a page about something else: the story is told in the first section."""
    return _sections(d, drawn, words.story(d))


def _sections(d: Document, drawn: dict[str, Chart], story: Iterable[str] = ()) -> list[str]:
    """From the verdict down to the notes; those without anything to say are left out."""
    found = [
        _earned(d, drawn, story),
        _slices(d, drawn),
        _trust(d, drawn),
        _propensities(d, drawn),
        _ranking(d),
        _notes(d),
    ]
    return [section for section in found if section]


def cards(d: Document) -> str:
    """Key figures; nothing where no value may be shown."""
    found = d["estimate"]
    if found is None:
        return ""
    figures = [
        ("Reward per 1,000 decisions", words.money(found["value"]), f"{words.level(found)}: {words.span(found)}"),
        ("What was done", words.money(d["logged"]["value"]), words.span(d["logged"])),
    ]
    x = d["difference"]
    if d["target"] and x is not None:
        figures.append(("Difference", words.money(x["value"]), f"{words.level(x)}: {words.span(x)}"))
    return blocks.cards([*figures, ("Effective sample", count(d["ess"]), f"of {count(d['rows'])} decisions")])


def _segments(d: Document) -> list[Document]:
    found = d.get("slices")
    return list(found["segments"]) if found else []


def _figure(drawn: dict[str, Chart], name: str) -> str:
    return blocks.figure(drawn[name]) if name in drawn else ""


def _earned(d: Document, drawn: dict[str, Chart], story: Iterable[str]) -> str:
    """The verdict, and every estimate unless they would not mean what they say."""
    body = blocks.verdict(d, words.verdict(d))
    if d["verdict"] != "invalid":
        body += "".join(f"<p>{text(sentence(line))}</p>" for line in (*story, words.promise(d)) if line)
        body += _figure(drawn, "estimates") + _estimates(d)
        body += f"<p>Judged by {text(d['chosen_because'])}</p>" if d["chosen_because"] else ""
    return blocks.section("What it would have earned" if d["target"] else "What it earned", "", body)


def _estimates(d: Document) -> str:
    lines = [(words.DONE, d["logged"])]
    if d["target"] and d["estimate"] is not None:
        lines.append((words.policy(d), {**d["estimate"], "ess": d["ess"]}))
    lines += [(f"by {e['estimator']}", e) for e in d["estimates"]]
    rows = [
        (
            text(name),
            *(words.money(e.get(key)) for key in ("value", "low", "high", "std_error")),
            NONE if e.get("ess") is None else count(e["ess"]),
        )
        for name, e in lines
    ]
    heads = ("reward per 1,000 decisions", "value", "low", "high", "standard error", "effective sample")
    return blocks.details("The estimates as a table", blocks.table(heads, rows))


def _slices(d: Document, drawn: dict[str, Chart]) -> str:
    lines = _segments(d)
    if not lines:
        return ""
    found = d["slices"]
    note = (
        f"The policy less what was done, per 1,000 decisions, on the same decisions. The intervals hold in all "
        f"{len(lines)} segments together ({words.level(found)}, {text(found['method'])}), so that looking at many "
        "segments finds no more by chance than looking at one."
    )
    rows = []
    for x in lines:
        known = x["verdict"] == "supported"
        shown = [words.money(x[key]) if known else NONE for key in ("difference", "low", "high")]
        told = (x["finding"] or "chance explains it") if known else "insufficient: " + " ".join(x["reasons"])
        rows.append((text(x["segment"]), count(x["rows"]), count(x["ess"]), *shown, text(told)))
    heads = (text(found["column"]), "decisions", "effective sample", "difference", "low", "high", "")
    told = "".join(f"<p>{text(line)}</p>" for line in words.segments(d))
    return blocks.section("In which segments", note, told + _figure(drawn, "segments") + blocks.table(heads, rows))


def _trust(d: Document, drawn: dict[str, Chart]) -> str:
    lines = words.diagnosis(d)
    if not lines and "weights" not in drawn:
        return ""
    note = (
        "A decision counts as often as the policy would have taken it, over how often it was taken. The more even the "
        "weights, the more the log says about the policy."
    )
    body = f"<ul>{''.join(f'<li>{text(line)}</li>' for line in lines)}</ul>" if lines else ""
    return blocks.section("Why the log can say so, or not", note, body + _figure(drawn, "weights"))


def _propensities(d: Document, drawn: dict[str, Chart]) -> str:
    lines = d.get("propensities", ())
    if not lines:
        return ""
    rows = [
        (
            text(words.offer(x["offer_id"])),
            count(x["taken"]),
            decimal(x["found"] / x["expected"] if x["expected"] > 0 else None),
            decimal(x["z"]),
            _worst(x.get("worst_segment")),
            "wrong" if x["alarm"] else "right" if x["z"] is not None else "too rare to tell",
        )
        for x in lines
    ]
    heads = ("offer", "taken", "observed over expected", "standard errors from 1", "most in segment", "")
    body = f"<p>{text(words.propensities(d))}</p>{_figure(drawn, 'propensities')}"
    body += blocks.details("Offer by offer", blocks.table(heads, rows))
    note = "Every estimate rests on the logged chances. If they are right, each offer occurs as often as they say."
    return blocks.section("Were the logged chances right?", note, body)


def _worst(x: Document | None) -> str:
    """Where an offer's frequency is furthest from its chances, and by how many standard errors."""
    if x is None:
        return NONE
    return text(f"{x['segment']} of {x['column']}: " + ("certain" if x["z"] is None else decimal(x["z"])))


def _ranking(d: Document) -> str:
    told, found = words.beliefs(d), d.get("ranking")
    if not told or d["verdict"] == "invalid":
        return ""
    note = (
        "How high the policy's beliefs rank the offers that customers take, beside the offers' rates alone; each "
        "success counts one over the chance with which it was shown. A ranking says nothing of money."
    )
    keys = ("recall", "rate_recall", "ndcg", "rate_ndcg")
    rows = [(str(x["k"]), *(f"{x[key]:.3f}" for key in keys)) for x in (found["at"] if found else ())]
    heads = ("first offers", "recall", "recall of rates", "NDCG", "NDCG of rates")
    body = (blocks.table(heads, rows) if rows else "") + f"<p>{text(told)}</p>"
    return blocks.section("How well did the beliefs foresee?", note, body)


def _notes(d: Document) -> str:
    return blocks.notes([fact for fact in (*d["warnings"], words.left_out(d)) if fact])
