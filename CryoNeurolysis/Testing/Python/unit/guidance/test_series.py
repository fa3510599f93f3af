"""When a series is complete: by count, by the sender's leaving, by quiet; never twice, never waited for without end."""

from __future__ import annotations

from pathlib import Path

from cryoneuro.guidance import SeriesGathering
from cryoneuro.knowledge import constant
from hypothesis import given
from hypothesis import strategies as st


def add(gathering: SeriesGathering, count: int, now: float, start: int = 0, **more: object) -> None:
    for n in range(start, start + count):
        gathering.add("1.2", f"1.2.{n}", Path(f"{n}.dcm"), now, **more)  # type: ignore[arg-type]


def test_complete_by_count_at_once() -> None:
    gathering = SeriesGathering()
    add(gathering, 4, 10.0, expected=5)
    assert gathering.due(10.0) == ()
    add(gathering, 1, 10.1, 4, expected=5)
    (found,) = gathering.due(10.1)
    assert len(found.files) == 5 and "all 5" in found.why and found.received_s == 10.1


def test_complete_when_the_sender_has_left_and_nobody_else_brings_more() -> None:
    gathering = SeriesGathering()
    add(gathering, 3, 10.0, sender="a")
    gathering.left("a", 10.05)
    assert gathering.due(10.1) == ()
    add(gathering, 2, 10.2, 3, sender="b")
    assert gathering.due(10.6) == ()
    gathering.left("b", 10.7)
    (found,) = gathering.due(10.7 + constant("live_left_grace_s"))
    assert len(found.files) == 5


def test_one_association_for_each_slice_says_nothing_of_the_series() -> None:
    gathering = SeriesGathering(quiet_s=2.0)
    now = 10.0
    for n in range(6):
        add(gathering, 1, now, n, sender=f"s{n}")
        gathering.left(f"s{n}", now + 0.05)
        assert gathering.due(now + 0.45) == ()
        now += 0.5
    (found,) = gathering.due(now + 2.0)
    assert len(found.files) == 6


def test_a_slow_sender_is_waited_for() -> None:
    gathering = SeriesGathering(quiet_s=2.0)
    now, given_ = 10.0, []
    for n in range(8):
        add(gathering, 1, now, n)
        for _ in range(23):
            now += 0.1
            given_ += gathering.due(now)
    while not given_ and now < 60:
        now += 0.1
        given_ += gathering.due(now)
    (found,) = given_
    assert len(found.files) == 8


def test_a_wrong_count_in_the_files_gives_it_once() -> None:
    gathering = SeriesGathering(quiet_s=2.0)
    add(gathering, 3, 10.0, expected=3)
    assert len(gathering.due(10.0)) == 1
    for n in range(3, 9):
        add(gathering, 1, 10.0 + 0.1 * n, n, expected=3)
        assert gathering.due(10.0 + 0.1 * n) == ()
    (found,) = gathering.due(30.0)
    assert len(found.files) == 9


def test_a_slice_that_comes_again_with_other_content_brings_the_series_again() -> None:
    gathering = SeriesGathering(quiet_s=2.0)
    add(gathering, 3, 10.0)
    assert len(gathering.due(13.0)) == 1
    gathering.add("1.2", "1.2.1", Path("1.dcm"), 14.0, changed=True)
    (found,) = gathering.due(40.0)
    assert len(found.files) == 3


def test_complete_after_a_quiet_time() -> None:
    gathering = SeriesGathering(quiet_s=2.0)
    add(gathering, 3, 10.0)
    assert gathering.due(11.9) == ()
    assert len(gathering.due(12.0)) == 1
    assert gathering.due(99.0) == ()


def test_what_comes_twice_is_not_given_twice_and_what_comes_late_is_given_once_more() -> None:
    gathering = SeriesGathering(quiet_s=2.0)
    add(gathering, 3, 10.0)
    assert len(gathering.due(12.0)) == 1
    add(gathering, 3, 13.0)
    assert gathering.due(20.0) == ()
    add(gathering, 1, 21.0, 3)
    (found,) = gathering.due(40.0)
    assert len(found.files) == 4


def test_a_series_that_never_ends_is_taken_as_it_is() -> None:
    gathering = SeriesGathering(quiet_s=2.0)
    now, n = 0.0, 0
    found = ()
    while not found and now < 1000:
        add(gathering, 1, now, n)
        found = gathering.due(now)
        now, n = now + 1.0, n + 1
    assert now <= constant("live_series_longest_s") + 2 and "goes on" in found[0].why


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0.0, 3.0)), max_size=40))
def test_every_slice_is_given_in_the_end_whatever_the_order(steps: list[tuple[int, float]]) -> None:
    gathering = SeriesGathering(quiet_s=1.0)
    now, sent, given_files = 0.0, set(), set()
    for number, wait in steps:
        gathering.add("1.2", str(number), Path(str(number)), now, sender="a")
        sent.add(number)
        now += wait
        for found in gathering.due(now):
            given_files |= {int(p.name) for p in found.files}
    for found in gathering.due(now + 50.0):
        given_files |= {int(p.name) for p in found.files}
    assert given_files == sent
    gathering.forget(now + 500.0)
    assert not gathering._open
