"""The charts of an evaluation: intervals of policies and estimators, segments, weights, and logged chances."""

from typing import Any, Final

from api.evaluation_words import DONE, THOUSAND, offer, policy
from api.pages.charts import MARK, SOFT, STRONG, WIDTH, Chart, finished
from api.pages.forest import forest

Document = dict[str, Any]

_MOST: Final = 40  # rows of a chart that people still read
_NORMAL: Final = 1.96
_NOTHING: Final = {"value": None, "low": None, "high": None}


def forest_chart(d: Document) -> Chart:
    """What was done, the policy, and the same by every estimator: value, interval and effective sample size."""
    kinds = [(DONE, d["logged"], "done")]
    if d["target"]:
        kinds.append((policy(d), {**(d["estimate"] or _NOTHING), "ess": d["ess"]}, "policy"))
    kinds += [(f"by {e['estimator']}", e, "estimator") for e in d["estimates"]]
    lines = [
        {
            **{key: _thousand(e[key]) for key in ("value", "low", "high")},
            "kind": kind,
            "note": "" if e.get("ess") is None else f"{e['ess']:,.0f}",
            "name": name,
        }
        for name, e, kind in kinds
    ]
    drawn = [line for line in lines if None not in line.values()]
    chart = forest(drawn, "reward per 1,000 decisions, with interval", {"done": MARK, "policy": STRONG})
    words = f"{len(drawn)} values with their intervals: what was done, the policy, and each estimator."
    return Chart("estimates", words, finished(chart))


def policy_chart(d: Document) -> Chart:
    """What was done, the campaign as written and every scenario; those that the log cannot support are pale."""
    named = [(DONE, d["logged"], "done", d["logged"]["ess"])]
    for x in (d["as_written"], *d["scenarios"]):
        if x["estimate"] is not None:
            named.append((x["scenario"], x["estimate"], x["verdict"], x["ess"]))
    lines = [
        {
            **{key: _thousand(e[key]) for key in ("value", "low", "high")},
            "kind": kind,
            "note": f"{n:,.0f}",
            "name": name,
        }
        for name, e, kind, n in named
    ]
    drawn = [line for line in lines if None not in line.values()][:_MOST]
    chart = forest(drawn, "reward per 1,000 decisions, with interval", {"done": MARK, "supported": STRONG})
    words = f"{len(drawn)} policies with their intervals: what was done, the campaign as written, other limits."
    return Chart("policies", words, finished(chart))


def difference_chart(d: Document) -> Chart:
    """What every scenario that the log supports would have earned less the campaign as written, in all."""
    lines = [
        {
            **{key: x["difference"]["in_all"][key] for key in ("value", "low", "high")},
            "kind": "difference",
            "note": f"{x['ess']:,.0f}",
            "name": x["scenario"],
        }
        for x in d["scenarios"]
        if x["difference"]["verdict"] == "supported"
    ][:_MOST]
    title = "reward in all, less the campaign as written"
    chart = forest(lines, title, {"difference": STRONG}, zero=0.0)
    words = f"Differences of {len(lines)} scenarios to the campaign as written, with intervals."
    return Chart("differences", words, finished(chart))


def segment_chart(d: Document) -> Chart:
    """The difference to what was done in every segment that the log can speak about."""
    found = d["slices"]
    lines = [
        {
            **{key: THOUSAND * x[name] for key, name in (("value", "difference"), ("low", "low"), ("high", "high"))},
            "kind": x["finding"] or "none",
            "note": f"{x['ess']:,.0f}",
            "name": str(x["segment"]),
        }
        for x in found["segments"]
        if x["verdict"] == "supported"
    ][:_MOST]
    title = "reward per 1,000 decisions, less what was done"
    chart = forest(lines, title, {"more": STRONG, "less": MARK}, zero=0.0)
    words = f"Differences with intervals in {len(lines)} segments by {found['column']}."
    return Chart("segments", words, finished(chart))


def propensity_chart(d: Document) -> Chart:
    """How often each offer occurs, over how often its logged chances say; 1 is right."""
    lines = []
    for x in d["propensities"]:
        if x["z"] is None or x["z"] == 0 or x["expected"] <= 0:
            continue
        ratio = x["found"] / x["expected"]
        reach = _NORMAL * abs(ratio - 1) / abs(x["z"])
        kind = "wrong" if x["alarm"] else "right"
        span = {"value": ratio, "low": ratio - reach, "high": ratio + reach}
        lines.append({**span, "kind": kind, "note": f"{x['taken']:,}", "name": offer(x["offer_id"])})
    title = "how often it occurs, over how often its chances say"
    chart = forest(lines[:_MOST], title, {"wrong": MARK, "right": STRONG}, zero=1.0, head="times taken")
    words = f"Observed over expected frequency of {len(lines)} offers, with 95 % intervals."
    return Chart("propensities", words, finished(chart))


def weight_chart(d: Document) -> Chart:
    """Shares of decisions, and of all weight, by the weight of a decision."""
    import altair as alt

    kinds = ["decisions", "their weight"]
    order = [_bin(x) for x in d["weights"]]
    values = [
        {"weight": name, "kind": kind, "share": x[key]}
        for name, x in zip(order, d["weights"], strict=True)
        for kind, key in zip(kinds, ("rows", "weight"), strict=True)
    ]
    chart = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar()
        .encode(
            x=alt.X("weight:N", sort=order, title="how often a decision counts", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("share:Q", title="share", axis=alt.Axis(format=".0%", tickCount=5)),
            xOffset=alt.XOffset("kind:N", sort=kinds),
            color=alt.Color("kind:N", sort=kinds, title=None, scale=alt.Scale(domain=kinds, range=[SOFT, STRONG])),
        )
        .properties(width=WIDTH, height=190)
    )
    words = "Histogram: shares of decisions and of all weight by the weight of a decision."
    return Chart("weights", words, finished(chart))


def _bin(x: Document) -> str:
    """A bin of weights: 0, below 0.1, 0.1–0.5, above 50."""
    if x["to"] is None:
        return f"above {x['from']:g}"
    if x["to"] == 0:
        return "0"
    return f"{x['from']:g}–{x['to']:g}" if x["from"] > 0 else f"below {x['to']:g}"


def _thousand(value: float | None) -> float | None:
    return None if value is None else THOUSAND * value
