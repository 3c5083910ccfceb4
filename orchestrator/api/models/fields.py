"""Field types that several bodies share."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, Strict


def _of_our_time(value: datetime) -> datetime:
    if value.year < 1970:
        raise ValueError(f"{value.isoformat()} is before 1970; send when it happened")
    return value


Identifier = Annotated[
    str,
    Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$", description="Printable, 1 to 200 characters."),
]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e12, le=1e12)]
Amount = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1e12)]
# Not in the future either, which only routes can tell, by the service's clock: `problems.refuse_future`.
PastTime = Annotated[AwareDatetime, Strict(False), AfterValidator(_of_our_time)]


class Body(BaseModel):
    """A request body: unknown fields and converted types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def timestamp(seconds: float) -> datetime:
    """Seconds since 1970 UTC as a time."""
    return datetime.fromtimestamp(seconds, UTC)


def finite_or_none(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
