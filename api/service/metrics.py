"""What is counted: Prometheus metrics, summed over the processes of the service."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from api.service.settings import METRICS_FOLDER

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)


@final
class Metrics:
    """The metrics of one process; `exposition` sums over all processes where the supervisor made a folder for them."""

    def __init__(self) -> None:
        self.registry = r = CollectorRegistry()
        self.requests = Counter("allot_requests", "Requests", ("method", "route", "status"), registry=r)
        self.seconds = Histogram("allot_request_seconds", "Time to answer", ("route",), buckets=_SECONDS, registry=r)
        self.stage_seconds = Histogram("allot_stage_seconds", "Wall time", ("stage",), buckets=_SECONDS, registry=r)
        self.stage_cpu = Counter("allot_stage_cpu_seconds", "CPU time of a thread in a stage", ("stage",), registry=r)
        self.cpu = Counter("allot_cpu_seconds", "CPU time of the processes", ("process",), registry=r)
        self.cost = Counter("allot_cost", "CPU seconds times the price of an hour", ("process",), registry=r)
        self.decisions = Counter("allot_decisions", "Single decisions", ("mode",), registry=r)
        self.feedback = Counter("allot_feedback", "Feedback events", ("result",), registry=r)
        self.refused = Counter("allot_refused", "Refused for want of access or rate", ("why",), registry=r)
        self.queue = Gauge("allot_queue", "Writes that wait", ("tenant",), multiprocess_mode="livesum", registry=r)
        self.lag = Gauge(
            "allot_lag_seconds", "Age of what is not learnt", ("tenant",), multiprocess_mode="livemax", registry=r
        )
        self.unfunded = Gauge(
            "allot_unfunded", "Largest overrun of a budget", ("tenant",), multiprocess_mode="livemax", registry=r
        )
        self._cpu_before = 0.0
        self._child = cache(lambda metric, *labels: metric.labels(*labels))  # finding one takes longer than counting

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage that runs in one thread."""
        began, cpu = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            self._child(self.stage_seconds, name).observe(time.perf_counter() - began)
            self._child(self.stage_cpu, name).inc(max(0.0, time.thread_time() - cpu))

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is the path as the contract has it."""
        self._child(self.requests, method, route, status).inc()
        self._child(self.seconds, route).observe(seconds)

    def charge_cpu(self, process: str, hour_price: float) -> None:
        """Count the CPU time of this process since the last call, and what it costs. Call it from one thread."""
        now = time.process_time()
        spent, self._cpu_before = now - self._cpu_before, now
        self.cpu.labels(process).inc(spent)
        self.cost.labels(process).inc(spent / 3_600 * hour_price)

    def exposition(self) -> bytes:
        """The metrics as Prometheus reads them."""
        registry = self.registry
        if METRICS_FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
