"""Follows a procedure beside the interface: sources are polled and scans followed in a thread, pictures shown on the main one."""

from __future__ import annotations

import logging
import queue
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cryoneuro.guidance import (
    Arrival,
    LivePicture,
    LiveSetup,
    LiveState,
    follow,
    follow_pose,
    identity_questions,
    warm_up,
)
from cryoneuro.model import Case, CryoNeuroError
from cryoneuro.session import event
from slicer.i18n import tr as _

from .worker import BackgroundJob

POLL_MS = 300
_SAID_KEPT = 60


class LiveRoom:
    """One procedure at a time.

    Attributes:
        said: sentences, oldest first.
        picture: of the last scan, good or not; None before one came.
    """

    def __init__(
        self, scene: Any, timer: Any, jobTimer: Any, changed: Callable[[], None], putAside: Callable[[], None]
    ) -> None:
        """
        Args:
            timer, jobTimer: qt.QTimers of the owner.
            putAside: called before the first scan is shown: what lies in the planning CT's place must not lie over it.
            changed: called on the main thread whenever there is something new to show.
        """
        self._scene, self._timer, self._changed, self._putAside = scene, timer, changed, putAside
        self._job = BackgroundJob(jobTimer)
        self._early: queue.SimpleQueue[LivePicture] = queue.SimpleQueue()
        self._waiting: deque[tuple[Arrival, Any]] = deque()
        self._sources: list[Any] = []
        self._view: Any = None
        self._case: Case | None = None
        self._setup: LiveSetup | None = None
        self._state = LiveState()
        self._asked: tuple[Arrival, Any] | None = None
        self.said: deque[str] = deque(maxlen=_SAID_KEPT)
        self._records: list[Any] = []
        self.picture: LivePicture | None = None
        timer.setInterval(POLL_MS)
        timer.timeout.connect(self._tick)

    # What the page asks

    def isFollowing(self) -> bool:
        """Whether scans are waited for."""
        return bool(self._sources)

    def isFreezing(self) -> bool:
        """Whether a freeze has been said to go on."""
        return self._setup is not None and self._setup.freeze_started_s is not None

    def frozenS(self) -> float | None:
        """How long it has gone on."""
        if self._setup is None or self._setup.freeze_started_s is None:
            return None
        return time.time() - self._setup.freeze_started_s

    def questions(self) -> tuple[Any, ...]:
        """What a person must answer before the last scan is overlaid."""
        return self.picture.questions if self.picture is not None and self._asked is not None else ()

    def isShowing(self) -> bool:
        """Whether a live scan is in the scene."""
        return self.scanNode() is not None

    def scanNode(self) -> Any:
        """Volume node of the last good scan."""
        return None if self._view is None else self._view.ct

    def begin(self, case: Case, source: Any, records: list[Any]) -> None:
        """Follow a case's plan with a source of scans.

        Args:
            records: of the case; what is said, asked and answered is added to it.

        Raises:
            ValueError: the case has no plan.
        """
        if case.plan is None or case.anatomy is None:
            source.close()
            raise ValueError(_("Plan a path first; without a plan there is nothing to lay under a scan."))
        self.end()
        from ..scene.live_scene import LiveScene

        if self._case is not case:
            self.leave()
            self._asked, self.picture, self._case = None, None, case
            self._setup = LiveSetup(case.ct, case.anatomy, case.plan)
            self._state = LiveState()
            self._waiting.clear()
            setup = self._setup
            self._job.start(lambda p, c: warm_up(setup), lambda f, t: None, lambda r: None, self._failed)
        if self._view is None:
            self._view = LiveScene(self._scene, case)
        self._sources, self._records = [source], records
        self.say(_("Waiting for scans: {words}").format(words=source.words))
        self._timer.start()
        self._changed()

    def end(self) -> None:
        """Wait for no more scans; what is shown stays."""
        self._timer.stop()
        for source in self._sources:
            source.close()
        if self._sources:
            self.say(_("No more scans are waited for."))
        self._sources = []

    def freeze(self, begun: bool) -> None:
        """The freeze has begun, or has ended."""
        if self._setup is None:
            return
        self._setup = replace(self._setup, freeze_started_s=time.time() if begun else None)
        self.say(_("The freeze has begun.") if begun else _("The freeze has ended."))
        self._records.append(event("freeze" if begun else "freeze ended", "Said in the panel"))
        self._changed()

    def answerYes(self) -> None:
        """A person says that what was asked about is the same; the scan is followed once more."""
        if self._asked is None or self._asked[0].ct is None or self._setup is None:
            return
        open_ = identity_questions(self._setup.plan_ct, self._asked[0].ct, self._setup.accepted)
        self._setup = replace(self._setup, accepted=self._setup.accepted | {q.key for q in open_})
        self._records.append(
            event("identity", "A person says that these are the same: " + ", ".join(q.what for q in open_))
        )
        self._waiting.appendleft(self._asked)
        self._asked = None
        self._changed()

    def say(self, sentence: str) -> None:
        """One more sentence."""
        self.said.append(sentence)

    def leave(self) -> None:
        """Take the live scan and what lies under it out of the scene; what was learned is kept for the same plan."""
        if self._view is not None:
            self._view.clear()
        self._view = None

    def abandon(self) -> None:
        """The scene is about to close: nodes go with it."""
        self.end()
        self._job.abandon()
        self._view = self._case = self._setup = self._asked = self.picture = None
        self._state = LiveState()
        self._waiting.clear()

    def close(self) -> None:
        """The application closes."""
        self.end()
        self._job.close()

    # Work

    def _tick(self) -> None:
        while not self._early.empty():
            self._show(self._early.get(), early=True)
        if self._job.isRunning() or self._setup is None:
            return
        for source in self._sources:
            if hasattr(source, "look"):
                source.look()
        setup, state, waiting, sources = self._setup, self._state, self._waiting, tuple(self._sources)

        def work(progress: Any, cancelled: Any) -> Any:
            for source in sources:
                waiting.extend((arrival, source) for arrival in source.poll())
            if not waiting:
                return None
            arrival, source = waiting.popleft()
            if arrival.pose is not None:
                return (arrival, source), state, None, follow_pose(setup, state, arrival.pose)[1]
            if arrival.ct is None:
                source.handled(arrival)
                return (arrival, source), state, None, arrival.sentence
            after, picture = follow(setup, state, arrival, self._early.put, cancelled)
            if not picture.questions:
                # Until then it would come again after a crash.
                source.handled(arrival)
            return (arrival, source), after, picture, ""

        self._job.start(work, lambda f, t: None, self._followed, self._failed)

    def _followed(self, found: Any) -> None:
        if found is None or self._setup is None:
            return
        arrival, state, picture, sentence = found
        self._state = state
        if picture is None:
            self.say(sentence)
            self._changed()
            return
        self._asked = arrival if picture.questions else None
        self._show(picture)
        self.say(_("Scan {number}: {advice}").format(number=picture.number, advice=picture.advice.value.upper()))
        for text in picture.sentences:
            self.say(text)
        self._records.append(event("live scan", f"{picture.advice.value}: {' '.join(picture.sentences)}"))
        if self._state.replayed is not None and not self._job.isRunning():
            # What the first scan with ice will ask for is made while nobody waits.
            self._job.start(
                lambda p, c: self._state.replayed.prepare(), lambda f, t: None, lambda r: None, self._failed
            )
        self._changed()

    def _show(self, picture: LivePicture, early: bool = False) -> None:
        if not early:
            self.picture = picture
        if self._view is not None and picture.good and not self.isShowing():
            self._putAside()
        if self._view is not None and self._view.show(picture):
            from . import services

            plan = picture.plan or (self._setup.plan if self._setup is not None else None)
            if plan is not None and picture.alignment is not None:
                tip = plan.probes[0].trajectory.tip_ras_mm
                matrix = picture.alignment.plan_to_live
                services.showInSlices(self._view.ct, matrix[:3, :3] @ tip + matrix[:3, 3])

    def _failed(self, error: BaseException) -> None:
        if not isinstance(error, CryoNeuroError):
            logging.error("CryoNeurolysis live failed", exc_info=error)
        self.say(str(error) or type(error).__name__)
        self._changed()
