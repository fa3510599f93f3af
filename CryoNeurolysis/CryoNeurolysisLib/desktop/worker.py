"""Heavy work beside a living interface: the job runs in a thread, a timer brings its news to the main thread."""

from __future__ import annotations

import gc
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

Progress = Callable[[float, str], None]
Cancelled = Callable[[], bool]
_POLL_MS = 10
_YIELD_S = 0.03
"""Slicer's event loop keeps Python's lock while it waits, so a thread would get it only for moments. Sleeping here, on the
main thread, hands the lock over; 30 of 40 ms make the job run at nearly full speed and leave 25 interface updates a second."""

_DELIVER_S = 0.005
_COLLECT_S = 2.0

_holders = 0
_holding = threading.Lock()


def _hold() -> None:
    """Python's collector may run in any thread and take nodes and widgets apart there, which must happen on the main thread.

    So it rests while a job runs; poll() collects instead.
    """
    global _holders
    with _holding:
        _holders += 1
        gc.disable()


def _release() -> None:
    global _holders
    with _holding:
        _holders -= 1
        if not _holders:
            gc.enable()


class BackgroundJob:
    """One job at a time. Callbacks are called on the thread that polls, which is the main thread."""

    def __init__(self, timer: Any) -> None:
        """
        Args:
            timer: a qt.QTimer of the owner; its timeout is connected to poll().
        """
        self._timer = timer
        self._news: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._latest: threading.Thread | None = None
        self._stop = threading.Event()
        self._onProgress: Progress | None = None
        self._onDone: Callable[[Any], None] | None = None
        self._onError: Callable[[BaseException], None] | None = None
        self._collected = 0.0
        timer.setInterval(_POLL_MS)
        timer.timeout.connect(self.poll)

    def isRunning(self) -> bool:
        """Whether a job has been started and not yet been reported as ended."""
        return self._thread is not None

    def start(
        self,
        work: Callable[[Progress, Cancelled], Any],
        onProgress: Progress,
        onDone: Callable[[Any], None],
        onError: Callable[[BaseException], None],
    ) -> bool:
        """Run work(progress, cancelled) in a thread; False when another job is running."""
        if self._thread is not None:
            return False
        # A flag of its own: clearing a shared one would wake a job that was abandoned a moment ago.
        self._stop = threading.Event()
        self._news = queue.SimpleQueue()
        self._onProgress, self._onDone, self._onError = onProgress, onDone, onError
        news, stop = self._news, self._stop

        def run() -> None:
            try:
                result = work(lambda fraction, text: news.put(("progress", (fraction, text))), stop.is_set)
            except BaseException as error:  # the main thread decides what to do with it
                news.put(("error", error))
            else:
                news.put(("done", result))
            finally:
                _release()

        _hold()
        self._thread = threading.Thread(target=run, name="cryoneuro-job", daemon=True)
        self._latest = self._thread
        self._thread.start()
        self._timer.start()
        return True

    def cancel(self) -> None:
        """Ask the job to stop; onError is called with its CancelledError when it has."""
        self._stop.set()

    def abandon(self) -> None:
        """Stop the job and forget it: nothing more is called. For closing a scene."""
        self._stop.set()
        self._thread = None
        self._timer.stop()

    def close(self, timeout_s: float = 5.0) -> None:
        """Abandon the job and wait until it has ended. For closing the application: a thread must not outlive Python."""
        self.abandon()
        if self._latest is not None:
            self._latest.join(timeout_s)

    def poll(self) -> None:
        """Deliver what the job has said since the last time, and let it run."""
        if self._thread is not None and self._thread.is_alive():
            time.sleep(_YIELD_S)
            if time.monotonic() - self._collected > _COLLECT_S:
                gc.collect(1)
                self._collected = time.monotonic()
        latest, end = None, time.monotonic() + _DELIVER_S
        while self._thread is not None:
            try:
                kind, value = self._news.get_nowait()
            except queue.Empty:
                break
            if kind == "progress":
                # Only the last word counts; a job that says more than can be shown must not hold the interface up.
                latest = value
                if time.monotonic() > end:
                    break
                continue
            self._thread = None
            self._timer.stop()
            self._tell(latest)
            callback = self._onDone if kind == "done" else self._onError
            if callback is not None:
                callback(value)
            return
        self._tell(latest)

    def _tell(self, latest: Any) -> None:
        if latest is not None and self._onProgress is not None:
            self._onProgress(*latest)
