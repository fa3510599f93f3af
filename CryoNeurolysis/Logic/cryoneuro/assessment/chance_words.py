"""A chance in words."""

from __future__ import annotations


def chance_words(share: float, low: float, high: float) -> str:
    """A chance with its 95 % interval, in percent."""
    return f"{100 * share:.0f} %, 95 % interval {100 * low:.0f} to {100 * high:.0f}"
