"""The world's numbers of browsing and e-mail, so that its own e-mail test comes out as Hillstrom's.

What stands for what:

| world | Hillstrom |
|---|---|
| `site.visits_per_week` | visits without mail |
| `site.conversion` | orders per visit without mail |
| `email.visit` | visits added by mail: buyers of one department, a mail of that or of the other one |
| `email.relevance` | how much more the mail of one's own department adds |
| `site.after_email` | orders added per visit added, both mails |

Men's and women's mail do not behave alike: buyers of women's merchandise answer both, buyers of men's only their own.
The world has no department that everybody answers to, so both asymmetric halves are averaged: `matched` is the mail of
one's own department, whichever that is, and `mismatched` the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass

import numpy as np
from scipy.special import logit

from policies.arrays import Float64Array
from simulator.calibration.data.data import MailTest
from simulator.calibration.data.email_response import lift_by_match, lift_of_mails, outcome_of_arm
from simulator.errors import CalibrationError

# Where the search starts, always: the answer must not depend on what the file says now.
_START = (0.04, -4.0, -3.0, 0.6, 1.2)
# Many visits without mail are about wants, whatever the rate; the difference between the mails goes with the difference
# of log interest, of about 1.5.
_STEPS = np.array([2.2, 1.0, 1.0, 1 / 1.5, 1.0])
_CLOSE = 0.003
_ROUNDS = 20


@dataclass(frozen=True)
class Response:
    """Parameters of browsing and mail, named as in world.yaml."""

    visits_per_week: float
    conversion: float
    visit: float
    relevance: float
    after_email: float


def fit_response(real: MailTest, simulate: Callable[[Response], MailTest]) -> Response:
    """Parameters with which the simulated test has the real one's moments.

    Each parameter is an intercept, or nearly, of one coordinate of the moments (`coordinates`), so each is moved by
    what its coordinate lacks until none lacks anything; common random numbers make the steps comparable.

    Args:
        real: the real test.
        simulate: the simulated test, with the same random numbers every time.

    Raises:
        CalibrationError: a mail that adds no visits or orders, or a search that does not settle.
    """
    target, place = coordinates(real), np.array([np.log(_START[0]), *_START[1:]])
    for _ in range(_ROUNDS):
        lacks = target - coordinates(simulate(_response(place)))
        if np.abs(lacks).max() < _CLOSE:
            return _response(place)
        place = place + _STEPS * lacks
    raise CalibrationError(
        f"e-mail test: after {_ROUNDS} rounds the world still lacks {np.round(lacks, 3)} of log rate and log-odds at "
        f"{astuple(_response(place))}; an assumption of world.yaml is too far from what the test can be reached with"
    )


def coordinates(test: MailTest) -> Float64Array:
    """Five moments as logarithms of rates and of odds, float64 (5,), in the order of `Response`.

    Raises:
        CalibrationError: a mail adds no visits or orders, or nobody orders without one.
    """
    visits = outcome_of_arm(test, outcome="visit", arm="none").value
    orders = outcome_of_arm(test, outcome="conversion", arm="none").value
    matched, other = (lift_by_match(test, outcome="visit", matched=of).value / (1 - visits) for of in (True, False))
    added = lift_of_mails(test, outcome="conversion").value / lift_of_mails(test, outcome="visit").value
    shares = np.array([visits, orders / max(visits, 1e-12), matched, other, added])
    if not ((shares > 0) & (shares < 1)).all():
        names = "visits, orders per visit, visits added by matched and by mismatched mail, orders per visit added"
        raise CalibrationError(f"e-mail test: {names} must be shares between 0 and 1, not {np.round(shares, 4)}")
    odds = logit(shares)
    between = odds[2] - odds[3]
    return np.array([np.log(-np.log1p(-visits)), odds[1], (odds[2] + odds[3]) / 2, between, odds[4]])


def _response(place: Float64Array) -> Response:
    return Response(float(np.exp(place[0])), *(float(value) for value in place[1:]))
