"""When a series that comes slice by slice is complete."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..knowledge import constant


@dataclass(frozen=True)
class Gathered:
    """A series that is complete, or as complete as it will get.

    Attributes:
        files: of its slices, each once.
        why: what says that it is complete.
        received_s: when its last byte came.
    """

    series_uid: str
    files: tuple[Path, ...]
    why: str
    received_s: float


@dataclass
class _Open:
    files: dict[str, Path] = field(default_factory=dict)
    first_s: float = 0.0
    last_s: float = 0.0
    expected: int = 0
    sender: object = None
    sender_left_s: float | None = None
    given: int = 0
    stirred_s: float = 0.0


class SeriesGathering:
    """Slices in, series out: by count where the files say it, by the end of the sender's association, by a quiet time.

    What comes late makes the series come once more; what comes twice does not.
    """

    def __init__(self, quiet_s: float | None = None) -> None:
        self.quiet_s = constant("live_quiet_s") if quiet_s is None else quiet_s
        self._open: dict[str, _Open] = {}

    def add(
        self, series_uid: str, instance_uid: str, path: Path, now_s: float, expected: int = 0, sender: object = None
    ) -> bool:
        """A slice has come. False when it had come before.

        Args:
            now_s: when its last byte came.
            expected: how many slices the series has, where the file says it; 0 otherwise.
            sender: whoever sent it, see left.
        """
        item = self._open.setdefault(series_uid, _Open(first_s=now_s))
        if instance_uid in item.files:
            return False
        if len(item.files) == item.given:
            item.first_s = now_s
        item.files[instance_uid] = path
        item.last_s, item.expected, item.sender, item.sender_left_s = now_s, expected, sender, None
        return True

    def left(self, sender: object, now_s: float) -> None:
        """A sender has ended its association."""
        for item in self._open.values():
            if item.sender == sender and sender is not None:
                item.sender_left_s = now_s

    def stir(self, now_s: float) -> None:
        """Something is still coming that cannot be told yet: no series is complete by quiet before it is."""
        for item in self._open.values():
            item.stirred_s = now_s

    def due(self, now_s: float) -> tuple[Gathered, ...]:
        """Series that are complete now and were not given yet."""
        found = []
        for uid, item in self._open.items():
            if len(item.files) == item.given:
                continue
            why = self._why(item, now_s)
            if why:
                item.given = len(item.files)
                found.append(Gathered(uid, tuple(item.files.values()), why, item.last_s))
        return tuple(sorted(found, key=lambda g: g.received_s))

    def forget(self, before_s: float) -> None:
        """Let go of series that were given and got nothing new since."""
        for uid in [u for u, i in self._open.items() if len(i.files) == i.given and i.last_s < before_s]:
            del self._open[uid]

    def _why(self, item: _Open, now_s: float) -> str:
        count = len(item.files)
        if item.expected > 1 and count >= item.expected:
            return f"all {count} slices have come"
        if item.sender_left_s is not None and now_s - item.sender_left_s >= constant("live_left_grace_s"):
            return f"the sender has ended after {count} slices"
        if now_s - max(item.last_s, item.stirred_s) >= self.quiet_s:
            return f"nothing came for {self.quiet_s:g} s after {count} slices"
        if count >= constant("live_most_slices"):
            return f"{count} slices have come and it goes on; more are not waited for"
        if now_s - item.first_s >= constant("live_series_longest_s"):
            return f"it goes on since {now_s - item.first_s:.0f} s; {count} slices are taken"
        return ""
