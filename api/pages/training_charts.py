"""The charts of a training report."""

import math
from collections.abc import Callable
from typing import Any, Final

from api.pages.charts import INK, MARK, SOFT, STRONG, WIDTH, Chart, finished, labels

Document = dict[str, Any]

_COLUMNS: Final = 15  # of the model, drawn by gain
_SURE: Final = 1.96


def reliability_chart(lines: list[Document]) -> Chart:
    """Predicted against observed, with the interval that so many rows leave; on the diagonal, chances come true."""
    import altair as alt

    values = [{"predicted": x["predicted"], "observed": x["observed"], **_interval(x)} for x in lines]
    top = 1.05 * max((max(x["predicted"], x["high"]) for x in values), default=1.0)
    scale = alt.Scale(domain=[0, min(1.0, top)], clamp=True)
    x = alt.X("predicted:Q", title="predicted chance of success", scale=scale, axis=alt.Axis(format=".1%", tickCount=6))
    y = alt.Y("observed:Q", title="share of successes", scale=scale, axis=alt.Axis(format=".1%", tickCount=6))
    corners = [{"predicted": p, "observed": p} for p in (0.0, min(1.0, top))]
    diagonal = alt.Chart(alt.InlineData(values=corners)).mark_line(color=MARK, strokeDash=[5, 4]).encode(x=x, y=y)
    base = alt.Chart(alt.InlineData(values=values)).encode(x=x)
    bars = base.mark_rule(color=SOFT, strokeWidth=2).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q")
    points = base.mark_point(color=STRONG, filled=True, size=55, opacity=1).encode(y=y)
    chart = (diagonal + bars + points).properties(width=WIDTH // 2, height=WIDTH // 2)
    return Chart(
        "reliability", "Predicted chances against shares of successes, in bins of held-out rows.", finished(chart)
    )


def _interval(line: Document) -> dict[str, float]:
    """Wilson's interval of a share of successes."""
    n, p, z = line["rows"], line["observed"], _SURE
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return {"low": max(0.0, centre - reach), "high": min(1.0, centre + reach)}


def loss_chart(lines: list[tuple[str, float]], title: str, told: Callable[[float], str]) -> Chart:
    """Losses of models on the same held-out rows, each as it is `told` in words."""
    import altair as alt

    order = [name for name, _ in lines]
    values = [{"model": name, "loss": loss, "text": told(loss)} for name, loss in lines]
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X("loss:Q", title=f"{title} (less is better)", scale=alt.Scale(zero=False, padding=20)),
        y=alt.Y("model:N", sort=order, title=None),
    )
    chart = base.mark_point(color=STRONG, filled=True, size=80, opacity=1)
    chart = chart + base.mark_text(color=INK, dy=-11, fontSize=11).encode(text="text:N")
    chart = chart.properties(width=WIDTH, height=alt.Step(36))
    return Chart("losses", f"Losses of {len(lines)} models on held-out rows.", finished(chart))


def ranking_chart(lines: list[Document]) -> Chart:
    """Recall and NDCG of the first offers, by the model and by the offers' rates alone."""
    import altair as alt

    kinds = ["this model", "the offers' rates alone"]
    panels = []
    for name, title in (("recall", "recall"), ("ndcg", "NDCG")):
        values = [
            {"k": str(line["k"]), "kind": kind, "share": line[key]}
            for line in lines
            for kind, key in zip(kinds, (name, f"rate_{name}"), strict=True)
        ]
        panels.append(
            alt.Chart(alt.InlineData(values=values))
            .mark_bar()
            .encode(
                x=alt.X(
                    "k:N",
                    sort=[str(line["k"]) for line in lines],
                    title=f"{title} of the first … offers",
                    axis=alt.Axis(labelAngle=0),
                ),
                y=alt.Y("share:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(tickCount=5)),
                xOffset=alt.XOffset("kind:N", sort=kinds),
                color=alt.Color("kind:N", sort=kinds, title=None, scale=alt.Scale(domain=kinds, range=[STRONG, SOFT])),
            )
            .properties(width=WIDTH // 2 - 40, height=170)
        )
    chart = alt.hconcat(*panels)
    return Chart("ranking", "Recall and NDCG of held-out successes, by the model and by rates alone.", finished(chart))


def bar_chart(name: str, lines: list[tuple[str, float]], title: str, alt_text: str) -> Chart:
    """One bar for each line, in their order."""
    import altair as alt

    names = labels(tuple(label for label, _ in lines[:_COLUMNS]))
    values = [{"name": label, "size": size} for label, (_, size) in zip(names, lines, strict=False)]
    chart = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar(color=STRONG)
        .encode(
            x=alt.X("size:Q", title=title, axis=alt.Axis(tickCount=6)),
            y=alt.Y("name:N", sort=list(names), title=None),
        )
        .properties(width=WIDTH, height=alt.Step(18))
    )
    return Chart(name, alt_text, finished(chart))
