"""Numbers of a comparison as text, the same in the terminal and in the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, isfinite, isnan, log10

from simulator.comparison.paired_intervals import ROUNDING, MeanInterval

UNKNOWN = "–"  # noqa: RUF001 - an en dash is what tables show for "not known"
MINUS = "\N{MINUS SIGN}"
FEWEST_DECIMALS, MOST_DECIMALS = 2, 5


@dataclass(frozen=True)
class Money:
    """Money with as many decimals as its differences deserve.

    Attributes:
        decimals: after the point.
    """

    decimals: int

    @classmethod
    def fitting(cls, resolutions: Sequence[float]) -> Money:
        """Cents, or more where the finest of these amounts (say, standard errors) needs it to show a digit."""
        finest = min((r for r in map(abs, resolutions) if isfinite(r) and r > ROUNDING), default=1.0)
        return cls(decimals=min(max(-floor(log10(finest)), FEWEST_DECIMALS), MOST_DECIMALS))

    def is_nothing(self, interval: MeanInterval) -> bool:
        """Whether an amount and both its bounds are written as zero."""
        return max(abs(interval.value), abs(interval.lower), abs(interval.upper)) < 0.5 * 10.0**-self.decimals

    def plain(self, value: float) -> str:
        """`1,234.50`."""
        return number(value, decimals=self.decimals)

    def signed(self, value: float) -> str:
        """`+3.21`."""
        return number(value, decimals=self.decimals, sign=True)

    def bounds(self, interval: MeanInterval | None, *, sign: bool = False) -> str:
        """`[2.90, 3.50]`."""
        return bounds(interval, decimals=self.decimals, sign=sign)


def number(value: float, *, decimals: int, sign: bool = False) -> str:
    """A number with thousands separators and a true minus; a dash where it is not known; no negative zero."""
    if isnan(value):
        return UNKNOWN
    text = f"{value:{'+' if sign else ''},.{decimals}f}"
    if not any(digit in text for digit in "123456789"):
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def bounds(interval: MeanInterval | None, *, decimals: int, sign: bool = False) -> str:
    """Both bounds in brackets; a dash where there is none."""
    if interval is None or isnan(interval.lower):
        return UNKNOWN
    lower = number(interval.lower, decimals=decimals, sign=sign)
    return f"[{lower}, {number(interval.upper, decimals=decimals, sign=sign)}]"


def percent(share: float) -> str:
    """A share in percent with one decimal."""
    return UNKNOWN if isnan(share) else f"{number(100.0 * share, decimals=1)} %"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
