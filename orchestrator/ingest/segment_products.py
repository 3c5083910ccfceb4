"""What the products of a Segment message were, and what was paid for them.

Source: Segment's e-commerce spec, version 2 (segment.com/docs/connections/spec/ecommerce/v2).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

MOST_PRODUCTS = 500


@dataclass(frozen=True)
class Goods:
    """Goods of one category; amounts in money, `value` none where nothing says it."""

    category: str | None
    value: float | None
    quantity: float
    discount: float


@dataclass(frozen=True)
class Categories:
    """How products are known by category.

    Attributes:
        known: our categories.
        by_name: ours by theirs.
        by_sku: ours by sku or product id, or a pattern of it.
    """

    known: Sequence[str]
    by_name: Mapping[str, str]
    by_sku: Mapping[str, str]

    def of(self, product: Mapping[str, Any]) -> str | None:
        """Our category of a product: by its sku, by its category's name, or by a part of it such as `Home/Lamps`."""
        for code in (product.get("sku"), product.get("product_id")):
            if isinstance(code, str):
                if code in self.by_sku:
                    return self.by_sku[code]
                for pattern, category in self.by_sku.items():
                    if fnmatchcase(code, pattern):
                        return category
        name = product.get("category")
        if not isinstance(name, str):
            return None
        parts = [name, *reversed([part.strip() for part in re.split(r"[/>]", name)])]
        for part in parts:
            ours = self.by_name.get(part, re.sub(r"\W+", "_", part.strip().lower()))
            if ours in self.known:
                return ours
        return None


def products_of(properties: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The products a message is about; itself, if it is about one.

    Raises:
        ValueError: too many, or not a list of objects.
    """
    products = properties.get("products")
    if not products:
        return [properties]
    if not isinstance(products, list) or not all(isinstance(product, Mapping) for product in products):
        raise ValueError("products is no list of objects")
    if len(products) > MOST_PRODUCTS:
        raise ValueError(f"products has {len(products)} entries, more than {MOST_PRODUCTS}")
    return products


def goods_of(properties: Mapping[str, Any], categories: Categories) -> list[Goods]:
    """What an order, refund or cart is about, one entry per category in order of appearance.

    What was paid is `subtotal`, or `total` without `shipping` and `tax`, or `revenue`; it is spread over the products
    by price times quantity less their own discount. Without any of the three, it is their sum less the discount of
    the order. What of that discount is not the products' own is spread in the same way.

    Raises:
        ValueError: products that cannot be read.
    """
    products = products_of(properties)
    prices = [_amount(product, "price") for product in products]
    quantities = [_amount(product, "quantity") for product in products]
    gross = [(price or 0.0) * (1.0 if many is None else many) for price, many in zip(prices, quantities, strict=True)]
    own = [min(_amount(product, "discount") or 0.0, most) for product, most in zip(products, gross, strict=True)]
    due = [most - off for most, off in zip(gross, own, strict=True)]
    rest = max((_amount(properties, "discount") or 0.0) - math.fsum(own), 0.0)
    paid = _stated(properties)
    if paid is None and any(price is not None for price in prices):
        paid = max(math.fsum(due) - rest, 0.0)
    total = math.fsum(due)
    shares = [part / total for part in due] if total > 0 else [1 / len(products)] * len(products)
    found: dict[str | None, Goods] = {}
    for i, product in enumerate(products):
        category = categories.of(product)
        before = found.get(category, Goods(category, None if paid is None else 0.0, 0.0, 0.0))
        found[category] = Goods(
            category=category,
            value=None if paid is None or before.value is None else before.value + paid * shares[i],
            quantity=before.quantity + (1.0 if quantities[i] is None else quantities[i] or 0.0),
            discount=before.discount + own[i] + rest * shares[i],
        )
    return list(found.values())


def shared_category(properties: Mapping[str, Any], categories: Categories) -> str | None:
    """Our category of a page of products: its own, or the one all its products have."""
    own = categories.of(properties)
    if own is not None:
        return own
    of_products = set(_known_categories(properties, categories))
    return of_products.pop() if len(of_products) == 1 else None


def _known_categories(properties: Mapping[str, Any], categories: Categories) -> Iterator[str | None]:
    for product in products_of(properties):
        yield categories.of(product)


def _stated(properties: Mapping[str, Any]) -> float | None:
    subtotal, total = _amount(properties, "subtotal"), _amount(properties, "total")
    if subtotal is not None:
        return subtotal
    if total is not None:
        return max(total - (_amount(properties, "shipping") or 0.0) - (_amount(properties, "tax") or 0.0), 0.0)
    return _amount(properties, "revenue")


def _amount(of: Mapping[str, Any], name: str) -> float | None:
    """A number, maybe written as a text; refunds may be negative.

    Raises:
        ValueError: it is there, and no number.
    """
    value = of.get(name)
    if value is None or value == "":
        return None
    try:
        number = math.nan if isinstance(value, bool) else abs(float(value))
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not number <= 1e12:
        raise ValueError(f"{name} = {value!r} is no amount")
    return number
