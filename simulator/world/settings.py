"""`world.yaml`: every number the world is made of, each with where it came from or the range it is assumed in."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from orchestrator.config.models import Settings


def _value(given: Any) -> Any:
    """The number of `{value, source}` or `{value, range}`.

    A number that no data supports is an assumption: it must say the range in which it is believed to lie, and be in
    it. A fitted one must say from what.
    """
    if not isinstance(given, dict) or set(given) not in ({"value", "source"}, {"value", "range"}):
        raise ValueError(
            "give {value: …, source: where it was fitted} or, for an assumption, {value: …, range: [low, high]}"
        )
    value = given["value"]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"value {value!r} must be a number")
    if "range" in given:
        low, high = _range(given["range"])
        if not low <= value <= high:
            raise ValueError(
                f"value {value} is outside its own range [{low}, {high}]; widen the range or change the value"
            )
    return value


def _range(given: Any) -> tuple[float, float]:
    numbers = isinstance(given, list) and not any(isinstance(x, bool) or not isinstance(x, int | float) for x in given)
    if not numbers or len(given) != 2 or not given[0] <= given[1]:
        raise ValueError(f"range {given!r} must be two numbers in order, such as [0, 1]")
    return given[0], given[1]


Number = Annotated[float, BeforeValidator(_value), Field(allow_inf_nan=False)]
Positive = Annotated[float, BeforeValidator(_value), Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, BeforeValidator(_value), Field(ge=0, le=1)]
# The mean of a share that differs between customers: at 0 or 1 it could not.
MeanShare = Annotated[float, BeforeValidator(_value), Field(gt=0, lt=1)]
Count = Annotated[int, BeforeValidator(_value), Field(ge=1)]
# Numbers that stand alone, without source or range.
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class PopulationSettings(Settings):
    """Who the customers are (`simulator.world.population`)."""

    individuality: Share
    taste_spread: Positive
    segments: Count
    regular_share: Share
    email_opt_in: Share
    store_preference_regular: MeanShare
    store_preference_occasional: MeanShare
    sensitivity_spread: Positive
    affinity_spread: Positive
    customers_per_store: Positive


class ShoppingSettings(Settings):
    """When they buy and when they leave (`simulator.world.behaviour.shopping`)."""

    regular_shape: Positive
    regular_rate: Positive
    regular_dropout: Share
    occasional_shape: Positive
    occasional_scale: Positive
    dropout_a: Positive
    dropout_b: Positive
    goodwill_on_rate: Number
    goodwill_on_dropout: Number


class BasketSettings(Settings):
    """What they buy (`simulator.world.behaviour.baskets`)."""

    store_log_mean: Number
    store_log_sd: Positive
    site_log_mean: Number
    site_log_sd: Positive
    site_floor: Positive
    complement_share: Share
    complement_size: Share
    return_share: Share
    return_days: Positive


class WantSettings(Settings):
    """What they have in mind (`simulator.world.behaviour.wants`)."""

    per_year: Positive
    stated_share: Share
    days: Positive
    on_visit: Positive


class SiteSettings(Settings):
    """What happens on the web site (`simulator.world.behaviour.site`)."""

    visits_per_week: Positive
    visits_shape: Positive
    conversion: Number
    after_email: Number
    relevance: Number
    want: Number
    goodwill: Number
    banner_click: Number
    click: Number
    cart_share: Share


class EmailSettings(Settings):
    """What an e-mail does (`simulator.world.behaviour.email`)."""

    visit: Number
    relevance: Number
    want: Number
    cart: Number
    discount: Number
    goodwill: Number
    fatigue: Number
    delay_days: Positive
    opens_per_visit: Positive
    unsubscribe: Share
    unsubscribe_fatigue: Number


class AssociateSettings(Settings):
    """What an associate does (`simulator.world.behaviour.associates`)."""

    minutes_per_store: Positive
    accept: Number
    relevance: Number
    fatigue: Number
    basket_lift: Share
    recall_visit: Number
    dismiss_goodwill: Number
    opt_out: Share


class GoodwillSettings(Settings):
    """How the relationship grows and wears (`simulator.world.behaviour.goodwill`)."""

    half_life_days: Positive
    spread: Positive
    relevant: Number
    irrelevant: Number
    service: Number
    thank: Number
    want_met: Number
    want_missed: Number


class FatigueSettings(Settings):
    """How contacts tire (`simulator.world.behaviour.fatigue`)."""

    half_life_days: Positive
    sensitivity: Number


class DiscountSettings(Settings):
    """How discounts spoil (`simulator.world.behaviour.discounts`)."""

    attraction: Number
    habituation: Share
    forgetting_days: Positive
    loss: Number
    pull_forward: Share
    pull_forward_days: Positive


class MarketSettings(Settings):
    """What happens to everybody (`simulator.world.market`)."""

    stock_outs_per_year: Positive
    stock_out_days: Positive
    sales_per_year: Positive
    sale_days: Positive
    sale_depth: Share
    sale_effect: Number


class WorldSettings(Settings):
    """The whole of `world.yaml`.

    Attributes:
        weekday: relative number of shopping trips, Monday to Sunday; their mean is 1.
        category_shares: popularity of each category of the catalogue.
    """

    weekday: Annotated[tuple[Weight, ...], Field(min_length=7, max_length=7)]
    category_shares: dict[str, Weight]
    population: PopulationSettings
    shopping: ShoppingSettings
    baskets: BasketSettings
    wants: WantSettings
    site: SiteSettings
    email: EmailSettings
    associates: AssociateSettings
    goodwill: GoodwillSettings
    fatigue: FatigueSettings
    discounts: DiscountSettings
    market: MarketSettings
