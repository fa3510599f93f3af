"""When a scan was made, whatever the scanner's clock says."""

from __future__ import annotations

import time

from cryoneuro.guidance import ScanClock
from cryoneuro.guidance.scan_clock import acquired_s
from hypothesis import given
from hypothesis import strategies as st


def said(seconds: float) -> str:
    return time.strftime("%Y%m%d %H%M%S", time.localtime(seconds)) + f"{seconds % 1:.3f}"[1:]


NOW = 1.79e9


def test_clocks_that_agree_are_believed() -> None:
    clock, made, note = ScanClock().seen(said(NOW - 20.0), NOW)
    assert abs(made - (NOW - 20.0)) < 0.01 and not note
    assert clock.behind_s is not None


@given(st.floats(-4e5, 4e5).filter(lambda v: v < -5 or v > 200))
def test_clocks_that_disagree_are_said_and_intervals_stay_right(ahead: float) -> None:
    clock = ScanClock()
    clock, first, note = clock.seen(said(NOW - 10.0 - ahead), NOW)
    assert "clock" in note and first <= NOW
    _, second, _ = clock.seen(said(NOW + 90.0 - ahead), NOW + 105.0)
    # 100 s apart by the scanner, whatever its clock says of the day.
    assert abs(second - first - 100.0) < 0.01


def test_what_cannot_be_read_falls_back_to_the_arrival() -> None:
    for text in ("", "garbage", "20261399 999999", "20260101", "x y"):
        _, made, note = ScanClock().seen(text, NOW)
        assert made == NOW and "does not say" in note
    assert acquired_s("20260101 1015") is not None


def test_one_scan_with_a_wrong_date_teaches_nothing() -> None:
    clock, _, _ = ScanClock().seen(said(NOW - 20.0), NOW)
    for wrong in (3e8, -3e8, 4000.0):
        after, made, note = clock.seen(said(NOW + wrong), NOW + 60.0)
        assert after == clock and made == NOW + 60.0 and "arrival is taken" in note
    _, made, note = clock.seen(said(NOW + 100.0), NOW + 120.0)
    assert abs(made - NOW - 100.0) < 0.01 and not note
