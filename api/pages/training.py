"""The training report: one self-contained page about a prior, and its charts as PNG."""

from typing import Any, Final

from api.pages import blocks, training_charts
from api.pages.charts import Chart
from api.pages.figures import NONE, count, decimal, moment, percent, text

Document = dict[str, Any]

_RIVALS: Final = (
    ("base rate", "base_log_loss"),
    ("logistic regression", "logistic_log_loss"),
    ("trees", "tree_log_loss"),
)


def draw_charts(d: Document) -> dict[str, Chart]:
    """The charts that there is something for, by section."""
    drawn: dict[str, Chart] = {}
    rivals = [(name, d[key]) for name, key in _RIVALS if d[key] is not None]
    if len(rivals) > 1:
        drawn["losses"] = training_charts.loss_chart(rivals)
    if d["calibration"]:
        drawn["reliability"] = training_charts.reliability_chart(d["calibration"])
    if d["ranking"]:
        drawn["ranking"] = training_charts.ranking_chart(d["ranking"])
    gain = [(name, gain) for name, gain in d["gain"].items() if gain > 0]
    if gain:
        drawn["gain"] = training_charts.bar_chart(
            "gain", gain, "total gain of the splits", "Bar chart: the columns that the trees split by, by gain."
        )
    if d["rows"]:
        lines = sorted(((_arm(line), line["rows"]) for line in d["arms"]), key=lambda line: -line[1])
        drawn["support"] = training_charts.bar_chart("support", lines, "log rows", "Bar chart: log rows of each offer.")
    return drawn


def render(d: Document, drawn: dict[str, Chart]) -> str:
    """The page."""
    header = (
        f'<p class="when">Training as of {text(moment(d["as_of"]))} · log losses are in nats</p>'
        f"<h1>{text(d['prior'])}</h1>" + f'<p class="story">{text(story(d))}</p>{_standing(d)}'
    )
    body = "".join([_cards(d), _losses(d, drawn), _reliability(d, drawn), _ranking(d, drawn), _arms(d, drawn)])
    return blocks.page(f"{text(d['prior'])} · training", header, body + _gain(d, drawn) + _notes(d))


def story(d: Document) -> str:
    """The model in words for the person who is responsible for it."""
    first = f"Trained on {count(d['rows'])} exposures and judged on the latest {count(d['holdout_rows'])} of them."
    if d["constant"]:
        return f"{first} It says the same of everybody: {d['constant']}."
    gain = 1 - d["log_loss"] / d["base_log_loss"] if d["base_log_loss"] else 0.0
    better = "better" if gain >= 0 else "worse"
    words = f"{first} Its log loss is {percent(abs(gain))} {better} than the base rate's"
    if d["logistic_log_loss"]:
        against = 1 - d["log_loss"] / d["logistic_log_loss"]
        words += f" and {percent(abs(against))} {'better' if against >= 0 else 'worse'} than a logistic regression's"
    return f"{words}."


def _standing(d: Document) -> str:
    if d["in_use"]:
        forced = d["refused"] or d["forced"]
        return f'<p class="warning"><strong>Forced into use.</strong> {text(forced)}.</p>' if forced else ""
    return f'<p class="warning"><strong>Not put to use:</strong> {text(d["refused"])}.</p>'


def _cards(d: Document) -> str:
    successes = f"{percent(d['rate'])} successes"
    figures = [
        ("Exposures", count(d["rows"]), successes),
        ("Log loss", f"{d['log_loss']:.4f}", f"base rate {d['base_log_loss']:.4f}"),
        ("Brier score", decimal(d["brier"]), "mean squared error of the chance"),
        ("Trees", count(d["trees"]), "chosen on the held-out rows"),
    ]
    return blocks.cards(figures)


def _losses(d: Document, drawn: dict[str, Chart]) -> str:
    note = (
        "All are fitted to the same earlier rows; logistic regression and trees are calibrated on the other half of "
        "the held-out customers. The trees' number was chosen on these rows, which flatters them slightly."
    )
    rows = [(name, f"{d[key]:.4f}" if d[key] is not None else NONE) for name, key in _RIVALS]
    body = (blocks.figure(drawn["losses"]) if "losses" in drawn else "") + blocks.table(("model", "log loss"), rows)
    return blocks.section("Against plain rivals", note, body + _predecessor(d))


def _predecessor(d: Document) -> str:
    old = d["predecessor"]
    if old is None:
        return "<p>It is the first model.</p>"
    if not old.get("rows"):
        return f"<p>It could not be compared with <code>{text(old['prior'])}</code>, which was in use.</p>"
    words = (
        f"On {count(old['rows'])} rows that neither was fitted to, the log loss is {old['log_loss']:.4f}; that of "
        f"<code>{text(old['prior'])}</code>, which was in use, is {old['other_log_loss']:.4f} "
        f"(difference {old['difference']:+.4f}, standard error {old['std_error']:.4f})."
    )
    return f"<p>{words}</p>"


def _reliability(d: Document, drawn: dict[str, Chart]) -> str:
    if "reliability" not in drawn:
        return ""
    note = (
        "Held-out rows in ten bins from the lowest prediction to the highest. On the dashed line, predicted chances "
        "come true; the bars are 95 % intervals of the observed share."
    )
    lines = [(percent(x["predicted"]), percent(x["observed"]), count(x["rows"])) for x in d["calibration"]]
    details = blocks.details("The bins", blocks.table(("predicted", "observed", "rows"), lines))
    return blocks.section("Do predicted chances come true?", note, blocks.figure(drawn["reliability"]) + details)


def _ranking(d: Document, drawn: dict[str, Chart]) -> str:
    if "ranking" not in drawn:
        return ""
    note = (
        "For every held-out success the log's offers are ranked for that customer; recall is how often the offer "
        "that was taken is among the first, NDCG rewards a higher place. Means over customers. Offers that were shown "
        "more often are also taken more often: compare with the offers' rates alone, on the same successes."
    )
    keys = ("recall", "rate_recall", "ndcg", "rate_ndcg")
    rows = [(str(line["k"]), *(f"{line[key]:.3f}" for key in keys)) for line in d["ranking"]]
    heads = ("first offers", "recall", "recall of rates", "NDCG", "NDCG of rates")
    return blocks.section(
        "Does the right offer stand high?", note, blocks.figure(drawn["ranking"]) + blocks.table(heads, rows)
    )


def _arms(d: Document, drawn: dict[str, Chart]) -> str:
    rows = [
        (
            text(_arm(line)),
            count(line["rows"]),
            percent(line["rate"]),
            "known" if line["warm"] else "new",
            count(line["holdout_rows"]),
            percent(line["predicted"]),
            percent(line["observed"]),
        )
        for line in d["arms"]
    ]
    note = (
        "New offers have too few rows to be told apart; they start from the mean of the known ones, and learning takes "
        "them from there. The last two columns are of held-out rows."
    )
    heads = ("offer", "log rows", "success rate", "standing", "held-out rows", "predicted", "observed")
    body = (blocks.figure(drawn["support"]) if "support" in drawn else "") + blocks.table(heads, rows)
    return blocks.section("What the log knows of each offer", note, body)


def _gain(d: Document, drawn: dict[str, Chart]) -> str:
    if "gain" not in drawn:
        return ""
    rows = [(text(name), f"{gain:,.1f}") for name, gain in d["gain"].items()]
    details = blocks.details("All of them", blocks.table(("column", "gain"), rows))
    note = "How much each column's splits improved the fit. Gain says what was used, not what causes what."
    return blocks.section("What the trees split by", note, blocks.figure(drawn["gain"]) + details)


def _notes(d: Document) -> str:
    facts = [*d["warnings"]]
    facts += [f"held monotone: {wish}" for wish in d["monotone"]]
    if d.get("cross") is not None:  # reports of earlier versions say nothing of them
        used = "used" if d["cross"]["used"] else "not used"
        facts.append(
            f"cross columns (what there was between a customer and the very offer, its channel, its category) "
            f"are {used}: {d['cross']['because']}"
        )
    if d["learnt_margins"]:
        facts.append("how much a success brings differs between customers: margins are multiplied accordingly")
    if len(d.get("experts", ())) > 1:  # reports of earlier versions say nothing of them
        facts.append("three posteriors run beside one another; each counts a third until outcomes tell them apart")
    if d["weighted_rows"]:
        facts.append(
            f"{count(d['weighted_rows'])} rows are weighted by their logged propensities; so are all means here"
        )
    return blocks.notes(facts)


def _arm(line: Document) -> str:
    return "no offer" if line["offer_id"] is None else str(line["name"] or line["offer_id"])
