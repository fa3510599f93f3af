"""When a scan was made, by this machine's clock, whatever the scanner's clock says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..knowledge import constant


@dataclass(frozen=True)
class ScanClock:
    """What is known of the scanner's clock, from scans that were accepted only.

    Attributes:
        behind_s: least time from a scan's own time to its arrival so far; None before the first.
    """

    behind_s: float | None = None

    def seen(self, acquired: str, received_s: float) -> tuple[ScanClock, float, str]:
        """The clock after a scan, when the scan was made (seconds since 1970), and what has to be said of it.

        A scan whose own time does not fit that of the scans before is taken to have been made when it arrived, and teaches
        nothing.

        Args:
            acquired: date and time as the scan says it, "YYYYMMDD HHMMSS.fff" in local time.
            received_s: when its last byte came.
        """
        own = acquired_s(acquired)
        if own is None:
            return self, received_s, "The scan does not say when it was made; the time of its arrival is taken."
        behind, odd = received_s - own, constant("live_clock_odd_s")
        if self.behind_s is not None and not -odd <= behind - self.behind_s <= constant("live_series_longest_s") * 5.0:
            note = (
                f"The scan's own time lies {_span(abs(behind - self.behind_s))} from what the scans before let expect; the time "
                "of its arrival is taken."
            )
            return self, received_s, note
        least = behind if self.behind_s is None else min(self.behind_s, behind)
        clock = ScanClock(least)
        if -1.0 <= least <= odd:
            return clock, min(own, received_s), ""
        # The quickest scan so far took no time at all, as far as anybody can tell.
        ahead = "ahead of" if least < 0 else "behind"
        note = f"The scanner's clock is {_span(abs(least))} {ahead} this machine's; times are counted from when the scans arrive."
        return clock, min(own + least, received_s), note


def acquired_s(acquired: str) -> float | None:
    """Seconds since 1970 of a scan's own date and time; None where it says none that can be read."""
    parts = acquired.split()
    if len(parts) != 2:
        return None
    date, clock = parts[0], parts[1].split(".")
    try:
        whole = datetime.strptime(f"{date} {clock[0][:6]:0<6}", "%Y%m%d %H%M%S").timestamp()
        return whole + (float(f"0.{clock[1]}") if len(clock) > 1 and clock[1].isdecimal() else 0.0)
    except (ValueError, OverflowError, OSError):
        return None


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172800:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:.0f} days"
