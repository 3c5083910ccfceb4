"""Bodies of /v1/events."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from orchestrator.api.models.fields import Amount, Body, Finite, Identifier, Name, OneOrMany, PastTime


class EventRequest(Body):
    """Something a customer did, or something that was done to them. It makes an unknown customer known."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "event_id": "e-77120",
                    "customer_id": "c-1042",
                    "type": "view",
                    "timestamp": "2026-01-20T18:00:00Z",
                    "category": "pantry",
                },
                {
                    "event_id": "p-1042-1",
                    "customer_id": "c-1042",
                    "type": "profile",
                    "attributes": {"age": "25-34", "store_distance": 4.2},
                },
            ]
        }
    )

    event_id: Identifier = Field(description="Yours; sending it again changes nothing.")
    customer_id: Identifier
    type: Name = Field(description="`view`, `purchase`, `sent`, `click`, `subscribe`, `profile`…")
    timestamp: PastTime | None = Field(default=None, description="When it happened; now if left out.")
    channel: Name | None = Field(default=None, description="Which channel, where it has one.")
    category: Name | None = Field(default=None, description="Which category of goods, where it has one.")
    value: Amount | None = Field(default=None, description="Money it moved.")
    quantity: Amount | None = Field(default=None, description="Number of items.")
    discount: Amount | None = Field(default=None, description="Money taken off the price.")
    attributes: dict[Name, Name | Finite] | None = Field(
        default=None,
        description="Stated facts about the customer, as named in profiles.yaml: attributes and content fields; and "
        "always `timezone` (such as `Europe/Berlin`) and `home_store`.",
    )


EventsRequest = OneOrMany[EventRequest]
