"""How sure a share is that was counted in a sample."""

from __future__ import annotations

import math

_Z_95 = 1.959964


def interval(share: float, count: int) -> tuple[float, float]:
    """Bounds of the 95 % interval of a share, 0 to 1, counted in so many draws (Wilson 1927)."""
    spread = _Z_95**2 / count
    middle = (share + 0.5 * spread) / (1.0 + spread)
    half = _Z_95 * math.sqrt(share * (1.0 - share) / count + 0.25 * spread / count) / (1.0 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def chance_words(share: float, low: float, high: float) -> str:
    """A chance with its interval, in percent."""
    return f"{100 * share:.0f} %, 95 % interval {100 * low:.0f} to {100 * high:.0f}"
