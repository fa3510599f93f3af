"""Measures the panel in the test window: opening, how long actions hold the interface up, and a step of the time slider.

Prints a table. The window is not desktop Slicer: views are not drawn, and Qt is another binding.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "CryoNeurolysis" / "Testing" / "Python" / "desktop"))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
SHARED = Path(os.environ.get("CRYONEURO_SHARED", REPOSITORY.parent / "shared"))
CT = SHARED / "data" / "ct" / "thorabd-arterial-lidc"


class Pulse:
    """The longest time for which the interface did not answer."""

    def __init__(self, qt: Any) -> None:
        self.timer = qt.QTimer()
        self.timer.setInterval(0)
        self.timer.timeout.connect(self.beat)
        self.last = time.perf_counter()
        self.worst = 0.0

    def beat(self) -> None:
        now = time.perf_counter()
        self.worst = max(self.worst, now - self.last)
        self.last = now

    def during(self, action: Callable[[], None]) -> tuple[float, float]:
        """Seconds that an action took, and the longest gap in it, both in seconds."""
        self.last, self.worst = time.perf_counter(), 0.0
        start = self.last
        self.timer.start()
        action()
        self.timer.stop()
        self.beat()
        return time.perf_counter() - start, self.worst


def main() -> int:
    """Print the table."""
    if not CT.is_dir():
        print(f"The CT is not there ({SHARED}); set CRYONEURO_SHARED.")
        return 0
    from cryoneuro.imaging import read_ct
    from slicer_stand_in import Window

    window = Window()
    print(f"opened in {window.setup_s:.2f} s (wanted: under 1)")
    walk(window, read_ct(CT / "ct.nrrd"), CT / "labels.nrrd", "345 x 278 x 88, 66 labels")
    walk(window, large(read_ct(CT / "ct.nrrd")), None, "512 x 512 x 300")
    slider(window)
    sys.stdout.flush()
    os._exit(0)


def walk(window: Any, ct: Any, labels: Path | None, words: str) -> None:
    """Every action of a case on a CT, with the longest gap that the user would feel."""
    from CryoNeurolysisLib.scene.nodes import ctNode

    pulse = Pulse(window.qt)
    panel = window.panel
    node = ctNode(window.scene, ct)
    rows: list[tuple[str, float, float]] = []

    def timed(name: str, action: Callable[[], None]) -> None:
        rows.append((name, *pulse.during(action)))

    def until_idle(action: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            action()
            window.wait(600)

        return run

    def choose() -> None:
        panel.node.inputVolume = node
        panel.node.target = "intercostal"
        window.until(lambda: panel.look.isKnown, 60)

    timed("choose the CT", choose)
    if labels is not None:
        timed("import labels, segment", until_idle(lambda: import_(window, labels)))
    window.go("target")
    timed("propose the course" + ("" if labels else ", segment"), until_idle(panel.step("target").onPropose))
    timed("agree to the course", until_idle(panel.step("target").onAccept))
    window.go("path")
    timed("plan", until_idle(panel.step("path").onPlan))
    timed("take another path", until_idle(lambda: panel.step("path").onPath(1)))
    timed("move a weight", until_idle(lambda: panel.step("path").onWeight("length", 70)))
    timed("compare", until_idle(lambda: panel.step("path").ui.compareBox.click()))
    timed("skin map", until_idle(lambda: panel.step("path").ui.skinBox.click()))
    timed("why not here", until_idle(lambda: panel.step("path").whyNot(window.runner.found.entry_ras_mm[0])))
    panel.step("path").onDraw()
    line = window.runner.nodes.trajectories[0]
    tip = np.array(line.GetNthControlPointPositionWorld(1))

    def drag() -> None:
        for n in range(10):
            line.SetNthControlPointPositionWorld(1, *(tip + np.array([0.0, 0.0, 0.2 * n])))
            window.settle(1)
        window.until(lambda: not panel.drag.isDragging())
        window.wait(60)

    timed("drag the tip, ten steps, and drop it", drag)
    timed("undo", until_idle(panel.undo))
    timed("redo", until_idle(panel.redo))
    window.go("freeze")
    timed("simulate", until_idle(panel.step("freeze").onFreeze))
    timed(
        "go through all steps", until_idle(lambda: [window.go(name) for name in ("case", "anatomy", "check", "report")])
    )
    timed("keep the case in the scene", lambda: window.until(panel.keeper.isCurrent, 60))
    print(f"\n{words:44s} seconds   longest gap, ms (wanted: under 100)")
    for name, seconds, gap in rows:
        print(f"  {name:42s} {seconds:7.2f}   {1000 * gap:6.0f}")


def import_(window: Any, labels: Path) -> None:
    window.panel.step("anatomy").importFile(str(labels))
    window.wait(200)


def large(ct: Any) -> Any:
    """The CT on 512 x 512 x 300 voxels."""
    import SimpleITK as sitk
    from cryoneuro.imaging import from_sitk, to_sitk

    image = to_sitk(ct.array_kji, ct.geometry)
    size = np.array([512, 512, 300])
    spacing = np.array(image.GetSpacing()) * np.array(image.GetSize()) / size
    resampler = sitk.ResampleImageFilter()
    resampler.SetReferenceImage(image)
    resampler.SetSize([int(n) for n in size])
    resampler.SetOutputSpacing([float(s) for s in spacing])
    array, geometry = from_sitk(resampler.Execute(image))
    return replace(ct, array_kji=array, geometry=geometry, name="large")


def slider(window: Any) -> None:
    """A step of the time slider: the nodes alone on 128 x 128 x 128, and with the charts of the page."""
    from cryoneuro.model import VolumeGeometry
    from CryoNeurolysisLib.scene.isotherms import updateIsotherms

    run = window.runner.case.thermal
    field = run.temperature_c[-2]
    index = [np.clip(np.linspace(0, n - 1, 128).round().astype(int), 0, n - 1) for n in field.shape]
    cube = np.ascontiguousarray(field[np.ix_(*index)])
    geometry = VolumeGeometry(cube.shape, np.diag([1.0, 1.0, 1.0, 1.0]))
    times = []
    for _ in range(10):
        start = time.perf_counter()
        updateIsotherms(window.runner.nodes.isotherms, cube, geometry)
        times.append(time.perf_counter() - start)
    print(f"\nisotherms of 128 x 128 x 128: {1000 * np.median(times):.0f} ms a step (wanted: 40)")
    page = window.panel.step("freeze")
    window.go("freeze")
    times = []
    for n in range(len(run.snapshot_times_s)):
        page._wanted = n
        start = time.perf_counter()
        page._showWanted()
        times.append(time.perf_counter() - start)
    shape = " x ".join(str(n) for n in field.shape)
    print(f"isotherms of {shape}, label and charts: {1000 * np.median(times):.0f} ms a step")


if __name__ == "__main__":
    sys.exit(main())
