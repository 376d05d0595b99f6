"""The allocation report: one self-contained page without scripts, and its charts as PNG."""

from pathlib import Path

from api.pages import blocks, charts, evaluation, sections
from api.pages.blocks import ReportFiles
from api.pages.charts import Chart
from api.pages.evidence import ReportEvidence
from api.pages.figures import STATUS, moment, named, planned, story, text


def write_report(evidence: ReportEvidence, folder: Path) -> ReportFiles:
    """Write the page and its charts into a folder; the same evidence gives the same page.

    Raises:
        OSError: the folder cannot be written.
    """
    return blocks.publish(evidence, folder, draw_charts, render)


def draw_charts(evidence: ReportEvidence) -> dict[str, Chart]:
    """The charts that this evidence has something for, by section."""
    summary = evidence.summary
    drawn: dict[str, Chart] = {}
    if evidence.heat is not None and evidence.heat.counts.size:
        drawn["heat"] = charts.heat_chart(evidence.heat)
    if evidence.funnel:
        drawn["funnel"] = charts.funnel_chart(evidence.funnel)
    if evidence.option_probability.size:
        bins = charts.probability_bins(evidence.chosen_probability, evidence.option_probability)
        drawn["probabilities"] = charts.probability_chart(bins)
    if evidence.frontier:
        now = next((x["maximum"] for x in summary["limits"] if x["name"] == evidence.frontier_limit), None)
        name = evidence.frontier_limit
        drawn["frontier"] = charts.frontier_chart(evidence.frontier, name, now, planned(summary))
    if evidence.evaluation is not None:
        drawn |= evaluation.draw_charts(evidence.evaluation)
    return drawn


def render(evidence: ReportEvidence, drawn: dict[str, Chart]) -> str:
    """The page."""
    summary = evidence.summary
    name = text(summary["campaign"]["name"])
    header = (
        f'<p class="when">Allocation of {text(moment(summary["campaign"]["as_of"]))} · objective: '
        f"{text(summary['campaign']['objective'])} · amounts are in the money units of your offers</p>"
        f'<h1>{name}</h1><p class="story">{text(story(summary))}</p>{_warning(summary["status"])}'
    )
    body = "".join([sections.cards(summary), *_sections(evidence, drawn)])
    return blocks.page(f"{name} · allocation", header, body)


def _sections(evidence: ReportEvidence, drawn: dict[str, Chart]) -> list[str]:
    summary = evidence.summary
    out = [sections.limits(summary)]
    if "frontier" in drawn:
        out.append(sections.frontier(evidence, drawn["frontier"]))
    out.append(sections.books(summary))
    if evidence.heat is not None and "heat" in drawn:
        out.append(sections.heat(summary, evidence.heat, drawn["heat"]))
    out += [sections.offers(evidence), sections.funnel(evidence, drawn.get("funnel"))]
    if "probabilities" in drawn:
        bins = charts.probability_bins(evidence.chosen_probability, evidence.option_probability)
        out.append(sections.probabilities(bins, drawn["probabilities"]))
    if evidence.evaluation is not None:
        out += evaluation.sections(evidence.evaluation, drawn)
    out.append(sections.reproduce(summary))
    return out


def _warning(status: str) -> str:
    if status == "released":
        return ""
    words = STATUS.get(status, "See the limits below.")
    return f'<p class="warning"><strong>Not released: {text(named(status))}.</strong> {text(words)}</p>'
