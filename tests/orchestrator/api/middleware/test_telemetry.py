"""Traces: a span per request, one per batch that links to them, and no id of anybody."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import httpx2
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from orchestrator.api.app import create_app
from orchestrator.api.middleware.telemetry import collector, tracing_to
from orchestrator.errors import OrchestratorError
from orchestrator.serving.service import ServiceSettings

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # about spans, not the log


@pytest.fixture
def traced(retailer, champion):
    """`traced(test)` runs `test(client)` and gives back the spans."""

    def run(test):
        exporter = InMemorySpanExporter()
        settings = ServiceSettings(retailer=retailer, champion=champion.ask, load_policy=champion.load)
        app = create_app(settings, dev=True, tracer_provider=tracing_to(SimpleSpanProcessor(exporter)))

        async def inside():
            transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
            async with (
                app.router.lifespan_context(app),
                httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client,
            ):
                await test(client)

        asyncio.run(inside())
        return exporter.get_finished_spans()

    return run


async def everything(client):
    event = {"event_id": "e-1", "customer_id": "customer-5f1e", "type": "visit"}
    await client.post("/v1/events", json=event)
    await asyncio.gather(*(client.post("/v1/decisions", json={"customer_id": "customer-5f1e"}) for _ in range(5)))
    await client.get("/v1/decisions/customer-5f1e?who=customer-5f1e")
    for path in ("/healthz", "/readyz", "/metrics"):
        await client.get(path)


def test_a_batch_links_to_every_request_in_it(traced):
    spans = traced(everything)
    requests = {s.context.span_id: s.name for s in spans if s.name == "POST /v1/decisions"}
    batches = [s for s in spans if s.name == "batch"]
    assert len(requests) == 5
    linked = [link.context.span_id for batch in batches for link in batch.links]
    assert sorted(i for i in linked if i in requests) == sorted(requests)
    assert all(batch.parent is None for batch in batches)
    # The probe of /readyz has a batch too, and no span to link to.
    assert sum(batch.attributes["journey.requests"] for batch in batches) == 1 + 5 + 1


def test_spans_name_templates_and_nobody(traced):
    spans = traced(everything)
    assert {s.name for s in spans} == {
        "POST /v1/events",
        "POST /v1/decisions",
        "GET /v1/decisions/{decision_id}",
        "batch",
    }
    assert [s.name for s in spans if "5f1e" in s.to_json()] == []


def test_a_trace_goes_on_from_the_callers(traced):
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

    async def test(client):
        await client.get("/v1/policy", headers={"traceparent": f"00-{trace}-{parent}-01"})

    (span,) = traced(test)
    assert f"{span.context.trace_id:032x}" == trace
    assert f"{span.parent.span_id:016x}" == parent


def test_nothing_is_traced_unless_somebody_collects(database_url):
    assert collector("", {}) is None
    assert collector("http://collector:4318", {"OTEL_SDK_DISABLED": "true"}) is None
    for endpoint, environment in (("http://c:4318", {}), ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"})):
        provider = collector(endpoint, environment)
        assert provider is not None
        provider.shutdown()


def test_a_configured_collector_without_the_packages_says_what_to_install(monkeypatch, database_url):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(OrchestratorError, match=r"install journey-orchestrator\[otel\]"):
        collector("http://collector:4318", {})
    assert collector("", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}) is None


def test_the_application_does_not_load_the_sdk_unless_it_traces(database_url):
    code = "import sys, orchestrator.api.serve; print([m for m in sys.modules if m.startswith('opentelemetry.sdk')])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
