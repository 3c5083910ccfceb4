"""What campaigns of coupons lead to: redemption per household contacted, by kind of campaign and by past redemptions.

The campaigns were targeted, so these are shares among the households chosen and not effects of being contacted.
"""

from __future__ import annotations

import numpy as np

from policies.arrays import BoolArray, Float64Array, IntArray
from simulator.calibration.data.data import Contacts, Redemptions
from simulator.calibration.data.uncertainty import Measured, from_influence, ratio, ratio_influence
from simulator.errors import CalibrationError

TYPES = ("a", "b", "c")


def redeemed(contacts: Contacts, redemptions: Redemptions) -> BoolArray:
    """Whether the household redeemed any coupon of the campaign, bool (n,) per contact."""
    return np.asarray(np.isin(_keys(contacts), _keys(redemptions)), dtype=np.bool_)


def redeemed_before(contacts: Contacts, redemptions: Redemptions) -> BoolArray:
    """Whether the household redeemed a coupon of any campaign before this one started, bool (n,) per contact."""
    household, unit = np.unique(redemptions.household, return_inverse=True)
    first = np.full(len(household), np.iinfo(np.int64).max)
    np.minimum.at(first, unit, redemptions.day)
    place = np.minimum(np.searchsorted(household, contacts.household), len(household) - 1)
    known: BoolArray = household[place] == contacts.household
    return known & (first[place] < contacts.start)


def redemption_per_contact(contacts: Contacts, redemptions: Redemptions, *, campaign_type: str) -> Measured:
    """Share of contacts of one type of campaign, of `TYPES`, that led to a redemption; households are the units.

    Raises:
        CalibrationError: there are no such contacts.
    """
    chosen = contacts.type == campaign_type
    if not chosen.any():
        raise CalibrationError(f"coupons: no campaign of type {campaign_type!r} was sent; known: {', '.join(TYPES)}")
    _, unit = np.unique(contacts.household[chosen], return_inverse=True)
    led = redeemed(contacts, redemptions)[chosen]
    return ratio(np.bincount(unit, weights=led).astype(np.float64), np.bincount(unit).astype(np.float64))


def past_redeemer_ratio(contacts: Contacts, redemptions: Redemptions) -> Measured:
    """How many times more often contacts of past redeemers lead to a redemption than contacts of other households.

    Raises:
        CalibrationError: either kind has no contact, or no redemption to compare with.
    """
    led, past = redeemed(contacts, redemptions), redeemed_before(contacts, redemptions)
    if not (past.any() and led[~past].any()):
        raise CalibrationError("coupons: past redeemers cannot be compared with others; give more campaigns")
    _, unit = np.unique(contacts.household, return_inverse=True)

    def per_household(of: BoolArray) -> Float64Array:
        return np.bincount(unit, weights=of).astype(np.float64)

    of_past, of_others = (
        (per_household(led & past), per_household(past)),
        (per_household(led & ~past), per_household(~past)),
    )
    share_of_past, share_of_others = (float(a.sum() / b.sum()) for a, b in (of_past, of_others))
    times = share_of_past / share_of_others
    influence = (ratio_influence(*of_past) - times * ratio_influence(*of_others)) / share_of_others
    return from_influence(times, influence)


def redemption_lags(contacts: Contacts, redemptions: Redemptions) -> tuple[Float64Array, IntArray]:
    """Days from a campaign's start to each day a household redeems its coupons; several on one day count once.

    Returns:
        The lags, float64 (m,), and the household of each, int64 (m,), numbered from 0 among those who redeem.

    Raises:
        CalibrationError: coupons of a campaign that was sent to nobody.
    """
    household, campaign, day = np.unique(
        np.stack([redemptions.household, redemptions.campaign, redemptions.day]), axis=1
    ).astype(np.int64)
    known, at = np.unique(contacts.campaign, return_index=True)
    if not (sent := np.isin(campaign, known)).all():
        raise CalibrationError(f"coupons: campaign {campaign[~sent][0]} is redeemed but was sent to nobody")
    start = contacts.start[at][np.searchsorted(known, campaign)]
    return (day - start).astype(np.float64), np.unique(household, return_inverse=True)[1]


def _keys(of: Contacts | Redemptions) -> IntArray:
    """One number per household and campaign, int64 (n,)."""
    return of.household * 1_000_000 + of.campaign
