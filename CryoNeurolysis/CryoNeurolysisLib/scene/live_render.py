"""Draws live pictures without a screen: the axial slice and the plane of the probe in the live scan, over the plan."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cryoneuro.guidance import LivePicture
from cryoneuro.knowledge import color
from cryoneuro.model import Advice, Case, moved

from .host import HeadlessHost
from .isotherms import SHOWN_C, isothermColor, isothermWords
from .live_scene import LiveScene, bandOf
from .views import SliceView

_SIZE = (640, 640)
_ACROSS_MM = 110.0
_WHITE = (1.0, 1.0, 1.0)
_PLANNED = (0.75, 0.75, 0.75)
_ADVICE_RGB = {
    Advice.GO: (0.45, 0.9, 0.45),
    Advice.ADJUST: (1.0, 0.8, 0.3),
    Advice.STOP: (1.0, 0.4, 0.35),
    Advice.UNKNOWN: (0.8, 0.8, 0.8),
}
_LETTERS = 78
_KEPT = 6


class LiveRenderer:
    """Keeps one scene for a whole procedure, so that a new scan only changes what has changed."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._host = HeadlessHost()
        self._scene = LiveScene(self._host.scene, case)
        # Windows cost seconds, and memory that is not given back: the same two serve the whole procedure.
        self._views = {name: SliceView(self._host, f"Live {name}", "Axial", _SIZE) for name in ("axial", "path")}
        with tempfile.TemporaryDirectory() as folder:
            for name, view in self._views.items():
                view.write(Path(folder) / f"{name}.png")

    def draw(self, picture: LivePicture, folder: Path) -> tuple[tuple[Path, str], ...]:
        """Write the pictures of a good scan as NNNN-axial.png and NNNN-path.png and as latest-*.png.

        Returns:
            (path, caption) of every picture; none for a scan that is not good.

        Raises:
            OSError: a file could not be written.
        """
        if not self._scene.show(picture) or picture.alignment is None or self._case.plan is None:
            return ()
        plan = picture.plan or self._case.plan
        path = plan.probes[0].trajectory
        tip = moved(picture.alignment.plan_to_live, path.tip_ras_mm)
        direction = picture.alignment.plan_to_live[:3, :3] @ path.direction_ras
        middle = tip - 0.3 * _ACROSS_MM * direction
        found = []
        for name, title in (("axial", "Axial, through the tip"), ("path", "Plane of the probe")):
            view = self._views[name]
            view.clearNotes()
            if name == "axial":
                view.look(tip, _ACROSS_MM, self._scene.ct)
            else:
                view.lookAlong(middle, direction, 1.2 * _ACROSS_MM, self._scene.ct)
            self._annotate(view, picture, title)
            written = view.write(folder / f"{picture.number:04d}-{name}.png", 1)
            latest = folder / f"latest-{name}.png"
            part = folder / f".{latest.name}"
            part.write_bytes(written.read_bytes())
            part.replace(latest)
            found.append((written, f"{title}. {picture.advice.value}"))
        return tuple(found)

    def close(self) -> None:
        """Close the windows and remove the temporary files."""
        for view in self._views.values():
            view.close()
        self._host.close()

    def _annotate(self, view: SliceView, picture: LivePicture, title: str) -> None:
        when = "" if picture.frozen_s is None else f", {picture.frozen_s / 60:.1f} min of freezing"
        rows = [(f"Live scan {picture.number}{when}. {title}", _WHITE)]
        if picture.run is not None:
            why = picture.sentences[-1] if picture.sentences else picture.advice.value
            if picture.countdown is not None:
                why = f"{why} {picture.countdown.sentence}"
            rows += [(line, _ADVICE_RGB[picture.advice]) for line in _wrapped(why)[:4]]
        view.rows(rows, True)
        view.rows(_legend(picture), False)
        view.edgeLetters()
        view.scaleBar(20.0)


def makeLiveRenderer(case: Case) -> LiveRenderer:
    """A renderer for a case, as the command line asks for it."""
    return LiveRenderer(case)


def _legend(picture: LivePicture) -> list[tuple[str, tuple[float, float, float]]]:
    rows = []
    if picture.run is not None:
        moment = "predicted now" if picture.frozen_s is not None else "coldest, if frozen so"
        treat_c = SHOWN_C[1] if picture.plan is None else picture.plan.treat_c
        treated = f"{treat_c:g} C (thin: +-{bandOf(picture):.1f} mm)"
        rows += [(words, isothermColor(c)) for words, c in isothermWords(treat_c, f"0 C, {moment}", treated)]
    if picture.ice is not None and picture.ice.seen_kji.any():
        rows.append(("ice that is seen (thin: its doubt)", _WHITE))
    if picture.alignment is not None:
        rows.append((f"nerve and structures, laid under to +-{picture.alignment.sigma_mm:.1f} mm", color("nerve")))
    rows.append(("probe as it lies, its shadow", color("trajectory")))
    rows.append(("probe as planned, its shadow", _PLANNED))
    return rows


def _wrapped(text: str) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) + 1 > _LETTERS:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
