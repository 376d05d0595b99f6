"""The example dashboard and alerts ask for metrics that there are."""

import json
import re
import sys
from pathlib import Path

import pytest

from allot import WorkspaceError
from api.service.metrics import Metrics
from api.service.settings import Settings
from api.service.telemetry import span_of, tracer_of

FOLDER = Path(__file__).parents[3] / "examples" / "operations"
METRIC = re.compile(r"\ballot_[a-z_]+")


def _known() -> dict[str, set[str]]:
    """Sample names by metric, and its labels."""
    metrics = Metrics()
    known: dict[str, set[str]] = {}
    for family in metrics.registry.collect():
        for suffix in {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",)):
            known[family.name + suffix] = set()
    return known


@pytest.mark.parametrize("name", ["dashboard.json", "alerts.yml"])
def test_every_metric_that_is_asked_for_is_there(name: str) -> None:
    text = (FOLDER / name).read_text()
    asked = set(METRIC.findall(text))
    assert len(asked) >= 5
    assert asked <= _known().keys()


def test_the_dashboard_is_a_document_with_a_query_in_every_panel() -> None:
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    assert all(panel["targets"][0]["expr"] for panel in dashboard["panels"])
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"]) >= 8


def test_cpu_is_counted_once_and_costs_what_an_hour_costs() -> None:
    metrics = Metrics()
    metrics.charge_cpu("web", 3_600.0)
    before = metrics.registry.get_sample_value("allot_cpu_seconds_total", {"process": "web"})
    assert before is not None
    sum(i * i for i in range(200_000))
    metrics.charge_cpu("web", 3_600.0)
    spent = metrics.registry.get_sample_value("allot_cpu_seconds_total", {"process": "web"})
    cost = metrics.registry.get_sample_value("allot_cost_total", {"process": "web"})
    assert spent is not None
    assert spent > before
    assert cost == pytest.approx(spent)


class _Span:
    """What a tracer of the extra gives."""

    def __init__(self, seen: list[str]) -> None:
        self._seen = seen

    def __enter__(self) -> "_Span":
        return self

    def __exit__(self, *_: object) -> None:
        self._seen.append("ended")

    def update_name(self, name: str) -> None:
        self._seen.append(name)

    def set_attribute(self, name: str, value: str) -> None:
        self._seen.append(f"{name}={value}")


class _Tracer:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def start_as_current_span(self, _: str) -> _Span:
        return _Span(self.seen)


def test_a_request_is_one_span_also_where_it_fails() -> None:
    tracer = _Tracer()
    with pytest.raises(ZeroDivisionError), span_of(tracer, {"method": "GET", "request_id": "r"}):
        _ = 1 / 0
    assert tracer.seen == ["GET unknown", "http.route=unknown", "allot.request_id=r", "ended"]


def test_spans_that_are_asked_for_without_the_extra_stop_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert tracer_of(Settings()) is None
    with pytest.raises(WorkspaceError, match="ALLOT_TELEMETRY"):
        tracer_of(Settings(telemetry=True))


def test_a_stage_is_timed_also_where_it_fails() -> None:
    metrics = Metrics()
    with pytest.raises(ZeroDivisionError), metrics.stage("decide"):
        _ = 1 / 0
    assert metrics.registry.get_sample_value("allot_stage_seconds_count", {"stage": "decide"}) == 1.0
