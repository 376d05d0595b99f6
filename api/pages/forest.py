"""The chart of rows with an interval each: estimates, policies, segments, differences."""

from typing import Any, Final

from api.pages.charts import INK, SOFT, WIDTH, labels

Document = dict[str, Any]

_ROW: Final = 30


def forest(
    lines: list[Document],
    title: str,
    colours: dict[str, str],
    *,
    zero: float | None = None,
    head: str = "effective sample",
) -> Any:
    """Rows of name, interval and a note at the right; a dashed line at `zero`; kinds without a colour are pale."""
    import altair as alt

    names = labels(tuple(line["name"] for line in lines))
    values = [{**line, "name": name} for line, name in zip(lines, names, strict=True)]
    base = alt.Chart(alt.InlineData(values=values)).encode(y=alt.Y("name:N", sort=list(names), title=None))
    domain, shades = [*colours, "other"], [*colours.values(), SOFT]
    shade = alt.Color("shade:N", scale=alt.Scale(domain=domain, range=shades), legend=None)
    for value in values:
        value["shade"] = value["kind"] if value["kind"] in colours else "other"
    x = alt.X("low:Q", title=title, scale=alt.Scale(zero=False, padding=12), axis=alt.Axis(tickCount=6))
    chart = base.mark_rule(strokeWidth=2.5).encode(x=x, x2="high:Q", color=shade)
    chart += base.mark_point(filled=True, size=85, opacity=1).encode(x="value:Q", color=shade)
    note = base.mark_text(align="right", color=INK, fontSize=11)
    chart += note.encode(x=alt.value(WIDTH + 90), text="note:N")
    heading = alt.Chart(alt.InlineData(values=[{"head": head}])).mark_text(
        align="right", color=INK, fontSize=11, fontStyle="italic"
    )
    chart += heading.encode(x=alt.value(WIDTH + 90), y=alt.value(-10), text="head:N")
    if zero is not None:
        line = alt.Chart(alt.InlineData(values=[{"at": zero}])).mark_rule(color=INK, strokeDash=[4, 4])
        chart = line.encode(x=alt.X("at:Q")) + chart
    return chart.properties(width=WIDTH, height=alt.Step(_ROW))
