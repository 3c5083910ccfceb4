"""A span per batch, linked to the spans of the requests in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context

from opentelemetry import context as no_parent
from opentelemetry.trace import Link, TracerProvider, get_current_span


def batch_spans(provider: TracerProvider | None) -> Callable[[Sequence[Context]], AbstractContextManager[object]]:
    """What to enter around a batch, given the context of each request; nothing without a provider."""
    if provider is None:
        return lambda _: nullcontext()
    tracer = provider.get_tracer("journey")

    def around(contexts: Sequence[Context]) -> AbstractContextManager[object]:
        found = [context.run(get_current_span).get_span_context() for context in contexts]
        return tracer.start_as_current_span(
            "batch",
            context=no_parent.Context(),
            links=[Link(of) for of in found if of.is_valid],
            attributes={"journey.requests": len(contexts)},
            record_exception=False,  # messages may quote what a request held
        )

    return around
