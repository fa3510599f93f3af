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
    longest_gap_s: float = 0.0
    expected: int = 0
    sender: object = None
    brought: int = 0
    sender_left_s: float | None = None
    fresh: bool = False
    stirred_s: float = 0.0


class SeriesGathering:
    """Slices in, series out: by count where the files say it, by the end of the sender's association, by a quiet time.

    What comes late, or comes again with other content, makes the series come once more; what comes twice does not.
    """

    def __init__(self, quiet_s: float | None = None) -> None:
        self.quiet_s = constant("live_quiet_s") if quiet_s is None else quiet_s
        self._open: dict[str, _Open] = {}

    def add(
        self,
        series_uid: str,
        instance_uid: str,
        path: Path,
        now_s: float,
        expected: int = 0,
        sender: object = None,
        changed: bool = False,
    ) -> bool:
        """A slice has come. False when it had come before.

        Args:
            now_s: when its last byte came.
            expected: how many slices the series has, where the file says it; 0 otherwise.
            sender: whoever sent it, see left.
            changed: its content is another than before.
        """
        item = self._open.setdefault(series_uid, _Open(first_s=now_s))
        known = instance_uid in item.files
        if known and not changed:
            return False
        if not item.fresh:
            item.first_s, item.longest_gap_s = now_s, 0.0
        elif item.last_s:
            item.longest_gap_s = max(item.longest_gap_s, now_s - item.last_s)
        item.brought = item.brought + 1 if sender is not None and sender == item.sender else 1
        item.files[instance_uid] = path
        item.fresh, item.last_s, item.sender, item.sender_left_s = True, now_s, sender, None
        item.expected = expected
        return not known

    def left(self, sender: object, now_s: float) -> None:
        """A sender has ended its association."""
        for item in self._open.values():
            # Some senders open one association for each slice: the end of such a one says nothing of the series.
            if item.sender == sender and sender is not None and item.brought > 1:
                item.sender_left_s = now_s

    def stir(self, now_s: float) -> None:
        """Something is still coming that cannot be told yet: no series is complete by quiet before it is."""
        for item in self._open.values():
            item.stirred_s = now_s

    def due(self, now_s: float) -> tuple[Gathered, ...]:
        """Series that are complete now and were not given yet."""
        found = []
        for uid, item in self._open.items():
            why = self._why(item, now_s) if item.fresh else ""
            if why:
                item.fresh = False
                found.append(Gathered(uid, tuple(item.files.values()), why, item.last_s))
        return tuple(sorted(found, key=lambda g: g.received_s))

    def forget(self, before_s: float) -> None:
        """Let go of series that were given and got nothing new since."""
        for uid in [u for u, i in self._open.items() if not i.fresh and i.last_s < before_s]:
            del self._open[uid]

    def _why(self, item: _Open, now_s: float) -> str:
        count = len(item.files)
        if item.expected > 1 and count == item.expected:
            return f"all {count} slices have come"
        if item.sender_left_s is not None and now_s - item.sender_left_s >= constant("live_left_grace_s"):
            return f"the sender has ended after {count} slices"
        # A slow sender shows by its gaps how slow it is; after one slice that is not known yet.
        longest = constant("live_quiet_longest_s")
        wait = min(max(self.quiet_s, 3.0 * item.longest_gap_s), max(longest, self.quiet_s))
        if count == 1:
            wait = max(self.quiet_s, longest)
        if now_s - max(item.last_s, item.stirred_s) >= wait:
            return f"nothing came for {wait:.0f} s after {count} slice{'s' if count > 1 else ''}"
        if count >= constant("live_most_slices"):
            return f"{count} slices have come and it goes on; more are not waited for"
        if now_s - item.first_s >= constant("live_series_longest_s"):
            return f"it goes on since {now_s - item.first_s:.0f} s; {count} slices are taken"
        return ""
