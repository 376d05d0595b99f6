"""The training report: one self-contained page about a prior, and its charts as PNG."""

from typing import Any

from api.pages import blocks, training_charts
from api.pages.charts import Chart
from api.pages.figures import NONE, count, decimal, moment, percent, sentence, text
from api.training_words import words_of

Document = dict[str, Any]


def draw_charts(d: Document) -> dict[str, Chart]:
    """The charts that there is something for, by section."""
    drawn: dict[str, Chart] = {}
    words = words_of(d)
    rivals = [(name, loss) for name, loss in words.losses(d) if loss is not None]
    if len(rivals) > 1:
        title = f"{words.loss} on held-out rows, {words.unit}"
        drawn["losses"] = training_charts.loss_chart(rivals, title, words.kind.loss_in_words)
    if d["calibration"] and words.predicted == "chances":
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
    words = words_of(d)
    header = (
        f'<p class="when">Training as of {text(moment(d["as_of"]))} · a {words.loss} is in {words.unit}</p>'
        f"<h1>{text(d['prior'])}</h1>" + f'<p class="story">{text(story(d))}</p>{_standing(d)}'
    )
    body = "".join([_cards(d), _losses(d, drawn), _reliability(d, drawn), _ranking(d, drawn), _arms(d, drawn)])
    return blocks.page(f"{text(d['prior'])} · training", header, body + _gain(d, drawn) + _notes(d))


def story(d: Document) -> str:
    """The model in words for the person who is responsible for it."""
    first = f"Trained on {count(d['rows'])} exposures and judged on the latest {count(d['holdout_rows'])} of them."
    if d["constant"]:
        return f"{first} It says the same of everybody: {d['constant']}."
    words = words_of(d)
    mine = d[words.key]
    (level, base), (line, straight), _ = words.losses(d)
    gain = 1 - mine / base if base else 0.0
    told = f"{first} Its {words.loss} is {percent(abs(gain))} {'better' if gain >= 0 else 'worse'} than the {level}'s"
    if straight:
        against = 1 - mine / straight
        told += f" and {percent(abs(against))} {'better' if against >= 0 else 'worse'} than a {line}'s"
    return f"{told}."


def _standing(d: Document) -> str:
    if d["in_use"]:
        forced = d["refused"] or d["forced"]
        return f'<p class="warning"><strong>Forced into use.</strong> {text(forced)}.</p>' if forced else ""
    return f'<p class="warning"><strong>Not put to use:</strong> {text(d["refused"])}.</p>'


def _cards(d: Document) -> str:
    words = words_of(d)
    told = words.kind.loss_in_words
    base = d[f"base_{words.key}"]
    brier = [] if d["brier"] is None else [("Brier score", decimal(d["brier"]), "mean squared error of the chance")]
    figures = [
        ("Exposures", count(d["rows"]), f"{words.rate} {words.figure(d['rate'])}"),
        (sentence(words.loss), told(d[words.key]), f"{words.level} {told(base)}"),
        *brier,
        ("Trees", count(d["trees"]), "chosen on the held-out rows"),
    ]
    return blocks.cards(figures)


def _losses(d: Document, drawn: dict[str, Chart]) -> str:
    note = (
        "All are fitted to the same earlier rows; the regression and the trees are calibrated on the other half of "
        "the held-out customers. The trees' number was chosen on these rows, which flatters them slightly."
    )
    words = words_of(d)
    rows = [(name, NONE if loss is None else words.kind.loss_in_words(loss)) for name, loss in words.losses(d)]
    body = (blocks.figure(drawn["losses"]) if "losses" in drawn else "") + blocks.table(("model", words.loss), rows)
    return blocks.section("Against plain rivals", note, body + _predecessor(d))


def _predecessor(d: Document) -> str:
    old = d["predecessor"]
    if old is None:
        return "<p>It is the first model.</p>"
    if not old.get("rows"):
        return f"<p>It could not be compared with <code>{text(old['prior'])}</code>, which was in use.</p>"
    words = words_of(d)
    names = (words.key, f"other_{words.key}", "difference", "std_error")
    mine, other, difference, error = (words.kind.loss_in_words(old[name]) for name in names)
    sign = "+" if old["difference"] >= 0 else ""
    told = (
        f"On {count(old['rows'])} rows that neither was fitted to, the {words.loss} is {mine}; that of "
        f"<code>{text(old['prior'])}</code>, which was in use, is {other} "
        f"(difference {sign}{difference}, standard error {error})."
    )
    return f"<p>{told}</p>"


def _reliability(d: Document, drawn: dict[str, Chart]) -> str:
    if not d["calibration"]:
        return ""
    words = words_of(d)
    note = "Held-out rows in ten bins from the lowest prediction to the highest."
    lines = [(words.figure(x["predicted"]), words.figure(x["observed"]), count(x["rows"])) for x in d["calibration"]]
    body = blocks.table(("predicted", "observed", "rows"), lines)
    if "reliability" in drawn:
        note += " On the dashed line, predicted chances come true; the bars are 95 % intervals of the observed share."
        body = blocks.figure(drawn["reliability"]) + blocks.details("The bins", body)
    return blocks.section(f"Do predicted {words.predicted} come true?", note, body)


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
    words = words_of(d)
    rows = [
        (
            text(_arm(line)),
            count(line["rows"]),
            words.figure(line["rate"]),
            "known" if line["warm"] else "new",
            count(line["holdout_rows"]),
            words.figure(line["predicted"]),
            words.figure(line["observed"]),
        )
        for line in d["arms"]
    ]
    note = (
        "New offers have too few rows to be told apart; they start from the mean of the known ones, and learning takes "
        "them from there. The last two columns are of held-out rows."
    )
    heads = ("offer", "log rows", words.rate, "standing", "held-out rows", "predicted", "observed")
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
