"""The charts that hold what a policy says of itself against the truth."""

from collections.abc import Mapping, Sequence
from typing import Any

from api.pages.charts import INK, MARK, SOFT, STRONG, WIDTH, Chart, finished
from api.pages.simulation_charts import colour, day_curves
from sims.comparison import Compared
from sims.judged import Judged
from sims.trust import daily_price

Document = dict[str, Any]

_SQUARE = WIDTH // 2
_SURE = 1.96
_FEWEST = 20  # choices of a bin that is shown


def belief_chart(bins: Mapping[str, Sequence[Document]]) -> Chart:
    """Predicted against true chances of success of what was chosen, in bins; on the diagonal, beliefs are true."""
    import altair as alt

    values = [
        {"policy": policy, "x": 100 * x["stated"], "y": 100 * x["true"], "choices": x["choices"]}
        for policy, some in bins.items()
        for x in some
        if x["choices"] >= _FEWEST
    ]
    x, y, diagonal = _diagonal(values, "predicted chance of success of chosen offers, %", "true chance, %")
    base = alt.Chart(alt.InlineData(values=values)).encode(x=x, y=y, color=colour(list(bins)))
    size = alt.Size("choices:Q", scale=alt.Scale(range=[25, 220]), legend=None)
    chart = diagonal + base.mark_line(strokeWidth=1.5) + base.mark_point(filled=True, opacity=1).encode(size=size)
    chart = chart.properties(width=_SQUARE, height=_SQUARE)
    return Chart("beliefs", "Predicted against true chances of success of chosen offers, in bins.", finished(chart))


def chance_chart(bins: Sequence[Document]) -> Chart:
    """Stated chances of options against how often they were drawn, less the stated chance; around 0 they are true."""
    import altair as alt

    values = [
        {
            "bin": f"{100 * x['from']:g}–{100 * x['to']:g}",
            "gap": 100 * (x["drawn"] - x["stated"]),
            "low": 100 * (x["drawn"] - x["stated"] - _SURE * x["std_error"]),
            "high": 100 * (x["drawn"] - x["stated"] + _SURE * x["std_error"]),
        }
        for x in bins
    ]
    order = [value["bin"] for value in values]
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X("bin:N", sort=order, title="stated chance of an option, %", axis=alt.Axis(labelAngle=-40))
    )
    zero = alt.Chart(alt.InlineData(values=[{"at": 0}])).mark_rule(color=MARK, strokeDash=[5, 4]).encode(y="at:Q")
    bars = base.mark_rule(color=SOFT, strokeWidth=2).encode(
        y=alt.Y("low:Q", title="drawn more often than stated, points"), y2="high:Q"
    )
    chart = zero + bars + base.mark_point(color=STRONG, filled=True, size=55, opacity=1).encode(y="gap:Q")
    chart = chart.properties(width=WIDTH, height=200)
    return Chart(
        "chances", f"Drawn frequency less stated chance in {len(values)} bins, with intervals.", finished(chart)
    )


def estimate_chart(judged: Sequence[Judged]) -> Chart:
    """Supported off-policy estimates with their intervals against the truth; intervals that cross the line hold it."""
    import altair as alt

    targets = list(dict.fromkeys(one.target for one in judged))
    values = [
        {"policy": one.target, "x": one.truth, "y": one.value, "low": one.low, "high": one.high} for one in judged
    ]
    x, y, diagonal = _diagonal(values, "what it truly earns, money per decision", "what the log says it would earn")
    base = alt.Chart(alt.InlineData(values=values)).encode(x=x, color=colour(targets))
    bars = base.mark_rule(opacity=0.35).encode(y="low:Q", y2="high:Q")
    chart = bars + base.mark_point(filled=True, size=28, opacity=0.9).encode(y=y) + diagonal
    chart = chart.properties(width=WIDTH, height=_SQUARE)
    return Chart("estimates", f"{len(values)} estimates with intervals against the truth.", finished(chart))


def price_chart(compared: Compared, policies: Sequence[str]) -> Chart:
    """What one more unit of budget is worth on each day, mean over seeds."""
    values = [
        {"policy": policy, "day": day + 1, "value": price}
        for policy in policies
        for day, price in enumerate(daily_price(compared, policy))
        if price is not None
    ]
    chart = day_curves(values, policies, "price of one more unit of budget", zero=True)
    chart = chart.properties(width=WIDTH, height=220)
    return Chart("prices", f"Curves of {len(policies)} policies: the price of the budget per day.", finished(chart))


def _diagonal(values: Sequence[Document], across: str, up: str) -> tuple[Any, Any, Any]:
    """Axes for `x` and `y` of the values with the same scale, and the line on which both are alike."""
    import altair as alt

    ends = [value[key] for value in values for key in ("x", "y", "low", "high") if key in value] or [0.0, 1.0]
    room = 0.05 * (max(ends) - min(ends)) or 1.0
    scale = alt.Scale(domain=[min(ends) - room, max(ends) + room], nice=False, clamp=True)
    x = alt.X("x:Q", title=across, scale=scale, axis=alt.Axis(tickCount=6))
    y = alt.Y("y:Q", title=up, scale=scale, axis=alt.Axis(tickCount=6))
    corners = [{"x": at, "y": at} for at in scale.to_dict()["domain"]]
    line = alt.Chart(alt.InlineData(values=corners)).mark_line(color=INK, strokeDash=[5, 4]).encode(x=x, y=y)
    return x, y, line
