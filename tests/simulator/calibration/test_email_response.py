"""What a mail does, on made-up and on real customers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.calibration.data.data import ARMS, MailTest, read_mail_test
from simulator.calibration.data.email_response import (
    HISTORIES,
    conversion_given_visit,
    history,
    lift_by_match,
    lift_of_mail,
    order_values,
    outcome_of_arm,
)
from simulator.errors import CalibrationError


def drawn(n: int, *, fits: float, other: float, mens_share: float, seed: int = 0) -> MailTest:
    """Customers of one department each; a mail adds `fits` to a visit chance of .1 if of theirs, else `other`."""
    random = np.random.default_rng(seed)
    arm, mens = random.integers(0, 3, n), random.random(n) < mens_share
    matched = (arm == 1) & mens | (arm == 2) & ~mens
    visit = random.random(n) < 0.1 + np.where(arm == 0, 0.0, np.where(matched, fits, other))
    conversion = visit & (random.random(n) < 0.05)
    as_number = (visit.astype(float), conversion.astype(float), conversion * random.lognormal(4.4, 0.8, n))
    return MailTest(arm, mens, ~mens, *as_number)


def test_lifts_are_those_that_customers_were_drawn_with() -> None:
    test = drawn(90_000, fits=0.08, other=0.02, mens_share=0.8)
    for matched, true in ((True, 0.08), (False, 0.02)):
        lift = lift_by_match(test, outcome="visit", matched=matched)
        assert lift.value == pytest.approx(true, abs=4 * lift.standard_error)
        assert lift.standard_error < 0.005
    men = lift_of_mail(test, outcome="visit", arm="mens")
    assert men.value == pytest.approx(0.8 * 0.08 + 0.2 * 0.02, abs=4 * men.standard_error)
    given = conversion_given_visit(test, arm="mens")
    assert given.value == pytest.approx(0.05, abs=4 * given.standard_error)
    assert given.n == test.visit[test.arm == 1].sum()


def test_the_error_of_a_rate_is_the_binomial_one() -> None:
    found = outcome_of_arm(drawn(9_000, fits=0.1, other=0.1, mens_share=0.5), outcome="visit", arm="none")
    assert found.standard_error == pytest.approx(np.sqrt(found.value * (1 - found.value) / found.n), rel=1e-3)


def test_histories_are_told_apart() -> None:
    flags = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], dtype=bool)
    test = MailTest(np.zeros(4, dtype=np.int64), flags[:, 0], flags[:, 1], *np.zeros((3, 4)))
    assert history(test).tolist() == [0, 1, 2, -1]


def test_an_arm_nobody_is_in_is_refused() -> None:
    test = drawn(50, fits=0, other=0, mens_share=0.5)
    with pytest.raises(CalibrationError, match="no customer of arm 'womens'"):
        outcome_of_arm(test, outcome="visit", arm="womens", among=test.arm == 1)


# Stated figures: of this half of the test for visits, of the whole test for the rest.
HALF_VISITS = {"none": 0.10749, "mens": 0.18456, "womens": 0.15274}
WHOLE = {
    "conversion": {"none": 0.005726, "mens": 0.012531, "womens": 0.008837},
    "spend": {"none": 0.652789, "mens": 1.422617, "womens": 1.077202},
}
WHOLE_VISITS_BY_HISTORY = {
    "mens_only": (0.0998, 0.1690, 0.1109),
    "womens_only": (0.0958, 0.1664, 0.1698),
    "both": (0.1806, 0.3150, 0.2517),
}


def test_the_real_arms(data_dir: Path) -> None:
    test = read_mail_test(data_dir)
    for arm, stated in HALF_VISITS.items():
        assert outcome_of_arm(test, outcome="visit", arm=arm).value == pytest.approx(stated, abs=5e-6)
    # Half a sample is off the whole by as much again as the whole is off the truth: se / sqrt(2).
    for arm in ARMS:
        conversion = outcome_of_arm(test, outcome="conversion", arm=arm)
        spend = outcome_of_arm(test, outcome="spend", arm=arm)
        for found, stated in ((conversion, WHOLE["conversion"][arm]), (spend, WHOLE["spend"][arm])):
            assert found.value == pytest.approx(stated, abs=3 * found.standard_error / np.sqrt(2))


def test_the_real_visits_by_what_customers_bought(data_dir: Path) -> None:
    test = read_mail_test(data_dir)
    for index, bought in enumerate(HISTORIES):
        for arm, stated in zip(ARMS, WHOLE_VISITS_BY_HISTORY[bought], strict=True):
            found = outcome_of_arm(test, outcome="visit", arm=arm, among=history(test) == index)
            assert found.value == pytest.approx(stated, abs=3 * found.standard_error / np.sqrt(2))
    matched, mismatched = (lift_by_match(test, outcome="visit", matched=m) for m in (True, False))
    assert matched.value > mismatched.value + 2 * matched.standard_error


def test_the_real_orders(data_dir: Path) -> None:
    orders = order_values(read_mail_test(data_dir))
    assert orders.min() == 29.99
    logs = np.log(orders)
    assert logs.mean() == pytest.approx(4.395, abs=3 * 0.838 / np.sqrt(2 * len(orders)))
    assert logs.std() == pytest.approx(0.838, abs=3 * 0.838 / np.sqrt(4 * len(orders)))
