import re
import struct
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from evaluation_documents import estimate, evaluation

from allot import ShapeError
from api.pages import Heat, ReportEvidence, write_report
from api.pages.charts import probability_bins, svg
from api.pages.report import draw_charts, render

SEGMENTS = ("starter", "family", "urban")
OFFERS = ("Data by email", "Device by push", "Bundle by call")


def summary(**changes):
    plain = {
        "allocation_id": "a-1f3c",
        "campaign": {"name": "Spring", "as_of": "2026-03-01T00:00:00+00:00", "objective": "profit"},
        "status": "released",
        "planned_value": 18240.4,
        "planned_cost": 9990.2,
        "expected_value": 18235.0,
        "audience": 50_000,
        "chosen": 2130,
        "no_offer": 44_870,
        "no_eligible": 500,
        "held_out": 2500,
        "rejection_rate": 0.02,
        "attempts": 1,
        "mechanism": "balanced",
        "offer_ids": ["offer-01", "offer-02", "offer-03"],
        "offer_names": list(OFFERS),
        "limits": [
            limit("budget", "cost", 9990.2, maximum=10_000.0, price=1.83),
            limit("calls", "count", 431, maximum=900.0),
        ],
        "bound": 18_700.0,
        "deterministic_value": 18_650.0,
        "versions": {"prior": "p7", "posterior": "q9", "rules": "r2", "campaign": "c4", "code": "0.1.0", "data": "d5"},
        "exploration": {"temperature": 1.0, "share": 0.01, "holdout": 0.05},
    }
    return {**plain, **changes}


def limit(name, measure, used, *, minimum=None, maximum=None, price=0.0):
    slack = None if maximum is None else maximum - used
    return {
        "name": name,
        "measure": measure,
        "used": used,
        "minimum": minimum,
        "maximum": maximum,
        "slack": slack,
        "price": price,
    }


def evidence(**changes):
    r = np.random.default_rng(1)
    counts = np.array([[400, 300, 31], [500, 200, 300], [99, 200, 100]])
    lines = (
        {"rule": "consent", "reason": "Customer has refused consent", "first_hit": 1500, "all_hits": 1500},
        {"rule": "eligible_when", "reason": "Offer is not for this customer", "first_hit": 21_000, "all_hits": 22_250},
    )
    offers = tuple(
        {
            "offer_id": f"offer-0{a + 1}",
            "name": OFFERS[a],
            "chosen": int(counts[:, a].sum()),
            "eligible": 42_000 + a,
            "planned_value": 6000.0 + a,
            "planned_cost": 3300.0 + a,
            "mean_probability": 0.02 * (a + 1),
            "uncertainty": 0.35,
            "temperature": 0.4,
        }
        for a in range(3)
    )
    plain = ReportEvidence(
        summary=summary(),
        funnel=lines,
        pairs=150_000,
        eligible_not_chosen=150_000 - 22_500 - 2130,
        heat=Heat(SEGMENTS, OFFERS, counts, counts * 8.5),
        chosen_probability=r.beta(4, 1, 2130),
        option_probability=r.beta(0.3, 2, 9000),
        frontier=tuple({"maximum": 2500.0 * i, "value": 9000.0 * i**0.5, "kind": "planned"} for i in range(1, 9)),
        frontier_limit="budget",
        offers=offers,
        evaluation=evaluation(ess=5321.0),
    )
    return replace(plain, **changes)


def page_of(given):
    return render(given, draw_charts(given))


@pytest.fixture(scope="module")
def page():
    return page_of(evidence())


class Words(HTMLParser):
    """The text of a page outside its drawings and style, and every tag."""

    def __init__(self, page):
        super().__init__()
        self.hidden, self.words, self.tags = 0, [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.hidden += tag in ("svg", "style")

    def handle_endtag(self, tag):
        self.hidden -= tag in ("svg", "style")

    def handle_data(self, data):
        if not self.hidden:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def test_the_page_tells_the_story_of_the_evidence(page):
    text = Words(page).text
    assert "2,130 of 50,000 customers get an offer. Planned profit: 18,240, at an expected cost of 9,990." in text
    assert "“budget” is what holds the plan back: 9,990 of 10,000 are used" in text
    assert "one more money unit of cost would be worth 1.83." in text


def test_every_figure_of_the_evidence_is_on_the_page(page):
    given = evidence()
    text = Words(page).text
    for n in (44_870, 500, 2500, 431, 900, 469, 150_000, 125_370, 21_000, 22_250, 999, 700, 42_001, 5321):
        assert f"{n:,}" in text, n
    for words in ("97.5 %", "6,001", "3,302", "4.0 %", "365", "Customer has refused consent", "2.0 %", "a-1f3c"):
        assert words in text, words
    for version in given.summary["versions"].values():
        assert version in text


def test_the_whole_page_needs_no_network_and_runs_no_script(page):
    tags = Words(page).tags
    assert not {"script", "link", "iframe", "img", "image", "object", "embed", "use"} & {tag for tag, _ in tags}
    for _, attributes in tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
                pytest.fail(f"{name}={value}")
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", page)
    assert not re.search(r"https?://(?!www\.w3\.org/(2000/svg|1999/xlink)\")", page)


def test_names_cannot_smuggle_markup_into_the_page():
    evil = "<script>alert('1')</script>\"&"
    given = evidence()
    changed = replace(
        given,
        summary=summary(
            campaign={"name": evil, "as_of": evil, "objective": evil},
            status=evil,
            limits=[limit(evil, "cost", 1.0, maximum=2.0, price=1.0), limit("n", evil, 1.0, maximum=2.0)],
            versions={evil: evil},
            mechanism=evil,
            allocation_id=evil,
        ),
        funnel=({"rule": "r" + evil, "reason": evil, "first_hit": 1, "all_hits": 1},),
        heat=Heat((evil, "b"), (evil,), np.ones((2, 1), int), np.ones((2, 1))),
        frontier=({"maximum": 1.0, "value": 1.0, "kind": evil}, {"maximum": 2.0, "value": 2.0, "kind": evil}),
        frontier_limit=evil,
        offers=tuple({**line, "name": evil, "offer_id": evil} for line in given.offers),
        evaluation=evaluation(
            target=evil, log=evil, verdict=evil, reasons=[evil], warnings=[evil], estimates=[estimate(evil, 1.0)]
        ),
    )
    page = page_of(changed)
    assert "<script" not in page
    assert evil in "".join(Words(page).words)


def test_the_same_evidence_gives_the_same_bytes(tmp_path):
    first, second = (write_report(evidence(), tmp_path / name) for name in ("one", "two"))
    assert first.html.read_bytes() == second.html.read_bytes()
    assert [p.read_bytes() for p in first.charts] == [p.read_bytes() for p in second.charts]
    assert len(first.html.read_bytes()) < 3_000_000


def test_every_chart_is_a_png_of_twice_its_size_on_the_page(tmp_path):
    given = evidence()
    drawn = draw_charts(given)
    written = write_report(given, tmp_path)
    assert len(written.charts) == len(drawn) == 8
    for path, chart in zip(written.charts, drawn.values(), strict=True):
        content = path.read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert len(content) > 3000
        size = struct.unpack(">II", content[16:24])
        on_page = [float(x) for x in re.search(r'width="([\d.]+)" height="([\d.]+)"', svg(chart)).groups()]
        assert size == tuple(pytest.approx(2 * x, abs=2) for x in on_page)
    left_over = {p.name for p in tmp_path.iterdir()} - {"report.html", *(p.name for p in written.charts)}
    assert not left_over


@pytest.mark.parametrize("written_before", [0, 5])
def test_a_failed_report_leaves_the_earlier_page_alone(tmp_path, monkeypatch, written_before):
    before = write_report(evidence(), tmp_path).html.read_bytes()

    calls = []

    def full(handle):
        calls.append(handle)
        if len(calls) > written_before:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_report(evidence(summary=summary(chosen=2131)), tmp_path)
    assert (tmp_path / "report.html").read_bytes() == before
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_two_drawings_on_a_page_share_no_id(page):
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_every_probability_is_in_one_bin():
    bins = probability_bins(np.array([0.0, 0.05, 0.999, 1.0, 1.0000001]), np.array([[0.5, 0.5], [1e-9, 0.0499]]))
    assert sum(bins.chosen) == 5
    assert (bins.chosen[0], bins.chosen[1], bins.chosen[-1]) == (1, 1, 3)
    assert (bins.options[0], bins.options[10]) == (2, 2)


def test_a_heat_table_of_the_wrong_shape_is_refused():
    with pytest.raises(ShapeError):
        Heat(SEGMENTS, OFFERS[:2], np.zeros((3, 3)), np.zeros((3, 3)))
