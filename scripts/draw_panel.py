"""Draws every step of the panel beside the views, as docs/pictures/panel-*.png.

Usage: draw_panel.py [--ct public|phantom] [--output FOLDER]

The panel is the real one in the test window (see Testing/Python/desktop/slicer_stand_in), the views are drawn offscreen; their
frame and their colors are not desktop Slicer's.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
_PANEL_PX = (470, 700)
_VIEW_PX = (404, 349)
_GAP_PX = 2
_ACROSS_MM = 130.0


def main() -> int:
    """Click through a case and draw every step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ct", choices=("public", "phantom"), default="public")
    parser.add_argument("--output", default=str(REPOSITORY / "docs" / "pictures"))
    arguments = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    sys.path.insert(0, str(REPOSITORY / "CryoNeurolysis" / "Testing" / "Python" / "desktop"))
    from slicer_stand_in import Window

    window = Window(_PANEL_PX)
    Tour(window, Path(arguments.output)).run(arguments.ct)
    # The views and the scene observe each other; taking them apart in any order is the application's affair.
    sys.stdout.flush()
    os._exit(0)


class Tour:
    """A case from the first step to the last."""

    def __init__(self, window: Any, output: Path) -> None:
        from CryoNeurolysisLib.scene.views import SliceView, ThreeDView

        self.window = window
        self.output = output
        self.slices = [SliceView(window.host, name, plane, _VIEW_PX) for name, plane in _PLANES]
        self.space = ThreeDView(window.host, _VIEW_PX, (0.09, 0.10, 0.13))
        self.number = 0

    def run(self, which: str) -> None:
        """Click through it."""
        window = self.window
        self.volume = self._load(which)
        window.until(lambda: window.panel.volume() is not None and window.panel.look.isKnown, 60)
        self._center(np.array(window.panel.runner().readCt(self.volume).geometry.center_ras_mm), 360.0)
        window.go("case")
        self.shot("case")
        ui = window.go("target")
        ui.searchEdit.setText("intercostal")
        window.settle()
        ui.targetList.setCurrentRow(0)
        window.settle()
        window.click(ui.proposeButton)
        window.wait(200)
        course = window.runner.course()
        self._center(course.at(0.5 * float(course.arc_length_mm[-1]))[0], _ACROSS_MM)
        self.shot("target")
        window.click(ui.acceptButton)
        window.go("anatomy")
        self.shot("anatomy")
        ui = window.go("path")
        window.click(ui.planButton)
        window.wait(200)
        path = window.runner.case.plan.probes[0].trajectory
        self._center(0.5 * (path.entry_ras_mm + path.tip_ras_mm), _ACROSS_MM)
        ui.skinBox.click()
        window.wait(60)
        self.shot("path")
        ui.skinBox.click()
        ui.approverEdit.setText("Dr. Example")
        window.click(ui.approveButton)
        ui = window.go("freeze")
        window.click(ui.freezeButton)
        window.wait(200)
        self._center(path.tip_ras_mm, 90.0)
        ui.timeSlider.setValue(3)
        window.settle(200)
        self.shot("freeze")
        ui = window.go("check")
        ui.agentEdit.setText("Lidocaine 1 %")
        ui.blockVolumeSpin.setValue(3.0)
        ui.painBeforeSpin.setValue(8)
        ui.painAfterSpin.setValue(2)
        ui.painAfterSpin.editingFinished.emit()
        for row in range(3):
            ui.questionTable.cellClicked.emit(row, 0)
        window.settle()
        self.shot("check")
        self._live(path)
        window.go("report")
        self.shot("report")

    def _live(self, path: Any) -> None:
        """Two virtual scans, before the freeze and two minutes into it."""
        from cryoneuro.training import ScanSettings, room_truth, virtual_room_scan, write_dicom_series

        window, case = self.window, self.window.runner.case
        ui = window.go("live")
        room = window.panel.step("live").room
        truth = room_truth(case.plan, off_mm=2.0)
        with tempfile.TemporaryDirectory() as folder:
            ui.sourceSelector.setCurrentIndex(1)
            window.panel.step("live").onSource(1)
            ui.placeEdit.setText(folder)
            window.click(ui.followButton)
            for number, frozen_s in enumerate((0.0, 120.0)):
                scan = virtual_room_scan(case.ct, case.anatomy, truth, ScanSettings(seed=number), frozen_s)
                if frozen_s:
                    window.click(ui.freezeBeginsButton)
                    room._setup = replace(room._setup, freeze_started_s=time.time() - frozen_s)
                before = room.picture
                write_dicom_series(scan, Path(folder) / str(number))
                window.until(lambda before=before: room.picture is not before, 120)
                if not ui.yesButton.isHidden():
                    window.click(ui.yesButton)
                    window.until(lambda: room.picture.run is not None, 120)
            window.settle(200)
            ui.placeEdit.setText("/data/ct-export")
            matrix = room.picture.alignment.plan_to_live
            volume, self.volume = self.volume, room.scanNode()
            place = matrix[:3, :3] @ room.picture.plan.probes[0].trajectory.tip_ras_mm + matrix[:3, 3]
            for view in self.slices:
                view.look(place, 90.0, self.volume)
            self.space.look(place, place + 230.0 * np.array([0.3, -0.9, 0.35]), np.array([0.0, 0.0, 1.0]))
            self.shot("live")
            self.volume = volume
            window.click(ui.followButton)
        self._center(path.tip_ras_mm, 90.0)

    def _load(self, which: str) -> Any:
        if which == "phantom":
            return self.window.widget.logic.makePhantom()
        from cryoneuro.imaging import read_ct
        from cryoneuro.imaging.demo import demo_ct_files
        from CryoNeurolysisLib.scene.nodes import ctNode

        node = ctNode(self.window.scene, read_ct(demo_ct_files()[0]))
        node.SetName("CryoNeurolysisPublicCt")
        return node

    def _center(self, place_ras_mm: np.ndarray, across_mm: float) -> None:
        for view in self.slices:
            view.look(place_ras_mm, across_mm, self.volume)
        inside = np.array(self.window.panel.runner().readCt(self.volume).geometry.center_ras_mm)
        toward = place_ras_mm - inside
        toward[2] = 0.0
        if np.linalg.norm(toward) < 20.0:
            toward = np.array([0.0, -1.0, 0.0])
        toward = toward / np.linalg.norm(toward) + np.array([0.0, 0.0, 0.35])
        self.space.look(place_ras_mm, place_ras_mm + 2.6 * across_mm * toward, np.array([0.0, 0.0, 1.0]))

    def shot(self, name: str) -> None:
        """Panel and views as they are."""
        self.number += 1
        qt = self.window.qt
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            panel = qt.QPixmap(str(self.window.grab(place / "panel.png")))
            views = [
                view.write(place / f"{n}.png") for n, view in enumerate((self.slices[0], self.space, *self.slices[1:]))
            ]
            width = panel.width() + 2 * (_VIEW_PX[0] + _GAP_PX)
            page = qt.QPixmap(width, panel.height())
            page.fill(qt.QColor(40, 42, 48))
            painter = qt.QPainter(page)
            painter.drawPixmap(0, 0, panel)
            for n, path in enumerate(views):
                x = panel.width() + _GAP_PX + (n % 2) * (_VIEW_PX[0] + _GAP_PX)
                painter.drawPixmap(x, (n // 2) * (_VIEW_PX[1] + _GAP_PX), qt.QPixmap(str(path)))
            painter.end()
        self.output.mkdir(parents=True, exist_ok=True)
        page.save(str(self.output / f"panel-{self.number}-{name}.png"))
        print(f"panel-{self.number}-{name}.png: {self.window.status()}")


_PLANES = (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal"))


if __name__ == "__main__":
    sys.exit(main())
