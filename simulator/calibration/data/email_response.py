"""What one e-mail does: outcomes per arm of a randomised test, and the difference a mail makes."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from policies.arrays import BoolArray, Float64Array, IntArray
from simulator.calibration.data.data import ARMS, MailTest
from simulator.calibration.data.uncertainty import Measured, difference, mean
from simulator.errors import CalibrationError

Outcome = Literal["visit", "conversion", "spend"]
OUTCOMES: tuple[Outcome, ...] = ("visit", "conversion", "spend")
HISTORIES = ("mens_only", "womens_only", "both")
MENS, WOMENS = ARMS.index("mens"), ARMS.index("womens")


def history(test: MailTest) -> IntArray:
    """What every customer bought before, index into `HISTORIES`, int64 (n,); -1 for neither."""
    kinds = [test.bought_mens & ~test.bought_womens, ~test.bought_mens & test.bought_womens]
    return np.select([*kinds, test.bought_mens & test.bought_womens], [0, 1, 2], default=-1).astype(np.int64)


def outcome_of_arm(test: MailTest, *, outcome: Outcome, arm: str, among: BoolArray | None = None) -> Measured:
    """Mean outcome of the customers of one arm.

    Args:
        test: the test.
        outcome: which one; spend in dollars.
        arm: of `ARMS`.
        among: bool (n,), which customers to look at; None for all.

    Raises:
        CalibrationError: there are no such customers.
    """
    chosen = test.arm == ARMS.index(arm)
    if among is not None:
        chosen &= among
    if not chosen.any():
        raise CalibrationError(f"e-mail test: no customer of arm {arm!r} is among those asked for")
    values: Float64Array = getattr(test, outcome)[chosen]
    return mean(values)


def lift_of_mail(test: MailTest, *, outcome: Outcome, arm: str, among: BoolArray | None = None) -> Measured:
    """What one mail of the arm adds to the outcome, against no mail; arguments as `outcome_of_arm`."""
    mailed = outcome_of_arm(test, outcome=outcome, arm=arm, among=among)
    return difference(mailed, outcome_of_arm(test, outcome=outcome, arm="none", among=among))


def outcome_of_mails(test: MailTest, *, outcome: Outcome) -> Measured:
    """Mean outcome of customers who got a mail, the two mails counting alike."""
    mens, womens = (outcome_of_arm(test, outcome=outcome, arm=arm) for arm in ARMS[1:])
    error = math.hypot(mens.standard_error, womens.standard_error) / 2
    return Measured((mens.value + womens.value) / 2, error, mens.n + womens.n)


def lift_of_mails(test: MailTest, *, outcome: Outcome) -> Measured:
    """What a mail adds to the outcome, the two mails counting alike."""
    return difference(outcome_of_mails(test, outcome=outcome), outcome_of_arm(test, outcome=outcome, arm="none"))


def conversion_given_visit(test: MailTest, *, arm: str) -> Measured:
    """Share of an arm's visitors who order."""
    return outcome_of_arm(test, outcome="conversion", arm=arm, among=test.visit == 1)


def lift_by_match(test: MailTest, *, outcome: Outcome, matched: bool) -> Measured:
    """What a mail adds for customers of one department: a mail of that department, or else of the other.

    The lifts of the two kinds of customers are averaged with the kinds' shares as weights, whatever the shares within
    the arms.
    """
    kind = history(test)
    parts = []
    for of, own in ((0, "mens"), (1, "womens")):
        other = "womens" if own == "mens" else "mens"
        among = kind == of
        lift = lift_of_mail(test, outcome=outcome, arm=own if matched else other, among=among)
        parts.append((float(among.sum()), lift))
    total = sum(count for count, _ in parts)
    return Measured(
        value=sum(count * lift.value for count, lift in parts) / total,
        standard_error=math.hypot(*(count * lift.standard_error for count, lift in parts)) / total,
        n=sum(lift.n for _, lift in parts),
    )


def order_values(test: MailTest) -> Float64Array:
    """Dollars of every order, float64 (m,); one customer orders at most once in the file."""
    found: Float64Array = test.spend[test.conversion == 1]
    return found
