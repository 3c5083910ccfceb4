"""Receiving what is in stock and what is not, and telling it again."""

from __future__ import annotations

from fastapi import APIRouter

from orchestrator.api.bodies.answers import facts_response
from orchestrator.api.bodies.strict_json import StrictJsonRoute
from orchestrator.api.deps import ServiceDep
from orchestrator.api.models.fields import timestamp
from orchestrator.api.models.outcomes import FactsResponse
from orchestrator.api.models.stock import CategoryStock, StockRequests, StockResponse
from orchestrator.api.problems import invalid, refuse_future, refuse_repeated_ids, responses, unknown_name
from orchestrator.serving.jobs import StockFact, StockJob

# Seconds. A fact holds from when it comes, and of two the later one: one dated ahead would put off its own correction.
_AHEAD = 60.0

router = APIRouter(prefix="/v1/stock", tags=["stock"], route_class=StrictJsonRoute)


@router.put(
    "",
    responses=responses(400, 413, 415, 422, 503),
    summary="Tell which categories are in stock: one fact or a list",
)
async def receive_stock(body: StockRequests, service: ServiceDep) -> FactsResponse:
    """Keep the facts, all or none of the request; every decision that is answered afterwards knows them.

    Of a category's facts the one with the newest time holds, of several of the same time the one that came last. A
    category about which nothing was told is in stock. Categories that are not mentioned stay as they are.
    """
    many = isinstance(body, list)
    sent = body if isinstance(body, list) else [body]
    ids = [fact.stock_id for fact in sent]
    refuse_repeated_ids("stock_id", ids, sent)
    known = service.settings.retailer.catalogue.categories
    wrong = [
        unknown_name(f"[{i}].category" if many else "category", fact.category, known)
        for i, fact in enumerate(sent)
        if fact.category not in known
    ]
    if wrong:
        raise invalid(wrong)
    now = service.settings.clock()
    refuse_future([fact.timestamp for fact in sent], now=now, many=many, ahead=_AHEAD)
    facts = [
        StockFact(
            stock_id=fact.stock_id,
            category=fact.category,
            in_stock=fact.in_stock,
            timestamp=fact.timestamp.timestamp() if fact.timestamp else now,
        )
        for fact in sent
    ]
    return facts_response(ids, await service.record(StockJob(facts)))


@router.get("", responses=responses(503), summary="Which categories are in stock now?")
async def read_stock(service: ServiceDep) -> StockResponse:
    """Every category of the catalogue, in its order."""
    told = await service.read_stock()
    return StockResponse(
        categories=[
            CategoryStock(
                category=category,
                in_stock=category not in told or told[category].in_stock,
                since=timestamp(told[category].since) if category in told else None,
            )
            for category in service.settings.retailer.catalogue.categories
        ]
    )
