"""Bodies of /v1/stock."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.api.models.fields import Body, Identifier, Name, OneOrMany, PastTime


class StockRequest(Body):
    """Whether a category of goods is in stock from a moment on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "stock_id": "erp-5531",
                    "category": "home",
                    "in_stock": False,
                    "timestamp": "2026-01-20T18:00:00Z",
                }
            ]
        }
    )

    stock_id: Identifier = Field(description="Yours; sending it again changes nothing.")
    category: Name = Field(description="One of the categories in catalog.yaml.")
    in_stock: bool
    timestamp: PastTime | None = Field(
        default=None,
        description="From when on; now if left out. Of several facts the newest holds.",
    )


StockRequests = OneOrMany[StockRequest]


class CategoryStock(BaseModel):
    """One category now."""

    category: str
    in_stock: bool
    since: datetime | None = Field(description="From when on it has been so; none where nothing was ever told.")


class StockResponse(BaseModel):
    """Every category of the catalogue, as decisions take it to be now."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "categories": [
                        {"category": "home", "in_stock": False, "since": "2026-01-20T18:00:00Z"},
                        {"category": "apparel", "in_stock": True, "since": None},
                    ]
                }
            ]
        }
    )

    categories: list[CategoryStock]
