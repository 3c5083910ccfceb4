"""What happened when, and what was said: margin over time, contacts per week, and the mix of actions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policies.arrays import Float64Array
from simulator.comparison.paired_intervals import MeanBand, mean_band
from simulator.comparison.units import HOLD, ActionInfo, PairedUnits
from simulator.world.channels import CHANNELS

DAYS_PER_WEEK = 7


@dataclass(frozen=True)
class Series:
    """Policies over time, rows in the order of `policies`.

    Attributes:
        policies: names, length P.
        baseline: the policy subtracted from cumulative margins; empty where `hold` was not run.
        margin: float64 (P, D), margin per customer up to and with each day minus the baseline's, with paired pointwise
            95 % intervals; without a baseline, the margin itself with its interval.
        weekly_contacts: float64 (P, W), contacts per customer and week; a shorter last week is scaled to 7 days.
        weekly_unsubscribes: float64 (P, W), per 1,000 customers and week, scaled in the same way.
    """

    policies: tuple[str, ...]
    baseline: str
    margin: MeanBand
    weekly_contacts: Float64Array
    weekly_unsubscribes: Float64Array


@dataclass(frozen=True)
class Mix:
    """What the decisions that were not `hold` consisted of.

    Attributes:
        policies: names, length P.
        channels: names, length C, in the order of the actions.
        channel_share: float64 (P, C), rows sum to 1; zeros where a policy only held.
        intents: names, length I, in the order of the actions.
        intent_share: float64 (P, I), rows sum to 1; zeros where a policy only held.
    """

    policies: tuple[str, ...]
    channels: tuple[str, ...]
    channel_share: Float64Array
    intents: tuple[str, ...]
    intent_share: Float64Array


def time_series(units: PairedUnits, *, order: tuple[str, ...]) -> Series:
    """Series of the policies in the order given."""
    rows = [units.policies.index(policy) for policy in order]
    total = float(units.customers.sum())
    per_customer = units.days_of("margin") / units.customers[:, None]
    margin = np.moveaxis(per_customer.cumsum(axis=2)[rows], 0, 1)  # (U, P, D)
    baseline = HOLD if HOLD in order else ""
    if baseline:
        margin = margin - margin[:, [order.index(baseline)], :]
    contacts = sum((units.days_of(channel) for channel in CHANNELS), start=np.zeros(1))
    return Series(
        policies=order,
        baseline=baseline,
        margin=mean_band(np.asarray(margin, dtype=np.float64), customers=units.customers),
        weekly_contacts=_weekly(contacts[rows].sum(axis=1) / total),
        weekly_unsubscribes=_weekly(1_000.0 * units.days_of("unsubscribes")[rows].sum(axis=1) / total),
    )


def action_mix(units: PairedUnits, *, order: tuple[str, ...], actions: tuple[ActionInfo, ...]) -> Mix:
    """Mix of channels and intents of the policies in the order given."""
    rows = [units.policies.index(policy) for policy in order]
    chosen = units.actions[rows].sum(axis=1).astype(np.float64)
    spoken = [a for a, action in enumerate(actions) if action.id != HOLD]
    channels, channel_share = _shares(chosen[:, spoken], [actions[a].channel for a in spoken])
    intents, intent_share = _shares(chosen[:, spoken], [actions[a].intent for a in spoken])
    return Mix(order, channels, channel_share, intents, intent_share)


def _shares(chosen: Float64Array, labels: list[str]) -> tuple[tuple[str, ...], Float64Array]:
    names = tuple(dict.fromkeys(labels))
    member = np.array([[label == name for name in names] for label in labels], dtype=np.float64)
    counts = chosen @ member.reshape(len(labels), len(names))
    return names, np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0), dtype=np.float64)


def _weekly(daily: Float64Array) -> Float64Array:
    """Sums of (P, D) over weeks, (P, W)."""
    days = daily.shape[1]
    starts = np.arange(0, days, DAYS_PER_WEEK)
    lengths = np.diff(np.append(starts, days))
    return np.asarray(np.add.reduceat(daily, starts, axis=1) * DAYS_PER_WEEK / lengths, dtype=np.float64)
