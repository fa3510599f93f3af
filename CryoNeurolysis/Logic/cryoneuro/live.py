"""Follows a procedure on the command line: scans come in, each is said, drawn and recorded; the last good picture stays."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
import numpy.typing as npt

from .guidance import (
    Arrival,
    FrameSource,
    LivePicture,
    LiveSetup,
    LiveState,
    follow,
    follow_pose,
    identity_questions,
    warm_up,
)
from .imaging import read_ct, write_volume
from .knowledge import constant
from .model import CryoNeuroError, CtVolume, GuidanceError
from .session import append_event, event, load_case

RENDERERS = "cryoneuro.live_renderers"
"""Entry points that draw live pictures: make(case) -> object with draw(picture, folder) -> (path, caption)s, and close()."""
_POLL_S = 0.1
_ANSWERS, _FREEZE, _BASELINE = "answers.json", "freeze.json", "baseline.nrrd"


@dataclass(frozen=True)
class LiveOptions:
    """How a procedure is followed.

    Attributes:
        same: kinds of identity questions (patient, study, frame, position) to which a person has said yes for the first scan,
            where the files do not say; what they say to be different is asked all the same.
        freeze_started_s: when the freeze began; None before it.
        count: stop after so many scans; 0 goes on.
        seconds: stop after so long; 0 goes on.
        pictures: draw every scan.
        numbers: print JSON lines.
    """

    same: tuple[str, ...] = ()
    freeze_started_s: float | None = None
    count: int = 0
    seconds: float = 0.0
    pictures: bool = True
    numbers: bool = False


class LiveSession:
    """A procedure that is being followed.

    Args:
        folder: the case's; pictures and numbers go to folder/live, events to its record.

    Raises:
        CryoNeuroError: the case cannot be read or has no plan.
    """

    def __init__(self, folder: str | Path, options: LiveOptions, say: Callable[[str], None]) -> None:
        self.folder = Path(folder)
        self._options, self.say = options, say
        self.case, _ = load_case(folder)
        if self.case.plan is None or self.case.anatomy is None:
            raise GuidanceError("The case has no plan yet; run: cryoneuro plan CASE --target NERVE.")
        for name, value in (("--count", options.count), ("--seconds", options.seconds)):
            if value < 0:
                raise GuidanceError(f"{name} must be 0 or more, but is {value:g}.")
        self.setup = LiveSetup(
            self.case.ct,
            self.case.anatomy,
            self.case.plan,
            frozenset(self._answers()),
            options.freeze_started_s,
        )
        # Numbers go on where an earlier run ended; nothing of it is written over.
        numbers = [int(p.stem) for p in (self.folder / "live").glob("[0-9]*.json") if p.stem.isdecimal()]
        self.state = LiveState(count=max(numbers, default=0))
        self._resume()
        warm_up(self.setup)
        self._answered = not options.same
        self._asked: Arrival | None = None
        self._renderer: Any = self._made_renderer() if options.pictures else None

    def freeze(self, started_s: float | None) -> None:
        """The freeze has begun, or has ended (None)."""
        self.setup = replace(self.setup, freeze_started_s=started_s)
        self._keep(_FREEZE, {"freeze_started_s": started_s})
        self._record("freeze" if started_s is not None else "freeze ended", "Said at the console")

    def take(self, arrival: Arrival) -> LivePicture | None:
        """Follow one arrival; None where it held no scan."""
        if arrival.pose is not None:
            _, said = follow_pose(self.setup, self.state, arrival.pose)
            self.say(said)
            return None
        if arrival.ct is None:
            self.say(arrival.sentence)
            self._record("live trouble", arrival.sentence)
            return None
        before = self.state
        self.state, picture = follow(self.setup, self.state, arrival)
        self._asked = arrival if picture.questions else None
        if not self._answered:
            # What was said on the command line is said for the first scan, for its pair only, and not against what files say;
            # where an earlier run of this case has been answered already, another pair needs an answer of its own.
            self._answered = True
            known = {k.split(":", 1)[0] for k in self.setup.accepted}
            answered = [
                q for q in picture.questions if q.what in self._options.same and not q.differs and q.what not in known
            ]
            if answered:
                self.accept([q.key for q in answered])
                self.state, picture = follow(self.setup, before, arrival)
                self._asked = arrival if picture.questions else None
        self._tell(picture)
        if self.state.baseline is not None and self.state.baseline is not before.baseline:
            self._keep_baseline(*self.state.baseline)
        if self.state.replayed is not None:
            # What the first scan with ice will ask for is made while nobody waits.
            self.state.replayed.prepare()
        return picture

    def answer_yes(self) -> LivePicture | None:
        """A person says yes to what the last scan asked; it is followed once more."""
        arrival = self._asked
        if arrival is None or arrival.ct is None:
            self.say("Nothing has been asked.")
            return None
        self.accept([q.key for q in identity_questions(self.setup.plan_ct, arrival.ct, self.setup.accepted)])
        return self.take(arrival)

    def accept(self, keys: Sequence[str]) -> None:
        """A person has said yes to questions of identity."""
        self.setup = replace(self.setup, accepted=self.setup.accepted | frozenset(keys))
        self._keep(_ANSWERS, sorted(self.setup.accepted))
        self._record(
            "identity", "A person says that these are the same: " + ", ".join(sorted(k.split(":")[0] for k in keys))
        )

    def _put(self, name: str, write: Callable[[Path], object], trouble: str) -> bool:
        """Write a file of folder/live, whole or not at all.

        Args:
            write: writes it under a temporary name.
            trouble: what is said where it cannot be written.
        """
        place = self.folder / "live"
        try:
            place.mkdir(exist_ok=True)
            part = place / f".{name}"
            write(part)
            part.replace(place / name)
        except OSError as error:
            self.say(trouble.format(why=error.strerror))
            return False
        return True

    def _keep(self, name: str, content: Any) -> None:
        """Keep something for the next run of this case, which goes on from it."""
        trouble = f"{name} could not be kept ({{why}}); after a restart it would be missing."
        self._put(name, lambda part: part.write_text(json.dumps(content), encoding="utf-8"), trouble)

    def _keep_baseline(self, ct: CtVolume, plan_to_live: npt.NDArray[np.float64]) -> None:
        trouble = "The scan could not be kept ({why}); after a restart it would be missing."
        if self._put(_BASELINE, lambda part: write_volume(part, ct.array_kji, ct.geometry), trouble):
            facts = {"plan_to_live": plan_to_live.tolist(), "frame": ct.acquisition.frame_of_reference_uid}
            self._keep(f"{_BASELINE}.json", facts)

    def _resume(self) -> None:
        """Go on where a run of this case was cut off a short while ago: the scan from before the freeze, and the freeze."""
        place, longest_s = self.folder / "live", 3600.0 * constant("live_restart_h")

        def fresh(name: str) -> bool:
            path = place / name
            return path.is_file() and time.time() - path.stat().st_mtime < longest_s

        try:
            if fresh(_BASELINE) and fresh(f"{_BASELINE}.json"):
                facts = json.loads((place / f"{_BASELINE}.json").read_text(encoding="utf-8"))
                matrix = np.array(facts["plan_to_live"], dtype=float).reshape(4, 4)
                baseline = (read_ct(place / _BASELINE), matrix)
                self.state = replace(self.state, baseline=baseline, guess=matrix, frame=str(facts["frame"]))
                self.say("The scan from before the freeze of an earlier run of this case is taken over.")
            if self._options.freeze_started_s is None and fresh(_FREEZE):
                started = json.loads((place / _FREEZE).read_text(encoding="utf-8"))["freeze_started_s"]
                if started is not None and 0.0 <= time.time() - float(started) < longest_s:
                    self.setup = replace(self.setup, freeze_started_s=float(started))
                    at = time.strftime("%H:%M:%S", time.localtime(float(started)))
                    self.say(
                        f"The freeze goes on since {at}, as was said in an earlier run; type thaw if it has ended."
                    )
        except (OSError, ValueError, KeyError, TypeError, CryoNeuroError) as error:
            self.say(
                f"What an earlier run of this case had kept cannot be read ({type(error).__name__}); it starts anew."
            )

    def _answers(self) -> list[str]:
        """Keys of what was answered in earlier runs of this case."""
        try:
            found = json.loads((self.folder / "live" / _ANSWERS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return [k for k in found if isinstance(k, str)] if isinstance(found, list) else []

    def close(self) -> None:
        """End the pictures."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _tell(self, picture: LivePicture) -> None:
        start = time.perf_counter()
        paths = self._draw(picture) if self._options.pictures and picture.good else ()
        drawn_s = time.perf_counter() - start
        numbers = picture_numbers(picture) | {"pictures": [str(p) for p in paths]}
        numbers["seconds"]["pictures"] = round(drawn_s, 3)
        numbers["seconds"]["since received"] = round(time.time() - picture.received_s, 3)
        self._write(numbers, picture)
        self._record("live scan", f"{picture.advice.value}: {' '.join(picture.sentences)}")
        if self._options.numbers:
            self.say(json.dumps(numbers))
            return
        self.say(f"--- Scan {picture.number}: {picture.advice.value.upper()}")
        for text in picture.sentences:
            self.say(f"    {text}")
        if not picture.good and self.state.last_good is not None:
            self.say(f"    The picture of scan {self.state.last_good.number} stays.")
        spent = ", ".join(f"{n} {s:.2f}" for n, s in (*picture.seconds, ("pictures", drawn_s)))
        self.say(f"    Seconds: {spent}")

    def _made_renderer(self) -> Any:
        for entry in metadata.entry_points(group=RENDERERS):
            try:
                return entry.load()(self.case)
            except ImportError:
                continue
            except (RuntimeError, OSError) as error:
                self.say(f"Pictures cannot be drawn ({error}).")
                return None
        self.say("Pictures are not drawn: no renderer is installed (pip install 'cryoneuro[scene]').")
        return None

    def _draw(self, picture: LivePicture) -> tuple[Path, ...]:
        if self._renderer is None:
            return ()
        try:
            place = self.folder / "live"
            place.mkdir(exist_ok=True)
            return tuple(path for path, _ in self._renderer.draw(picture, place))
        except (RuntimeError, OSError) as error:
            self.say(f"The picture could not be drawn ({error}).")
            return ()

    def _write(self, numbers: dict[str, Any], picture: LivePicture) -> None:
        text = json.dumps(numbers, indent=1)
        trouble = "The numbers of this scan could not be written ({why}); they are shown here only."
        for name in (f"{picture.number:04d}.json", *(("latest.json",) if picture.good else ())):
            if not self._put(name, lambda part: part.write_text(text, encoding="utf-8"), trouble):
                return

    def _record(self, kind: str, text: str) -> None:
        try:
            append_event(self.folder, event(kind, text))
        except CryoNeuroError as error:
            self.say(str(error))


def run_live(
    session: LiveSession, sources: Sequence[FrameSource], options: LiveOptions, keys: Queue[str] | None = None
) -> int:
    """Poll sources until the count, the time or Ctrl-C ends it; returns how many scans came.

    Args:
        keys: lines that a person types, see listen_to_keys.
    """
    start, scans = time.monotonic(), 0
    try:
        while True:
            while keys is not None and not keys.empty():
                _obey(session, keys.get())
            for source in sources:
                for arrival in source.poll():
                    picture = session.take(arrival)
                    # What waits for an answer comes again after a restart.
                    if picture is None or not picture.questions:
                        source.handled(arrival)
                    scans += picture is not None
                    if options.count and scans >= options.count:
                        return scans
            if options.seconds and time.monotonic() - start >= options.seconds:
                return scans
            time.sleep(_POLL_S)
    finally:
        for source in sources:
            source.close()
        session.close()


def _obey(session: LiveSession, line: str) -> None:
    word = line.strip().lower()
    if word == "freeze":
        session.freeze(time.time())
        session.say("The freeze has begun.")
    elif word == "thaw":
        session.freeze(None)
        session.say("The freeze has ended.")
    elif word == "yes":
        session.answer_yes()
    elif word:
        session.say("Type freeze when the freeze begins, thaw when it ends, yes to what was asked.")


def listen_to_keys(keys: Queue[str]) -> None:
    """Pass on what is typed, in a thread of its own."""

    def read() -> None:
        for line in sys.stdin:
            keys.put(line)

    threading.Thread(target=read, name="keys", daemon=True).start()


def picture_numbers(picture: LivePicture) -> dict[str, Any]:
    """A live picture for machines; places in RAS mm of the live scan unless named otherwise."""
    data: dict[str, Any] = {
        "scan": picture.number,
        "series_uid": picture.key,
        "good": picture.good,
        "advice": picture.advice.value,
        "sentences": list(picture.sentences),
        "questions": [{"what": q.what, "differs": q.differs, "sentence": q.sentence} for q in picture.questions],
        "frozen_s": picture.frozen_s,
        "seconds": {name: round(value, 3) for name, value in picture.seconds},
        "note": "Research software, not a medical device.",
    }
    if picture.alignment is not None and picture.good:
        a = picture.alignment
        data["alignment"] = {
            "plan_to_live": a.plan_to_live.tolist(),
            "residual_mm": round(a.residual_mm, 3),
            "sigma_mm": round(a.sigma_mm, 3),
            "shift_mm": round(a.shift_mm, 2),
            "turn_deg": round(a.turn_deg, 2),
            "breathing_ras_mm": None
            if a.breathing_ras_mm is None
            else [round(float(v), 2) for v in a.breathing_ras_mm],
        }
    data["probes"] = [
        {
            "planned": f.planned,
            "tip_ras_mm": [round(float(v), 2) for v in f.tip_ras_mm],
            "direction_ras": [round(float(v), 4) for v in f.direction_ras],
            "tip_in_view": f.tip_in_view,
            "tip_sigma_mm": round(f.tip_sigma_mm, 2),
            "axis_sigma_deg": round(f.axis_sigma_deg, 2),
        }
        for f in picture.found
    ]
    data["targeting"] = [
        {
            "probe": t.planned,
            "tip_mm": round(t.tip_mm, 2),
            "lateral_mm": round(t.lateral_mm, 2),
            "depth_mm": round(t.depth_mm, 2),
            "angle_deg": round(t.angle_deg, 2),
            "to_go_mm": round(t.to_go_mm, 2),
            "correction": t.correction,
        }
        for t in picture.targeting
    ]
    if picture.assessment is not None:
        data["verdict"] = picture.assessment.verdict.value
    if picture.ice is not None:
        data["ice_ml"] = [round(v, 2) for v in picture.ice.volume_ml]
    if picture.comparison is not None:
        c = picture.comparison
        data["ice_against_prediction"] = {
            "dice": round(c.dice, 3),
            "mean_mm": round(c.mean_mm, 2) if c.mean_mm < 1e6 else None,
            "p95_mm": round(c.p95_mm, 2) if c.p95_mm < 1e6 else None,
        }
    if picture.calibration is not None:
        k = picture.calibration
        data["calibration"] = {
            "probe_strength": round(k.strength, 3),
            "perfusion": round(k.perfusion, 3),
            "offset_s": round(k.offset_s, 1),
            "scans": k.scans,
        }
    if picture.countdown is not None:
        d = picture.countdown
        data["countdown"] = {
            "nerve_treated_s": list(d.treated_s),
            "neighbor": d.neighbor,
            "neighbor_limit_s": list(d.limit_s),
            "nerve_c": [round(v, 1) for v in d.nerve_c],
            "coldest_neighbor": d.coldest_neighbor,
            "neighbor_c": [round(v, 1) for v in d.neighbor_c],
            "stop": d.stop,
        }
    return data
