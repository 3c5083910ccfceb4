"""Which scope each route needs. What is not listed here needs `admin`, so that no new route is open by mistake."""

from __future__ import annotations

from typing import Any

from orchestrator.access.scopes import Scope
from orchestrator.ingest.sources import SOURCES

# Open to everybody: they tell nothing of customers.
OPEN = ("/healthz", "/readyz", "/docs", "/openapi.json")
DOCS_FILES = "/docs-static/"

SCOPES: dict[tuple[str, str], Scope] = {
    ("POST", "/v1/decisions"): Scope.DECIDE,
    ("POST", "/v1/decisions/batch"): Scope.DECIDE,
    ("GET", "/v1/decisions/{decision_id}"): Scope.EXPLAIN,
    ("POST", "/v1/explain"): Scope.EXPLAIN,
    ("POST", "/v1/events"): Scope.EVENTS,
    **{("POST", f"/v1{hook.path}"): Scope.EVENTS for source in SOURCES for hook in source.webhooks},
    ("POST", "/v1/outcomes"): Scope.OUTCOMES,
    ("PUT", "/v1/stock"): Scope.STOCK,
    ("GET", "/v1/stock"): Scope.STOCK,
    ("GET", "/v1/policy"): Scope.POLICY,
    ("GET", "/v1/customers/{customer_id}"): Scope.CUSTOMERS,
    ("GET", "/v1/customers/{customer_id}/export"): Scope.CUSTOMERS,
    ("DELETE", "/v1/customers/{customer_id}"): Scope.CUSTOMERS,
    ("GET", "/metrics"): Scope.METRICS,
}
# Of the templates, what comes before the first parameter; the longest first.
_BELOW = sorted(
    ((method, path.partition("{")[0], scope) for (method, path), scope in SCOPES.items() if "{" in path),
    key=lambda of: -len(of[1]),
)


def scope_needed(method: str, path: str) -> Scope | None:
    """What a request needs; none if everybody may ask."""
    if (needed := SCOPES.get((method, path))) is not None:
        return needed
    if path in OPEN or path.startswith(DOCS_FILES):
        return None
    asked = "GET" if method == "HEAD" else method
    below = (scope for of, start, scope in _BELOW if of == asked and path.startswith(start) and path != start)
    return next(below, SCOPES.get((asked, path), Scope.ADMIN))


def describe_scopes(schema: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document with the ways to send a key, and for each operation its scope and what refuses it."""
    schema.setdefault("components", {})["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "A key of `journey keys create`."},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "basic": {"type": "http", "scheme": "basic", "description": "The key as user name, no password."},
    }
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    refusals = {
        "401": "No usable key",
        "403": "The key lacks the scope",
        "429": "Too many requests with this key",
    }
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            if (needed := scope_needed(method.upper(), path)) is None:
                continue
            operation["security"] = [{name: []} for name in ("bearer", "header", "basic")]
            said = operation.get("description", "")
            operation["description"] = f"{said}\n\nNeeds the scope `{needed}`.".strip()
            for status, meaning in refusals.items():
                content = {"application/problem+json": problem}
                operation["responses"].setdefault(status, {"description": meaning, "content": content})
    return schema
