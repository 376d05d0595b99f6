"""The charts of a simulation report."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from api.pages.charts import INK, MARK, STRONG, WIDTH, Chart, finished, labels
from api.pages.forest import forest
from sims.comparison import Compared, interval, share_of
from sims.policies import ORACLE

Floats = NDArray[np.float64]
Document = dict[str, Any]

_PALETTE: Final = (
    STRONG,
    MARK,
    "#2f8f5b",
    "#8a5fbf",
    "#b8860b",
    "#3aa6b9",
    "#b5476d",
    "#6b7280",
    "#7a5230",
    "#4e6e20",
)
_WEEK: Final = 7  # days of which a curve shows the mean, so that its course is seen and not each day's luck
_HEIGHT: Final = 240
_NONE: Final = "no offer"
_PALE: Final = "#e8edf3"


def share_chart(d: Document) -> Chart:
    """Every policy's share of the oracle with its interval, and the worst seed at the right."""
    lines = [
        _line(policy, {"value": 100.0 * x["oracle_share"], **_hundred(x)}, f"{100.0 * x['worst']:.1f}", d)
        for policy, x in sorted(d["summary"].items(), key=lambda item: -item[1]["oracle_share"])
        if policy != ORACLE
    ]
    title = "% of what the oracle earns, with 95 % interval over seeds"
    chart = forest(lines, title, {"reference": STRONG}, head="worst seed")
    return Chart("policies", f"{len(lines)} policies: share of the oracle with intervals.", finished(chart))


def difference_chart(d: Document) -> Chart:
    """The reference less every other policy, paired over seeds; right of the line the reference earns more."""
    lines = [
        _line(policy, {"value": 100.0 * x["behind"]["value"], **_hundred(x["behind"])}, "", d)
        for policy, x in sorted(d["summary"].items(), key=lambda item: item[1]["oracle_share"])
        if policy != ORACLE and x["behind"] is not None
    ]
    title = f"points of the oracle by which {d['reference']} earns more, paired over seeds, with 95 % interval"
    chart = forest(lines, title, {"reference": STRONG}, zero=0.0, head="")
    return Chart("differences", f"Differences of {d['reference']} to {len(lines)} policies.", finished(chart))


def _line(policy: str, span: Document, note: str, d: Document) -> Document:
    """A row of a forest; of a single seed the interval is the point."""
    kind = "reference" if policy == d["reference"] else "other"
    low, high = (span["value"] if span[key] is None else span[key] for key in ("low", "high"))
    return {"name": policy, "value": span["value"], "low": low, "high": high, "kind": kind, "note": note}


def _hundred(x: Document) -> Document:
    return {key: None if x[key] is None else 100.0 * x[key] for key in ("low", "high")}


def learning_chart(compared: Compared, policies: Sequence[str]) -> Chart:
    """Share of the oracle over the days, a running mean of a week, with the interval over seeds."""
    best = _running(compared.daily(ORACLE, "reward"))
    values = [
        {"policy": policy, **point}
        for policy in policies
        for point in _band(100.0 * share_of(_running(compared.daily(policy, "reward")), best))
    ]
    chart = _curves(values, policies, f"% of the oracle, mean of the last {_WEEK} days", zero=False)
    return Chart("learning", f"Curves of {len(policies)} policies: share of the oracle over the days.", finished(chart))


def regret_chart(compared: Compared, policies: Sequence[str]) -> Chart:
    """What has been given away against the oracle up to each day, in money."""
    values = [
        {"policy": policy, **point} for policy in policies for point in _band(compared.regret(policy).cumsum(axis=1))
    ]
    chart = _curves(values, policies, "money the oracle has earned more, in all", zero=True)
    return Chart("regret", f"Curves of {len(policies)} policies: regret in money up to each day.", finished(chart))


def spend_chart(compared: Compared, policies: Sequence[str]) -> Chart:
    """What each day's budget is used up to, mean over seeds, and the budget itself as a line."""
    import altair as alt

    values = [
        {"policy": policy, "day": day + 1, "value": 100.0 * float(share)}
        for policy in policies
        for day, share in enumerate(compared.spent(policy).mean(0))
        if np.isfinite(share)
    ]
    top = alt.Chart(alt.InlineData(values=[{"at": 100}])).mark_rule(color=INK, strokeDash=[4, 4]).encode(y="at:Q")
    chart = top + day_curves(values, policies, "% of the day's budget", zero=False)
    chart = chart.properties(width=WIDTH, height=_HEIGHT)
    return Chart("spend", f"Curves of {len(policies)} policies: spend against budget per day.", finished(chart))


def phase_chart(phases: dict[str, list[Document]]) -> Chart:
    """Regret per day in each part of the run."""
    import altair as alt

    policies = list(phases)
    order = [f"days {x['first']}–{x['last']}" for x in next(iter(phases.values()))]
    values = [
        {"policy": policy, "phase": phase, "value": x["value"]}
        for policy, parts in phases.items()
        for phase, x in zip(order, parts, strict=True)
    ]
    chart = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar()
        .encode(
            x=alt.X("phase:N", sort=order, title=None, axis=alt.Axis(labelAngle=0)),
            y=alt.Y("value:Q", title="money per day the oracle earns more"),
            xOffset=alt.XOffset("policy:N", sort=policies),
            color=colour(policies),
        )
        .properties(width=WIDTH, height=_HEIGHT)
    )
    return Chart("phases", f"Bars: regret per day of {len(policies)} policies in each part.", finished(chart))


def traffic_chart(compared: Compared, policies: Sequence[str]) -> Chart:
    """Who gets what: shares of a day's customers by offer over the days, one panel for each policy."""
    import altair as alt

    names = [*labels(compared.offers), _NONE]
    shades = [_PALETTE[i % len(_PALETTE)] for i in range(len(names) - 1)]
    scale = alt.Scale(domain=names, range=[*shades, _PALE])
    panels = []
    for policy in policies:
        values = [
            {"day": day + 1, "offer": name, "place": place, "share": float(row[place])}
            for day, row in enumerate(compared.traffic(policy))
            for place, name in enumerate(names)
        ]
        panels.append(
            alt.Chart(alt.InlineData(values=values), title=policy)
            .mark_area(stroke="white", strokeWidth=0.5)
            .encode(
                x=alt.X("day:Q", title="day", scale=alt.Scale(nice=False)),
                y=alt.Y("share:Q", title="share of the day's customers", axis=alt.Axis(format=".0%")),
                color=alt.Color("offer:N", sort=names, title=None, scale=scale, legend=alt.Legend(columns=7)),
                order=alt.Order("place:Q"),
            )
            .properties(width=WIDTH // max(1, len(policies)) - 30, height=_HEIGHT)
        )
    chart = alt.hconcat(*panels)
    return Chart(
        "traffic", f"Areas: share of customers by offer over the days, {len(policies)} panels.", finished(chart)
    )


def _running(daily: Floats) -> Floats:
    """(seeds, days) sums of the last days, fewer at the beginning."""
    total = np.cumsum(daily, axis=1)
    earlier = np.pad(total, ((0, 0), (_WEEK, 0)))[:, : total.shape[1]]
    out: Floats = total - earlier
    return out


def _band(values: Floats) -> list[Document]:
    """Mean and interval over seeds of every day on which all have a value; values (seeds, days)."""
    out = []
    for day, column in enumerate(values.T):
        if not np.isfinite(column).all():
            continue
        span = interval(column)
        mean = span["value"]
        low, high = (mean if span[key] is None else span[key] for key in ("low", "high"))
        out.append({"day": day + 1, "value": mean, "low": low, "high": high})
    return out


def _curves(values: list[Document], policies: Sequence[str], title: str, *, zero: bool) -> Any:
    import altair as alt

    band = alt.Chart(alt.InlineData(values=values)).mark_area(opacity=0.12)
    chart = band.encode(x="day:Q", y="low:Q", y2="high:Q", color=colour(policies))
    chart = chart + day_curves(values, policies, title, zero=zero)
    return chart.properties(width=WIDTH, height=int(1.3 * _HEIGHT))


def day_curves(values: list[Document], policies: Sequence[str], title: str, *, zero: bool) -> Any:
    """A line for each policy over the days; values are policy, day and value."""
    import altair as alt

    return (
        alt.Chart(alt.InlineData(values=values))
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("day:Q", title="day", scale=alt.Scale(nice=False), axis=alt.Axis(tickCount=8)),
            y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=zero), axis=alt.Axis(tickCount=6)),
            color=colour(policies),
        )
    )


def colour(policies: Sequence[str]) -> Any:
    """The same colour for the same place in the order; values name their `policy`."""
    import altair as alt

    shades = [_PALETTE[i % len(_PALETTE)] for i in range(len(policies))]
    scale, legend = alt.Scale(domain=list(policies), range=shades), alt.Legend(symbolOpacity=1)
    return alt.Color("policy:N", sort=list(policies), title=None, scale=scale, legend=legend)
