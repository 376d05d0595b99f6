"""Charts over time: what a backtest found moment by moment, and an experiment look by look."""

from typing import Any, Final

from api.evaluation_words import THOUSAND
from api.pages.charts import INK, MARK, SOFT, STRONG, WIDTH, Chart, finished, labels

Document = dict[str, Any]

_HEIGHT: Final = 240
_KINDS: Final = ("the policy would have earned", "it planned", "was earned")


def backtest_chart(d: Document) -> Chart:
    """By moment: what was found with its interval, what was planned, and what was done."""
    import altair as alt

    kinds = list(_KINDS)
    order = labels(tuple(x["from"][:10] for x in d["origins"]))
    values = []
    for at, x in zip(order, d["origins"], strict=True):
        parts = (x["estimate"] or {}, {"value": x["planned"]}, {"value": x["logged"]["value"]})
        for kind, part in zip(kinds, parts, strict=True):
            shown = {key: THOUSAND * part[key] for key in ("value", "low", "high") if part.get(key) is not None}
            if "value" in shown:
                values.append({"at": at, "kind": kind, **shown})
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X("at:N", sort=list(order), title="trained to", axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("kind:N", sort=kinds),
        color=alt.Color("kind:N", sort=kinds, title=None, scale=alt.Scale(domain=kinds, range=[STRONG, MARK, SOFT])),
    )
    y = alt.Y("low:Q", title="reward per 1,000 decisions", scale=alt.Scale(zero=False, padding=12))
    chart = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2.5).encode(y=y, y2="high:Q")
    chart += base.mark_point(filled=True, size=85, opacity=1).encode(y="value:Q")
    chart = chart.properties(width=WIDTH, height=_HEIGHT)
    words = f"At {len(order)} moments: what the policy would have earned with its interval, its plan, what was done."
    return Chart("origins", words, finished(chart))


def lift_chart(d: Document) -> Chart:
    """The lift after each allocation that the floors allow, with intervals that hold at all looks together."""
    import altair as alt

    values = [
        {"at": x["at"][:19], **{key: THOUSAND * x["lift"][key] for key in ("value", "low", "high")}}
        for x in d["looks"]
        if x["lift"] is not None
    ]
    base = alt.Chart(alt.InlineData(values=values)).encode(x=_time("at:T"))
    y = alt.Y("low:Q", title="lift per 1,000 decisions", scale=alt.Scale(padding=12))
    chart = base.mark_rule(strokeWidth=2.5, color=SOFT).encode(y=y, y2="high:Q")
    chart += base.mark_line(color=STRONG).encode(y="value:Q")
    chart += base.mark_point(filled=True, size=60, opacity=1, color=STRONG).encode(y="value:Q")
    chart += _level(0.0)
    chart = chart.properties(width=WIDTH, height=_HEIGHT)
    words = f"The lift at {len(values)} looks, with intervals that hold at every look; the dashed line is no lift."
    return Chart("lift", words, finished(chart))


def split_chart(d: Document, broken: float) -> Chart:
    """The chance value of the split after each allocation; below the line the assignment is broken."""
    import altair as alt

    values = [{"at": x["at"][:19], "chance": max(x["chance"], 1e-12)} for x in d["looks"]]
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=_time("at:T"), y=alt.Y("chance:Q", title="chance value", scale=alt.Scale(type="log", domainMax=1.0))
    )
    chart = base.mark_line(color=STRONG, interpolate="step-after")
    chart += base.mark_point(filled=True, size=60, opacity=1, color=STRONG)
    chart += _level(broken)
    chart = chart.properties(width=WIDTH, height=150)
    words = f"Chance value of the split at {len(values)} looks; below the dashed line, {broken:g}, it is broken."
    return Chart("split", words, finished(chart))


def _time(field: str) -> Any:
    import altair as alt

    return alt.X(field, title="allocations up to", axis=alt.Axis(tickCount=6, format="%Y-%m-%d"))


def _level(at: float) -> Any:
    """A dashed line across."""
    import altair as alt

    line = alt.Chart(alt.InlineData(values=[{"level": at}])).mark_rule(color=INK, strokeDash=[4, 4])
    return line.encode(y="level:Q")
