"""The sections of the report page: functions from evidence to HTML, empty where there is nothing to say."""

from typing import Final

from api.pages import blocks
from api.pages.charts import Bins, Chart
from api.pages.evidence import Heat, LimitLine, ReportEvidence, Summary
from api.pages.figures import (
    NONE,
    count,
    decimal,
    given_up,
    measured,
    moment,
    money,
    named,
    percent,
    planned,
    price,
    sentence,
    text,
    worth,
)

_BOOKS: Final = (
    ("a", "chosen", "get an offer"),
    ("b", "no_offer", "no offer: none was worth its price, or the draw gave none"),
    ("c", "no_eligible", "no eligible offer"),
    ("d", "held_out", "held out, to measure what offers add"),
)


def cards(summary: Summary) -> str:
    """Key figures."""
    audience = summary["audience"]
    reached = percent(summary["chosen"] / audience if audience else None)
    figures = [
        ("Customers with an offer", count(summary["chosen"]), f"{reached} of {count(audience)}"),
        (sentence(planned(summary)), worth(summary, summary["planned_value"]), "in posterior means"),
        ("Expected cost", money(summary["planned_cost"]), "on contact and on redemption"),
    ]
    best = summary["bound"]
    if best is not None and best > 0:
        share = percent(summary["planned_value"] / best)
        figures.append(("Of what is possible", share, f"upper bound {worth(summary, best)}"))
    lost = given_up(summary)
    if lost is not None:
        about = "about " if summary.get("best_is_sampled", False) else ""
        note = f"{about}{percent(lost.part)} below the best fixed plan, {worth(summary, lost.best)}"
        figures.append(("Price of learning", worth(summary, lost.value), note))
    return blocks.cards(figures)


def books(summary: Summary) -> str:
    """Where the audience went."""
    audience = summary["audience"]
    amounts = {
        "chosen": summary["chosen"],
        "no_offer": summary["no_offer"],
        "no_eligible": summary["no_eligible"],
        "held_out": summary["held_out"],
    }
    shares = {key: n / audience if audience else 0.0 for key, n in amounts.items()}
    bar = "".join(f'<i class="{c}" style="width:{100 * shares[key]:.3f}%"></i>' for c, key, _ in _BOOKS)
    rows = [
        (f'<span class="key {c}"></span>{text(label)}', count(amounts[key]), percent(shares[key]))
        for c, key, label in _BOOKS
    ]
    total = ("audience", count(audience), percent(1.0 if audience else None))
    body = f'<div class="books" aria-hidden="true">{bar}</div>' + blocks.table(("", "customers", "share"), rows, total)
    return blocks.section("Where the audience went", "", body)


def limits(summary: Summary) -> str:
    """Every limit: used, bounds, room left and what more room would be worth."""
    lines = summary["limits"]
    if not lines:
        return blocks.section("Limits", "The campaign has no limits.", "")
    rows = [
        (
            text(line["name"]),
            measured(line, line["used"]) + _bar(line),
            measured(line, line["minimum"]),
            measured(line, line["maximum"]),
            measured(line, line["slack"]),
            text(price(line)),
        )
        for line in lines
    ]
    note = (
        "Used is recounted from the decisions. The last column is what one more unit of room would add to the plan; "
        "limits with such a worth have an orange bar."
    )
    heads = ("limit", "used", "at least", "at most", "room left", "more room is worth")
    return blocks.section("Limits", note, blocks.table(heads, rows))


def offers(evidence: ReportEvidence) -> str:
    """One row for each offer, the most frequent first."""
    lines = sorted(evidence.offers, key=lambda line: (-line["chosen"], line["offer_id"]))
    if not lines:
        return ""
    summary = evidence.summary
    rows = [
        (
            f"{text(line['name'])}<br><code>{text(line['offer_id'])}</code>",
            count(line["chosen"]),
            count(line["eligible"]),
            worth(summary, line["planned_value"]),
            money(line["planned_cost"]),
            percent(line["mean_probability"]),
            decimal(line.get("uncertainty")),
            decimal(line.get("temperature")),
        )
        for line in lines
    ]
    heads = ("offer", "chosen", "eligible", planned(summary), "expected cost", "mean probability")
    total = (
        "all offers",
        count(sum(line["chosen"] for line in lines)),
        count(sum(line["eligible"] for line in lines)),
        worth(summary, sum(line["planned_value"] for line in lines)),
        money(sum(line["planned_cost"] for line in lines)),
        "",
        "",
        "",
    )
    note = (
        "Mean probability: how likely the offer was on average for customers who could get it. Uncertainty: how unsure "
        "we are of its response (logit scale). Temperature: how strongly that uncertainty makes us try it."
    )
    return blocks.section("Offers", note, blocks.table((*heads, "uncertainty", "temperature"), rows, total))


def heat(summary: Summary, table: Heat, chart: Chart) -> str:
    """Offers by segment."""
    note = "Number of customers. Dark cells are where an offer goes; empty ones may be a rule, a price or a preference."
    rows = [
        (text(name), *(f"{count(n)}<br>{worth(summary, float(v))}" for n, v in zip(counts, values, strict=True)))
        for name, counts, values in zip(table.offer_names, table.counts.T, table.value.T, strict=True)
    ]
    caption = f"Customers and {planned(summary)}, by offer and segment"
    details = blocks.details(caption, blocks.table(("offer", *map(text, table.segment_names)), rows))
    return blocks.section("Who gets what", note, blocks.figure(chart) + details)


def funnel(evidence: ReportEvidence, chart: Chart | None) -> str:
    """Why pairs fell out, and whether the books balance."""
    summary, lines = evidence.summary, evidence.funnel
    excluded = sum(line["first_hit"] for line in lines)
    left = evidence.eligible_not_chosen
    rows = [(_rule(line["rule"], line["reason"]), count(line["first_hit"]), count(line["all_hits"])) for line in lines]
    rows.append(("eligible, not chosen", count(left), ""))
    rows.append(("chosen", count(summary["chosen"]), ""))
    total = ("customer-offer pairs", count(evidence.pairs), "")
    note = (
        "A pair is one customer and one offer. Several rules can exclude the same pair: the first column counts it "
        "once, for the first rule in this order; the second for every rule."
    )
    short = evidence.pairs - excluded - left - summary["chosen"]
    warning = "" if short == 0 else f'<p class="warning">{text(count(short))} pairs are not accounted for.</p>'
    body = (blocks.figure(chart) if chart else "") + blocks.table(("rule", "pairs", "all it excludes"), rows, total)
    return blocks.section("Why customers did not get an offer", note, warning + body)


def probabilities(bins: Bins, chart: Chart) -> str:
    """How decided the policy was."""
    note = (
        "Every decision is drawn from known probabilities, and they are logged. Choices near 1 were clear; the others "
        "are where something is learnt, and where other policies can be judged afterwards."
    )
    rows = [(label, count(a), count(b)) for label, a, b in zip(bins.labels, bins.chosen, bins.options, strict=True)]
    total = ("all", count(sum(bins.chosen)), count(sum(bins.options)))
    details = blocks.details(
        "Choices and options by probability", blocks.table(("probability", "choices", "options"), rows, total)
    )
    return blocks.section("How clear the choices were", note, blocks.figure(chart) + details)


def frontier(evidence: ReportEvidence, chart: Chart) -> str:
    """Value against the maximum of the main limit."""
    summary, limit = evidence.summary, evidence.frontier_limit
    line = next((x for x in summary["limits"] if x["name"] == limit), None)

    def size(maximum: float) -> str:
        return measured(line, maximum) if line else money(maximum)

    rows = [
        (size(p["maximum"]), worth(summary, p["value"]), worth(summary, p.get("price")), text(p["kind"]))
        for p in evidence.frontier
    ]
    heads = (f"maximum of {text(limit)}", text(planned(summary)), "one more unit adds", "plan")
    details = blocks.details("The points of the curve", blocks.table(heads, rows))
    note = (
        f"The line is what the best fixed plan could earn if “{text(limit)}” were set differently, everything else "
        "being equal; its slope is the limit's price, drawn at today's maximum."
    )
    if given_up(summary) is not None:
        note += " This plan lies below the line by the price of learning."
    if evidence.price_holds is not None:
        low, high = (size(end) for end in evidence.price_holds)
        note += f" About the same price holds for maxima from {low} to {high} (an estimate, within a tenth)."
    return blocks.section("What more or less room would bring", note, blocks.figure(chart) + details)


def reproduce(summary: Summary) -> str:
    """The version stamp and how the draw went."""
    exploration = summary["exploration"]
    facts = [
        ("allocation", summary["allocation_id"]),
        ("campaign as of", moment(summary["campaign"]["as_of"])),
        ("mechanism", named(summary["mechanism"])),
        ("attempts", count(summary["attempts"])),
        ("draws rejected", percent(summary["rejection_rate"])),
        ("expected before the draw", worth(summary, summary.get("expected_value"))),
        ("temperature", decimal(exploration["temperature"])),
        ("explored share", percent(exploration["share"])),
        ("holdout", percent(exploration["holdout"])),
        *((f"version of {named(key)}", value) for key, value in sorted(summary["versions"].items())),
    ]
    rows = [(text(a), f"<code>{text(b)}</code>") for a, b in facts if b != NONE]
    note = "The same campaign, seed and versions give the same decisions, whatever the order of the customers."
    return blocks.section(
        "How to reproduce this plan", note, f'<div class="facts">{blocks.table(("", ""), rows)}</div>'
    )


def _rule(name: str, reason: str) -> str:
    return text(reason) if name == reason else f"{text(reason)}<br><code>{text(name)}</code>"


def _bar(line: LimitLine) -> str:
    """How much of the maximum is used; nothing without one."""
    maximum = line["maximum"]
    if maximum is None or maximum <= 0:
        return ""
    share = max(0.0, min(1.0, line["used"] / maximum))
    full = ' class="full"' if line["price"] > 0 else ""
    return f'<span class="bar" aria-hidden="true"><i{full} style="width:{100 * share:.2f}%"></i></span>'
