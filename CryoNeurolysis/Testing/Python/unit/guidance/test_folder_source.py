"""A folder into which a console exports, slowly, brokenly, twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryoneuro.guidance import FolderSource
from cryoneuro.model import GuidanceError


class Clock:
    """Time as the test wants it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def settled(source: FolderSource, clock: Clock, seconds: float = 4.0) -> list:  # type: ignore[type-arg]
    found = []
    for _ in range(int(seconds / 0.5)):
        found += source.poll()
        clock.now += 0.5
    return found


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    folder.mkdir()
    return folder


def test_a_series_is_given_when_it_is_whole(watched: Path, write_series: Callable) -> None:  # type: ignore[type-arg]
    clock = Clock()
    source = FolderSource(watched, clock=clock)
    files = write_series("whole")
    for path in files[:3]:
        shutil.copy(path, watched)
    assert settled(source, clock, 1.0) == []
    sub = watched / "later"
    sub.mkdir()
    for path in files[3:]:
        shutil.copy(path, sub)
    (arrival,) = settled(source, clock)
    assert arrival.ct is not None and arrival.ct.geometry.shape_kji[0] == 5
    assert settled(source, clock) == []


def test_a_file_that_is_still_being_written_is_waited_for(watched: Path, write_series: Callable) -> None:  # type: ignore[type-arg]
    clock = Clock()
    source = FolderSource(watched, clock=clock)
    files = write_series("slow", 3)
    for path in files[:2]:
        shutil.copy(path, watched)
    content = files[2].read_bytes()
    target = watched / files[2].name
    for end in range(400, len(content), 300):
        target.write_bytes(content[:end])
        assert source.poll() == ()
        clock.now += 0.3
    target.write_bytes(content)
    # Such a slow one is waited for longer.
    (arrival,) = settled(source, clock, 14.0)
    assert arrival.ct is not None and arrival.ct.geometry.shape_kji[0] == 3


def test_damage_and_other_files_are_sentences_or_nothing(watched: Path, write_series: Callable) -> None:  # type: ignore[type-arg]
    clock = Clock()
    source = FolderSource(watched, clock=clock)
    (watched / "notes.txt").write_text("hello " * 100)
    (watched / "garbage.dcm").write_bytes(b"\0" * 128 + b"DICM" + bytes(range(256)) * 4)
    (watched / "empty.dcm").write_bytes(b"")
    files = write_series("cut", 4)
    for path in files[:3]:
        shutil.copy(path, watched)
    cut = files[3].read_bytes()
    (watched / files[3].name).write_bytes(cut[: len(cut) - 900])
    arrivals = settled(source, clock)
    said = " ".join(a.sentence for a in arrivals)
    assert "garbage.dcm" in said and (files[3].name in said or "cut short" in said)
    # The whole slices before it are used; the cut one is not filled up with zeros.
    assert [a.ct.geometry.shape_kji[0] for a in arrivals if a.ct is not None] == [3]


def test_what_lay_there_before_is_old_unless_asked_for(watched: Path, write_series: Callable) -> None:  # type: ignore[type-arg]
    for path in write_series("old"):
        shutil.copy(path, watched)
    clock = Clock()
    assert settled(FolderSource(watched, clock=clock), clock) == []
    (arrival,) = settled(FolderSource(watched, include_old=True, clock=clock), clock)
    assert arrival.ct is not None


def test_the_same_series_twice_and_two_patients_in_one(watched: Path, write_series: Callable) -> None:  # type: ignore[type-arg]
    clock = Clock()
    source = FolderSource(watched, clock=clock)
    files = write_series("again")
    for path in files:
        shutil.copy(path, watched)
    assert len(settled(source, clock)) == 1
    for path in files:
        shutil.copy(path, watched / f"copy-{path.name}")
    assert settled(source, clock) == []


def test_a_folder_that_goes_away_is_said_once(watched: Path, write_series: Callable) -> None:  # type: ignore[type-arg]
    clock = Clock()
    source = FolderSource(watched, clock=clock)
    away = watched.with_name("away")
    watched.rename(away)
    told = settled(source, clock)
    assert len(told) == 1 and "cannot be read" in told[0].sentence
    away.rename(watched)
    for path in write_series("back"):
        shutil.copy(path, watched)
    assert [a.ct is not None for a in settled(source, clock)] == [True]
    with pytest.raises(GuidanceError, match="no folder"):
        FolderSource(watched / "nowhere")
