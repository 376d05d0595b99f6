"""Spans by OpenTelemetry: off by default, and an extra (`allot[telemetry]`). Its own variables say where they go."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.types import Scope

from allot import WorkspaceError
from api.service.settings import Settings


def tracer_of(settings: Settings) -> Any | None:
    """What makes spans; None where they are off.

    Raises:
        WorkspaceError: they are on, and the extra is not installed.
    """
    if not settings.telemetry:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        what = "OpenTelemetry is asked for and not installed."
        raise WorkspaceError(what, where="ALLOT_TELEMETRY", remedy="pip install 'allot[telemetry]'") from error
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer("allot")


@contextmanager
def span_of(tracer: Any | None, scope: Scope) -> Iterator[None]:
    """One request as a span, named by its route, with its id; nothing without a tracer."""
    if tracer is None:
        yield
        return
    with tracer.start_as_current_span(scope["method"]) as span:
        try:
            yield
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            span.update_name(f"{scope['method']} {route}")
            span.set_attribute("http.route", route)
            span.set_attribute("allot.request_id", scope["request_id"])
