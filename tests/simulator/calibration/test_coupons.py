"""Coupon campaigns: redemptions are joined to contacts, and to what happened before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.calibration.data.coupons import (
    past_redeemer_ratio,
    redeemed,
    redeemed_before,
    redemption_lags,
    redemption_per_contact,
)
from simulator.calibration.data.data import Contacts, Redemptions, read_contacts, read_redemptions
from simulator.errors import CalibrationError

# Campaign 1 (a) starts on day 0, campaign 2 (b) on day 20, campaign 3 (b) on day 20 too.
CONTACTS = Contacts(
    household=np.array([5, 6, 7, 5, 6, 7, 8]),
    campaign=np.array([1, 1, 1, 2, 2, 3, 3]),
    type=np.array(list("aaabbbb"), dtype=object),
    start=np.array([0, 0, 0, 20, 20, 20, 20]),
)
# Household 5 redeems twice on day 4 and again on day 9 (campaign 1), and on day 30 (2); household 6 on day 20 (1),
# when campaign 2 has just begun; household 8 on day 21 (3).
REDEMPTIONS = Redemptions(
    household=np.array([5, 5, 5, 5, 6, 8]),
    campaign=np.array([1, 1, 1, 2, 1, 3]),
    day=np.array([4, 4, 9, 30, 20, 21]),
)


def test_a_contact_is_redeemed_by_its_own_household_and_campaign() -> None:
    assert redeemed(CONTACTS, REDEMPTIONS).tolist() == [True, True, False, True, False, False, True]
    assert redemption_per_contact(CONTACTS, REDEMPTIONS, campaign_type="a").value == pytest.approx(2 / 3)
    assert redemption_per_contact(CONTACTS, REDEMPTIONS, campaign_type="b").value == pytest.approx(2 / 4)


def test_before_is_before_the_campaign_starts() -> None:
    assert redeemed_before(CONTACTS, REDEMPTIONS).tolist() == [False, False, False, True, False, False, False]
    # One contact of a past redeemer, redeemed; three of the six others are.
    assert past_redeemer_ratio(CONTACTS, REDEMPTIONS).value == pytest.approx(1 / (3 / 6))


def test_lags_count_days_of_a_household_once() -> None:
    days, household = redemption_lags(CONTACTS, REDEMPTIONS)
    assert sorted(zip(household.tolist(), days.tolist(), strict=True)) == [(0, 4), (0, 9), (0, 10), (1, 20), (2, 1)]


def test_what_cannot_be_answered_is_refused() -> None:
    with pytest.raises(CalibrationError, match="no campaign of type 'c' was sent; known: a, b, c"):
        redemption_per_contact(CONTACTS, REDEMPTIONS, campaign_type="c")
    late = Redemptions(np.array([5]), np.array([1]), np.array([99]))
    with pytest.raises(CalibrationError, match="past redeemers cannot be compared"):
        past_redeemer_ratio(CONTACTS, late)
    with pytest.raises(CalibrationError, match="campaign 4 is redeemed but was sent to nobody"):
        redemption_lags(CONTACTS, Redemptions(np.array([5]), np.array([4]), np.array([9])))


def made_up(seed: int, *, households: int, times: float) -> tuple[Contacts, Redemptions]:
    """Two campaigns to all; who redeems of the first (a third) redeems of the second `times` as often as others."""
    random = np.random.default_rng(seed)
    everyone = np.arange(households)
    first = random.random(households) < 1 / 3
    second = random.random(households) < np.where(first, 0.1 * times, 0.1)
    contacts = Contacts(
        household=np.tile(everyone, 2),
        campaign=np.repeat([1, 2], households),
        type=np.repeat(np.array(["a", "b"], dtype=object), households),
        start=np.repeat([0, 50], households),
    )
    led = (everyone[first], everyone[second])
    counts = [len(of) for of in led]
    return contacts, Redemptions(np.concatenate(led), np.repeat([1, 2], counts), np.repeat([10, 60], counts))


def test_the_error_of_the_ratio_is_its_spread_over_samples() -> None:
    found = [past_redeemer_ratio(*made_up(seed, households=600, times=4.0)) for seed in range(300)]
    # Others' contacts: of the first campaign, a third redeemed; of the second, two thirds of the households at .1.
    others = (1 / 3 + 2 / 3 * 0.1) / (1 + 2 / 3)
    values = [m.value for m in found]
    assert np.mean(values) == pytest.approx(0.4 / others, rel=0.02)
    assert np.mean([m.standard_error for m in found]) == pytest.approx(np.std(values), rel=0.15)


def test_the_real_campaigns(data_dir: Path) -> None:
    contacts, redemptions = read_contacts(data_dir), read_redemptions(data_dir)
    for of, stated in {"a": 0.1551, "b": 0.0619, "c": 0.0697}.items():
        assert redemption_per_contact(contacts, redemptions, campaign_type=of).value == pytest.approx(stated, abs=5e-5)
    assert 3 < past_redeemer_ratio(contacts, redemptions).value < 6
    days, _ = redemption_lags(contacts, redemptions)
    assert np.median(days) == 16
    assert days.min() >= 0
