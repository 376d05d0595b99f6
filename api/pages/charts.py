"""The charts of a report: each defined once, drawn as SVG for the page and as PNG for slides."""

import math
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from api.pages.evidence import THIS, Array, FrontierPoint, FunnelLine, Heat
from api.pages.figures import count

INK: Final = "#1f2933"
SOFT: Final = "#9db8d9"
STRONG: Final = "#1d5fa8"
MARK: Final = "#c2410c"
WIDTH: Final = 640
BINS: Final = 20
LONGEST: Final = 40  # characters of a name on an axis


@dataclass(frozen=True, slots=True)
class Chart:
    """A Vega-Lite definition and its file name; `alt` says in words what is to be seen."""

    name: str
    alt: str
    definition: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bins:
    """How many probabilities fall into each of `BINS` equal bins of [0, 1]."""

    labels: tuple[str, ...]
    chosen: tuple[int, ...]
    options: tuple[int, ...]


def probability_bins(chosen: Array, options: Array) -> Bins:
    """Count probabilities by bin; what rounding left slightly above 1 counts as 1."""
    edges = np.linspace(0.0, 1.0, BINS + 1)
    labels = tuple(f"{low:.2f}–{high:.2f}" for low, high in pairwise(edges))
    counts = [np.histogram(np.clip(x, 0.0, 1.0).ravel(), edges)[0] for x in (chosen, options)]
    return Bins(labels, tuple(map(int, counts[0])), tuple(map(int, counts[1])))


def heat_chart(heat: Heat) -> Chart:
    """Offers by segment; the darker, the more."""
    import altair as alt

    segments, offers = labels(heat.segment_names), labels(heat.offer_names)
    rows, columns = len(segments), len(offers)
    values = [
        {"segment": segments[s], "offer": offers[a], "n": int(heat.counts[s, a]), "text": count(heat.counts[s, a])}
        for s in range(rows)
        for a in range(columns)
    ]
    top = int(heat.counts.max(initial=0))
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X("segment:N", sort=list(segments), title=None, axis=alt.Axis(labelAngle=-40, orient="top")),
        y=alt.Y("offer:N", sort=list(offers), title=None),
    )
    colour = alt.Color("n:Q", title="offers", scale=alt.Scale(scheme="blues", domain=[0, max(top, 1)]))
    chart: Any = base.mark_rect(stroke="white").encode(color=colour)
    if rows <= 14:
        ink = alt.condition(alt.datum.n > 0.55 * max(top, 1), alt.value("white"), alt.value(INK))
        chart = chart + base.mark_text(fontSize=11).encode(text="text:N", color=ink)
    wide = max(16, min(90, WIDTH // max(rows, 1)))
    chart = chart.properties(width=wide * rows, height=(24 if columns <= 30 else 16) * columns)
    alt_text = f"Heat map: number of customers for each of {columns} offers in each of {rows} segments."
    return Chart("offers-by-segment", alt_text, finished(chart))


def funnel_chart(funnel: tuple[FunnelLine, ...]) -> Chart:
    """Pairs excluded by each rule: all that it forbids, and of these the ones it was the first to forbid."""
    import altair as alt

    rules = labels(tuple(line["rule"] for line in funnel))
    kinds = ["all that it excludes", "excluded first by it"]
    values = [
        {"rule": rules[i], "kind": kind, "pairs": pairs}
        for i, line in enumerate(funnel)
        for kind, pairs in zip(kinds, (line["all_hits"], line["first_hit"]), strict=True)
    ]
    chart = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar()
        .encode(
            x=alt.X("pairs:Q", title="customer-offer pairs", axis=alt.Axis(tickCount=6)),
            y=alt.Y("rule:N", sort=list(rules), title=None),
            yOffset=alt.YOffset("kind:N", sort=kinds),
            color=alt.Color("kind:N", sort=kinds, title=None, scale=alt.Scale(domain=kinds, range=[SOFT, STRONG])),
        )
        .properties(width=WIDTH, height=alt.Step(14))
    )
    return Chart("excluded-by-rule", f"Bar chart: pairs excluded by each of {len(rules)} rules.", finished(chart))


def probability_chart(bins: Bins) -> Chart:
    """How decided the policy was: shares of choices and of options by probability."""
    import altair as alt

    panels = []
    for title, counts, colour in (("choices", bins.chosen, STRONG), ("options", bins.options, SOFT)):
        total = max(1, sum(counts))
        values = [{"low": i / BINS, "high": (i + 1) / BINS, "share": n / total} for i, n in enumerate(counts)]
        panels.append(
            alt.Chart(alt.InlineData(values=values))
            .mark_bar(color=colour, stroke="white")
            .encode(
                x=alt.X(
                    "low:Q",
                    title=f"logged probability of the {title}",
                    scale=alt.Scale(domain=[0, 1]),
                    axis=alt.Axis(tickCount=6),
                ),
                x2="high:Q",
                y2=alt.datum(0),
                y=alt.Y("share:Q", title=f"share of the {title}", axis=alt.Axis(format=".0%", tickCount=5)),
            )
            .properties(width=WIDTH // 2 - 40, height=170)
        )
    chart = alt.hconcat(*panels)
    return Chart("probabilities", "Two histograms: logged probabilities of choices and of options.", finished(chart))


def frontier_chart(points: tuple[FrontierPoint, ...], limit: str, now: float | None, title: str) -> Chart:
    """Planned value against the maximum of one limit: the best fixed plans, this plan, and the price as a slope."""
    import altair as alt

    curve = [p for p in points if p["kind"] != THIS]
    chart = _marked(curve, title, f"maximum of {limit}", STRONG)
    line = alt.Chart(alt.InlineData(values=_plain(curve))).mark_line(color=STRONG, strokeWidth=2.5)
    chart = line.encode(x="maximum:Q", y="value:Q") + chart
    if now is not None:
        mark = alt.Chart(alt.InlineData(values=[{"maximum": now, "label": "this campaign"}])).encode(x="maximum:Q")
        chart = chart + mark.mark_rule(color=MARK, strokeDash=[5, 4])
        chart = chart + mark.mark_text(color=MARK, align="left", dx=5, dy=-4, baseline="bottom").encode(
            text="label:N", y=alt.value(260)
        )
        slope = _slope(curve, now)
        if slope:
            price = alt.Chart(alt.InlineData(values=slope)).mark_line(color=MARK, strokeWidth=1.5)
            chart = chart + price.encode(x="maximum:Q", y="value:Q")
    this = [p for p in points if p["kind"] == THIS]
    if this:
        chart = chart + _marked(this, title, f"maximum of {limit}", MARK)
    chart = chart.properties(width=WIDTH, height=260)
    alt_text = f"Line: planned value of the best fixed plan as the maximum of {limit} changes; this plan as a point."
    return Chart("value-against-limit", alt_text, finished(chart))


def _marked(points: list[FrontierPoint], title: str, axis: str, colour: str) -> Any:
    import altair as alt

    return (
        alt.Chart(alt.InlineData(values=_plain(points)))
        .mark_point(color=colour, filled=True, size=45, opacity=1)
        .encode(
            x=alt.X("maximum:Q", title=axis, axis=alt.Axis(tickCount=6)),
            y=alt.Y("value:Q", title=title, axis=alt.Axis(tickCount=6)),
        )
    )


def _plain(points: list[FrontierPoint]) -> list[dict[str, float]]:
    return [{"maximum": float(p["maximum"]), "value": float(p["value"])} for p in points]


def _slope(curve: list[FrontierPoint], now: float) -> list[dict[str, float]]:
    """The price at the campaign's own maximum as a short tangent; nothing where it has none."""
    at = next((p for p in curve if math.isclose(p["maximum"], now, rel_tol=1e-6)), None)
    if at is None or not at.get("price"):
        return []
    reach = 0.12 * (max(p["maximum"] for p in curve) - min(p["maximum"] for p in curve))
    return [{"maximum": now + dx, "value": float(at["value"]) + at["price"] * dx} for dx in (-reach, reach)]


def svg(chart: Chart) -> str:
    """The chart as SVG for use inside a page.

    Ids are renumbered under the chart's name: two charts never share one, and drawing again gives the same bytes.
    """
    import vl_convert

    drawn: str = vl_convert.vegalite_to_svg(chart.definition)
    for number, name in enumerate(dict.fromkeys(re.findall(r' id="([^"]+)"', drawn))):
        new = f"{chart.name}-{number}"
        drawn = drawn.replace(f' id="{name}"', f' id="{new}"').replace(f"url(#{name})", f"url(#{new})")
    return drawn


def png(chart: Chart) -> bytes:
    """The chart as PNG, twice the size of the page's."""
    import vl_convert

    drawn: bytes = vl_convert.vegalite_to_png(chart.definition, scale=2, ppi=72)
    return drawn


def finished(chart: Any) -> dict[str, Any]:
    """A chart's definition in the style of all."""
    config = {
        "font": "sans-serif",
        "background": "white",
        "aria": False,  # the figure around it speaks for the whole chart
        "view": {"stroke": None},
        "axis": {
            "labelColor": INK,
            "titleColor": INK,
            "titleFontWeight": "normal",
            "labelLimit": 300,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "gridColor": "#e4e9ef",
            "domainColor": "#9aa5b1",
            "tickColor": "#9aa5b1",
        },
        "legend": {
            "labelColor": INK,
            "titleColor": INK,
            "titleFontWeight": "normal",
            "labelFontSize": 12,
            "titleFontSize": 12,
            "orient": "bottom",
        },
    }
    definition: dict[str, Any] = chart.properties(padding=8).to_dict()
    return {**definition, "config": config}


def labels(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names for an axis: long ones cut, equal ones numbered so that they stay apart."""
    seen: dict[str, int] = {}
    out = []
    for name in (name if len(name) <= LONGEST else name[: LONGEST - 1] + "…" for name in names):
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(out)
