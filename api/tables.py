"""The answers of each command as a person reads them: a sentence or two, then a table where there is one."""

from collections.abc import Iterable
from typing import Any

from api.console import change, number, percent, safe, say, table
from api.training_words import Words, words_of

Document = dict[str, Any]


def initialised(d: Document) -> None:
    """Where the workspace is and what comes next."""
    say(
        f"{'Made' if d['made'] else 'Found'} the workspace [bold]{safe(d['workspace'])}[/].",
        "Next: allot load --customers FILE --offers FILE --exposures FILE",
    )


def loaded(d: Document) -> None:
    """Rows per table and warnings."""
    table("Loaded", ("table", "rows"), [(name, d[name]) for name in d["tables"]])
    _warn(d)
    say("Next: allot train")


def trained(d: Document) -> None:
    """How good the prior is, whether it is used, and how much each arm has been seen."""
    words = words_of(d)
    say(_judged(d, words))
    cross = d["cross"]
    if cross is not None:
        what = "What there was between a customer and the very offer, its channel and its category"
        say(f"{what} (cross columns) is {'used' if cross['used'] else 'not used'}: {cross['because']}.")
    columns = ("offer", "rows", words.rate, "standing", "held-out rows", "predicted", "observed")
    table("What the log knows of each offer", columns, [_arm(a) for a in d["arms"]])
    if d["ranking"]:
        lines = [(x["k"], x["recall"], x["rate_recall"], x["ndcg"], x["rate_ndcg"]) for x in d["ranking"]]
        names = ("first offers", "recall", "recall of rates", "NDCG", "NDCG of rates")
        table("Held-out successes, ranked for each customer", names, lines)
    _warn(d)
    _succeeded(d)


def _judged(d: Document, words: Words) -> str:
    """The trees against their rivals on the held-out rows; where they are not used, what is used instead."""
    trained = f"Trained on {d['rows']:,} exposures"
    (level, _), (line, straight), (_, trees) = words.losses(d)
    base = d[f"base_{words.key}"]
    everybody = f"the {words.rate} of all, {words.figure(d['rate'])}, is used for everybody"
    if d["constant"] and trees is None:
        return f"{trained}; {everybody}: {d['constant']}."
    loss = d[words.key] if trees is None else trees
    told = words.kind.loss_in_words
    linear = "" if straight is None else f", {told(straight)} of a {line}"
    held = f"on {d['holdout_rows']:,} held out"
    judged = f"{trained}; {held}, {words.loss} {told(loss)} against {told(base)} of the {level}"
    if d["constant"]:
        return f"{judged}{linear}: trees are no better than the {level}, and {everybody}."
    gain = 1 - loss / base if base else 0.0
    return f"{judged} ({abs(gain):.1%} {'better' if gain >= 0 else 'worse'}){linear}."


def _arm(a: Document) -> tuple[Any, ...]:
    held = ["-" if a[name] is None else a[name] for name in ("predicted", "observed")]
    rate = "-" if a["rate"] is None else a["rate"]
    return (a["offer_id"] or "no offer", a["rows"], rate, "known" if a["warm"] else "new", a["holdout_rows"], *held)


def _succeeded(d: Document) -> None:
    """Whether the model is used now."""
    page = f"Report: allot report {d['prior']}"
    if not d["in_use"]:
        say(
            f"[bold red]Not put to use[/]: {safe(d['refused'])}. {d['predecessor']['prior']} stays in use.",
            f"{page}. To use the new model all the same: allot train --force",
        )
        return
    if d["refused"]:
        say(f"[bold red]Forced into use[/]: {safe(d['refused'])}.")
    old = d["predecessor"]
    if old is not None and old.get("rows"):
        words = words_of(d)
        mine, other = (words.kind.loss_in_words(old[name]) for name in (words.key, f"other_{words.key}"))
        say(
            f"On {old['rows']:,} rows that neither was fitted to, {words.loss} {mine} against {other} of the model it "
            "replaces."
        )
    say(f"Model {d['prior']} with {d['posterior']}. Next: allot allocate CAMPAIGN.toml", page)


_WAITING = {
    "draft": "it does not count until somebody else approves it. Next: allot approve {allocation_id} --by NAME.",
    "approved": "it does not count until it is released. Next: allot release {allocation_id}.",
}


def handled(d: Document) -> None:
    """An allocation that was approved or released."""
    said = _WAITING.get(d["status"], "its decisions count from now on.").format(**d)
    say(f"{d['allocation_id']} is {d['status']}: {said}", f"Decisions: {safe(d['decisions'])}")


def allocated(d: Document) -> None:
    """The plan: what it is planned to earn and cost, and every limit."""
    if d["status"] in _WAITING:
        say(f"[bold]{d['status'].capitalize()}[/]: {_WAITING[d['status']].format(**d)}")
    elif d["status"] != "released":
        say(
            f"[bold red]Not released[/] ({d['status']}): no draw kept {safe(', '.join(d['breached']))}.",
            "Widen these limits, or set exploration.temperature = 0 for the deterministic optimum.",
        )
    say(
        f"[bold]{d['chosen']:,}[/] of {d['audience']:,} customers get an offer; {d['no_offer']:,} get none, "
        f"{d['no_eligible']:,} have no eligible offer, {d['held_out']:,} are held out.",
        f"Planned {d['campaign']['objective']} {number(d['planned_value'])}{_perhaps(d)} at an expected cost of "
        f"{number(d['planned_cost'])}.",
    )
    if d.get("cost_of_chance") is not None:
        say(cost_of_chance(d))
    offers = [(o["offer_id"], o["chosen"], o["eligible"], o["planned_value"], o["planned_cost"]) for o in d["offers"]]
    table("Offers", ("offer", "chosen", "eligible", "planned value", "expected cost"), offers)
    if d["limits"]:
        rows = [
            (x["name"], x["measure"], x["used"], _bound(x["minimum"]), _bound(x["maximum"]), x["slack"], x["price"])
            for x in d["limits"]
        ]
        table("Limits", ("limit", "measure", "used", "minimum", "maximum", "slack", "price of one unit"), rows)
    if d["mechanism"] == "deterministic":
        say("Temperature 0: the optimum for what is believed now. Nothing can be learnt from these decisions.")
    _warn(d)
    stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in d["seconds"].items())
    say(
        f"{stages}; peak memory {d['peak_memory_mb']:,.0f} MB.",
        f"Allocation {d['allocation_id']}: {safe(d['decisions'])}",
    )


def _perhaps(d: Document) -> str:
    """Between what it may come out, four times of five; of an allocation that says so."""
    x = d.get("planned_range")
    return "" if x is None else f" (between {number(x['p10'])} and {number(x['p90'])} four times of five)"


def cost_of_chance(d: Document) -> str:
    """What the plan gives up so that the chance of every choice is known."""
    x = d["cost_of_chance"]
    about = "about " if x["sampled"] else ""
    share = max(x["given_up_share"], 0.0)
    part = percent(share) if share < 1.0 else "all of its worth, or more"
    than = f"{number(max(x['given_up'], 0.0))} ({part}) less than the best fixed plan, {number(x['best_fixed_value'])}"
    if share > _MUCH:
        return (
            f"That is {about}{than}. So much is lost to chance because beliefs are still wide, or limits narrow for a "
            "draw. A lower exploration temperature gives up less, temperature 0 nothing, but from fixed choices one "
            "cannot learn."
        )
    return (
        f"That is {about}{than}, and {percent(x['of_bound'])} of what no plan can "
        f"exceed, {number(x['bound'])}: the cost of choices whose chances are known, from which one can learn."
    )


def supposed(d: Document) -> None:
    """What other limits would bring, beside the campaign as written."""
    objective = d["campaign"]["objective"]
    say(
        f"What if, for campaign [bold]{safe(d['campaign']['name'])}[/] and the {d['deciding']:,} of {d['audience']:,} "
        "customers who can get something. Nothing is kept, and no allocation is touched."
    )
    lines = [d["as_written"], *d["scenarios"]]
    columns = ("scenario", objective, "change", "cost", "change", "contacts", "customers changed")
    table("Best plans", columns, [_scenario(line) for line in lines])
    for line in lines:
        if line["conflict"] is not None:
            say(f"[bold]{safe(line['scenario'])}[/]: {safe(line['conflict']['what'])}")
            say(f"  {safe(line['conflict']['remedy'])}")
    _limits_of_scenarios(lines)
    for line in d["scenarios"][:_TOLD]:
        if line["difference"] is not None and line["difference"]["customers"]:
            say(f"[bold]{safe(line['scenario'])}[/]: {_moves(line['difference'])}")
    for limit in d["as_written"]["limits"]:
        if limit["price_range"] is not None:
            say(_last_unit(limit, objective))
    say(_basis(d))
    if d["changes"] is not None:
        say(f"Who changes: {safe(d['changes'])}")


_MUCH = 0.25  # of the best fixed plan's value, given up to chance
_TERMS = 8  # of a score, told one by one
_TOLD = 6
"""Scenarios, and moves of each, that are told in words; the rest is in the JSON."""

_MOST_ROWS = 40
"""Rows of a table that people still read."""


def _scenario(line: Document) -> tuple[Any, ...]:
    if line["conflict"] is not None:
        return (line["scenario"], "no plan", *["-"] * 5)
    more = line.get("difference")
    moved = None if more is None else (change(more["planned_value"]), change(more["planned_cost"]))
    value, cost = moved or ("-", "-")
    people = "-" if more is None else more["customers"]
    return (line["scenario"], line["planned_value"], value, line["planned_cost"], cost, line["contacts"], people)


def _limits_of_scenarios(lines: list[Document]) -> None:
    """Every limit of every scenario, or only those with a price or a new bound where that would be too long."""
    short = sum(len(line["limits"]) for line in lines) > _MOST_ROWS
    rows = []
    for line in lines:
        new = {x["limit"] for x in line["set"]}
        shown = [x for x in line["limits"] if not short or x["price"] != 0 or x["name"] in new]
        for i, x in enumerate(shown):
            span = x["price_range"]
            holds = "-" if span is None else " to ".join(number(span[e]) for e in ("estimated_low", "estimated_high"))
            name = line["scenario"] if i == 0 else ""
            rows.append((name, x["name"], _measured(x, x["used"]), _between(x), x["price"], holds))
    if rows:
        title = "Limits with a price or a new bound" if short else "Limits"
        table(title, ("scenario", "limit", "used", "allowed", "last unit brings", "about so from, to"), rows)


def _measured(limit: Document, value: float) -> str:
    return percent(value) if limit["share"] else number(value)


def _between(limit: Document) -> str:
    low, high = limit["minimum"], limit["maximum"]
    if low is not None and high is not None:
        return f"{_measured(limit, low)} to {_measured(limit, high)}"
    if low is None and high is None:
        return "any"
    return f"≥ {_measured(limit, low)}" if high is None else f"≤ {_measured(limit, high)}"


def _moves(difference: Document) -> str:
    """Who changes from what to what."""
    told = difference["moves"][:_TOLD]
    words = [f"{m['customers']:,} {_name(m['before'])} → {_name(m['after'])}" for m in told]
    left = sum(m["customers"] for m in difference["moves"][_TOLD:])
    rest = f", {left:,} otherwise" if left else ""
    people = "customer changes" if difference["customers"] == 1 else "customers change"
    return f"{difference['customers']:,} {people}: {', '.join(words)}{rest}."


def _name(offer_id: str | None) -> str:
    return "no offer" if offer_id is None else safe(offer_id)


def _last_unit(limit: Document, objective: str) -> str:
    span = limit["price_range"]
    low, high = (number(span[end]) for end in ("estimated_low", "estimated_high"))
    within = f"(an estimate, within {span['tolerance']:.0%})"
    return (
        f"As written, the last unit of {safe(repr(limit['name']))} brings {number(limit['price'])} of {objective}; "
        f"about so much from a maximum of {low} to {high} {within}."
    )


def _basis(d: Document) -> str:
    gaps = [line["gap"] for line in (d["as_written"], *d["scenarios"]) if line["gap"] is not None]
    words = f"These are fixed plans in posterior means, each within {percent(max(gaps, default=0.0))} of the best."
    if d["random_less"] is None:
        return words + (" Temperature 0 allocates just such a plan." if d["temperature"] == 0 else "")
    return (
        f"{words} The plan that `allot allocate` draws is random, so that one can learn from it: it is planned to be "
        f"worth about {percent(d['random_less'])} less (an estimate)."
    )


def reproduced(d: Document) -> None:
    """Whether the recomputed decisions are the stored ones."""
    verdict = "the same bytes" if d["identical"] else "[bold red]other bytes[/]"
    say(f"Recomputed {d['allocation_id']} from its version stamp: {verdict} ({d['sha256']}).")


def fed_back(d: Document) -> None:
    """What became of each record."""
    rows = [(name, d[name]) for name in ("accepted", "duplicate", "corrected", "pending", "rejected")]
    table("Feedback", ("", "records"), rows)
    for reason in d["reasons"][:20]:
        say(f"  line {reason['line']}: {safe(reason['reason'])}")
    _warn(d)


def learnt(d: Document) -> None:
    """What was folded and what still waits."""
    say(
        f"Folded {d['folded']:,} outcomes and {d['filled']:,} decisions without feedback counted as outcome 0; "
        f"{d['waiting']:,} decisions are too young ({d['overlaid']:,} of them count for now). The posterior is "
        f"{d['posterior']}."
    )
    if len(d["experts"]) > 1:
        say(f"Experts, by how well they foresaw outcomes: {_parts(d['experts'].items())}.")
    _warn(d)


def _parts(shares: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {percent(share)}" for name, share in shares)


def explained(d: Document) -> None:
    """One customer, every offer: probability and money, or the rules that exclude it."""
    who = f"Customer {safe(d['customer_id'])} in allocation {d['allocation_id']}"
    say(f"{who}: [bold]{safe(d['sentence'])}[/]")
    rows = [
        (
            o["offer_id"] or "no offer",
            o["probability"],
            o[d["outcome"]],
            o["value"],
            o["cost"],
            o["price"],
            "; ".join(o["excluded_by"]) or ("chosen" if o["offer_id"] == d["chosen"] else o["why"]),
        )
        for o in d["offers"]
    ]
    nothing = d["no_offer"]
    rows.append(("no offer", nothing["probability"], "-", 0, 0, 0, "chosen" if d["chosen"] is None else ""))
    columns = ("offer", "chosen with", d["outcome"], "value", "cost", "charge", "")
    table("Offers", columns, rows)
    if d["without_reasons"]:
        say(f"[yellow]note:[/] the score cannot be taken apart: {safe(d['without_reasons'])}")
    if d["reasons"]:
        _score(d)


def _score(d: Document) -> None:
    """The terms of the chosen offer's score, the small ones together."""
    unit = "logit" if d["outcome"] == "success" else "amount"
    told = [r for r in d["reasons"] if r["part"] not in ("prior", "learnt")]
    terms = sorted((r for r in d["reasons"] if r["part"] in ("prior", "learnt")), key=lambda r: -abs(r["worth"]))
    small = terms[_TERMS:]
    rest = {"part": "", "term": f"{len(small)} smaller terms", "worth": sum(r["worth"] for r in small)}
    rest[unit] = sum(r[unit] for r in small)
    rows = [told[0], *terms[:_TERMS], *([rest] if small else []), *(r for r in told[1:] if r["worth"] != 0.0)]
    cells = [(r["part"], safe(r["term"]), _bound(r[unit]), r["worth"]) for r in rows]
    cells.append(("", "value less charge", "-", d["score"]))
    table(f"What the score of {safe(d['chosen'])} is made of", ("from", "term", unit, "worth"), cells)
    if len(d["experts"]) > 1:
        told = [f"{x['expert']} {change(x['logit'])} (believed {percent(x['share'])})" for x in d["experts"]]
        say(f"Of the learnt logits: {', '.join(told)}.")


def reported(d: Document) -> None:
    """Where the page is."""
    say(f"Report: {safe(d['html'])}", *(f"Chart: {safe(path)}" for path in d["charts"]))


def _bound(value: float | None) -> Any:
    return "-" if value is None else value


def _warn(d: Document) -> None:
    for warning in d.get("warnings", ()):
        say(f"[yellow]note:[/] {safe(warning)}")
