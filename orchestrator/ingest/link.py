"""What another system said about two ids."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Link:
    """An id is a customer's from now on.

    Attributes:
        alias_id: such as an anonymous id.
        customer_id: any id of the customer.
        at: when, seconds since 1970.
        before: how many events of the same request came before it was said.
    """

    alias_id: str
    customer_id: str
    at: float
    before: int
