"""OpenTelemetry traces, where somebody collects them: a span per request, one per batch that links to its requests."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import structlog
from fastapi.telemetry import TelemetryConfig

from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

log = structlog.get_logger(__name__)

# Asked all the time, by machines.
_NOT_TRACED = frozenset({"/healthz", "/readyz", "/metrics"})
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_INSTALL = "the exporter is not installed; install journey-orchestrator[otel]"


def collector(endpoint: str, environment: Mapping[str, str] = os.environ) -> TracerProvider | None:
    """Where spans go; none if nobody collects them.

    Args:
        endpoint: of `serving.yaml`; may be empty.
        environment: OpenTelemetry's own variables count where it is.

    Raises:
        OrchestratorError: an endpoint is configured, but the packages are missing.
    """
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if not (endpoint or any(environment.get(name) for name in _ENDPOINTS)):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        if endpoint:
            raise OrchestratorError(f"operations.otlp_endpoint = {endpoint!r}: {_INSTALL}") from error
        log.warning("no traces", reason=_INSTALL)  # the variable may be meant for other programs of this machine
        return None
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces") if endpoint else OTLPSpanExporter()
    return tracing_to(BatchSpanProcessor(exporter))


def tracing_to(processor: SpanProcessor) -> TracerProvider:
    """Spans without paths and queries, which may hold ids, to a processor."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider

    class WithoutPaths(SpanProcessor):
        def on_start(self, span: Span, parent_context: Any = None) -> None:  # noqa: ARG002
            # `http.route`, the template, says what was asked.
            for name in ("url.path", "url.query"):
                if span.attributes and name in span.attributes:
                    span.set_attribute(name, "")

    # As OTEL_SERVICE_NAME says, if it does.
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "journey-orchestrator"}
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    provider.add_span_processor(WithoutPaths())
    provider.add_span_processor(processor)
    return provider


def telemetry_of(provider: TracerProvider | None) -> TelemetryConfig:
    """FastAPI's own telemetry: a span per request, if they go anywhere, and nothing else."""
    config: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
    if provider is not None:
        config |= {
            "tracing": True,
            "tracer_provider": provider,
            "operation_spans": False,
            "exclude": lambda scope: scope.get("path") in _NOT_TRACED,
        }
    return config
