"""The report of a simulation: which policy earns most in a world whose truth is known, and how bad it can get."""

from pathlib import Path
from typing import Any

from api.pages import blocks, simulation_charts, simulation_trust
from api.pages.blocks import ReportFiles
from api.pages.charts import Chart
from api.pages.figures import NONE, count, money, percent, text
from sims.comparison import Compared
from sims.policies import ORACLE

Document = dict[str, Any]


def write_simulation_report(document: Document, compared: Compared, folder: Path) -> ReportFiles:
    """Write the page and its charts into a folder; the same runs give the same page.

    Args:
        document: what `sims.comparison.summarised` answered, with what `sims.trust.trusted` did as its `trust`, and
            as `data` the version of the tables that the world was fitted to, if it was.
        compared: the runs that it speaks of.
        folder: made where it is missing.

    Raises:
        OSError: the folder cannot be written.
    """
    return blocks.publish(
        document, folder, lambda d: draw_charts(d, compared), lambda d, drawn: render(d, compared, drawn)
    )


def draw_charts(d: Document, compared: Compared) -> dict[str, Chart]:
    """All charts, by section; the reference first, then the others from the best to the worst."""
    policies = _ranked(d)
    shown = [policy for policy in (d["reference"], ORACLE) if policy in compared.policies]
    drawn = {"shares": simulation_charts.share_chart(d)} if policies else {}
    if len(policies) > 1:
        drawn["differences"] = simulation_charts.difference_chart(d)
    if policies:
        drawn["learning"] = simulation_charts.learning_chart(compared, policies)
        drawn["regret"] = simulation_charts.regret_chart(compared, policies)
        drawn["phases"] = simulation_charts.phase_chart({policy: compared.phases(policy) for policy in policies})
    drawn["spend"] = simulation_charts.spend_chart(compared, [*policies, ORACLE])
    drawn["traffic"] = simulation_charts.traffic_chart(compared, tuple(dict.fromkeys(shown)))
    return drawn | simulation_trust.draw_charts(d, compared)


def _ranked(d: Document) -> list[str]:
    others = sorted(
        (policy for policy in d["summary"] if policy not in (d["reference"], ORACLE)),
        key=lambda policy: -float(d["summary"][policy]["oracle_share"]),
    )
    return ([] if d["reference"] == ORACLE else [d["reference"]]) + others


def render(d: Document, compared: Compared, drawn: dict[str, Chart]) -> str:
    """The page."""
    days, seeds = compared.daily(ORACLE, "reward").shape[1], compared.seeds
    named = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds, {seeds[0]} to {seeds[-1]}"
    fitted = f" · fitted to data {text(d['data'])}" if d.get("data") else ""
    header = (
        f'<p class="when">Simulation · {count(days)} days · {named}{fitted} · money is true expected profit</p>'
        f"<h1>{text(d['world'])}</h1>" + f'<p class="story">{text(story(d))}</p>'
    )
    parts = [
        _cards(d),
        _policies(d, drawn),
        _over_time(d, compared, drawn),
        _money(d, drawn),
        _traffic(drawn),
        simulation_trust.section(d, drawn),
        _time(d),
    ]
    return blocks.page(f"{text(d['world'])} · simulation", header, "".join(parts))


def story(d: Document) -> str:
    """The comparison in words for the person who decides what is used."""
    own = d["summary"][d["reference"]]
    words = f"{d['reference']} earns {percent(own['oracle_share'])} of what would be possible within the same limits"
    words += f" to somebody who knows the truth; in the worst world {percent(own['worst'])}."
    others = [policy for policy in _ranked(d) if policy != d["reference"]]
    if not others:
        return words
    behind = d["summary"][others[0]]["behind"]
    points = f"{abs(100 * behind['value']):.1f} points"
    apart = f"{others[0]} earns {points} {'less' if behind['value'] > 0 else 'more'}"
    if behind["low"] is None:
        return f"{words} {apart}; one seed says nothing of chance."
    if behind["low"] > 0:
        return f"{words} That is {points} more than the next, {others[0]}, and more than chance explains."
    if behind["high"] < 0:
        return f"{words} {apart}, and more than chance explains."
    return f"{words} {apart}, which chance may explain."


def _cards(d: Document) -> str:
    own = d["summary"][d["reference"]]
    spread = "" if own["low"] is None else f"95 % interval {percent(own['low'])} to {percent(own['high'])}"
    figures = [
        (f"{d['reference']}, of the oracle", percent(own["oracle_share"]), spread),
        ("Worst seed", percent(own["worst"]), f"seed {own['worst_seed']}"),
        ("Worst day", percent(own["worst_day_share"]), "of the oracle's that day"),
        ("Given away", money(own["regret"]), "against the oracle, mean of a seed"),
    ]
    return blocks.cards(figures)


def _policies(d: Document, drawn: dict[str, Chart]) -> str:
    if "shares" not in drawn:
        return ""
    note = (
        "All policies meet the same customers in the same worlds, within the same limits; the oracle knows the truth "
        "and plans with it. Worlds differ in luck, so differences are taken within each seed."
    )
    rows = [_row(policy, d["summary"][policy]) for policy in [*_ranked(d), ORACLE]]
    heads = ("policy", "of the oracle", "95 % interval", "worst seed", "worst day", "reward", "behind", "refused days")
    body = blocks.figure(drawn["shares"])
    if "differences" in drawn:
        body += blocks.figure(drawn["differences"])
    return blocks.section("Who earns how much?", note, body + blocks.table(heads, rows))


def _row(policy: str, x: Document) -> tuple[str, ...]:
    behind = x["behind"]
    return (
        text(policy),
        percent(x["oracle_share"]),
        _span(x),
        f"{percent(x['worst'])} <small>({x['worst_seed']})</small>",
        percent(x["worst_day_share"]),
        money(x["reward"]),
        NONE if behind is None else f"{percent(behind['value'])} <small>({_span(behind)})</small>",
        count(x["refused_days"]),
    )


def _span(x: Document) -> str:
    return NONE if x["low"] is None else f"{percent(x['low'])} to {percent(x['high'])}"


def _over_time(d: Document, compared: Compared, drawn: dict[str, Chart]) -> str:
    if "learning" not in drawn:
        return ""
    note = "Bands are 95 % intervals over seeds. Regret is what the oracle earns more within the same limits."
    phases = {policy: compared.phases(policy) for policy in _ranked(d)}
    heads = ("policy", *(f"days {x['first']}–{x['last']}" for x in next(iter(phases.values()))))
    rows = [(text(policy), *(money(x["value"]) for x in parts)) for policy, parts in phases.items()]
    table = blocks.details("Regret per day in each part of the run", blocks.table(heads, rows))
    charts = "".join(blocks.figure(drawn[name]) for name in ("learning", "regret", "phases"))
    return blocks.section("How fast is it learnt?", note, charts + table)


def _money(d: Document, drawn: dict[str, Chart]) -> str:
    note = "A day's spend in true expected cost, as a share of its budget; no policy may exceed it on any day."
    rows = [(text(p), money(x["spend"]), money(x["budget"])) for p, x in d["summary"].items()]
    table = blocks.details("Mean of a seed", blocks.table(("policy", "spend", "budget"), rows))
    return blocks.section("What is spent?", note, blocks.figure(drawn["spend"]) + table)


def _traffic(drawn: dict[str, Chart]) -> str:
    note = "Shares of each day's customers over all seeds; an offer that grows has been found to be good."
    return blocks.section("Who gets what?", note, blocks.figure(drawn["traffic"]))


def _time(d: Document) -> str:
    rows = [
        (
            text(policy),
            f"{x['seconds']:,.1f}",
            NONE if not x["decisions_per_second"] else count(x["decisions_per_second"]),
        )
        for policy, x in d["summary"].items()
    ]
    note = "CPU seconds of deciding and learning in all runs, and decisions per CPU second."
    return blocks.section("How long does it take?", note, blocks.table(("policy", "CPU seconds", "per second"), rows))
