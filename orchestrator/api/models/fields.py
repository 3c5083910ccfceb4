"""Field types that several bodies share."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Strict,
    Tag,
)
from pydantic_core import PydanticCustomError

from orchestrator.errors import FieldError

# RFC 3339; a text without time or zone is refused after it, which says what is missing.
_WRITTEN = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?)?", re.ASCII)


def _written_out(value: Any) -> Any:
    """Only what looks like a time: pydantic takes digits, such as `20261101`, for seconds since 1970."""
    if isinstance(value, datetime):  # from Python
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("datetime_type", "Input should be a text")
    if not _WRITTEN.fullmatch(value):
        raise PydanticCustomError("datetime_parsing", "Input should be a time as RFC 3339 writes it")
    return value


def _of_our_time(value: datetime) -> datetime:
    if value.year < 1970:
        raise FieldError(f"{value.isoformat()} is before 1970", "send when it happened")
    return value


Identifier = Annotated[
    str,
    Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$", description="Printable, 1 to 200 characters."),
]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e12, le=1e12)]
Amount = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1e12)]
# Not in the future either, which only routes can tell, by the service's clock: `problems.refuse_future`.
PastTime = Annotated[AwareDatetime, Strict(False), BeforeValidator(_written_out), AfterValidator(_of_our_time)]


class Body(BaseModel):
    """A request body: unknown fields and converted types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def timestamp(seconds: float) -> datetime:
    """Seconds since 1970 UTC as a time."""
    return datetime.fromtimestamp(seconds, UTC)


def finite_or_none(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


def _one_or_many(body: object) -> str:
    """Tag of a body that may be one object or a list of them."""
    return "many" if isinstance(body, list) else "one"


_T = TypeVar("_T")
# A body that is one fact, or a list of them.
OneOrMany = Annotated[
    Annotated[_T, Tag("one")] | Annotated[list[_T], Field(min_length=1, max_length=1000), Tag("many")],
    Discriminator(_one_or_many),
]
